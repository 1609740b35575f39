//! Transfer learning: where the weights come from and which of them stay as they are.

use serde::{Deserialize, Serialize};

use super::Bounds;

/// Longest path or list of patterns, bytes.
const MOST: usize = 4096;

/// The weights that training starts from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Init {
    /// A safetensors file in a data root of the agent: an absolute path, or one below a root. Empty
    /// means that weights are drawn.
    pub weights: String,
}

/// The weights that training leaves alone. What either field names is frozen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Freeze {
    /// Everything before the last so many convolutions and linear layers; 0 means nothing.
    pub all_but_last: u32,
    /// Names of weights, or patterns with `*` for any text, separated by spaces.
    pub names: String,
}

impl Init {
    pub(super) fn check(&self, b: &mut Bounds) {
        let text = &self.weights;
        let climbs = text.split('/').any(|part| part == "..");
        let odd = text.chars().any(char::is_control) || text.len() > MOST;
        let ok = text.is_empty() || (text.ends_with(".safetensors") && !climbs && !odd);
        b.require(
            ok,
            "init.weights",
            text.escape_debug(),
            "a path that ends in .safetensors and does not climb with `..`",
        );
    }
}

impl Freeze {
    /// The patterns.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.names.split_whitespace()
    }

    pub(super) fn check(&self, b: &mut Bounds) {
        b.require(self.all_but_last <= 10_000, "freeze.all_but_last", self.all_but_last, "at most 10,000 layers");
        let odd = |c: char| !(c.is_ascii_alphanumeric() || " ._*".contains(c));
        let ok = self.names.len() <= MOST && !self.names.contains(odd);
        b.require(ok, "freeze.names", self.names.escape_debug(), "letters, digits, `.`, `_`, `*` and spaces");
    }
}
