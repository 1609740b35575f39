//! Random changes to training images: built-in names, and steps that a sweep file can put together itself.

use serde::{Deserialize, Serialize};

use super::{Bounds, tagged};

/// Steps applied to every training image, in order. Each is a pure function of (seed, epoch, image).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Augmentation(pub Vec<Augment>);

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// Mirror left-right with probability `p`.
    Flip(Flip),
    /// Pad every side with zeros and cut a random window of the image size.
    Crop(Crop),
    /// Cut a random window of `scale_min` to all of the area and 3/4 to 4/3 aspect, resize it to
    /// the image size (torchvision's `RandomResizedCrop`; Szegedy et al. 2015).
    ResizedCrop(ResizedCrop),
}

/// Options of [`Augment::Flip`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flip {
    /// Probability, 0 to 1.
    pub p: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

/// Options of [`Augment::Crop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crop {
    /// Width of the border as a share of the image side, 0 to 0.5. 0.125 is 4 pixels of 32.
    pub padding: f64,
}

impl Default for Crop {
    fn default() -> Self {
        Self { padding: 0.125 }
    }
}

/// Options of [`Augment::ResizedCrop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResizedCrop {
    /// Smallest share of the area, above 0 to 1.
    pub scale_min: f64,
}

impl Default for ResizedCrop {
    fn default() -> Self {
        Self { scale_min: 0.08 }
    }
}

impl<'de> Deserialize<'de> for Augment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Table {
            Flip(Flip),
            Crop(Crop),
            ResizedCrop(ResizedCrop),
        }
        Ok(match tagged::name_or_table(deserializer)? {
            Table::Flip(options) => Self::Flip(options),
            Table::Crop(options) => Self::Crop(options),
            Table::ResizedCrop(options) => Self::ResizedCrop(options),
        })
    }
}

/// Names of all steps as they are written in a sweep file.
pub const STEP_NAMES: &[&str] = &["flip", "crop", "resized-crop"];

/// Names that need no definition in the file.
pub const BUILT_IN: &[&str] = &["none", "flip", "crop", "flip-crop", "resized-crop"];

impl Augmentation {
    /// The steps behind a built-in name.
    pub fn built_in(name: &str) -> Option<Self> {
        let flip = || Augment::Flip(Flip::default());
        let crop = || Augment::Crop(Crop::default());
        let steps = match name {
            "none" => vec![],
            "flip" => vec![flip()],
            "crop" => vec![crop()],
            "flip-crop" => vec![flip(), crop()],
            "resized-crop" => vec![Augment::ResizedCrop(ResizedCrop::default()), flip()],
            _ => return None,
        };
        Some(Self(steps))
    }

    pub(super) fn check(&self, _image_size: u32, bounds: &mut Bounds) {
        let many = self.0.len();
        bounds.require(many <= 32, "augmentation", format!("{many} steps"), "at most 32 steps");
        for step in &self.0 {
            match step {
                Augment::Flip(Flip { p }) => {
                    bounds.require((0.0..=1.0).contains(p), "augmentation.flip.p", p, "0 to 1");
                }
                Augment::Crop(Crop { padding }) => {
                    let ok = (0.0..=0.5).contains(padding);
                    bounds.require(ok, "augmentation.crop.padding", padding, "0 to 0.5 of the image side");
                }
                Augment::ResizedCrop(ResizedCrop { scale_min }) => {
                    let ok = *scale_min > 0.0 && *scale_min <= 1.0;
                    bounds.require(ok, "augmentation.resized-crop.scale_min", scale_min, "above 0 and at most 1");
                }
            }
        }
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
