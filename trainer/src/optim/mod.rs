//! Update rules over named tensors, PyTorch's definitions, with state that can be saved (tch's own
//! optimizers cannot). The learning rate comes from the caller at every step.
//!
//! Large tensors are updated in pieces that stay in the processor's cache from one operation of a
//! rule to the next; every value goes through the same operations either way.

mod adam;
mod clip;
mod radam;
mod rmsprop;
mod sgd;

pub use clip::clip;
use sweep_core::recipe;
use sweep_core::recipe::schedule::Pace;
use tch::{Kind, Tensor};

use crate::model::{Misfit, Model, check_shape};

/// Values in one piece: 256 KiB of each tensor.
const PIECE: i64 = 1 << 16;

/// One update rule with its state.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    decay: Decay,
    weights: Vec<Weight>,
    steps: u64,
}

#[derive(Debug)]
enum Rule {
    Sgd(recipe::optim::Sgd),
    Adam(Moments),
    Radam(Moments),
    Rmsprop(recipe::optim::Rmsprop),
}

/// The constants that the rules of Adam's family share.
#[derive(Clone, Copy, Debug)]
struct Moments {
    beta1: f64,
    beta2: f64,
    eps: f64,
}

/// How weights decay.
#[derive(Clone, Copy, Debug)]
struct Decay {
    rate: f64,
    /// Taken off the weight instead of added to the gradient.
    decoupled: bool,
    /// Whether one-dimensional weights decay too.
    norm_bias: bool,
}

impl Decay {
    fn apply(self, piece: &mut Piece, gradient: &mut Tensor, lr: f64) {
        if self.rate == 0.0 || (piece.flat && !self.norm_bias) {
            return;
        }
        if self.decoupled {
            let _ = piece.weight.g_mul_scalar_(1.0 - lr * self.rate);
        } else {
            *gradient += &piece.weight * self.rate;
        }
    }
}

impl Rule {
    /// Names of the state tensors kept for every weight.
    fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(sgd) if sgd.momentum > 0.0 => &["momentum"],
            Self::Sgd(_) => &[],
            Self::Adam(_) | Self::Radam(_) => &["exp_avg", "exp_avg_sq"],
            Self::Rmsprop(rule) => match (rule.momentum > 0.0, rule.centered) {
                (false, false) => &["square_avg"],
                (true, false) => &["square_avg", "momentum"],
                (false, true) => &["square_avg", "grad_avg"],
                (true, true) => &["square_avg", "grad_avg", "momentum"],
            },
        }
    }

    /// The rule of a recipe, and how its weights decay.
    fn of(optimizer: &recipe::Optimizer) -> (Self, Decay) {
        use recipe::optim::{Adam, Adamw, Radam};
        match optimizer {
            recipe::Optimizer::Sgd(rule) => {
                let decay = Decay { rate: rule.weight_decay, decoupled: false, norm_bias: rule.decay_norm_bias };
                (Self::Sgd(rule.clone()), decay)
            }
            recipe::Optimizer::Adam(Adam { beta1, beta2, eps, weight_decay, decay_norm_bias }) => {
                let decay = Decay { rate: *weight_decay, decoupled: false, norm_bias: *decay_norm_bias };
                (Self::Adam(Moments { beta1: *beta1, beta2: *beta2, eps: *eps }), decay)
            }
            recipe::Optimizer::Adamw(Adamw { beta1, beta2, eps, weight_decay, decay_norm_bias }) => {
                let decay = Decay { rate: *weight_decay, decoupled: true, norm_bias: *decay_norm_bias };
                (Self::Adam(Moments { beta1: *beta1, beta2: *beta2, eps: *eps }), decay)
            }
            recipe::Optimizer::Radam(Radam { beta1, beta2, eps, weight_decay, decoupled, decay_norm_bias }) => {
                let decay = Decay { rate: *weight_decay, decoupled: *decoupled, norm_bias: *decay_norm_bias };
                (Self::Radam(Moments { beta1: *beta1, beta2: *beta2, eps: *eps }), decay)
            }
            recipe::Optimizer::Rmsprop(rule) => {
                let decay = Decay { rate: rule.weight_decay, decoupled: false, norm_bias: rule.decay_norm_bias };
                (Self::Rmsprop(rule.clone()), decay)
            }
        }
    }

    /// Changes momentum, or the first beta, from now on.
    fn set_momentum(&mut self, momentum: f64) {
        match self {
            Self::Sgd(rule) => rule.momentum = momentum,
            Self::Adam(moments) | Self::Radam(moments) => moments.beta1 = momentum,
            Self::Rmsprop(rule) => rule.momentum = momentum,
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
    /// Of a one-dimensional weight: a bias, or the scale of a normalisation.
    flat: bool,
}

fn pieces(tensor: &Tensor) -> Vec<Tensor> {
    let flat = tensor.detach().view(-1);
    let length = flat.size()[0];
    (0..length).step_by(PIECE as usize).map(|start| flat.narrow(0, start, PIECE.min(length - start))).collect()
}

impl Optimizer {
    /// The recipe's rule for the weights of `model`, with empty state.
    pub fn new(optimizer: &recipe::Optimizer, model: &Model) -> Self {
        let (rule, decay) = Rule::of(optimizer);
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
                    .map(|weight| Piece {
                        weight,
                        state: parts.iter_mut().filter_map(Iterator::next).collect(),
                        flat: named.tensor.dim() <= 1,
                    })
                    .collect();
                Weight { name: named.name.clone(), state, pieces }
            })
            .collect();
        Self { rule, decay, weights, steps: 0 }
    }

    /// Updates the weights of the model, in its order, with one gradient each. The gradients are
    /// used up.
    pub fn step(&mut self, gradients: Vec<Tensor>, pace: Pace) {
        assert_eq!(gradients.len(), self.weights.len(), "one gradient per weight");
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        if let Some(momentum) = pace.momentum {
            self.rule.set_momentum(momentum);
        }
        let lr = pace.lr;
        for (weight, gradient) in self.weights.iter_mut().zip(gradients) {
            // Dense already, except for expanded ones of unusual layers.
            let gradient = gradient.contiguous();
            for (piece, mut gradient) in weight.pieces.iter_mut().zip(pieces(&gradient)) {
                self.decay.apply(piece, &mut gradient, lr);
                match &self.rule {
                    Rule::Sgd(rule) => sgd::step(rule, piece, &mut gradient, lr, self.steps == 1),
                    Rule::Adam(rule) => adam::step(rule, piece, &mut gradient, lr, self.steps),
                    Rule::Radam(rule) => radam::step(rule, piece, &mut gradient, lr, self.steps),
                    Rule::Rmsprop(rule) => rmsprop::step(rule, piece, &mut gradient, lr),
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
