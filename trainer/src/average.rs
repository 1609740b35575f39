//! An exponential moving average of a network (Polyak & Juditsky 1992, "Acceleration of stochastic
//! approximation by averaging"; with this decay as in Tan & Le 2019, arXiv:1905.11946): what
//! `torch.optim.swa_utils.AveragedModel` keeps with `get_ema_multi_avg_fn(decay)` and `use_buffers=True`.

use crate::model::{Model, Role};

/// A network that follows another one.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    /// Its `num_batches_tracked` is the caller's to set: a count has no average.
    pub model: Model,
}

impl Average {
    /// `model` has the tensors of the network that will be followed; their values do not matter.
    pub fn new(decay: f64, model: Model) -> Self {
        Self { decay, model }
    }

    /// Takes in the weights and running statistics after a step. The first step is copied.
    pub fn follow(&mut self, model: &Model, first: bool) {
        let _guard = tch::no_grad_guard();
        for (average, now) in self.model.tensors().iter().zip(model.tensors()) {
            let mut tensor = average.tensor.shallow_clone();
            match average.role {
                Role::Batches | Role::Still => {}
                // A count has no average.
                _ if first || !tensor.is_floating_point() => tensor.copy_(&now.tensor),
                _ => drop(tensor.lerp_(&now.tensor, 1.0 - self.decay)),
            }
        }
    }
}
