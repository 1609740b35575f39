//! Options of the augmentation steps. Names and defaults are those of `torchvision.transforms.v2` where it
//! has the step and a default; what each may be is checked in `check`.

use serde::{Deserialize, Serialize};

/// How pixels are read between pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// The nearest pixel, torchvision's default for turned and scaled images.
    #[default]
    Nearest,
    /// Between the four pixels around.
    Bilinear,
}

/// Options of [`super::Augment::Flip`].
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

/// Options of [`super::Augment::Crop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crop {
    /// Width of the border as a share of the recipe's image side, 0 to 0.5. 0.125 is 4 pixels of 32.
    pub padding: f64,
    /// Width of the border in pixels; above 0 it replaces the share.
    pub pixels: u32,
    /// Side of the window, pixels; 0 is the recipe's image size.
    pub size: u32,
}

impl Default for Crop {
    fn default() -> Self {
        Self { padding: 0.125, pixels: 0, size: 0 }
    }
}

impl Crop {
    /// Width of the border for images of `image_size`, pixels.
    pub fn border(&self, image_size: u32) -> u32 {
        match self.pixels {
            0 => (self.padding * f64::from(image_size)).round() as u32,
            pixels => pixels,
        }
    }
}

/// Options of [`super::Augment::CenterCrop`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CenterCrop {
    /// Side of the window, pixels; 0 is the recipe's image size.
    pub size: u32,
}

/// Options of [`super::Augment::Resize`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resize {
    /// Length of the short side, pixels; 0 is the recipe's image size.
    pub side: u32,
}

/// Options of [`super::Augment::ResizedCrop`].
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

/// Options of [`super::Augment::Rotation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// Smallest and largest angle, degrees counter-clockwise.
    pub degrees: [f64; 2],
    /// How pixels are read.
    pub interpolation: Interpolation,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { degrees: [-10.0, 10.0], interpolation: Interpolation::Nearest }
    }
}

/// Options of [`super::Augment::Scale`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// Smallest and largest factor.
    pub range: [f64; 2],
    /// How pixels are read.
    pub interpolation: Interpolation,
}

impl Default for Scale {
    fn default() -> Self {
        Self { range: [0.8, 1.0], interpolation: Interpolation::Nearest }
    }
}

/// Options of [`super::Augment::ColorJitter`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColorJitter {
    /// The factor is drawn from 1 - this (not below 0) to 1 + this.
    pub brightness: f64,
    /// As `brightness`.
    pub contrast: f64,
    /// As `brightness`.
    pub saturation: f64,
    /// The shift is drawn from minus this to this, in turns of the colour circle, 0 to 0.5.
    pub hue: f64,
}

/// Options of [`super::Augment::GaussianBlur`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianBlur {
    /// Side of the kernel, odd, pixels.
    pub kernel: u32,
    /// Smallest and largest deviation, pixels.
    pub sigma: [f64; 2],
}

impl Default for GaussianBlur {
    fn default() -> Self {
        Self { kernel: 5, sigma: [0.1, 2.0] }
    }
}

/// Options of [`super::Augment::Grayscale`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grayscale {
    /// Probability, 0 to 1.
    pub p: f64,
}

impl Default for Grayscale {
    fn default() -> Self {
        Self { p: 0.1 }
    }
}

/// Options of [`super::Augment::Jpeg`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jpeg {
    /// Lowest and highest quality, both drawn too, 1 to 100.
    pub quality: [u32; 2],
}

impl Default for Jpeg {
    fn default() -> Self {
        Self { quality: [40, 95] }
    }
}

/// Options of [`super::Augment::RandAugment`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandAugment {
    /// Operations on each image.
    pub n: u32,
    /// Strength, 0 to 30.
    pub magnitude: u32,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { n: 2, magnitude: 9 }
    }
}

/// Options of [`super::Augment::TrivialAugment`]: none, that is its point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrivialAugment {}

/// Options of [`super::Augment::Erasing`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Erasing {
    /// Probability, 0 to 1.
    pub p: f64,
    /// Smallest and largest share of the area.
    pub scale: [f64; 2],
    /// Smallest and largest height over width.
    pub ratio: [f64; 2],
    /// What is written, after normalisation: 0 is the mean colour.
    pub value: f64,
    /// Whether normal noise is written instead (torchvision's `value = "random"`).
    pub noise: bool,
}

impl Default for Erasing {
    fn default() -> Self {
        Self { p: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], value: 0.0, noise: false }
    }
}

/// Options of [`super::Augment::Cutout`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cutout {
    /// Side of the square, pixels.
    pub size: u32,
}

impl Default for Cutout {
    fn default() -> Self {
        Self { size: 16 }
    }
}

/// Options of [`super::Augment::Mixup`] and [`super::Augment::Cutmix`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mixing {
    /// The share of the first image is drawn from Beta(alpha, alpha).
    pub alpha: f64,
}

impl Default for Mixing {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}
