//! Layers over named tensors, with PyTorch's initial distributions.

use std::sync::Mutex;

use tch::{Device, Kind, Tensor};

use super::{Mode, Named, Role};
use crate::seed::{Purpose, stream, text_key};

/// libtorch has one generator for the whole process: whoever seeds it must draw before the next.
static GENERATOR: Mutex<()> = Mutex::new(());

/// Collects the tensors of a network while its layers are made.
#[derive(Debug)]
pub struct Builder {
    seed: u64,
    device: Device,
    tensors: Vec<Named>,
}

/// How a weight is drawn.
#[derive(Clone, Copy, Debug)]
enum Draw {
    Normal(f64),
    Uniform(f64),
    Constant(f64),
}

impl Builder {
    /// Weights are drawn from `seed` and their names.
    pub fn new(seed: u64, device: Device) -> Self {
        Self { seed, device, tensors: Vec::new() }
    }

    /// The tensors made so far, in order.
    pub fn finish(self) -> Vec<Named> {
        self.tensors
    }

    fn add(&mut self, name: String, tensor: Tensor, role: Role) -> Tensor {
        let shared = tensor.shallow_clone();
        self.tensors.push(Named { name, tensor, role });
        shared
    }

    fn weight(&mut self, name: String, shape: &[i64], draw: Draw) -> Tensor {
        // Drawn on the host, so that a GPU starts from the same weights.
        let mut tensor = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        match draw {
            Draw::Constant(value) => {
                let _ = tensor.fill_(value);
            }
            Draw::Normal(_) | Draw::Uniform(_) => {
                let seed = stream(self.seed, Purpose::Init, &[text_key(name.as_bytes())]).bits();
                let guard = GENERATOR.lock();
                tch::manual_seed(seed as i64);
                let _ = match draw {
                    Draw::Normal(std) => tensor.normal_(0.0, std),
                    Draw::Uniform(bound) => tensor.uniform_(-bound, bound),
                    Draw::Constant(value) => tensor.fill_(value),
                };
                drop(guard);
            }
        }
        let tensor = tensor.to_device(self.device).set_requires_grad(true);
        self.add(name, tensor, Role::Weight)
    }
}

/// A 2-d convolution with square kernels.
#[derive(Debug)]
pub(super) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

impl Conv {
    /// As torchvision's ResNets have it: no bias, Kaiming normal over the outputs (He et al. 2015,
    /// arXiv:1502.01852).
    pub(super) fn residual(builder: &mut Builder, name: &str, from: i64, to: i64, kernel: i64, stride: i64) -> Self {
        let std = (2.0 / (to * kernel * kernel) as f64).sqrt();
        let shape = [to, from, kernel, kernel];
        Self {
            weight: builder.weight(format!("{name}.weight"), &shape, Draw::Normal(std)),
            bias: None,
            stride,
            padding: kernel / 2,
        }
    }

    /// As `torch.nn.Conv2d` makes it: uniform within 1 / sqrt(inputs).
    pub(super) fn plain(builder: &mut Builder, name: &str, from: i64, to: i64, kernel: i64) -> Self {
        let draw = Draw::Uniform(1.0 / ((from * kernel * kernel) as f64).sqrt());
        let shape = [to, from, kernel, kernel];
        Self {
            weight: builder.weight(format!("{name}.weight"), &shape, draw),
            bias: Some(builder.weight(format!("{name}.bias"), &[to], draw)),
            stride: 1,
            padding: 0,
        }
    }

    pub(super) fn forward(&self, images: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let bias = self.bias.as_ref().map(|bias| cast(bias, images));
        images.conv2d(&cast(&self.weight, images), bias, stride, padding, [1, 1], 1)
    }
}

/// A linear layer as `torch.nn.Linear` makes it: uniform within 1 / sqrt(inputs).
#[derive(Debug)]
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(super) fn new(builder: &mut Builder, name: &str, from: i64, to: i64) -> Self {
        let draw = Draw::Uniform(1.0 / (from as f64).sqrt());
        Self {
            weight: builder.weight(format!("{name}.weight"), &[to, from], draw),
            bias: builder.weight(format!("{name}.bias"), &[to], draw),
        }
    }

    pub(super) fn forward(&self, values: &Tensor) -> Tensor {
        values.linear(&cast(&self.weight, values), Some(&cast(&self.bias, values)))
    }
}

/// A weight in the kind of what it meets: bf16 activations get it in bf16, and its gradient comes back
/// in its own kind.
fn cast(tensor: &Tensor, like: &Tensor) -> Tensor {
    if tensor.kind() == like.kind() { tensor.shallow_clone() } else { tensor.to_kind(like.kind()) }
}

/// Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) with PyTorch's defaults.
#[derive(Debug)]
pub(super) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl BatchNorm {
    const MOMENTUM: f64 = 0.1;
    const EPS: f64 = 1e-5;

    pub(super) fn new(builder: &mut Builder, name: &str, channels: i64) -> Self {
        let options = (Kind::Float, builder.device);
        let weight = builder.weight(format!("{name}.weight"), &[channels], Draw::Constant(1.0));
        let bias = builder.weight(format!("{name}.bias"), &[channels], Draw::Constant(0.0));
        let mean = Tensor::zeros([channels], options);
        let mean = builder.add(format!("{name}.running_mean"), mean, Role::Running);
        let variance = Tensor::ones([channels], options);
        let variance = builder.add(format!("{name}.running_var"), variance, Role::Running);
        let batches = Tensor::zeros([], (Kind::Int64, builder.device));
        let _ = builder.add(format!("{name}.num_batches_tracked"), batches, Role::Batches);
        Self { weight, bias, mean, variance }
    }

    pub(super) fn forward(&self, images: &Tensor, mode: &Mode<'_>) -> Tensor {
        images.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.mean),
            Some(&self.variance),
            matches!(mode, Mode::Train { .. }),
            Self::MOMENTUM,
            Self::EPS,
            true,
        )
    }
}
