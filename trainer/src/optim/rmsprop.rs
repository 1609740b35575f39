//! RMSprop (Hinton 2012, lecture 6e) in PyTorch's form (`torch.optim.RMSprop`): epsilon added after
//! the root, momentum over the scaled gradient; centred as in Graves 2013 (arXiv:1308.0850).

use sweep_core::recipe::optim::Rmsprop;
use tch::Tensor;

use super::Piece;

pub(super) fn step(rule: &Rmsprop, piece: &mut Piece, gradient: &mut Tensor, lr: f64) {
    let Some((square, rest)) = piece.state.split_first_mut() else {
        return;
    };
    let (center, velocity) = match (rule.centered, rest) {
        (true, [center, rest @ ..]) => (Some(center), rest.first_mut()),
        (_, rest) => (None, rest.first_mut()),
    };
    let _ = square.g_mul_scalar_(rule.alpha);
    // square += (1 - alpha) * g * g, with one factor in each operand.
    let scaled = &*gradient * (1.0 - rule.alpha).sqrt();
    let _ = square.addcmul_(&scaled, &scaled);
    let mut divisor = match center {
        Some(center) => {
            let _ = center.lerp_(gradient, 1.0 - rule.alpha);
            &*square - center.square()
        }
        None => square.copy(),
    };
    let _ = divisor.sqrt_();
    let _ = divisor.g_add_scalar_(rule.eps);
    let _ = gradient.g_div_(&divisor);
    match velocity {
        Some(velocity) => {
            let _ = velocity.g_mul_scalar_(rule.momentum);
            *velocity += &*gradient;
            gradient.copy_(velocity);
            piece.weight -= gradient.g_mul_scalar_(lr);
        }
        None => piece.weight -= gradient.g_mul_scalar_(lr),
    }
}
