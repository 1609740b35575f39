//! One image file to the pixels that the cache keeps: decode, make it RGB, resize, cut. Which
//! files and where they go is left to `cache`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{ImageFormat, ImageReader, Limits};

/// Longest side that is decoded, pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Most memory one decoded image may need, and longest file that is read, bytes.
pub const MAX_BYTES: u64 = 256 << 20;

/// Of an image that is longer than so many times its short side, only the middle of that length is resized: a line of
/// 16,384 pixels would become gigabytes, of which a square is kept.
const LONGEST: u32 = 64;

/// RGB pixels, row by row, three bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

/// What the cache keeps of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A square of this side: short side resized to it with antialias, centre cut out, as
    /// torchvision's `Resize` and `CenterCrop`. For validation, and for training without `resized-crop`.
    Square(u32),
    /// The whole image with its short side reduced to this, never enlarged; sides beyond four
    /// times as long are cut. For `resized-crop`, which chooses its own window.
    Whole(u32),
}

impl Form {
    /// Short side kept for `resized-crop` at an image size: twice as long while that is at most
    /// 256 pixels (a window of a quarter of the area is then not enlarged), at least 8/7 (256 for 224).
    pub fn whole_for(image_size: u32) -> Self {
        Self::Whole((image_size * 8).div_ceil(7).max((2 * image_size).min(256)))
    }

    /// A short name for file names.
    pub fn label(self) -> String {
        match self {
            Self::Square(side) => format!("square{side}"),
            Self::Whole(side) => format!("whole{side}"),
        }
    }
}

/// Why a file is not a usable image.
#[derive(Debug, thiserror::Error)]
pub enum BadImage {
    /// Not readable.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Longer than [`MAX_BYTES`].
    #[error("is longer than {} MiB", MAX_BYTES >> 20)]
    TooLong,
    /// Nothing in it.
    #[error("is empty (0 bytes)")]
    Empty,
    /// Neither JPEG nor PNG, whatever its name says.
    #[error("is neither a JPEG nor a PNG image")]
    Format,
    /// A JPEG that ends too early.
    #[error("is a JPEG that ends too early")]
    Truncated,
    /// The decoder's complaint.
    #[error("cannot be decoded: {0}")]
    Decode(#[from] image::ImageError),
}

impl BadImage {
    /// A stable word for scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read(_) => "unreadable",
            Self::TooLong => "too_long",
            Self::Empty => "empty",
            Self::Format => "not_an_image",
            Self::Truncated => "truncated",
            Self::Decode(_) => "undecodable",
        }
    }
}

/// Reads and decodes `path`.
pub fn decode(path: &Path) -> Result<Pixels, BadImage> {
    decode_bytes(&read(path)?)
}

/// The bytes of `path`, at most [`MAX_BYTES`].
pub fn read(path: &Path) -> Result<Vec<u8>, BadImage> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(BadImage::TooLong);
    }
    Ok(bytes)
}

/// Decodes the bytes of a file. The format is told by the content, alpha is dropped, gray and CMYK
/// become RGB, 16 bit become 8. EXIF orientation is not applied (nor does torchvision).
pub fn decode_bytes(bytes: &[u8]) -> Result<Pixels, BadImage> {
    if bytes.is_empty() {
        return Err(BadImage::Empty);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    match reader.format() {
        // The decoder fills up a cut JPEG with gray.
        Some(ImageFormat::Jpeg) if !jpeg_is_complete(bytes) => return Err(BadImage::Truncated),
        Some(ImageFormat::Jpeg | ImageFormat::Png) => {}
        _ => return Err(BadImage::Format),
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let image = reader.decode()?.into_rgb8();
    Ok(Pixels { width: image.width(), height: image.height(), rgb: image.into_raw() })
}

/// Whether the markers of a JPEG lead to its end-of-image marker.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // Between segments: fill bytes, then a marker.
        while bytes.get(at) == Some(&0xff) && bytes.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        let (Some(0xff), Some(&marker)) = (bytes.get(at), bytes.get(at + 1)) else {
            return false;
        };
        at += 2;
        match marker {
            0xd9 => return true,
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let Some(length) = bytes.get(at..at + 2) else {
            return false;
        };
        at += usize::from(u16::from_be_bytes([length[0], length[1]]));
        if marker == 0xda {
            // Coded data run until a marker that is neither a stuffed zero nor a restart.
            loop {
                let Some(rest) = bytes.get(at..) else {
                    return false;
                };
                let Some(next) = rest.iter().position(|&byte| byte == 0xff) else {
                    return false;
                };
                at += next;
                match bytes.get(at + 1) {
                    Some(0x00 | 0xd0..=0xd7) => at += 2,
                    Some(0xff) => at += 1,
                    Some(_) => break,
                    None => return false,
                }
            }
        }
    }
}

/// Brings a decoded image into the form the cache keeps.
pub fn prepare(image: &Pixels, form: Form, resizer: &mut Resizer) -> Pixels {
    let longest = image.width.min(image.height).saturating_mul(LONGEST);
    let (w, h) = (image.width.min(longest), image.height.min(longest));
    let image = centre(Cow::Borrowed(image), w, h);
    let (width, height) = (image.width, image.height);
    let short = width.min(height);
    let (side, enlarge) = match form {
        Form::Square(side) => (side, true),
        Form::Whole(side) => (side, false),
    };
    let resized = if short == side || (short < side && !enlarge) {
        image
    } else {
        // torchvision truncates the long side.
        let scaled = |long: u32| (u64::from(long) * u64::from(side) / u64::from(short)) as u32;
        let (w, h) = if width <= height { (side, scaled(height).max(side)) } else { (scaled(width).max(side), side) };
        Cow::Owned(resize(&image, w, h, resizer))
    };
    let (w, h) = match form {
        Form::Square(side) => (side, side),
        Form::Whole(_) => {
            let longest = resized.width.min(resized.height).saturating_mul(4);
            (resized.width.min(longest), resized.height.min(longest))
        }
    };
    centre(resized, w, h).into_owned()
}

fn resize(image: &Pixels, width: u32, height: u32, resizer: &mut Resizer) -> Pixels {
    let source = ImageRef::new(image.width, image.height, &image.rgb, PixelType::U8x3)
        .expect("the decoder returned width x height RGB pixels");
    let mut target = Image::new(width, height, PixelType::U8x3);
    let bilinear = ResizeAlg::Convolution(FilterType::Bilinear);
    let options = ResizeOptions::new().resize_alg(bilinear).use_alpha(false);
    resizer.resize(&source, &mut target, &options).expect("both images have the same pixel type and no crop box");
    Pixels { width, height, rgb: target.into_vec() }
}

fn centre(image: Cow<'_, Pixels>, width: u32, height: u32) -> Cow<'_, Pixels> {
    if (image.width, image.height) == (width, height) {
        return image;
    }
    // torchvision rounds half to even.
    let start = |have: u32, want: u32| (f64::from(have - want) / 2.0).round_ties_even() as usize;
    let (left, top) = (start(image.width, width), start(image.height, height));
    let row = 3 * image.width as usize;
    let mut rgb = Vec::with_capacity(3 * (width * height) as usize);
    for y in top..top + height as usize {
        let from = y * row + 3 * left;
        rgb.extend_from_slice(&image.rgb[from..from + 3 * width as usize]);
    }
    Cow::Owned(Pixels { width, height, rgb })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32) -> Pixels {
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 7])).collect();
        Pixels { width, height, rgb }
    }

    #[test]
    fn squares_are_cut_from_the_centre() {
        let out = prepare(&gradient(20, 10), Form::Square(10), &mut Resizer::new());
        assert_eq!((out.width, out.height), (10, 10));
        assert_eq!(&out.rgb[..3], [5, 0, 7]);
    }

    #[test]
    fn the_middle_of_a_line_is_its_square() {
        let out = prepare(&gradient(MAX_SIDE, 1), Form::Square(512), &mut Resizer::new());
        assert_eq!((out.width, out.height, out.rgb.len()), (512, 512, 3 * 512 * 512));
        let out = prepare(&gradient(1, MAX_SIDE), Form::Whole(512), &mut Resizer::new());
        assert_eq!((out.width, out.height), (1, 4));
    }

    #[test]
    fn whole_images_are_reduced_but_never_enlarged() {
        let mut resizer = Resizer::new();
        let size = |image: Pixels, form, resizer: &mut Resizer| {
            let out = prepare(&image, form, resizer);
            assert_eq!(out.rgb.len(), 3 * (out.width * out.height) as usize);
            (out.width, out.height)
        };
        assert_eq!(size(gradient(90, 60), Form::Whole(30), &mut resizer), (45, 30));
        assert_eq!(size(gradient(9, 6), Form::Whole(30), &mut resizer), (9, 6));
        assert_eq!(size(gradient(200, 10), Form::Whole(10), &mut resizer), (40, 10));
        assert_eq!(Form::whole_for(64), Form::Whole(128));
        assert_eq!(Form::whole_for(224), Form::Whole(256));
    }
}
