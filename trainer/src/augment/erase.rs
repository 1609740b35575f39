//! Erasing and cutout on normalised values, where torchvision's `RandomErasing` and the paper's cutout work.

use sweep_core::recipe::augment::Erasing;

use crate::seed::Stream;

/// Draws before an image is left as it is, as in torchvision.
const TRIES: usize = 10;

/// Overwrites a random rectangle of `[3, side, side]` with probability `p`.
pub(super) fn erase(out: &mut [f32], side: usize, erasing: &Erasing, random: &mut Stream) {
    if random.unit() >= erasing.p {
        return;
    }
    let between = |[low, high]: [f64; 2], random: &mut Stream| low + (high - low) * random.unit();
    for _ in 0..TRIES {
        let area = (side * side) as f64 * between(erasing.scale, random);
        let ratio = between(erasing.ratio.map(f64::ln), random).exp();
        let (height, width) = ((area * ratio).sqrt().round() as usize, (area / ratio).sqrt().round() as usize);
        if height >= side || width >= side {
            continue;
        }
        let (top, left) = (random.below(side - height + 1), random.below(side - width + 1));
        fill(out, side, [left, top, left + width, top + height], || match erasing.noise {
            true => random.normal() as f32,
            false => erasing.value as f32,
        });
        return;
    }
}

/// Overwrites a square around a random pixel with zeros; it may reach over the border.
pub(super) fn cutout(out: &mut [f32], side: usize, size: usize, random: &mut Stream) {
    let (x, y) = (random.below(side), random.below(side));
    let half = size / 2;
    let low = |centre: usize| centre.saturating_sub(half);
    let high = |centre: usize| (centre + size - half).min(side);
    fill(out, side, [low(x), low(y), high(x), high(y)], || 0.0);
}

/// Writes into `[left, top, right, bottom]` of every channel.
fn fill(out: &mut [f32], side: usize, [left, top, right, bottom]: [usize; 4], mut value: impl FnMut() -> f32) {
    for plane in out.chunks_exact_mut(side * side) {
        for row in plane.chunks_exact_mut(side).take(bottom).skip(top) {
            row[left..right].fill_with(&mut value);
        }
    }
}
