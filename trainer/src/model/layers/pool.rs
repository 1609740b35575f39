//! Layers without weights: pooling, blurring and dropout.

use tch::{Device, Tensor};

use super::cast;
use crate::model::Mode;
use crate::seed::Stream;

/// The largest value of each `kernel` x `kernel` window.
pub(in crate::model) fn max_pool(x: &Tensor, kernel: i64, stride: i64, padding: i64) -> Tensor {
    x.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1, 1], false)
}

/// The same where a last window that leaves the image counts too.
pub(in crate::model) fn max_pool_ceil(x: &Tensor, kernel: i64, stride: i64) -> Tensor {
    x.max_pool2d([kernel; 2], [stride; 2], [0, 0], [1, 1], true)
}

/// Halves an image with a 3x3 binomial filter over its reflected border (Zhang 2019,
/// arXiv:1904.11486, "Triangle-3"). The filter is not trained and no part of the state.
#[derive(Debug)]
pub struct Blur {
    filter: Tensor,
    channels: i64,
}

impl Blur {
    /// For images with so many channels.
    pub fn new(channels: i64, device: Device) -> Self {
        let side = Tensor::from_slice(&[0.25f32, 0.5, 0.25]);
        let filter = side.outer(&side).view([1, 1, 3, 3]).to_device(device);
        Self { filter, channels }
    }

    /// Half of the side, rounded up.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let filter = cast(&self.filter, x).expand([self.channels, 1, 3, 3], false);
        x.reflection_pad2d([1, 1, 1, 1]).conv2d(&filter, None::<&Tensor>, [2, 2], [0, 0], [1, 1], self.channels)
    }
}

/// Zeroes each value with probability `dropout` and scales the others by `1 / (1 - dropout)`. The
/// mask comes from the stream, not from libtorch's generator: that one is shared by the whole
/// process and cannot be saved.
pub(in crate::model) fn dropout(values: Tensor, mode: &mut Mode<'_>) -> Tensor {
    let Mode::Train { dropout, random } = mode else {
        return values;
    };
    if *dropout <= 0.0 {
        return values;
    }
    let rate = *dropout;
    let mask = mask(values.numel(), rate, random, &values);
    let mask = mask.view(values.size().as_slice());
    values * mask
}

/// Zeroes whole images with probability `rate`, else as [`dropout`] (stochastic depth, Huang et al. 2016,
/// arXiv:1603.09382).
pub(in crate::model) fn drop_rows(images: Tensor, rate: f64, mode: &mut Mode<'_>) -> Tensor {
    let Mode::Train { random, .. } = mode else {
        return images;
    };
    if rate <= 0.0 {
        return images;
    }
    let count = images.size().first().copied().unwrap_or_default();
    let mask = mask(count as usize, rate, random, &images).view([count, 1, 1, 1]);
    images * mask
}

/// `count` values like those of `like`: 0 with probability `rate`, else `1 / (1 - rate)`.
fn mask(count: usize, rate: f64, random: &mut Stream, like: &Tensor) -> Tensor {
    let kept = (1.0 / (1.0 - rate)) as f32;
    let mask: Vec<f32> = (0..count).map(|_| if random.unit() < rate { 0.0 } else { kept }).collect();
    cast(&Tensor::from_slice(&mask).to_device(like.device()), like)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, stream};
    use tch::Kind;

    #[test]
    fn whole_images_are_left_out_at_their_rate_and_the_mean_is_kept() {
        const COUNT: i64 = 4000;
        let images = Tensor::ones([COUNT, 2, 3, 3], (Kind::Float, Device::Cpu));
        for rate in [0.1, 0.6] {
            let mut random = stream(1, Purpose::Dropout, &[]);
            let out = drop_rows(images.copy(), rate, &mut Mode::Train { dropout: 0.0, random: &mut random });
            let rows = out.flatten(1, -1);
            let firsts = rows.narrow(1, 0, 1);
            assert!(rows.equal(&firsts.expand_as(&rows)), "an image goes or stays as a whole");
            let kept = firsts.count_nonzero(None).int64_value(&[]) as f64;
            // Five deviations of the binomial distribution.
            let off = 5.0 * (COUNT as f64 * rate * (1.0 - rate)).sqrt();
            assert!((kept - COUNT as f64 * (1.0 - rate)).abs() < off, "{rate}: {kept} of {COUNT} are left");
            assert!((rows.max().double_value(&[]) - 1.0 / (1.0 - rate)).abs() < 1e-5, "{rate}");
            let mean = rows.mean(Kind::Double).double_value(&[]);
            assert!((mean - 1.0).abs() < off / (1.0 - rate) / COUNT as f64, "{rate}: {mean}");
            assert!(drop_rows(images.copy(), rate, &mut Mode::Eval).equal(&images));
        }
    }
}
