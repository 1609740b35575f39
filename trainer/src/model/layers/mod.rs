//! Layers over named tensors, with PyTorch's initial distributions. Weights stay what they are; a
//! layer computes in the kind of its input, so that bf16 images mean bf16 products and sums of
//! float weights, except in norms, which take both.

mod affine;
mod conv_norm;
mod norm;
mod pool;

use std::sync::Mutex;

use sweep_core::recipe::model::Activation;
use tch::{Device, Kind, Tensor};

use super::{Named, Role};
use crate::seed::{Purpose, stream, text_key};

pub(super) use affine::{Conv, Linear, Shape as ConvShape};
pub(super) use conv_norm::ConvNorm;
pub(super) use norm::BatchNorm;
pub use pool::Blur;
pub(super) use pool::{drop_rows, dropout, max_pool, max_pool_ceil};

/// libtorch has one generator for the whole process: whoever seeds it must draw before the next.
static GENERATOR: Mutex<()> = Mutex::new(());

/// Collects the tensors of a network while its layers are made.
#[derive(Debug)]
pub struct Builder {
    seed: Option<u64>,
    device: Device,
    tensors: Vec<Named>,
}

/// How a tensor is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    /// Uniform within 1 / sqrt(inputs), as `torch.nn` draws convolutions, linear layers and their biases.
    UniformIn,
    /// Uniform within 1 / sqrt(outputs).
    UniformOut,
    /// Normal with variance 2 / inputs (He et al. 2015, arXiv:1502.01852).
    NormalIn,
    /// Normal with variance 2 / outputs.
    NormalOut,
    /// Normal with this deviation.
    Normal(f64),
    /// All values equal.
    Constant(f64),
}

/// How many values one output of a layer is made of, and how many outputs one input takes part in.
#[derive(Clone, Copy, Debug)]
struct Fan {
    inputs: i64,
    outputs: i64,
}

impl Builder {
    /// Weights are drawn from `seed` and their names; without one they are zero, for whoever
    /// overwrites them anyway.
    pub fn new(seed: Option<u64>, device: Device) -> Self {
        Self { seed, device, tensors: Vec::new() }
    }

    /// Where the tensors lie.
    pub fn device(&self) -> Device {
        self.device
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

    fn weight(&mut self, name: String, shape: &[i64], draw: Draw, fan: Fan) -> Tensor {
        // Drawn on the host, so that a GPU starts from the same weights.
        let tensor = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        if let Some(seed) = self.seed {
            let per = |fan: i64| 1.0 / fan as f64;
            let generator = || {
                let guard = GENERATOR.lock();
                tch::manual_seed(stream(seed, Purpose::Init, &[text_key(name.as_bytes())]).bits() as i64);
                guard
            };
            let normal = |std: f64| {
                let _guard = generator();
                let _ = tensor.shallow_clone().normal_(0.0, std);
            };
            let uniform = |bound: f64| {
                let _guard = generator();
                let _ = tensor.shallow_clone().uniform_(-bound, bound);
            };
            match draw {
                Draw::Normal(std) => normal(std),
                Draw::NormalIn => normal((2.0 * per(fan.inputs)).sqrt()),
                Draw::NormalOut => normal((2.0 * per(fan.outputs)).sqrt()),
                Draw::UniformIn => uniform(per(fan.inputs).sqrt()),
                Draw::UniformOut => uniform(per(fan.outputs).sqrt()),
                Draw::Constant(value) => {
                    let _ = tensor.shallow_clone().fill_(value);
                }
            }
        }
        let tensor = tensor.to_device(self.device).set_requires_grad(true);
        self.add(name, tensor, Role::Weight)
    }
}

/// Applies `function`, in place where its derivative is known from the result.
pub(super) fn activate(function: Activation, mut x: Tensor) -> Tensor {
    match function {
        Activation::Relu => x.relu_(),
        Activation::Relu6 => x.relu6_(),
        Activation::Mish => x.mish(),
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu("none"),
    }
}

/// `tensor` in the kind of `like`.
fn cast(tensor: &Tensor, like: &Tensor) -> Tensor {
    if tensor.kind() == like.kind() { tensor.shallow_clone() } else { tensor.to_kind(like.kind()) }
}
