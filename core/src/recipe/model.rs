//! The networks a recipe can name. The trainer has one file for each; the compiler asks for it.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Bounds, tagged};

/// A network and its options. The class count comes from the data.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// ResNet-18 (He et al. 2015, arXiv:1512.03385), torchvision's `resnet18` with its parameter names.
    Resnet18(Resnet18),
    /// The small network of PyTorch's CIFAR-10 tutorial: two 5x5 convolutions (6, 16 channels) and
    /// linear layers 120-84-classes, for any image size.
    CifarCnn(CifarCnn),
}

/// Options of [`Model::Resnet18`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resnet18 {}

/// Options of [`Model::CifarCnn`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarCnn {}

/// Names of all models as they are written in a sweep file.
pub const MODEL_NAMES: &[&str] = &["resnet18", "cifar-cnn"];

impl Default for Model {
    fn default() -> Self {
        Self::Resnet18(Resnet18::default())
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Table {
            Resnet18(Resnet18),
            CifarCnn(CifarCnn),
        }
        Ok(match tagged::name_or_table(deserializer)? {
            Table::Resnet18(options) => Self::Resnet18(options),
            Table::CifarCnn(options) => Self::CifarCnn(options),
        })
    }
}

impl Model {
    /// The name used in sweep files and tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Resnet18(_) => "resnet18",
            Self::CifarCnn(_) => "cifar-cnn",
        }
    }

    pub(super) fn check(&self, image_size: u32, bounds: &mut Bounds) {
        match self {
            // Five halvings leave at least one pixel of 32.
            Self::Resnet18(_) => bounds.require(image_size >= 32, "image_size", image_size, "at least 32 for resnet18"),
            // Two 5x5 convolutions without padding and two halvings leave at least one pixel of 16.
            Self::CifarCnn(_) => {
                bounds.require(image_size >= 16, "image_size", image_size, "at least 16 for cifar-cnn");
            }
        }
    }
}
