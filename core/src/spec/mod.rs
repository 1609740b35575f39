//! The sweep file: text in, a validated [`Spec`] out, or everything that is wrong with it at once.
//! What a spec expands to is left to [`crate::plan`]; `docs/spec.md` describes the file for people.
//!
//! Reading goes `tree` (TOML with places) -> `schema` (which paths exist) -> `value` (one value of
//! one path) -> `fields` and `axes` (the file's own keys) -> `canonical`.

mod axes;
mod canonical;
mod design;
mod error;
mod fields;
mod placement;
mod ranges;
mod schema;
mod search;
mod steps;
mod stop;
mod suggest;
mod tree;
mod value;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use crate::plan::Limits;
use crate::search::Knobs;
use crate::stopping::Stop;

pub use canonical::defaults;
pub(crate) use canonical::section;
pub(crate) use error::Errors;
pub use error::{MAX_ERRORS, Reason, SpecError};
pub use fields::TOP_LEVEL;
pub(crate) use schema::conflict;
pub use search::SEARCH_KEYS;
pub use stop::STOP_KEYS;
pub(crate) use stop::check as check_stop;
pub(crate) use value::explain;

/// Largest file, bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Most values in one axis.
pub const MAX_CHOICES: usize = 10_000;
/// Most axes, linked ones counted one by one.
pub const MAX_AXES: usize = 64;
/// Most exclusions.
pub const MAX_EXCLUDES: usize = 1000;
/// Most seeds.
pub const MAX_SEEDS: usize = 10_000;

/// A sweep as its file describes it: every value canonical and within its own bounds.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What the sweep is called.
    pub name: String,
    /// Words for people; changes nothing.
    pub description: Option<String>,
    /// What all points share.
    pub base: Vec<Setting>,
    /// Factors of the product, in the order of the file.
    pub groups: Vec<Group>,
    /// Points written out by hand.
    pub points: Vec<Row>,
    /// Combinations to leave out.
    pub excludes: Vec<Row>,
    /// Every point runs once with each of these.
    pub seeds: Vec<u64>,
    /// How points are made from the groups.
    pub design: Design,
    /// What the sweep asks of the scheduler.
    pub limits: Limits,
    /// Early stopping across configurations.
    pub stop: Option<Stop>,
    /// Points of a random design are chosen while it runs, but for the first ones.
    pub search: Option<Knobs>,
    /// The file, for messages.
    pub(crate) source: String,
    /// Where its top-level keys stand, for messages.
    pub(crate) keys: BTreeMap<String, Range<usize>>,
}

/// How points are made from the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// Every combination.
    Grid,
    /// The base, and one group at a time changed from it.
    Ablation,
    /// So many points drawn at random.
    Random {
        /// How many.
        samples: u32,
        /// What the draws are derived from.
        seed: u64,
        /// How evenly they lie.
        draws: Draws,
    },
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draws {
    /// Each by itself.
    Random,
    /// Evenly: a scrambled Sobol sequence.
    Sobol,
}

/// One value of one path.
#[derive(Clone, Debug)]
pub struct Choice {
    /// As the recipe's types write it.
    pub value: Value,
    /// As the file writes it.
    pub label: String,
    /// Where in the file.
    pub span: Range<usize>,
}

/// A path with its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Dotted path in the recipe.
    pub path: String,
    /// The key in messages, e.g. `point[2].lr`.
    pub key: String,
    /// The value.
    pub choice: Choice,
}

/// Axes that move together; most groups have one.
#[derive(Clone, Debug)]
pub struct Group {
    /// At least one; lists of equal length when there are several.
    pub axes: Vec<Axis>,
}

/// A path with the values it takes.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Dotted path in the recipe.
    pub path: String,
    /// Where in the file.
    pub span: Range<usize>,
    /// Its values.
    pub values: Values,
}

/// The values of an axis.
#[derive(Clone, Debug)]
pub enum Values {
    /// Written out; never empty, no two equal.
    List(Vec<Choice>),
    /// Drawn; only in a random design.
    Drawn(Draw),
}

/// A range that values are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// Evenly from `low` to `high`.
    Uniform {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
    },
    /// Evenly in the logarithm.
    LogUniform {
        /// Smallest value, above 0.
        low: f64,
        /// Largest value.
        high: f64,
    },
    /// Whole numbers, both ends included.
    Int {
        /// Smallest value.
        low: u64,
        /// Largest value.
        high: u64,
        /// The path takes numbers with a fraction.
        float: bool,
    },
}

/// Several settings at once: a point, or what an exclusion matches.
#[derive(Clone, Debug)]
pub struct Row {
    /// At least one.
    pub settings: Vec<Setting>,
    /// The key in messages, e.g. `exclude[0]`.
    pub key: String,
    /// Where in the file.
    pub span: Range<usize>,
}

/// Reads a sweep file.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file. Syntax errors come alone, because
/// what follows one cannot be read reliably.
pub fn parse(text: &[u8]) -> Result<Spec, Vec<SpecError>> {
    let whole = |reason, what: String, hint: &str| {
        let mut errors = Errors::new("");
        errors.push(reason, "", None, what, hint);
        Err(errors.into_list())
    };
    if text.len() > MAX_BYTES {
        let what = format!("{} bytes, the limit is {MAX_BYTES}", text.len());
        let hint = "a sweep file describes points, it does not hold data";
        return whole(Reason::SpecTooLarge, what, hint);
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let good = error.valid_up_to();
            let readable = std::str::from_utf8(&text[..good]).unwrap_or_default();
            let mut errors = Errors::new(readable);
            let what = format!("byte {good} is not UTF-8");
            let hint = "save the file as UTF-8";
            errors.push(Reason::SpecNotUtf8, "", Some(&(good..good + 1)), what, hint);
            return Err(errors.into_list());
        }
    };
    let (table, syntax) = toml::de::DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        let mut errors = Errors::new(text);
        for error in syntax {
            // The limit of nesting has no place.
            errors.push(Reason::SpecSyntax, "", error.span().as_ref(), value::harmless(error.message()), "");
        }
        return Err(errors.into_list());
    }
    fields::read(text, tree::entries(table.get_ref()))
}

/// Every dotted path of a recipe that a file can set, sorted.
pub fn paths() -> Vec<String> {
    schema::Schema::new().paths().to_vec()
}

/// Whether a text may name a sweep, a data set or an augmentation: a letter or digit, then up to
/// 63 of letters, digits, `.`, `_` and `-`.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
