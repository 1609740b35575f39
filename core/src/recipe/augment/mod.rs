//! Random changes to training images: built-in names, and steps that a sweep file can put together itself.
//! Options are in `steps`, what they may be in `check`.

mod check;
mod steps;
mod table;

use serde::{Deserialize, Serialize};

use super::tagged;

pub(super) use check::check;
pub use check::starts_whole;
pub use steps::{
    CenterCrop, ColorJitter, Crop, Cutout, Erasing, Flip, GaussianBlur, Grayscale, Interpolation, Jpeg, Mixing,
    RandAugment, Resize, ResizedCrop, Rotation, Scale, TrivialAugment,
};
pub use table::markdown_table;

/// Steps applied to every training image, in order. Each is a pure function of (seed, epoch, image).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Augmentation(pub Vec<Augment>);

/// Where images are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AugmentOn {
    /// On the host's processors: every step.
    #[default]
    Cpu,
    /// On the trial's device, batch by batch.
    Device,
    /// On the trial's device, where the bytes of all images lie from the beginning.
    Resident,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "kebab-case")]
pub enum Augment {
    /// Mirror left-right with probability `p`.
    Flip(Flip),
    /// Mirror top-bottom with probability `p`.
    Vflip(Flip),
    /// Pad every side with zeros and cut out a random window.
    Crop(Crop),
    /// Cut out the centre.
    CenterCrop(CenterCrop),
    /// Resize the short side, bilinear with antialias.
    Resize(Resize),
    /// Cut a random window of `scale_min` to all of the area and 3/4 to 4/3 aspect, resize it to
    /// the image size (torchvision's `RandomResizedCrop`; Szegedy et al. 2015).
    ResizedCrop(ResizedCrop),
    /// Turn around the centre; what comes in is black.
    Rotation(Rotation),
    /// Make larger or smaller around the centre, the image keeps its size; what comes in is black.
    Scale(Scale),
    /// Change brightness, contrast, saturation and hue, in random order.
    ColorJitter(ColorJitter),
    /// Blur with a Gaussian.
    GaussianBlur(GaussianBlur),
    /// Make gray with probability `p`.
    Grayscale(Grayscale),
    /// Encode as JPEG and decode again.
    Jpeg(Jpeg),
    /// `n` operations of one strength (Cubuk et al. 2019, arXiv:1909.13719), torchvision's table.
    RandAugment(RandAugment),
    /// One operation of any strength (Mueller & Hutter 2021, arXiv:2103.10158), torchvision's
    /// `TrivialAugmentWide`.
    TrivialAugment(TrivialAugment),
    /// Overwrite a random rectangle with probability `p` (Zhong et al. 2017, arXiv:1708.04896).
    Erasing(Erasing),
    /// Overwrite a square around a random pixel with the mean colour (DeVries & Taylor 2017, arXiv:1708.04552).
    Cutout(Cutout),
    /// Blend every image of a batch with another one, and their losses (Zhang et al. 2017, arXiv:1710.09412).
    Mixup(Mixing),
    /// Paste a rectangle of another image of the batch, and mix their losses (Yun et al. 2019, arXiv:1905.04899).
    Cutmix(Mixing),
}

/// What a step works on. Stages follow each other in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The pixels of one image.
    Pixels,
    /// One image after normalisation.
    Values,
    /// A whole batch.
    Batch,
}

impl Augment {
    /// The name that a sweep file gives the step.
    pub fn name(&self) -> String {
        let value = serde_json::to_value(self).expect("a step is plain JSON");
        value.as_object().and_then(|table| table.keys().next().cloned()).unwrap_or_default()
    }

    /// What the step works on.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Erasing(_) | Self::Cutout(_) => Stage::Values,
            Self::Mixup(_) | Self::Cutmix(_) => Stage::Batch,
            Self::Flip(_)
            | Self::Vflip(_)
            | Self::Crop(_)
            | Self::CenterCrop(_)
            | Self::Resize(_)
            | Self::ResizedCrop(_)
            | Self::Rotation(_)
            | Self::Scale(_)
            | Self::ColorJitter(_)
            | Self::GaussianBlur(_)
            | Self::Grayscale(_)
            | Self::Jpeg(_)
            | Self::RandAugment(_)
            | Self::TrivialAugment(_) => Stage::Pixels,
        }
    }
}

impl Serialize for Augment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived one: `remote` made it a function of the type.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Augment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Table(#[serde(with = "Augment")] Augment);
        Ok(tagged::name_or_table::<Table, D>(deserializer)?.0)
    }
}

/// Names of all steps as they are written in a sweep file.
pub const STEP_NAMES: &[&str] = &[
    "flip",
    "vflip",
    "crop",
    "center-crop",
    "resize",
    "resized-crop",
    "rotation",
    "scale",
    "color-jitter",
    "gaussian-blur",
    "grayscale",
    "jpeg",
    "rand-augment",
    "trivial-augment",
    "erasing",
    "cutout",
    "mixup",
    "cutmix",
];

/// Names that need no definition in the file.
pub const BUILT_IN: &[&str] =
    &["none", "flip", "vflip", "crop", "flip-crop", "resized-crop", "rand-augment", "trivial-augment"];

impl Augmentation {
    /// The steps behind a built-in name.
    pub fn built_in(name: &str) -> Option<Self> {
        let flip = || Augment::Flip(Flip::default());
        let crop = || Augment::Crop(Crop::default());
        let steps = match name {
            "none" => vec![],
            "flip" => vec![flip()],
            "vflip" => vec![Augment::Vflip(Flip::default())],
            "crop" => vec![crop()],
            "flip-crop" => vec![flip(), crop()],
            "resized-crop" => vec![Augment::ResizedCrop(ResizedCrop::default()), flip()],
            "rand-augment" => vec![Augment::RandAugment(RandAugment::default())],
            "trivial-augment" => vec![Augment::TrivialAugment(TrivialAugment::default())],
            _ => return None,
        };
        Some(Self(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_name_has_steps() {
        for name in BUILT_IN {
            assert!(Augmentation::built_in(name).is_some(), "{name}");
        }
        assert_eq!(Augmentation::built_in("flop"), None);
    }
}
