//! Gaussian blur of bytes.

use super::canvas::Canvas;

/// torchvision's `gaussian_blur`: weights `exp(-x^2 / (2 sigma^2))`, borders reflected without the edge.
pub(super) fn gaussian(canvas: &mut Canvas, kernel: usize, sigma: f64) {
    let (reach, weights) = (kernel as isize / 2, weights(kernel, sigma));
    let (width, height) = (canvas.width, canvas.height);
    let rows = lines(width, reach);
    let mut across = vec![0f32; canvas.rgb.len()];
    let mut longer = vec![0f32; 3 * rows.len()];
    for (source, out) in canvas.rgb.chunks_exact(3 * width).zip(across.chunks_exact_mut(3 * width)) {
        for (pixel, from) in longer.chunks_exact_mut(3).zip(&rows) {
            for (value, byte) in pixel.iter_mut().zip(&source[3 * from..]) {
                *value = f32::from(*byte);
            }
        }
        for (shift, weight) in weights.iter().enumerate() {
            for (out, value) in out.iter_mut().zip(&longer[3 * shift..]) {
                *out += weight * value;
            }
        }
    }
    let columns = lines(height, reach);
    let mut row = vec![0f32; 3 * width];
    for (y, out) in canvas.rgb.chunks_exact_mut(3 * width).enumerate() {
        row.fill(0.0);
        for (weight, from) in weights.iter().zip(&columns[y..]) {
            for (sum, value) in row.iter_mut().zip(&across[3 * width * from..]) {
                *sum += weight * value;
            }
        }
        for (out, sum) in out.iter_mut().zip(&row) {
            *out = sum.round_ties_even() as u8;
        }
    }
}

/// The weights of a kernel.
pub(super) fn weights(kernel: usize, sigma: f64) -> Vec<f32> {
    let reach = kernel as isize / 2;
    let weight = |x: isize| (-((x * x) as f64) / (2.0 * sigma * sigma)).exp();
    let sum: f64 = (-reach..=reach).map(weight).sum();
    (-reach..=reach).map(|x| (weight(x) / sum) as f32).collect()
}

/// Source places of a line that is longer by `reach` at both ends, reflected as often as needed.
pub(super) fn lines(length: usize, reach: isize) -> Vec<usize> {
    let period = (2 * (length as isize - 1)).max(1);
    let reflect = |place: isize| {
        let place = place.rem_euclid(period);
        place.min(period - place).clamp(0, length as isize - 1) as usize
    };
    (-reach..length as isize + reach).map(reflect).collect()
}
