//! What a JPEG file loses, without the file: colour planes of half size, quantised 8x8 cosine transforms, and
//! back. The lossless part of a coder changes no pixel, so it is left out. Follows ITU-T T.81 (tables K.1 and K.2,
//! transforms A.3.3) with libjpeg's choices where the standard leaves them open: how a quality scales the tables,
//! 4:2:0 planes by mean, smooth enlargement, edges repeated.

use std::array;

use pulp::{Arch, NullaryFnOnce};

use super::canvas::Canvas;

/// Steps of the brightness coefficients at quality 50, row by row (K.1).
pub(super) const LUMA_TABLE: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];

/// Steps of the colour coefficients at quality 50 (K.2): the corner; 99 everywhere else.
const CORNER: [[u16; 4]; 4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]];

/// All of them, row by row.
pub(super) const CHROMA_TABLE: [u16; 64] = {
    let mut table = [99; 64];
    let mut place = 0;
    while place < 16 {
        table[place / 4 * 8 + place % 4] = CORNER[place / 4][place % 4];
        place += 1;
    }
    table
};

/// Values of one channel, row by row.
struct Plane {
    width: usize,
    height: usize,
    values: Vec<u8>,
}

/// Encodes with `quality` (1 to 100) and decodes.
pub(super) fn jpeg(canvas: &mut Canvas, quality: u32) {
    let (width, height) = (canvas.width, canvas.height);
    let transform = Transform::new();
    let mut planes = [0, 1, 2].map(|channel| Plane { width, height, values: plane(canvas, channel) });
    let [luma, blue, red] = &mut planes;
    transform.lose(luma, &steps(&LUMA_TABLE, quality));
    for colour in [blue, red] {
        let mut half = halve(colour);
        transform.lose(&mut half, &steps(&CHROMA_TABLE, quality));
        colour.values = enlarge(&half, width, height);
    }
    let [luma, blue, red] = planes;
    for (place, rgb) in canvas.rgb.chunks_exact_mut(3).enumerate() {
        rgb.copy_from_slice(&to_rgb(luma.values[place], blue.values[place], red.values[place]));
    }
}

/// A table for a quality as libjpeg scales it.
pub(super) fn steps(at_50: &[u16; 64], quality: u32) -> [f32; 64] {
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    at_50.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as f32)
}

/// The cosine transform of eight values and its transpose, row by row.
pub(super) fn basis() -> [[f32; 64]; 2] {
    let Transform { forth, back } = Transform::new();
    [forth, back].map(|matrix| array::from_fn(|place| matrix[place / 8][place % 8]))
}

/// `round(value * 2^16)`: colours are converted in whole numbers.
const fn fixed(value: f64) -> i32 {
    (value * 65536.0 + 0.5) as i32
}

const HALF: i32 = 1 << 15;

/// Brightness, blue and red difference of every pixel (BT.601).
fn plane(canvas: &Canvas, channel: usize) -> Vec<u8> {
    let [red, green, blue, offset] = [
        [fixed(0.299), fixed(0.587), fixed(0.114), HALF],
        [-fixed(0.168_735_892), -fixed(0.331_264_108), fixed(0.5), (128 << 16) + HALF - 1],
        [fixed(0.5), -fixed(0.418_687_589), -fixed(0.081_312_411), (128 << 16) + HALF - 1],
    ][channel];
    let value = |rgb: &[u8]| {
        let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(i32::from);
        ((red * r + green * g + blue * b + offset) >> 16) as u8
    };
    canvas.rgb.chunks_exact(3).map(value).collect()
}

fn to_rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let [luma, blue, red] = [i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128];
    let part = |sum: i32| (luma + (sum >> 16)).clamp(0, 255) as u8;
    [
        part(fixed(1.402) * red + HALF),
        part(-fixed(0.344_136_286) * blue - fixed(0.714_136_286) * red + HALF),
        part(fixed(1.772) * blue + HALF),
    ]
}

/// Half the size, means of two by two; up and down are rounded in turns.
fn halve(plane: &Plane) -> Plane {
    let (width, height) = (plane.width.div_ceil(2), plane.height.div_ceil(2));
    // Whole blocks across: what the edge is repeated for before the mean, not after it.
    let padded = width.next_multiple_of(8);
    let at =
        |x: usize, y: usize| u16::from(plane.values[y.min(plane.height - 1) * plane.width + x.min(plane.width - 1)]);
    let mean = |x: usize, y: usize| {
        let sum = at(2 * x, 2 * y) + at(2 * x + 1, 2 * y) + at(2 * x, 2 * y + 1) + at(2 * x + 1, 2 * y + 1);
        ((sum + 1 + (x % 2) as u16) >> 2) as u8
    };
    let values = (0..height).flat_map(|y| (0..padded).map(move |x| (x, y))).map(|(x, y)| mean(x, y)).collect();
    Plane { width: padded, height, values }
}

/// Back to `width` x `height`: three parts of the nearest value and one of the next, in both directions.
fn enlarge(half: &Plane, width: usize, height: usize) -> Vec<u8> {
    let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
    let row = |y: usize| &half.values[y * half.width..][..columns];
    let mut out = Vec::with_capacity(width * height);
    for y in 0..height {
        let near = row(y / 2);
        if columns <= 2 {
            out.extend((0..width).map(|x| near[x / 2]));
            continue;
        }
        let next = if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(rows - 1) };
        let next = row(next);
        let sum = |x: usize| 3 * u16::from(near[x]) + u16::from(next[x]);
        out.extend((0..width).map(|x| {
            let (here, bias) = (x / 2, if x % 2 == 0 { 8 } else { 7 });
            let beside = if x % 2 == 0 { here.saturating_sub(1) } else { (here + 1).min(columns - 1) };
            ((3 * sum(here) + sum(beside) + bias) >> 4) as u8
        }));
    }
    out
}

/// The cosine transform of eight values, and its transpose, which undoes it.
struct Transform {
    forth: [[f32; 8]; 8],
    back: [[f32; 8]; 8],
}

impl Transform {
    fn new() -> Self {
        let value = |frequency: usize, place: usize| {
            let angle = (2 * place + 1) as f64 * frequency as f64 * std::f64::consts::PI / 16.0;
            let scale = if frequency == 0 { 0.125f64.sqrt() } else { 0.5 };
            (scale * angle.cos()) as f32
        };
        Self {
            forth: array::from_fn(|frequency| array::from_fn(|place| value(frequency, place))),
            back: array::from_fn(|place| array::from_fn(|frequency| value(frequency, place))),
        }
    }

    /// Transforms every block, rounds it to multiples of `steps`, transforms it back.
    fn lose(&self, plane: &mut Plane, steps: &[f32; 64]) {
        let Plane { width, height, values } = plane;
        let arch = Arch::new();
        for top in (0..*height).step_by(8) {
            for left in (0..*width).step_by(8) {
                let from = |x: usize, y: usize| (top + y).min(*height - 1) * *width + (left + x).min(*width - 1);
                let mut block = array::from_fn(|place| f32::from(values[from(place % 8, place / 8)]) - 128.0);
                arch.dispatch(Lossy { block: &mut block, steps, forth: &self.forth, back: &self.back });
                for y in 0..8.min(*height - top) {
                    for x in 0..8.min(*width - left) {
                        values[(top + y) * *width + left + x] = (block[8 * y + x] + 128.0).clamp(0.0, 255.0) as u8;
                    }
                }
            }
        }
    }
}

/// One block there and back, in whole registers where the processor has AVX2. Sums are taken in the order of the
/// frequencies or places either way: the same bits.
struct Lossy<'a> {
    block: &'a mut [f32; 64],
    steps: &'a [f32; 64],
    forth: &'a [[f32; 8]; 8],
    back: &'a [[f32; 8]; 8],
}

impl NullaryFnOnce for Lossy<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let mut waves = twice(self.block, self.forth, self.back);
        for (wave, step) in waves.iter_mut().zip(self.steps) {
            *wave = (*wave / step).round() * step;
        }
        *self.block = twice(&waves, self.back, self.forth).map(f32::round_ties_even);
    }
}

/// `matrix * block * transposed matrix`.
#[inline(always)]
fn twice(block: &[f32; 64], matrix: &[[f32; 8]; 8], transposed: &[[f32; 8]; 8]) -> [f32; 64] {
    let (rows, _) = block.as_chunks::<8>();
    let mut across = [[0f32; 8]; 8];
    for (out, row) in across.iter_mut().zip(rows) {
        for (value, weights) in row.iter().zip(transposed) {
            for to in 0..8 {
                out[to] += weights[to] * value;
            }
        }
    }
    let mut both = [0f32; 64];
    let (targets, _) = both.as_chunks_mut::<8>();
    for (out, weights) in targets.iter_mut().zip(matrix) {
        for (row, weight) in across.iter().zip(weights) {
            for to in 0..8 {
                out[to] += weight * row[to];
            }
        }
    }
    both
}
