//! Which numbers a network computes with, and in which order they lie in memory.
//!
//! With bf16 images are cast, and so are activations with them: each layer casts its weights to the
//! kind of its input, and gradients come back to the 32-bit weights through that cast. Logits are
//! 32 bits wide again before the loss. Layout is a matter of the images alone: every layer gives
//! its output in the order of its input.

use sweep_core::recipe::{Layout, Numerics, Precision};
use tch::{Kind, Tensor};

use crate::model::{Mode, Model};

/// Logits (32 bits) of images (32 bits, in PyTorch's order).
pub fn forward(numerics: Numerics, model: &Model, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
    let cast = match numerics.precision {
        Precision::Bf16 => images.to_kind(Kind::BFloat16),
        Precision::Fp32 | Precision::Auto => images.shallow_clone(),
    };
    let ordered = match numerics.layout {
        // A view of `[n, height, width, 3]`: libtorch knows its own channels_last by the strides.
        Layout::ChannelsLast => cast.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        Layout::Contiguous | Layout::Auto => cast,
    };
    model.forward(&ordered, mode).to_kind(Kind::Float)
}
