//! Stochastic gradient descent with momentum in PyTorch's form (`torch.optim.SGD`, no dampening):
//! `v = momentum * v + g`, `w = w - lr * v`, and with Nesterov `w = w - lr * (g + momentum * v)`.

use sweep_core::recipe::optim::Sgd;
use tch::Tensor;

use super::Piece;

pub(super) fn step(rule: &Sgd, piece: &mut Piece, gradient: &mut Tensor, lr: f64, first: bool) {
    let Some(velocity) = piece.state.first_mut() else {
        piece.weight -= gradient.g_mul_scalar_(lr);
        return;
    };
    if first {
        velocity.copy_(gradient);
    } else {
        let _ = velocity.g_mul_scalar_(rule.momentum);
        *velocity += &*gradient;
    }
    if rule.nesterov {
        *gradient += &*velocity * rule.momentum;
        piece.weight -= gradient.g_mul_scalar_(lr);
    } else {
        // The gradient's memory is free now.
        gradient.copy_(velocity);
        piece.weight -= gradient.g_mul_scalar_(lr);
    }
}
