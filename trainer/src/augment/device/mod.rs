//! Changes to training images as batched tensor operations on the trial's device: bytes go there (or lie there
//! already). All random draws are made on the host, from the same streams and in the same order as in
//! [`Pipeline::apply`](super::Pipeline::apply), so that both ways make the same images.

mod draw;
mod geometry;
mod lossy;
mod rounds;
mod tones;

use sweep_core::recipe::{AugmentOn, Recipe};
use tch::{Device, Kind, TchError, Tensor};

use super::Normalise;
use super::erase::Patch;
use super::mix::Mix;
use crate::data::Dataset;
use crate::data::cache::{Cache, Picture};

pub use draw::Drawn;

/// Bytes that are copied to the device at a time.
const CHUNK: usize = 64 << 20;

/// Where the pixels of an image lie in a row of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Pixels before it.
    pub offset: i64,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Span {
    /// `[n, 1, 1]`.
    fn offsets(spans: &[Self], device: Device) -> Tensor {
        let offsets: Vec<i64> = spans.iter().map(|span| span.offset).collect();
        Tensor::from_slice(&offsets).to_device(device).view([-1, 1, 1])
    }

    /// Of the rows of `[n, height, width, 3]`.
    fn rows_of(images: &Tensor) -> Vec<Self> {
        let [n, height, width] = [0, 1, 2].map(|dimension| images.size()[dimension]);
        let span = |row: i64| Self { offset: row * height * width, width: width as usize, height: height as usize };
        (0..n).map(span).collect()
    }
}

/// All images of a data set on the device.
#[derive(Debug)]
pub struct Resident {
    /// `[pixels, 3]`, bytes.
    pixels: Tensor,
    spans: Spans,
}

impl Resident {
    /// Pixels of all images, `[pixels, 3]`.
    pub fn pixels(&self) -> &Tensor {
        &self.pixels
    }

    /// Where the images lie.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }
}

/// Where images lie, by their places in the caches.
#[derive(Debug)]
pub struct Spans {
    square: Vec<Option<Span>>,
    whole: Vec<Option<Span>>,
}

impl Spans {
    /// Where the square of an image lies, or the whole image.
    pub fn span(&self, image: usize, whole: bool) -> Option<Span> {
        let spans = if whole { &self.whole } else { &self.square };
        spans.get(image).copied().flatten()
    }
}

/// All images as bytes on the device, if the recipe asks for it: squares, and the whole ones of those that training
/// cuts its own windows of.
pub fn resident(recipe: &Recipe, dataset: &Dataset, device: Device) -> Result<Option<Resident>, TchError> {
    match recipe.augment_on {
        AugmentOn::Cpu | AugmentOn::Device => Ok(None),
        AugmentOn::Resident => send(dataset, device).map(Some),
    }
}

fn send(dataset: &Dataset, device: Device) -> Result<Resident, TchError> {
    let squares: Vec<usize> =
        dataset.train.iter().chain(&dataset.val).chain(&dataset.test).map(|item| item.image).collect();
    let wholes: Vec<usize> = dataset.train.iter().map(|item| item.image).collect();
    let mut next = 0;
    let mut place = |cache: Option<&Cache>, images: &[usize]| -> Vec<Option<Span>> {
        let mut spans = vec![None; images.iter().max().map_or(0, |last| last + 1)];
        for &image in images {
            if let Some(Picture { width, height, .. }) = cache.and_then(|cache| cache.picture(image)) {
                spans[image] = Some(Span { offset: next, width, height });
                next += (width * height) as i64;
            }
        }
        spans
    };
    let square = place(Some(&dataset.square), &squares);
    let whole = place(dataset.whole.as_ref(), &wholes);
    let pixels = Tensor::f_zeros([next, 3], (Kind::Uint8, device))?;
    let mut bytes: Vec<u8> = Vec::new();
    let mut at = 0;
    let mut flush = |bytes: &mut Vec<u8>| -> Result<(), TchError> {
        let rows = (bytes.len() / 3) as i64;
        pixels.f_narrow(0, at, rows)?.f_copy_(&Tensor::f_from_slice(bytes)?.f_view([rows, 3])?)?;
        at += rows;
        bytes.clear();
        Ok(())
    };
    for (cache, images) in [(Some(&dataset.square), &squares), (dataset.whole.as_ref(), &wholes)] {
        for picture in images.iter().filter_map(|&image| cache.and_then(|cache| cache.picture(image))) {
            bytes.extend_from_slice(picture.rgb);
            if bytes.len() >= CHUNK {
                flush(&mut bytes)?;
            }
        }
    }
    flush(&mut bytes)?;
    Ok(Resident { pixels, spans: Spans { square, whole } })
}

/// Images of `pixels` (`[any, 3]`, bytes), each from its span with its changes, as normalised `[n, 3, size, size]`.
pub fn change(pixels: &Tensor, spans: &[Span], drawn: &[Drawn], normalise: &Normalise) -> Tensor {
    let images = rounds::run(pixels, spans, drawn);
    let device = images.device();
    let row = |values: [f32; 3]| Tensor::from_slice(&values).to_device(device);
    let values = images.to_kind(Kind::Float) * row(normalise.scale) + row(normalise.shift);
    let mut values = values.permute([0, 3, 1, 2]).contiguous();
    for round in 0..drawn.iter().map(|drawn| drawn.patches.len()).max().unwrap_or(0) {
        let patches: Vec<Option<&(Patch, Vec<f32>)>> = drawn.iter().map(|drawn| drawn.patches.get(round)).collect();
        values = overwrite(&values, &patches);
    }
    values
}

/// Whether a pixel of `[n, 1, side, side]` lies in its image's rectangle (left, top, right, bottom).
fn inside(rectangles: &[[usize; 4]], side: i64, device: Device) -> Tensor {
    let edges: Vec<i64> = rectangles.iter().flatten().map(|&edge| edge as i64).collect();
    let edges = Tensor::from_slice(&edges).to_device(device).view([rectangles.len() as i64, 4, 1, 1, 1]);
    let edge = |which: i64| edges.select(1, which);
    let line = Tensor::arange(side, (Kind::Int64, device));
    let (x, y) = (line.view([1, 1, 1, side]), line.view([1, 1, side, 1]));
    let across = x.ge_tensor(&edge(0)).logical_and(&x.lt_tensor(&edge(2)));
    let down = y.ge_tensor(&edge(1)).logical_and(&y.lt_tensor(&edge(3)));
    across.logical_and(&down)
}

fn overwrite(values: &Tensor, patches: &[Option<&(Patch, Vec<f32>)>]) -> Tensor {
    let (device, side) = (values.device(), values.size()[3]);
    let rectangles: Vec<[usize; 4]> =
        patches.iter().map(|patch| patch.map_or([0; 4], |(patch, _)| patch.rectangle)).collect();
    let written: Vec<f32> = patches.iter().map(|patch| patch.map_or(0.0, |(patch, _)| patch.value)).collect();
    let mut written = Tensor::from_slice(&written).to_device(device).view([-1, 1, 1, 1]);
    if patches.iter().flatten().any(|(_, noise)| !noise.is_empty()) {
        written = written.expand_as(values).contiguous();
        for (image, (patch, noise)) in patches.iter().enumerate().filter_map(|(image, patch)| Some((image, (*patch)?)))
        {
            let [left, top, right, bottom] = patch.rectangle.map(|edge| edge as i64);
            if !noise.is_empty() {
                let place = written.select(0, image as i64).narrow(1, top, bottom - top).narrow(2, left, right - left);
                let noise = Tensor::from_slice(noise).view([3, bottom - top, right - left]);
                let mut place = place;
                place.copy_(&noise.to_device(device));
            }
        }
    }
    written.where_self(&inside(&rectangles, side, device), values)
}

/// Mixes a batch as [`Mix::apply`] does.
pub fn mix(images: &Tensor, mix: &Mix) -> Tensor {
    let device = images.device();
    let partners: Vec<i64> = mix.partners.iter().map(|&partner| partner as i64).collect();
    let others = images.index_select(0, &Tensor::from_slice(&partners).to_device(device));
    match mix.rectangle {
        None => images * mix.share + others * (1.0 - mix.share),
        Some(rectangle) => others.where_self(&inside(&[rectangle], images.size()[3], device), images),
    }
}
