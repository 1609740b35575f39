//! Brightness, contrast, saturation, hue and gray of many images at once: [`super::colour`] with tensors, one
//! factor for each image. Values are whole numbers from 0 to 255, as floats.

use tch::{Kind, Tensor};

use super::colour::Tone;

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
