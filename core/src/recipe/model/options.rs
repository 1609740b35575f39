//! What can be chosen about a network. Every default is torchvision's.

use serde::{Deserialize, Serialize};

use super::super::Bounds;

/// The function after each layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// min(max(0, x), 6) (Sandler et al. 2018).
    Relu6,
    /// x tanh(ln(1 + e^x)) (Misra 2019, arXiv:1908.08681).
    Mish,
    /// x / (1 + e^-x), also called swish (Ramachandran et al. 2017, arXiv:1710.05941).
    Silu,
    /// x times the normal distribution function of x (Hendrycks & Gimpel 2016, arXiv:1606.08415).
    Gelu,
}

/// How an image enters a residual or dense network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stem {
    /// A 7x7 convolution of stride 2, then pooling of stride 2: a quarter of the side is left.
    #[default]
    Standard,
    /// A 3x3 convolution of stride 1 and no pooling, as usual for images of 64 pixels and below (He et
    /// al. 2015, section 4.2).
    Small,
    /// Small for images of 64 pixels and below, else standard.
    Auto,
}

impl Stem {
    /// Whether images of this side enter at full resolution.
    pub fn is_small(self, image_size: u32) -> bool {
        match self {
            Self::Standard => false,
            Self::Small => true,
            Self::Auto => image_size <= 64,
        }
    }
}

/// Options of ResNets, ResNet-Ds, ResNeXts and Wide ResNets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resnet {
    /// The function after each layer.
    pub activation: Activation,
    /// Blur before halving, in place of max pooling and strided convolution (Zhang 2019, arXiv:1904.11486).
    pub blur_pool: bool,
    /// Start every residual branch at zero (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
    pub zero_init_residual: bool,
    /// How the image enters.
    pub stem: Stem,
}

/// Options of pre-activation ResNets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreactResnet {
    /// The function before each layer.
    pub activation: Activation,
    /// How the image enters.
    pub stem: Stem,
}

/// Options of networks with nothing else to choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plain {
    /// The function after each layer.
    pub activation: Activation,
}

/// A module of one's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Torchscript {
    /// What `deploy/to_torchscript.py` wrote, in a data root of the agent: an absolute path, or one below a root.
    pub file: String,
}

impl Torchscript {
    pub(super) fn check(&self, name: &str, bounds: &mut Bounds) {
        let file = &self.file;
        let odd = file.chars().any(char::is_control) || file.len() > 4096;
        let ok = file.ends_with(".pt") && !file.split('/').any(|part| part == "..") && !odd;
        let path = format!("model.{name}.file");
        bounds.require(ok, path, file.escape_debug(), "a path that ends in .pt and does not climb with `..`");
    }
}

/// Options of AlexNet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alexnet {
    /// The function after each layer.
    pub activation: Activation,
    /// Keep the layer of 1000 outputs and put one from 1000 to the classes after it (study D).
    pub extra_layer: bool,
}

/// Options of DenseNets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Densenet {
    /// The function before each layer.
    pub activation: Activation,
    /// How the image enters.
    pub stem: Stem,
}

/// Options of MobileNetV2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MobilenetV2 {
    /// The function after each layer but the linear ones.
    pub activation: Activation,
}

impl Default for MobilenetV2 {
    fn default() -> Self {
        Self { activation: Activation::Relu6 }
    }
}

/// Options of EfficientNets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Efficientnet {
    /// The function after each layer but the linear ones.
    pub activation: Activation,
    /// How often the last residual branch is left out in training; the ones before it less, in
    /// proportion to their depth (Huang et al. 2016, arXiv:1603.09382).
    pub stochastic_depth: f64,
}

impl Default for Efficientnet {
    fn default() -> Self {
        Self { activation: Activation::Silu, stochastic_depth: 0.2 }
    }
}

impl Efficientnet {
    pub(super) fn check(&self, name: &str, bounds: &mut Bounds) {
        let ok = (0.0..1.0).contains(&self.stochastic_depth);
        let path = format!("model.{name}.stochastic_depth");
        bounds.require(ok, path, self.stochastic_depth, "at least 0 and below 1");
    }
}

/// Options of study B's network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MergedNet {
    /// The function after each layer but the linear ones.
    pub activation: Activation,
}

impl Default for MergedNet {
    fn default() -> Self {
        Self { activation: Activation::Mish }
    }
}

/// Options of the CIFAR tutorial's network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CifarCnn {
    /// The function after each layer.
    pub activation: Activation,
    /// Batch norm after both convolutions, which the tutorial does not have.
    pub batch_norm: bool,
}

/// Options of the multi-layer perceptron.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mlp {
    /// The function after each hidden layer.
    pub activation: Activation,
    /// Width of each hidden layer.
    pub hidden: Vec<u32>,
}

impl Default for Mlp {
    fn default() -> Self {
        Self { activation: Activation::Relu, hidden: vec![255] }
    }
}

impl Mlp {
    pub(super) fn check(&self, name: &str, bounds: &mut Bounds) {
        let ok = (1..=16).contains(&self.hidden.len()) && self.hidden.iter().all(|width| (1..=65_536).contains(width));
        let path = format!("model.{name}.hidden");
        bounds.require(ok, path, format!("{:?}", self.hidden), "1 to 16 widths from 1 to 65,536");
    }
}
