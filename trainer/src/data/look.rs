//! Everything about one image file that a check of a data set asks: the digests of its bytes and of
//! its pixels, whether it can be decoded, and what is unusual about it.

use std::path::Path;

use image::ImageFormat;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::decode::{BadImage, decode_bytes, read};

/// What is unusual about an image that can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Odd {
    /// A PNG whose name says JPEG.
    PngNamedJpeg,
    /// A JPEG whose name says PNG.
    JpegNamedPng,
    /// Four inks, made RGB without a colour profile.
    Cmyk,
    /// A PNG that is transparent somewhere or could be; transparency is dropped.
    Transparent,
}

impl Odd {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::PngNamedJpeg => "is a PNG, its name says JPEG",
            Self::JpegNamedPng => "is a JPEG, its name says PNG",
            Self::Cmyk => "is CMYK; it is made RGB without a colour profile",
            Self::Transparent => "has an alpha channel, which is dropped",
        }
    }
}

/// One file, looked at.
#[derive(Debug)]
pub struct Looked {
    /// SHA-256 of the file's bytes; nothing if it cannot be read.
    pub bytes: Option<[u8; 32]>,
    /// SHA-256 of width, height and RGB pixels.
    pub pixels: Result<[u8; 32], BadImage>,
    /// What is unusual.
    pub odd: Vec<Odd>,
    /// Whether it has no colours.
    pub gray: bool,
}

/// Reads and decodes `path`.
pub fn look(path: &Path) -> Looked {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Looked { bytes: None, pixels: Err(error), odd: Vec::new(), gray: false },
    };
    let digest = Sha256::digest(&bytes).into();
    let image = match decode_bytes(&bytes) {
        Ok(image) => image,
        Err(error) => return Looked { bytes: Some(digest), pixels: Err(error), odd: Vec::new(), gray: false },
    };
    let mut hash = Sha256::new();
    hash.update(image.width.to_le_bytes());
    hash.update(image.height.to_le_bytes());
    hash.update(&image.rgb);
    let (odd, gray) = unusual(path, &bytes);
    Looked { bytes: Some(digest), pixels: Ok(hash.finalize().into()), odd, gray }
}

fn unusual(path: &Path, bytes: &[u8]) -> (Vec<Odd>, bool) {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    let mut odd = Vec::new();
    let gray = match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => {
            if matches!(end.as_str(), "jpg" | "jpeg" | "jpe" | "jfif") {
                odd.push(Odd::PngNamedJpeg);
            }
            // Colour type, in the header chunk that is always first.
            let colours = bytes.get(25).copied().unwrap_or_default();
            if matches!(colours, 4 | 6) {
                odd.push(Odd::Transparent);
            }
            matches!(colours, 0 | 4)
        }
        Ok(ImageFormat::Jpeg) => {
            if end == "png" {
                odd.push(Odd::JpegNamedPng);
            }
            let inks = jpeg_components(bytes);
            if inks == Some(4) {
                odd.push(Odd::Cmyk);
            }
            inks == Some(1)
        }
        _ => false,
    };
    (odd, gray)
}

/// Colour components in the frame header of a JPEG (ITU-T T.81, B.2.2).
fn jpeg_components(bytes: &[u8]) -> Option<u8> {
    let mut at = 2;
    loop {
        let (&[0xff, marker], rest) = bytes.get(at..)?.split_first_chunk()? else {
            return None;
        };
        match marker {
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // Start of frame, without the tables that share its numbers.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => return rest.get(7).copied(),
            _ => at += 2 + usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])),
        }
    }
}
