//! Update rules over named tensors, PyTorch's definitions, with state that can be saved (tch's own
//! optimizers cannot). The learning rate comes from the caller at every step.
//!
//! Large tensors are updated in pieces that stay in the processor's cache from one operation of a
//! rule to the next; every value goes through the same operations either way.

mod adam;
mod sgd;

use sweep_core::recipe;
use tch::{Kind, Tensor};

use crate::model::{Misfit, Model, check_shape};

/// Values in one piece: 256 KiB of each tensor.
const PIECE: i64 = 1 << 16;

/// One update rule with its state.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    weights: Vec<Weight>,
    steps: u64,
}

#[derive(Debug)]
enum Rule {
    Sgd(recipe::optim::Sgd),
    Adam(recipe::optim::Adam),
}

impl Rule {
    /// Names of the state tensors kept for every weight.
    fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(sgd) if sgd.momentum > 0.0 => &["momentum"],
            Self::Sgd(_) => &[],
            Self::Adam(_) => &["exp_avg", "exp_avg_sq"],
        }
    }
}

/// A weight and its state, whole and in pieces that share the storage.
#[derive(Debug)]
struct Weight {
    name: String,
    state: Vec<(&'static str, Tensor)>,
    pieces: Vec<Piece>,
}

/// A part of a weight, with the same part of each state tensor.
#[derive(Debug)]
struct Piece {
    weight: Tensor,
    state: Vec<Tensor>,
}

fn pieces(tensor: &Tensor) -> Vec<Tensor> {
    let flat = tensor.detach().view(-1);
    let length = flat.size()[0];
    (0..length).step_by(PIECE as usize).map(|start| flat.narrow(0, start, PIECE.min(length - start))).collect()
}

impl Optimizer {
    /// The recipe's rule for the weights of `model`, with empty state.
    pub fn new(optimizer: &recipe::Optimizer, model: &Model) -> Self {
        let rule = match optimizer {
            recipe::Optimizer::Sgd(sgd) => Rule::Sgd(sgd.clone()),
            recipe::Optimizer::Adam(adam) => Rule::Adam(adam.clone()),
        };
        let _guard = tch::no_grad_guard();
        let weights = model
            .weights()
            .map(|named| {
                let empty = |slot: &&'static str| {
                    let tensor = &named.tensor;
                    let options = (Kind::Float, tensor.device());
                    (*slot, Tensor::zeros(tensor.size().as_slice(), options))
                };
                let state: Vec<_> = rule.slots().iter().map(empty).collect();
                let mut parts: Vec<_> = state.iter().map(|(_, s)| pieces(s).into_iter()).collect();
                let pieces = pieces(&named.tensor)
                    .into_iter()
                    .map(|weight| Piece { weight, state: parts.iter_mut().filter_map(Iterator::next).collect() })
                    .collect();
                Weight { name: named.name.clone(), state, pieces }
            })
            .collect();
        Self { rule, weights, steps: 0 }
    }

    /// Updates the weights of the model, in its order, with one gradient each. The gradients are
    /// used up.
    pub fn step(&mut self, gradients: Vec<Tensor>, lr: f64) {
        assert_eq!(gradients.len(), self.weights.len(), "one gradient per weight");
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        for (weight, gradient) in self.weights.iter_mut().zip(gradients) {
            // Dense already, except for expanded ones of unusual layers.
            let gradient = gradient.contiguous();
            for (piece, mut gradient) in weight.pieces.iter_mut().zip(pieces(&gradient)) {
                match &self.rule {
                    Rule::Sgd(rule) => sgd::step(rule, piece, &mut gradient, lr, self.steps == 1),
                    Rule::Adam(rule) => adam::step(rule, piece, &mut gradient, lr, self.steps),
                }
            }
        }
    }

    /// Updates so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The state as (weight name, slot, tensor).
    pub fn state(&self) -> impl Iterator<Item = (&str, &'static str, &Tensor)> {
        self.weights
            .iter()
            .flat_map(|weight| (weight.state.iter()).map(|(slot, tensor)| (weight.name.as_str(), *slot, tensor)))
    }

    /// Overwrites the state with what `find` has under (weight name, slot), after `steps` updates.
    pub fn load<'a>(
        &mut self,
        steps: u64,
        mut find: impl FnMut(&str, &str) -> Option<&'a Tensor>,
    ) -> Result<(), Misfit> {
        let _guard = tch::no_grad_guard();
        self.steps = steps;
        for weight in &mut self.weights {
            for (slot, tensor) in &mut weight.state {
                let found =
                    find(&weight.name, slot).ok_or_else(|| Misfit::Missing(format!("{}.{slot}", weight.name)))?;
                check_shape(&weight.name, tensor, found)?;
                tensor.copy_(found);
            }
        }
        Ok(())
    }
}
