//! Which numbers a network computes with, and in which order they lie in memory.
//!
//! With bf16 images are cast, and so are activations with them: each layer casts its weights to the
//! kind of its input, and gradients come back to the 32-bit weights through that cast. Logits are
//! 32 bits wide again before the loss. Layout is a matter of the images alone: every layer gives
//! its output in the order of its input.

use std::fmt;

use serde::{Deserialize, Serialize};
use sweep_core::recipe::{Layout, Precision, Recipe};
use tch::{Kind, Tensor};

use crate::model::{Mode, Model};

/// What is computed with. Never `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numerics {
    precision: Precision,
    layout: Layout,
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "precision {}, layout {}", self.precision.name(), self.layout.name())
    }
}

impl Numerics {
    /// What PyTorch does unless it is told otherwise.
    pub const PLAIN: Self = Self { precision: Precision::Fp32, layout: Layout::Contiguous };

    /// What `recipe` allows; the plainest first, and exactly one if nothing is left to choose.
    pub fn allowed(recipe: &Recipe) -> Vec<Self> {
        let precisions = match recipe.precision {
            Precision::Auto => vec![Precision::Fp32, Precision::Bf16],
            precision => vec![precision],
        };
        let layouts = match recipe.layout {
            Layout::Auto => vec![Layout::Contiguous, Layout::ChannelsLast],
            layout => vec![layout],
        };
        let pairs = |precision: Precision| layouts.iter().map(move |&layout| Self { precision, layout });
        precisions.into_iter().flat_map(pairs).collect()
    }

    /// Logits (32 bits) of images (32 bits, in PyTorch's order).
    pub fn forward(self, model: &Model, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let cast = match self.precision {
            Precision::Bf16 => images.to_kind(Kind::BFloat16),
            Precision::Fp32 | Precision::Auto => images.shallow_clone(),
        };
        let ordered = match self.layout {
            // A view of `[n, height, width, 3]`: libtorch knows its own channels_last by the strides.
            Layout::ChannelsLast => cast.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
            Layout::Contiguous | Layout::Auto => cast,
        };
        model.forward(&ordered, mode).to_kind(Kind::Float)
    }
}
