//! Brightness, contrast, saturation, hue and gray of many images at once: [`super::super::colour`] with tensors, one
//! factor for each image. Values are whole numbers from 0 to 255, as floats.

use tch::{Kind, Tensor};

use super::super::colour::Tone;

/// Changes `[n, height, width, 3]`.
pub(super) fn change(images: &Tensor, tone: Tone, factors: &[f64]) -> Tensor {
    let each = |value: fn(f64) -> f64| {
        let values: Vec<f32> = factors.iter().map(|factor| value(*factor) as f32).collect();
        Tensor::from_slice(&values).to_device(images.device()).view([-1, 1, 1, 1])
    };
    let (ratio, rest) = (each(|factor| factor), each(|factor| 1.0 - factor));
    let bytes = |values: Tensor| values.clamp(0.0, 255.0).floor();
    match tone {
        Tone::Brightness => bytes(images * ratio),
        Tone::Contrast => {
            let mean = luma(images).floor().mean_dim([1, 2].as_slice(), true, Kind::Double).to_kind(Kind::Float);
            bytes(images * &ratio + mean.unsqueeze(3) * rest)
        }
        Tone::Saturation => bytes(images * ratio + luma(images).floor().unsqueeze(3) * rest),
        Tone::Gray => luma(images).floor().unsqueeze(3).expand_as(images),
        Tone::Hue => hue(images, &ratio.squeeze_dim(3)),
    }
}

fn luma(images: &Tensor) -> Tensor {
    let [red, green, blue] = [0, 1, 2].map(|channel| images.select(3, channel));
    red * 0.2989 + green * 0.587 + blue * 0.114
}

fn hue(images: &Tensor, turns: &Tensor) -> Tensor {
    let images = images / 255.0;
    let [red, green, blue] = [0, 1, 2].map(|channel| images.select(3, channel));
    let (low, high) = (images.amin([3].as_slice(), false), images.amax([3].as_slice(), false));
    let range = &high - low;
    let gray = range.eq(0.0);
    let s = (&range / &high).masked_fill(&gray, 0.0);
    let divisor = range.masked_fill(&gray, 1.0);
    let part = |channel: &Tensor| (&high - channel) / &divisor;
    let (rc, gc, bc) = (part(&red), part(&green), part(&blue));
    let others = (&rc + 2.0 - &bc).where_self(&high.eq_tensor(&green), &(&gc + 4.0 - &rc));
    let h = (&bc - &gc).where_self(&high.eq_tensor(&red), &others);
    let h6 = ((h * (1.0 / 6.0) + 1.0).frac() + turns).remainder(1.0) * 6.0;
    let f = &h6 - h6.floor();
    let level = |value: Tensor| (value * &high).clamp(0.0, 1.0);
    let one = |value: Tensor| Tensor::ones_like(&value) - value;
    let (p, q, t) = (level(one(s.shallow_clone())), level(one(&s * &f)), level(&s * &f + one(s)));
    let sector = h6.floor().to_kind(Kind::Int64).remainder(6).unsqueeze(3);
    let pick = |levels: [&Tensor; 6]| Tensor::stack(&levels, 3).gather(3, &sector, false);
    let turned = [
        pick([&high, &q, &p, &p, &t, &high]),
        pick([&t, &high, &high, &q, &p, &p]),
        pick([&p, &p, &t, &high, &high, &q]),
    ];
    (Tensor::cat(&turned, 3) * 255.999).floor()
}

/// One value for each image, `[n, 1, 1, 1]`.
fn each(values: &[f64], images: &Tensor) -> Tensor {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_slice(&values).to_device(images.device()).view([-1, 1, 1, 1])
}

pub(super) fn sharpness(images: &Tensor, factors: &[f64]) -> Tensor {
    let [height, width] = [1, 2].map(|dimension| images.size()[dimension]);
    if width <= 2 || height <= 2 {
        return images.shallow_clone();
    }
    let part = |x: i64, y: i64| images.narrow(1, y, height - 2).narrow(2, x, width - 2);
    let inner = part(1, 1);
    let mut sum = &inner * 4.0;
    for place in 0..9 {
        sum += part(place % 3, place / 3);
    }
    let blurred = (sum / 13.0).round();
    let rest: Vec<f64> = factors.iter().map(|&factor| f64::from(1.0 - factor as f32)).collect();
    let sharp = (&inner + (blurred - &inner) * each(&rest, images)).clamp(0.0, 255.0).floor();
    let out = images.copy();
    out.narrow(1, 1, height - 2).narrow(2, 1, width - 2).copy_(&sharp);
    out
}

/// Keeps so many of the highest bits.
pub(super) fn posterize(images: &Tensor, bits: &[f64]) -> Tensor {
    let steps: Vec<f64> = bits.iter().map(|bits| (8.0 - bits.min(8.0)).exp2()).collect();
    let steps = each(&steps, images);
    (images / &steps).floor() * steps
}

pub(super) fn solarize(images: &Tensor, thresholds: &[f64]) -> Tensor {
    // Values are whole: those from a threshold on are those from the next whole number on.
    let thresholds: Vec<f64> = thresholds.iter().map(|threshold| threshold.ceil()).collect();
    let inverted = images.ones_like() * 255.0 - images;
    inverted.where_self(&images.ge_tensor(&each(&thresholds, images)), images)
}

pub(super) fn autocontrast(images: &Tensor) -> Tensor {
    let (low, high) = (images.amin([1, 2].as_slice(), true), images.amax([1, 2].as_slice(), true));
    let flat = high.eq_tensor(&low);
    let scale = ((high - &low) * f64::from(1.0f32 / 255.0)).masked_fill(&flat, 1.0);
    let stretched = ((images - low) / scale).clamp(0.0, 255.0).floor();
    images.where_self(&flat, &stretched)
}

pub(super) fn equalize(images: &Tensor) -> Tensor {
    let (n, pixels) = (images.size()[0], images.size()[1] * images.size()[2]);
    let values = images.permute([0, 3, 1, 2]).reshape([3 * n, pixels]).to_kind(Kind::Int64);
    let counts = Tensor::zeros([3 * n, 256], (Kind::Int64, images.device()));
    let counts = counts.scatter_add(1, &values, &values.ones_like());
    let last = counts.gather(1, &values.amax([1].as_slice(), true), false);
    // Whole numbers, so that these are divisions of whole numbers.
    let whole = |values: Tensor| values.floor().to_kind(Kind::Int64);
    let step = whole((last.ones_like() * pixels - last).to_kind(Kind::Double) / 255.0);
    let below = counts.cumsum(1, Kind::Int64) - &counts;
    let divisor = step.clamp_min(1).to_kind(Kind::Double);
    let half = (&divisor / 2.0).floor();
    let table = whole((below.to_kind(Kind::Double) + half) / divisor).clamp_max(255);
    let equal = values.where_self(&step.eq(0), &table.gather(1, &values, false));
    let [height, width] = [1, 2].map(|dimension| images.size()[dimension]);
    equal.view([n, 3, height, width]).permute([0, 2, 3, 1]).to_kind(Kind::Float)
}
