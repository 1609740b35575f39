//! The networks a recipe can name: one variant each, with the options of its family. The trainer has
//! one file for each family; its builder and the matches here are what a new network must be added to.

pub mod options;
mod table;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Bounds, tagged};
pub use options::{
    Activation, Alexnet, CifarCnn, Densenet, Efficientnet, MergedNet, Mlp, MobilenetV2, Plain, PreactResnet, Resnet,
    Stem, Torchscript,
};
pub use table::{MODEL_NAMES, markdown_table};

/// A network and its options. The class count comes from the data. Names are torchvision's, with
/// `-` for `_`, where torchvision has the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", remote = "Self")]
#[expect(missing_docs, reason = "the name says it all; `Model::family` says where each comes from")]
pub enum Model {
    Resnet18(Resnet),
    Resnet34(Resnet),
    Resnet50(Resnet),
    Resnet101(Resnet),
    Resnet152(Resnet),
    #[serde(rename = "resnext50-32x4d")]
    Resnext50(Resnet),
    #[serde(rename = "resnext101-32x8d")]
    Resnext101(Resnet),
    #[serde(rename = "wide-resnet50-2")]
    WideResnet50(Resnet),
    #[serde(rename = "wide-resnet101-2")]
    WideResnet101(Resnet),
    Resnet18D(Resnet),
    Resnet34D(Resnet),
    Resnet50D(Resnet),
    Resnet101D(Resnet),
    Resnet152D(Resnet),
    PreactResnet18(PreactResnet),
    PreactResnet34(PreactResnet),
    Vgg11(Plain),
    Vgg13(Plain),
    Vgg16(Plain),
    Vgg19(Plain),
    Vgg11Bn(Plain),
    Vgg13Bn(Plain),
    Vgg16Bn(Plain),
    Vgg19Bn(Plain),
    Alexnet(Alexnet),
    Googlenet(Plain),
    Densenet121(Densenet),
    Densenet161(Densenet),
    Densenet169(Densenet),
    Densenet201(Densenet),
    MobilenetV2(MobilenetV2),
    EfficientnetB0(Efficientnet),
    EfficientnetB1(Efficientnet),
    EfficientnetB2(Efficientnet),
    EfficientnetB3(Efficientnet),
    EfficientnetB4(Efficientnet),
    EfficientnetB5(Efficientnet),
    EfficientnetB6(Efficientnet),
    EfficientnetB7(Efficientnet),
    MergedNet(MergedNet),
    CifarCnn(CifarCnn),
    M1(Plain),
    M4(Plain),
    Mlp(Mlp),
    Torchscript(Torchscript),
}

/// What holds for a network whatever its options are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// Where it comes from.
    pub about: &'static str,
    /// Side of the smallest square image it takes, pixels.
    pub smallest: u32,
    /// Its own rate of dropout, used when the recipe gives none.
    pub dropout: f64,
}

impl Default for Model {
    fn default() -> Self {
        Self::Resnet18(Resnet::default())
    }
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table(Model);
        impl<'de> Deserialize<'de> for Table {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Model::deserialize(deserializer).map(Table)
            }
        }
        tagged::name_or_table(deserializer).map(|Table(model)| model)
    }
}

impl Model {
    /// The name used in sweep files and tables.
    pub fn name(&self) -> &'static str {
        let value = serde_json::to_value(self).expect("a network is plain JSON");
        let named = |name: &&&str| value.get(**name).is_some();
        MODEL_NAMES.iter().find(named).expect("a network is a table whose key is its name")
    }

    /// What holds for the network whatever its options are.
    pub fn family(&self) -> Family {
        // Five halvings leave at least one pixel of 32.
        let from_32 = |about: &'static str, dropout: f64| Family { about, smallest: 32, dropout };
        let from_8 = |about: &'static str| Family { about, smallest: 8, dropout: 0.0 };
        match self {
            Self::Resnet18(o) | Self::Resnet34(o) | Self::Resnet50(o) | Self::Resnet101(o) | Self::Resnet152(o) => {
                residual("ResNet, He et al. 2015, arXiv:1512.03385; the stride in the 3x3 convolution", o.stem)
            }
            Self::Resnext50(o) | Self::Resnext101(o) => residual("ResNeXt, Xie et al. 2016, arXiv:1611.05431", o.stem),
            Self::WideResnet50(o) | Self::WideResnet101(o) => {
                residual("Wide ResNet, Zagoruyko & Komodakis 2016, arXiv:1605.07146", o.stem)
            }
            Self::Resnet18D(o)
            | Self::Resnet34D(o)
            | Self::Resnet50D(o)
            | Self::Resnet101D(o)
            | Self::Resnet152D(o) => residual("ResNet-D, He et al. 2018, arXiv:1812.01187, section 4.2", o.stem),
            Self::PreactResnet18(o) | Self::PreactResnet34(o) => {
                residual("pre-activation ResNet, He et al. 2016, arXiv:1603.05027", o.stem)
            }
            Self::Vgg11(_) | Self::Vgg13(_) | Self::Vgg16(_) | Self::Vgg19(_) => {
                from_32("VGG, Simonyan & Zisserman 2014, arXiv:1409.1556", 0.5)
            }
            Self::Vgg11Bn(_) | Self::Vgg13Bn(_) | Self::Vgg16Bn(_) | Self::Vgg19Bn(_) => {
                from_32("VGG with batch norm after each convolution", 0.5)
            }
            Self::Alexnet(_) => {
                Family { about: "AlexNet, Krizhevsky 2014, arXiv:1404.5997", smallest: 63, dropout: 0.5 }
            }
            Self::Googlenet(_) => {
                from_32("GoogLeNet without auxiliary classifiers, Szegedy et al. 2014, arXiv:1409.4842", 0.2)
            }
            Self::Densenet121(o) | Self::Densenet161(o) | Self::Densenet169(o) | Self::Densenet201(o) => {
                residual("DenseNet-BC, Huang et al. 2016, arXiv:1608.06993", o.stem)
            }
            Self::MobilenetV2(_) => from_32("MobileNetV2, Sandler et al. 2018, arXiv:1801.04381", 0.2),
            Self::EfficientnetB0(_) | Self::EfficientnetB1(_) => from_32(EFFICIENTNET, 0.2),
            Self::EfficientnetB2(_) | Self::EfficientnetB3(_) => from_32(EFFICIENTNET, 0.3),
            Self::EfficientnetB4(_) | Self::EfficientnetB5(_) => from_32(EFFICIENTNET, 0.4),
            Self::EfficientnetB6(_) | Self::EfficientnetB7(_) => from_32(EFFICIENTNET, 0.5),
            Self::MergedNet(_) => from_32("residual and inverted-residual bottleneck side by side (study B)", 0.0),
            // Two 5x5 convolutions without padding and two halvings leave at least one pixel of 16.
            Self::CifarCnn(_) => {
                Family { about: "the network of PyTorch's CIFAR-10 tutorial", smallest: 16, dropout: 0.0 }
            }
            Self::M1(_) | Self::M4(_) => from_8("plain networks for Tiny ImageNet, J. Ting (study D)"),
            Self::Mlp(_) => from_8("multi-layer perceptron over all pixels"),
            Self::Torchscript(_) => from_8("a module of your own; only on hosts that allow it (docs/spec.md)"),
        }
    }

    pub(super) fn check(&self, image_size: u32, bounds: &mut Bounds) {
        let name = self.name();
        let smallest = self.family().smallest;
        bounds.require(image_size >= smallest, "image_size", image_size, format!("at least {smallest} for {name}"));
        match self {
            Self::Mlp(options) => options.check(name, bounds),
            Self::Torchscript(options) => options.check(name, bounds),
            Self::EfficientnetB0(options)
            | Self::EfficientnetB1(options)
            | Self::EfficientnetB2(options)
            | Self::EfficientnetB3(options)
            | Self::EfficientnetB4(options)
            | Self::EfficientnetB5(options)
            | Self::EfficientnetB6(options)
            | Self::EfficientnetB7(options) => options.check(name, bounds),
            _ => {}
        }
    }
}

const EFFICIENTNET: &str = "EfficientNet, Tan & Le 2019, arXiv:1905.11946";

/// Five halvings leave at least one pixel of 32, the three after a small stem one of 8.
fn residual(about: &'static str, stem: Stem) -> Family {
    let smallest = match stem {
        Stem::Standard => 32,
        Stem::Small | Stem::Auto => 8,
    };
    Family { about, smallest, dropout: 0.0 }
}
