//! Networks. Each file builds one network from named tensors with PyTorch's names, shapes and
//! initial distributions, so that checkpoints load into PyTorch unchanged. Adding one: a variant in
//! `core::recipe::Model`, a file here, an arm in [`Model::new`].

mod cifar_cnn;
pub mod layers;
mod resnet;

use sweep_core::recipe;
use tch::{Device, Tensor};

use crate::seed::Stream;
use cifar_cnn::CifarCnn;
use layers::Builder;
use resnet::Resnet18;

/// One tensor of a network.
#[derive(Debug)]
pub struct Named {
    /// PyTorch's name.
    pub name: String,
    /// Shares its storage with the layer that uses it.
    pub tensor: Tensor,
    /// What it is.
    pub role: Role,
}

/// What a tensor of a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained.
    Weight,
    /// A running mean or variance.
    Running,
    /// `num_batches_tracked`, int64: equals the number of training batches seen.
    Batches,
}

/// How a network is applied.
#[derive(Debug)]
pub enum Mode<'a> {
    /// Batch statistics, and dropout with numbers from the stream.
    Train {
        /// Probability of zeroing an activation.
        dropout: f64,
        /// Numbers for this step.
        random: &'a mut Stream,
    },
    /// Running statistics, no dropout.
    Eval,
}

/// A network and its tensors.
#[derive(Debug)]
pub struct Model {
    net: Net,
    tensors: Vec<Named>,
}

#[derive(Debug)]
enum Net {
    Resnet18(Resnet18),
    CifarCnn(CifarCnn),
}

/// A tensor that does not fit the network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misfit {
    /// The network has it, the source does not.
    #[error("tensor {0:?} is missing")]
    Missing(String),
    /// Shape or type differ.
    #[error("tensor {name:?} is {found}, the network needs {wanted}")]
    Shape {
        /// Which.
        name: String,
        /// Shape and type that came.
        found: String,
        /// Shape and type of the network.
        wanted: String,
    },
}

impl Model {
    /// Builds `model` for `classes` and square images of `image_size`, with weights drawn from `seed`.
    /// They depend on the seed and on nothing else in a recipe.
    pub fn new(model: &recipe::Model, classes: u32, image_size: u32, seed: u64, device: Device) -> Self {
        let mut builder = Builder::new(seed, device);
        let net = match model {
            recipe::Model::Resnet18(_) => Net::Resnet18(Resnet18::new(&mut builder, classes)),
            recipe::Model::CifarCnn(_) => Net::CifarCnn(CifarCnn::new(&mut builder, classes, image_size)),
        };
        Self { net, tensors: builder.finish() }
    }

    /// Logits `[n, classes]` of images `[n, 3, size, size]`.
    pub fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        match &self.net {
            Net::Resnet18(net) => net.forward(images, mode),
            Net::CifarCnn(net) => net.forward(images, mode),
        }
    }

    /// All tensors, in a fixed order.
    pub fn tensors(&self) -> &[Named] {
        &self.tensors
    }

    /// The trained tensors, in a fixed order.
    pub fn weights(&self) -> impl Iterator<Item = &Named> {
        (self.tensors.iter()).filter(|named| named.role == Role::Weight)
    }

    /// Number of trained values.
    pub fn parameters(&self) -> u64 {
        self.weights().map(|named| named.tensor.numel() as u64).sum()
    }

    /// Writes the count of training batches into every `num_batches_tracked`. They are all equal,
    /// so they are only brought up to date when the state is looked at.
    pub fn set_batches(&mut self, batches: u64) {
        let _guard = tch::no_grad_guard();
        for named in &mut self.tensors {
            if named.role == Role::Batches {
                let _ = named.tensor.fill_(batches as i64);
            }
        }
    }

    /// A copy of every tensor, in the order of [`Self::tensors`].
    pub fn snapshot(&self) -> Vec<Tensor> {
        let _guard = tch::no_grad_guard();
        (self.tensors.iter()).map(|named| named.tensor.detach().copy()).collect()
    }

    /// Overwrites every tensor with what `find` has under its name.
    pub fn load<'a>(&mut self, mut find: impl FnMut(&str) -> Option<&'a Tensor>) -> Result<(), Misfit> {
        let _guard = tch::no_grad_guard();
        for named in &mut self.tensors {
            let found = find(&named.name).ok_or_else(|| Misfit::Missing(named.name.clone()))?;
            check_shape(&named.name, &named.tensor, found)?;
            named.tensor.copy_(found);
        }
        Ok(())
    }
}

/// Whether `found` can stand in for `wanted`.
pub(crate) fn check_shape(name: &str, wanted: &Tensor, found: &Tensor) -> Result<(), Misfit> {
    let about = |tensor: &Tensor| format!("{:?} {:?}", tensor.kind(), tensor.size());
    if wanted.size() != found.size() || wanted.kind() != found.kind() {
        return Err(Misfit::Shape { name: name.to_owned(), found: about(found), wanted: about(wanted) });
    }
    Ok(())
}

/// Zeroes each value with probability `dropout` and scales the others by `1 / (1 - dropout)`. The
/// mask comes from the stream, not from libtorch's generator: that one is shared by the whole
/// process and cannot be saved.
fn dropout(values: Tensor, mode: &mut Mode<'_>) -> Tensor {
    let Mode::Train { dropout, random } = mode else {
        return values;
    };
    if *dropout <= 0.0 {
        return values;
    }
    let kept = (1.0 / (1.0 - *dropout)) as f32;
    let mask: Vec<f32> = (0..values.numel()).map(|_| if random.unit() < *dropout { 0.0 } else { kept }).collect();
    let mask =
        Tensor::from_slice(&mask).view(values.size().as_slice()).to_device(values.device()).to_kind(values.kind());
    values * mask
}
