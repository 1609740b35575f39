//! Turned, scaled, sheared and moved pictures, as torchvision's `affine` and `rotate` on byte tensors: for
//! every pixel the inverse map says where to read, outside is black, values are rounded.

use sweep_core::recipe::augment::Interpolation;

use super::canvas::Canvas;

/// Where an output pixel is read, both relative to the centre: `x = m[0] x + m[1] y + m[2]`, `y` likewise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Inverse(pub(super) [f64; 6]);

impl Inverse {
    /// Undoes a turn of `degrees` counter-clockwise.
    pub(super) fn rotation(degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self([cos, -sin, 0.0, sin, cos, 0.0])
    }

    /// Undoes a change of size by `factor`.
    pub(super) fn scale(factor: f64) -> Self {
        Self([1.0 / factor, 0.0, 0.0, 0.0, 1.0 / factor, 0.0])
    }

    /// Undoes a shift by whole pixels.
    pub(super) fn shift(right: f64, down: f64) -> Self {
        Self([1.0, 0.0, -right, 0.0, 1.0, -down])
    }

    /// Undoes a shear along x around the upper left corner.
    pub(super) fn shear_x(level: f64, height: usize) -> Self {
        Self([1.0, level, level * height as f64 * 0.5, 0.0, 1.0, 0.0])
    }

    /// Undoes a shear along y around the upper left corner.
    pub(super) fn shear_y(level: f64, width: usize) -> Self {
        Self([1.0, 0.0, 0.0, level, 1.0, level * width as f64 * 0.5])
    }
}

/// Applies the map.
pub(super) fn affine(canvas: &mut Canvas, Inverse(map): Inverse, interpolation: Interpolation) {
    let (width, height) = (canvas.width, canvas.height);
    let map = map.map(|value| value as f32);
    let (half_w, half_h) = ((width as f32 - 1.0) * 0.5, (height as f32 - 1.0) * 0.5);
    let source = canvas.rgb.clone();
    let pixel = |x: f32, y: f32| -> Option<&[u8]> {
        let inside = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
        inside.then(|| &source[3 * (y as usize * width + x as usize)..][..3])
    };
    for (place, out) in canvas.rgb.chunks_exact_mut(3).enumerate() {
        let (x, y) = ((place % width) as f32 - half_w, (place / width) as f32 - half_h);
        let from_x = map[0] * x + map[1] * y + map[2] + half_w;
        let from_y = map[3] * x + map[4] * y + map[5] + half_h;
        match interpolation {
            Interpolation::Nearest => {
                let found = pixel(from_x.round_ties_even(), from_y.round_ties_even());
                out.copy_from_slice(found.unwrap_or(&[0; 3]));
            }
            Interpolation::Bilinear => {
                let (left, top) = (from_x.floor(), from_y.floor());
                let (right_part, low_part) = (from_x - left, from_y - top);
                let (mut sum, mut inside) = ([0f32; 3], 0f32);
                for (dx, wx) in [(0.0, 1.0 - right_part), (1.0, right_part)] {
                    for (dy, wy) in [(0.0, 1.0 - low_part), (1.0, low_part)] {
                        if let Some(rgb) = pixel(left + dx, top + dy) {
                            inside += wx * wy;
                            for (sum, value) in sum.iter_mut().zip(rgb) {
                                *sum += wx * wy * f32::from(*value);
                            }
                        }
                    }
                }
                // torchvision with a fill weighs the border twice: by the zeros outside and by its mask.
                for (out, sum) in out.iter_mut().zip(sum) {
                    *out = (sum * inside).round_ties_even() as u8;
                }
            }
        }
    }
}
