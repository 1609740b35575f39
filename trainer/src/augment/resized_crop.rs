//! A random window of an image, resized to the image size: torchvision's `RandomResizedCrop`
//! (bilinear with antialias; Szegedy et al. 2015, "Going deeper with convolutions").

use crate::seed::Stream;

/// Draws before the centre is taken, as in torchvision.
const TRIES: usize = 10;

/// A rectangle of the source, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Window {
    /// All of a picture.
    pub(super) fn all(width: usize, height: usize) -> Self {
        Self { left: 0, top: 0, width, height }
    }

    /// `scale_min` to all of the area, aspect 3/4 to 4/3, log-uniform.
    pub(super) fn draw(width: usize, height: usize, scale_min: f64, random: &mut Stream) -> Self {
        let area = (width * height) as f64;
        let (low, high) = ((3.0f64 / 4.0).ln(), (4.0f64 / 3.0).ln());
        for _ in 0..TRIES {
            let part = area * (scale_min + (1.0 - scale_min) * random.unit());
            let aspect = (low + (high - low) * random.unit()).exp();
            let w = (part * aspect).sqrt().round() as usize;
            let h = (part / aspect).sqrt().round() as usize;
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                return Self {
                    left: random.below(width - w + 1),
                    top: random.below(height - h + 1),
                    width: w,
                    height: h,
                };
            }
        }
        // The largest window in the centre whose aspect is allowed.
        let aspect = width as f64 / height as f64;
        let w = width.min((height as f64 * 4.0 / 3.0).round() as usize).max(1);
        let h = height.min((width as f64 * 4.0 / 3.0).round() as usize).max(1);
        let (w, h) = if aspect < 0.75 { (width, h) } else { (w, height) };
        Self { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, stream};

    #[test]
    fn windows_stay_inside_and_cover_the_range_of_areas() {
        let mut random = stream(2, Purpose::Augment, &[]);
        let (mut smallest, mut largest) = (1.0f64, 0.0f64);
        for round in 0..5_000 {
            let (width, height) = [(64, 64), (100, 40), (3, 200), (1, 1)][round % 4];
            let window = Window::draw(width, height, 0.08, &mut random);
            assert!(window.left + window.width <= width && window.width > 0);
            assert!(window.top + window.height <= height && window.height > 0);
            if round % 4 == 0 {
                let share = (window.width * window.height) as f64 / 4096.0;
                (smallest, largest) = (smallest.min(share), largest.max(share));
            }
        }
        assert!(smallest < 0.1 && largest > 0.9, "{smallest} {largest}");
    }
}
