//! Where the pixels of many images at once come from: windows, resizing, turning and shearing, blur. Values are whole
//! numbers from 0 to 255.

use sweep_core::recipe::augment::Interpolation;
use tch::{Device, Kind, Tensor};

use super::super::affine::Inverse;
use super::super::blur::{lines, weights};
use super::super::resized_crop::Window;
use super::super::view::View;
use super::Span;

fn ints(values: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_device(device)
}

/// One number for each image, `[n, 1, 1]`.
fn column(values: impl Iterator<Item = usize>, device: Device) -> Tensor {
    let values: Vec<i64> = values.map(|value| value as i64).collect();
    ints(&values, device).view([-1, 1, 1])
}

/// Cuts every image's window, all of the same size; outside is zero. In the kind of `pixels` (`[any, 3]`).
pub(super) fn pick(pixels: &Tensor, spans: &[Span], views: &[&View]) -> Tensor {
    let (device, n) = (pixels.device(), spans.len() as i64);
    let (width, height) = views.first().map_or((0, 0), |view| view.size());
    let lines = |line: fn(&View, usize) -> Option<usize>, length: usize| -> Vec<i64> {
        let all = views.iter().flat_map(|view| (0..length).map(|at| line(view, at)));
        all.map(|from| from.map_or(-1, |from| from as i64)).collect()
    };
    let (rows, columns) = (lines(View::row_of, height), lines(View::column_of, width));
    let outside = rows.contains(&-1) || columns.contains(&-1);
    let rows = ints(&rows, device).view([n, -1, 1]);
    let columns = ints(&columns, device).view([n, 1, -1]);
    let (offset, stride) = (Span::offsets(spans, device), column(spans.iter().map(|span| span.width), device));
    let found = pixels.index(&[Some(rows.clamp_min(0) * stride + columns.clamp_min(0) + offset)]);
    if !outside {
        return found;
    }
    let black = rows.lt(0).logical_or(&columns.lt(0)).unsqueeze(3);
    found.masked_fill(&black, 0)
}

/// Resizes every image's window to the same width and height: bilinear with antialias, rows first, as on the host.
pub(super) fn resample(pixels: &Tensor, spans: &[Span], windows: &[Window], (width, height): (usize, usize)) -> Tensor {
    let device = pixels.device();
    let most = |length: fn(&Window) -> usize| windows.iter().map(length).max().unwrap_or(1) as i64;
    let (across, down) = (most(|window| window.width), most(|window| window.height));
    // Smaller windows repeat their edge, which has no weight.
    let place = |many: i64, first: fn(&Window) -> usize, length: fn(&Window) -> usize| {
        let last = column(windows.iter().map(|window| length(window) - 1), device);
        Tensor::arange(many, (Kind::Int64, device)).minimum(&last) + column(windows.iter().map(first), device)
    };
    let rows = place(down, |window| window.top, |window| window.height).transpose(1, 2);
    let columns = place(across, |window| window.left, |window| window.width);
    let (offset, stride) = (Span::offsets(spans, device), column(spans.iter().map(|span| span.width), device));
    let images = pixels.index(&[Some(rows * stride + columns + offset)]).to_kind(Kind::Float);
    let n = windows.len() as i64;
    let by_row = Weights::new(windows.iter().map(|window| window.height), down, height, device);
    let by_column = Weights::new(windows.iter().map(|window| window.width), across, width, device);
    // Rows first, as the host does.
    let images = images.view([n, down, -1]);
    let shrunk = by_row.bytes(&by_row.whole.bmm(&images.to_kind(by_row.whole.kind()))).view([n, -1, across, 3]);
    let shrunk = shrunk.to_kind(by_column.whole.kind());
    by_column.bytes(&by_column.whole.unsqueeze(1).matmul(&shrunk)).to_kind(Kind::Float)
}

/// What the places of a line weigh in the places of a longer or shorter one, as whole numbers of `unit`: those of
/// fast_image_resize, so that sums are the same to the bit.
struct Weights {
    /// `[n, to, most]`; 64 bits wide where sums need more than the 24 bits that 32-bit floats hold exactly.
    whole: Tensor,
    /// `[n, 1, 1]`.
    unit: Tensor,
}

impl Weights {
    /// Bits of the largest weight.
    const BITS: i32 = 15;
    /// Most bits of the unit, and up to which sums of bytes are exact in 32 bits.
    const MOST: i64 = 21;
    const EXACT: f64 = 65536.0;

    /// From lines of which every image has so many places, `most` at most, to `to` places. The triangle is as wide as a
    /// target place where the line gets shorter.
    fn new(lengths: impl Iterator<Item = usize>, most: i64, to: usize, device: Device) -> Self {
        let length = column(lengths, device);
        let scale = length.to_kind(Kind::Double) / to as f64;
        let centre = (Tensor::arange(to as i64, (Kind::Double, device)).view([1, -1, 1]) + 0.5) * &scale - 0.5;
        let place = Tensor::arange(most, (Kind::Int64, device)).view([1, 1, -1]);
        let apart = ((place.to_kind(Kind::Double) - centre) / scale.clamp_min(1.0)).abs();
        let weight = (apart.ones_like() - apart).clamp_min(0.0).masked_fill(&place.ge_tensor(&length), 0.0);
        let weight = &weight / weight.sum_dim_intlist([2].as_slice(), true, Kind::Double);
        let powers = (Tensor::arange(Self::MOST, (Kind::Double, device)) + 1.0).exp2();
        let largest = weight.amax([1, 2].as_slice(), false).unsqueeze(1) * powers;
        let bits = largest.round().lt(f64::from(Self::BITS).exp2()).sum_dim_intlist([1].as_slice(), true, Kind::Double);
        let unit = bits.exp2().unsqueeze(2);
        let whole = (weight * &unit).round();
        if unit.max().double_value(&[]) > Self::EXACT {
            return Self { whole, unit };
        }
        Self { whole: whole.to_kind(Kind::Float), unit: unit.to_kind(Kind::Float) }
    }

    /// The bytes that sums of bytes times weights are.
    fn bytes(&self, sums: &Tensor) -> Tensor {
        let unit = if sums.dim() == 4 { self.unit.unsqueeze(3) } else { self.unit.shallow_clone() };
        ((sums + &unit / 2.0) / unit).floor().clamp(0.0, 255.0)
    }
}

/// Reads every pixel where its image's map says, as [`affine`](fn@super::super::affine::affine) on the host.
pub(super) fn affine(images: &Tensor, maps: &[Inverse], interpolation: Interpolation) -> Tensor {
    let device = images.device();
    let [n, height, width] = [0, 1, 2].map(|dimension| images.size()[dimension]);
    let values: Vec<f32> = maps.iter().flat_map(|map| map.0.map(|value| value as f32)).collect();
    let values = Tensor::from_slice(&values).to_device(device).view([n, 6, 1, 1]);
    let map = |which: i64| values.select(1, which);
    let (half_w, half_h) = (f64::from((width as f32 - 1.0) * 0.5), f64::from((height as f32 - 1.0) * 0.5));
    let line = |length: i64| Tensor::arange(length, (Kind::Float, device));
    let (x, y) = (line(width).view([1, 1, width]) - half_w, line(height).view([1, height, 1]) - half_h);
    let from_x = map(0) * &x + map(1) * &y + map(2) + half_w;
    let from_y = map(3) * &x + map(4) * &y + map(5) + half_h;
    let pixels = images.reshape([-1, 3]);
    let first = (Tensor::arange(n, (Kind::Int64, device)) * (height * width)).view([n, 1, 1]);
    // The value there, and whether there is one.
    let read = |x: &Tensor, y: &Tensor| {
        let inside = x.ge(0.0).logical_and(&y.ge(0.0)).logical_and(&x.lt(width)).logical_and(&y.lt(height));
        let whole = |value: &Tensor, length: i64| value.clamp(0.0, (length - 1) as f64).to_kind(Kind::Int64);
        let place = whole(y, height) * width + whole(x, width) + &first;
        let outside = inside.logical_not().unsqueeze(3);
        (pixels.index(&[Some(place)]).masked_fill(&outside, 0.0), inside.to_kind(Kind::Float))
    };
    match interpolation {
        Interpolation::Nearest => read(&from_x.round(), &from_y.round()).0,
        Interpolation::Bilinear => {
            let (left, top) = (from_x.floor(), from_y.floor());
            let (right_part, low_part) = (&from_x - &left, &from_y - &top);
            let one = |part: &Tensor| part.ones_like() - part;
            let mut sum = images.zeros_like();
            let mut inside = left.zeros_like();
            for (dx, wx) in [(0.0, one(&right_part)), (1.0, right_part.shallow_clone())] {
                for (dy, wy) in [(0.0, one(&low_part)), (1.0, low_part.shallow_clone())] {
                    let (value, there) = read(&(&left + dx), &(&top + dy));
                    let weight = &wx * wy;
                    inside += &weight * there;
                    sum += weight.unsqueeze(3) * value;
                }
            }
            (sum * inside.unsqueeze(3)).round().clamp(0.0, 255.0)
        }
    }
}

/// Gaussian blur with a deviation for each image, as [`super::super::blur`].
pub(super) fn blur(images: &Tensor, kernel: usize, sigmas: &[f64]) -> Tensor {
    let device = images.device();
    let [height, width] = [1, 2].map(|dimension| images.size()[dimension]);
    let all: Vec<f32> = sigmas.iter().flat_map(|&sigma| weights(kernel, sigma)).collect();
    let all = Tensor::from_slice(&all).to_device(device).view([-1, kernel as i64, 1, 1, 1]);
    let along = |images: &Tensor, dimension: i64, length: i64| {
        let places: Vec<i64> =
            lines(length as usize, kernel as isize / 2).into_iter().map(|place| place as i64).collect();
        let longer = images.index_select(dimension, &ints(&places, device));
        let mut sum = images.zeros_like();
        for shift in 0..kernel as i64 {
            sum += all.select(1, shift) * longer.narrow(dimension, shift, length);
        }
        sum
    };
    along(&along(images, 2, width), 1, height).round()
}
