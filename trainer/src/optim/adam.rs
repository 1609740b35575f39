//! Adam (Kingma & Ba 2015, arXiv:1412.6980) in PyTorch's form (`torch.optim.Adam`): bias-corrected
//! moments, epsilon added after the correction. With decoupled decay it is AdamW (Loshchilov & Hutter
//! 2019, arXiv:1711.05101; `torch.optim.AdamW`).

use tch::Tensor;

use super::{Moments, Piece};

/// `step` counts from 1.
pub(super) fn step(rule: &Moments, piece: &mut Piece, gradient: &mut Tensor, lr: f64, step: u64) {
    let [mean, square] = piece.state.as_mut_slice() else {
        return;
    };
    moments(rule, mean, square, gradient);
    // The end of a cosine: nothing moves, and nothing can be divided by it.
    if lr == 0.0 {
        return;
    }

    let step = step as f64;
    let (correct1, correct2) = (1.0 - rule.beta1.powf(step), 1.0 - rule.beta2.powf(step));
    // w -= lr / correct1 * mean / (sqrt(square) / sqrt(correct2) + eps), the rate in the divisor.
    let rate = -correct1 / lr;
    gradient.copy_(square);
    let _ = gradient.sqrt_();
    let _ = gradient.g_mul_scalar_(rate / correct2.sqrt());
    let _ = gradient.g_add_scalar_(rate * rule.eps);
    let _ = piece.weight.addcdiv_(mean, gradient);
}

/// Takes a gradient into the moving averages of itself and of its square. It is no longer the
/// gradient afterwards.
pub(super) fn moments(rule: &Moments, mean: &mut Tensor, square: &mut Tensor, gradient: &mut Tensor) {
    let _ = mean.lerp_(gradient, 1.0 - rule.beta1);
    let _ = square.g_mul_scalar_(rule.beta2);
    // square += (1 - beta2) * g * g, with one factor in each operand.
    let _ = gradient.g_mul_scalar_((1.0 - rule.beta2).sqrt());
    let _ = square.addcmul_(gradient, gradient);
}
