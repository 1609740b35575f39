//! JPEG compression of many images at once, each with its own quality: [`super::super::jpeg`] with tensors. Whole
//! numbers are computed with 64-bit floats, which hold them exactly; the transforms add in the order of the host.

use tch::{Kind, Tensor};

use super::super::jpeg::{CHROMA_TABLE, LUMA_TABLE, basis, steps};

/// `round(value * 2^16)`: colours are converted in whole numbers.
fn fixed(value: f64) -> f64 {
    (value * 65536.0 + 0.5).floor()
}

const ONE: f64 = 65536.0;
const HALF: f64 = 32768.0;

/// `[n, height, width, 3]`.
pub(super) fn jpeg(images: &Tensor, qualities: &[f64]) -> Tensor {
    let (device, kind) = (images.device(), Kind::Double);
    let [height, width] = [1, 2].map(|dimension| images.size()[dimension]);
    let [red, green, blue] = [0, 1, 2].map(|channel| images.select(3, channel).to_kind(kind));
    let plane = |r: f64, g: f64, b: f64, offset: f64| ((&red * r + &green * g + &blue * b + offset) / ONE).floor();
    let luma = plane(fixed(0.299), fixed(0.587), fixed(0.114), HALF);
    let middle = 128.0 * ONE + HALF - 1.0;
    let to_blue = plane(-fixed(0.168_735_892), -fixed(0.331_264_108), fixed(0.5), middle);
    let to_red = plane(fixed(0.5), -fixed(0.418_687_589), -fixed(0.081_312_411), middle);
    let table = |at_50: &[u16; 64]| {
        let all: Vec<f32> = qualities.iter().flat_map(|&quality| steps(at_50, quality as u32)).collect();
        Tensor::from_slice(&all).to_device(device).view([-1, 1, 1, 8, 8])
    };
    let luma = lose(&luma, &table(&LUMA_TABLE));
    let chroma = table(&CHROMA_TABLE);
    let [to_blue, to_red] =
        [to_blue, to_red].map(|plane| enlarge(&lose(&halve(&plane), &chroma), width, height) - 128.0);
    let part = |sum: Tensor| (&luma + (sum / ONE).floor()).clamp(0.0, 255.0);
    let rgb = [
        part(&to_red * fixed(1.402) + HALF),
        part(&to_blue * -fixed(0.344_136_286) - &to_red * fixed(0.714_136_286) + HALF),
        part(&to_blue * fixed(1.772) + HALF),
    ];
    Tensor::stack(&rgb, 3).to_kind(Kind::Float)
}

/// Lines of a plane by their numbers.
fn lines(plane: &Tensor, dimension: i64, numbers: impl Iterator<Item = i64>) -> Tensor {
    let numbers: Vec<i64> = numbers.collect();
    plane.index_select(dimension, &Tensor::from_slice(&numbers).to_device(plane.device()))
}

/// Half the size, means of two by two, whole blocks across.
fn halve(plane: &Tensor) -> Tensor {
    let (height, width) = (plane.size()[1], plane.size()[2]);
    let padded = (width as usize).next_multiple_of(8) as i64;
    let rows = |odd: i64| lines(plane, 1, (0..(height + 1) / 2).map(move |y| (2 * y + odd).min(height - 1)));
    let both = rows(0) + rows(1);
    let columns = |odd: i64| lines(&both, 2, (0..padded).map(move |x| (2 * x + odd).min(width - 1)));
    let bias: Vec<f64> = (0..padded).map(|x| (1 + x % 2) as f64).collect();
    let sum = columns(0) + columns(1) + Tensor::from_slice(&bias).to_device(plane.device());
    (sum / 4.0).floor()
}

/// Back to `width` x `height`: three parts of the nearest value and one of the next, in both directions.
fn enlarge(half: &Tensor, width: i64, height: i64) -> Tensor {
    let (columns, rows) = ((width + 1) / 2, (height + 1) / 2);
    let near = lines(half, 1, (0..height).map(|y| y / 2));
    if columns <= 2 {
        return lines(&near, 2, (0..width).map(|x| x / 2));
    }
    let beside =
        |place: i64, many: i64| if place % 2 == 0 { (place / 2 - 1).max(0) } else { (place / 2 + 1).min(many - 1) };
    let next = lines(half, 1, (0..height).map(|y| beside(y, rows)));
    let sum = near * 3.0 + next;
    let bias: Vec<f64> = (0..width).map(|x| if x % 2 == 0 { 8.0 } else { 7.0 }).collect();
    let here = lines(&sum, 2, (0..width).map(|x| x / 2)) * 3.0;
    let other = lines(&sum, 2, (0..width).map(|x| beside(x, columns)));
    ((here + other + Tensor::from_slice(&bias).to_device(half.device())) / 16.0).floor()
}

/// Transforms every block of 8 x 8, rounds it to multiples of `steps` (`[n, 1, 1, 8, 8]`), transforms it back.
fn lose(plane: &Tensor, steps: &Tensor) -> Tensor {
    let (n, height, width) = (plane.size()[0], plane.size()[1], plane.size()[2]);
    let whole = |length: i64| (length as usize).next_multiple_of(8) as i64;
    let edged = lines(plane, 1, (0..whole(height)).map(|y| y.min(height - 1)));
    let edged = lines(&edged, 2, (0..whole(width)).map(|x| x.min(width - 1)));
    let blocks = edged.to_kind(Kind::Float).view([n, whole(height) / 8, 8, whole(width) / 8, 8]);
    let blocks = blocks.permute([0, 1, 3, 2, 4]) - 128.0;
    let device = plane.device();
    let [forth, back] = basis().map(|matrix| Tensor::from_slice(&matrix).to_device(device).view([8, 8]));
    let waves = twice(&blocks, &forth, &back) / steps;
    // Halves go away from zero.
    let cut = waves.trunc();
    let away = (&waves - &cut).abs().ge(0.5).to_kind(Kind::Float) * waves.sign();
    let blocks = twice(&((cut + away) * steps), &back, &forth).round();
    let values = (blocks + 128.0).clamp(0.0, 255.0).permute([0, 1, 3, 2, 4]).reshape([n, whole(height), whole(width)]);
    values.narrow(1, 0, height).narrow(2, 0, width).to_kind(Kind::Double)
}

/// `matrix * block * transposed matrix` of `[.., 8, 8]`, sums in the order of the host.
fn twice(blocks: &Tensor, matrix: &Tensor, transposed: &Tensor) -> Tensor {
    let mut across = blocks.zeros_like();
    for place in 0..8 {
        across += blocks.select(-1, place).unsqueeze(-1) * transposed.select(0, place);
    }
    let mut both = blocks.zeros_like();
    for place in 0..8 {
        both += across.select(-2, place).unsqueeze(-2) * matrix.select(1, place).unsqueeze(-1);
    }
    both
}
