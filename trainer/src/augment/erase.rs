//! Erasing and cutout on normalised values, where torchvision's `RandomErasing` and the paper's cutout work.

use sweep_core::recipe::Augment;
use sweep_core::recipe::augment::Erasing;

use crate::seed::Stream;

/// Draws before an image is left as it is, as in torchvision.
const TRIES: usize = 10;

/// What is overwritten, in every channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Patch {
    /// Left, top, right, bottom.
    pub(super) rectangle: [usize; 4],
    /// What is written.
    pub(super) value: f32,
    /// Whether normal noise is written instead.
    noise: bool,
}

/// What a step overwrites in an image of `side` pixels, if it is one of these steps and hits.
pub(super) fn draw(step: &Augment, side: usize, random: &mut Stream) -> Option<Patch> {
    match step {
        Augment::Erasing(erasing) => erase(erasing, side, random),
        Augment::Cutout(cutout) => Some(cut_out(cutout.size as usize, side, random)),
        _ => None,
    }
}

/// A random rectangle with probability `p`.
fn erase(erasing: &Erasing, side: usize, random: &mut Stream) -> Option<Patch> {
    if random.unit() >= erasing.p {
        return None;
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
        let rectangle = [left, top, left + width, top + height];
        return Some(Patch { rectangle, value: erasing.value as f32, noise: erasing.noise });
    }
    None
}

/// A square around a random pixel; it may reach over the border.
fn cut_out(size: usize, side: usize, random: &mut Stream) -> Patch {
    let (x, y) = (random.below(side), random.below(side));
    let half = size / 2;
    let low = |centre: usize| centre.saturating_sub(half);
    let high = |centre: usize| (centre + size - half).min(side);
    Patch { rectangle: [low(x), low(y), high(x), high(y)], value: 0.0, noise: false }
}

impl Patch {
    /// Overwrites it in `[3, side, side]`.
    pub(super) fn fill(&self, out: &mut [f32], side: usize, random: &mut Stream) {
        let [left, top, right, bottom] = self.rectangle;
        let mut noise = self.noise(random).into_iter();
        for plane in out.chunks_exact_mut(side * side) {
            for row in plane.chunks_exact_mut(side).take(bottom).skip(top) {
                row[left..right].fill_with(|| noise.next().unwrap_or(self.value));
            }
        }
    }

    /// Normal noise for all of it, channel by channel and row by row; nothing if it gets its value.
    pub(super) fn noise(&self, random: &mut Stream) -> Vec<f32> {
        let [left, top, right, bottom] = self.rectangle;
        let many = if self.noise { 3 * (right - left) * (bottom - top) } else { 0 };
        (0..many).map(|_| random.normal() as f32).collect()
    }
}
