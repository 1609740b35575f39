//! Brightness, contrast, saturation, hue, gray and the tone operations of RandAugment on bytes, with
//! torchvision's arithmetic: 32 bit floats, clamped and cut to bytes.

use sweep_core::recipe::Augment;

use super::canvas::Canvas;
use crate::seed::Stream;

/// A change of colours by a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Brightness,
    Contrast,
    Saturation,
    /// By a shift, in turns of the colour circle.
    Hue,
    /// Without a factor.
    Gray,
}

impl Tone {
    /// All of them; jitter orders the first four.
    pub(super) const ALL: [Self; 5] = [Self::Brightness, Self::Contrast, Self::Saturation, Self::Hue, Self::Gray];
}

/// What a step does to the colours of an image, if it is `color-jitter` or `grayscale`.
pub(super) fn draw(step: &Augment, random: &mut Stream) -> Vec<(Tone, f64)> {
    match step {
        Augment::Grayscale(gray) if random.unit() < gray.p => vec![(Tone::Gray, 0.0)],
        Augment::ColorJitter(jitter) => {
            let mut order = [0, 1, 2, 3];
            random.shuffle(&mut order);
            let strengths = [jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue];
            let drawn = order.into_iter().filter(|&which| strengths[which] > 0.0).map(|which| {
                let (tone, strength) = (Tone::ALL[which], strengths[which]);
                let low = (1.0 - strength).max(0.0);
                let factor = match tone {
                    Tone::Hue => (2.0 * random.unit() - 1.0) * strength,
                    _ => low + (1.0 + strength - low) * random.unit(),
                };
                (tone, factor)
            });
            drawn.collect()
        }
        _ => Vec::new(),
    }
}

/// Applies a change.
pub(super) fn change(canvas: &mut Canvas, tone: Tone, factor: f64) {
    match tone {
        Tone::Brightness => brightness(canvas, factor),
        Tone::Contrast => contrast(canvas, factor),
        Tone::Saturation => saturation(canvas, factor),
        Tone::Hue => hue(canvas, factor),
        Tone::Gray => grayscale(canvas),
    }
}

/// Luma of a pixel as torchvision weighs it.
fn luma(rgb: &[u8]) -> f32 {
    f32::from(rgb[0]) * 0.2989 + f32::from(rgb[1]) * 0.587 + f32::from(rgb[2]) * 0.114
}

/// `value * ratio + other * (1 - ratio)` as a byte.
fn blend(value: u8, other: f32, ratio: f64) -> u8 {
    (f32::from(value) * ratio as f32 + other * (1.0 - ratio) as f32).clamp(0.0, 255.0) as u8
}

/// Changes every byte by itself.
fn each(canvas: &mut Canvas, change: impl Fn(u8) -> u8) {
    let mut table = [0u8; 256];
    for (value, out) in (0..=255u8).zip(&mut table) {
        *out = change(value);
    }
    for value in &mut canvas.rgb {
        *value = table[usize::from(*value)];
    }
}

/// All channels become the luma.
pub(super) fn grayscale(canvas: &mut Canvas) {
    for rgb in canvas.rgb.chunks_exact_mut(3) {
        rgb.fill(luma(rgb) as u8);
    }
}

/// Black at 0, as it is at 1.
pub(super) fn brightness(canvas: &mut Canvas, factor: f64) {
    each(canvas, |value| blend(value, 0.0, factor));
}

/// The mean luma everywhere at 0, as it is at 1.
pub(super) fn contrast(canvas: &mut Canvas, factor: f64) {
    let sum: f64 = canvas.rgb.chunks_exact(3).map(|rgb| f64::from(luma(rgb).floor())).sum();
    let mean = (sum / (canvas.width * canvas.height) as f64) as f32;
    each(canvas, |value| blend(value, mean, factor));
}

/// Gray at 0, as it is at 1.
pub(super) fn saturation(canvas: &mut Canvas, factor: f64) {
    for rgb in canvas.rgb.chunks_exact_mut(3) {
        let gray = luma(rgb).floor();
        for value in rgb {
            *value = blend(*value, gray, factor);
        }
    }
}

/// Turns the colour circle by `turns`, -0.5 to 0.5.
pub(super) fn hue(canvas: &mut Canvas, turns: f64) {
    for rgb in canvas.rgb.chunks_exact_mut(3) {
        let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(|value| f32::from(value) / 255.0);
        let (low, high) = (r.min(g).min(b), r.max(g).max(b));
        let range = high - low;
        let (s, divisor) = if range == 0.0 { (0.0, 1.0) } else { (range / high, range) };
        let [rc, gc, bc] = [r, g, b].map(|value| (high - value) / divisor);
        let h = if high == r {
            bc - gc
        } else if high == g {
            rc + 2.0 - bc
        } else {
            gc + 4.0 - rc
        };
        let h = (h * (1.0 / 6.0) + 1.0).fract();
        let h6 = (h + turns as f32).rem_euclid(1.0) * 6.0;
        let f = h6 - h6.floor();
        let part = |value: f32| (value * high).clamp(0.0, 1.0);
        let (p, q, t) = (part(1.0 - s), part(1.0 - s * f), part(s * f + (1.0 - s)));
        let turned = match h6 as i32 % 6 {
            0 => [high, t, p],
            1 => [q, high, p],
            2 => [p, high, t],
            3 => [p, q, high],
            4 => [t, p, high],
            _ => [high, p, q],
        };
        for (out, value) in rgb.iter_mut().zip(turned) {
            // torchvision's way from 0..1 to bytes: 256 - 0.001 equal steps.
            *out = (value * 255.999) as u8;
        }
    }
}

/// Blurred at 0, as it is at 1, sharper above; the border stays.
pub(super) fn sharpness(canvas: &mut Canvas, factor: f64) {
    let (width, height) = (canvas.width, canvas.height);
    if width <= 2 || height <= 2 {
        return;
    }
    let source = canvas.rgb.clone();
    let at = |x: usize, y: usize, channel: usize| f32::from(source[3 * (y * width + x) + channel]);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            for channel in 0..3 {
                let mut sum = 4.0 * at(x, y, channel);
                for (dx, dy) in (0..9).map(|place| (place % 3, place / 3)) {
                    sum += at(x + dx - 1, y + dy - 1, channel);
                }
                let (value, blurred) = (at(x, y, channel), (sum / 13.0).round_ties_even());
                let sharp = value + (blurred - value) * (1.0 - factor as f32);
                canvas.rgb[3 * (y * width + x) + channel] = sharp.clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// Keeps the highest `bits` of every byte.
pub(super) fn posterize(canvas: &mut Canvas, bits: u32) {
    let mask = 0xff00u16.wrapping_shr(bits.min(8)) as u8;
    each(canvas, |value| value & mask);
}

/// Inverts bytes from `threshold` on.
pub(super) fn solarize(canvas: &mut Canvas, threshold: f64) {
    each(canvas, |value| if f64::from(value) >= threshold { !value } else { value });
}

/// Stretches every channel to 0..255.
pub(super) fn autocontrast(canvas: &mut Canvas) {
    for channel in 0..3 {
        let values = || canvas.rgb.iter().skip(channel).step_by(3).copied();
        let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
        if low == high {
            continue;
        }
        let (low, scale) = (f32::from(low), f32::from(high - low) * (1.0 / 255.0));
        for value in canvas.rgb.iter_mut().skip(channel).step_by(3) {
            *value = ((f32::from(*value) - low) / scale).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Makes every value about equally frequent in each channel (PIL's table).
pub(super) fn equalize(canvas: &mut Canvas) {
    for channel in 0..3 {
        let mut counts = [0usize; 256];
        for value in canvas.rgb.iter().skip(channel).step_by(3) {
            counts[usize::from(*value)] += 1;
        }
        let last = counts.iter().rev().copied().find(|count| *count > 0).unwrap_or(0);
        let step = (canvas.width * canvas.height - last) / 255;
        if step == 0 {
            continue;
        }
        let mut table = [0u8; 256];
        let mut below = 0;
        for (out, count) in table.iter_mut().zip(counts) {
            *out = ((below + step / 2) / step).min(255) as u8;
            below += count;
        }
        for value in canvas.rgb.iter_mut().skip(channel).step_by(3) {
            *value = table[usize::from(*value)];
        }
    }
}
