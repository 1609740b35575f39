//! Logits of a checkpoint on a fixed input, for comparing with other implementations
//! (`tests/torchvision_parity.py` computes the same input).

use std::path::Path;

use serde::Serialize;
use sweep_core::recipe;
use tch::{Device, Tensor};

use crate::checkpoint;
use crate::error::TrainError;
use crate::model::script::ScriptError;
use crate::model::{Mode, Model};

/// Output of `sweep-trainer logits`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Logits {
    /// The network.
    pub model: &'static str,
    /// Side of the input, pixels.
    pub image_size: u32,
    /// `[images][classes]`.
    pub logits: Vec<Vec<f32>>,
}

/// Value `i` of the input, row-major over `[images, 3, size, size]`: evenly spread over -2 to 2.
fn input(i: usize) -> f32 {
    let spread = (i as u32).wrapping_mul(2_654_435_761);
    (f64::from(spread) / f64::from(1u32 << 30) - 2.0) as f32
}

/// Applies the network in `file` to `images` fixed inputs; `image_size` replaces the recipe's.
pub fn logits(file: &Path, image_size: Option<u32>, images: usize) -> Result<Logits, TrainError> {
    let (header, tensors) = checkpoint::load(file)?;
    let wrong = header.recipe.check();
    if !wrong.is_empty() {
        return Err(TrainError::OutOfRange(wrong));
    }
    let recipe = header.recipe;
    let image_size = image_size.unwrap_or(recipe.image_size);
    let classes = header.classes.len();
    if classes == 0 {
        return Err(TrainError::WeightsInvalid { path: file.to_path_buf(), what: "it names no classes".to_owned() });
    }
    if let recipe::Model::Torchscript(_) = recipe.model {
        return Err(ScriptError::NotAllowed.into());
    }
    let mut model = Model::new(&recipe.model, classes as u32, image_size, None, Device::Cpu);
    model
        .load(|name| tensors.get(name))
        .map_err(|misfit| TrainError::WeightsInvalid { path: file.to_path_buf(), what: misfit.to_string() })?;
    let side = image_size as usize;
    let values: Vec<f32> = (0..images * 3 * side * side).map(input).collect();
    let shape = [images as i64, 3, side as i64, side as i64];
    let input = Tensor::from_slice(&values).view(shape);
    let _guard = tch::no_grad_guard();
    let output = model.forward(&input, &mut Mode::Eval).contiguous();
    let mut flat = vec![0f32; images * classes];
    output.copy_data(&mut flat, images * classes);
    Ok(Logits { model: recipe.model.name(), image_size, logits: flat.chunks(classes).map(<[f32]>::to_vec).collect() })
}
