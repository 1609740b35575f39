//! Adam (Kingma & Ba 2015, arXiv:1412.6980) in PyTorch's form (`torch.optim.Adam`): bias-corrected
//! moments, epsilon added after the correction, weight decay added to the gradient.

use sweep_core::recipe::optim::Adam;
use tch::Tensor;

use super::Piece;

/// `step` counts from 1.
pub(super) fn step(rule: &Adam, piece: &mut Piece, gradient: &mut Tensor, lr: f64, step: u64) {
    let [mean, square] = piece.state.as_mut_slice() else {
        return;
    };
    if rule.weight_decay != 0.0 {
        *gradient += &piece.weight * rule.weight_decay;
    }
    let _ = mean.lerp_(gradient, 1.0 - rule.beta1);
    let _ = square.g_mul_scalar_(rule.beta2);
    // square += (1 - beta2) * g * g, with one factor in each operand.
    let _ = gradient.g_mul_scalar_((1.0 - rule.beta2).sqrt());
    let _ = square.addcmul_(gradient, gradient);

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
