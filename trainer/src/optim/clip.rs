//! Gradient clipping as `torch.nn.utils.clip_grad_norm_` does it, with the 2-norm over all weights
//! (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063). Nothing waits for the device.

use tch::Tensor;

/// Shortens `gradients`, as one vector, to the length `longest` if they are longer.
pub fn clip(gradients: &mut [Tensor], longest: f64) {
    let _guard = tch::no_grad_guard();
    let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
    // PyTorch's epsilon keeps a gradient of zero from becoming NaN.
    let norm = Tensor::stack(&norms, 0).norm() + 1e-6;
    let scale = (norm.reciprocal() * longest).clamp_max(1.0);
    for gradient in gradients {
        let _ = gradient.g_mul_(&scale);
    }
}
