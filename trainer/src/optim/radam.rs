//! Rectified Adam (Liu et al. 2020, arXiv:1908.03265) in PyTorch's form (`torch.optim.RAdam`): the
//! second moment is used only once its variance is tractable (rho above 5), and epsilon is added
//! before the second moment is corrected.

use tch::Tensor;

use super::adam::moments;
use super::{Moments, Piece};

/// `step` counts from 1.
pub(super) fn step(rule: &Moments, piece: &mut Piece, gradient: &mut Tensor, lr: f64, step: u64) {
    let [mean, square] = piece.state.as_mut_slice() else {
        return;
    };
    moments(rule, mean, square, gradient);
    let step = step as f64;
    let (correct1, correct2) = (1.0 - rule.beta1.powf(step), 1.0 - rule.beta2.powf(step));
    let last = 2.0 / (1.0 - rule.beta2) - 1.0;
    let rho = last - 2.0 * step * rule.beta2.powf(step) / correct2;
    let rate = lr / correct1;
    gradient.copy_(mean);
    if rho <= 5.0 {
        piece.weight -= gradient.g_mul_scalar_(rate);
        return;
    }
    let rectified = ((rho - 4.0) * (rho - 2.0) * last / ((last - 4.0) * (last - 2.0) * rho)).sqrt();
    // w -= rate * rectified * mean * sqrt(correct2) / (sqrt(square) + eps), the rate in the divisor.
    let scale = -1.0 / (rate * rectified * correct2.sqrt());
    gradient.copy_(square);
    let _ = gradient.sqrt_();
    let _ = gradient.g_add_scalar_(rule.eps);
    let _ = gradient.g_mul_scalar_(scale);
    let _ = piece.weight.addcdiv_(mean, gradient);
}
