//! Randomness as pure functions of (seed, purpose, position): there is no generator state to save,
//! and more draws for one purpose change nothing for another. The generator is splitmix64
//! (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators").

/// What a stream of numbers is for. Each purpose has its own child stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; keyed by the parameter's name.
    Init,
    /// Order of the training images; keyed by the epoch.
    Shuffle,
    /// Random changes to one image; keyed by epoch and image.
    Augment,
    /// Zeroed activations; keyed by the number of the batch in the trial.
    Dropout,
    /// Which images are held out for validation; keyed by class and file name.
    Split,
    /// Random changes that make a copy of an image; keyed by epoch (0 when fixed), image and copy.
    Copy,
    /// Mixing of a batch; keyed by epoch and number of the batch.
    Mix,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of numbers, see [`stream`].
#[derive(Clone, Debug)]
pub struct Stream(u64);

/// The stream of `purpose` at the position `keys` of the run with `seed`.
pub fn stream(seed: u64, purpose: Purpose, keys: &[u64]) -> Stream {
    let mut state = mix(seed.wrapping_add(GOLDEN));
    for &key in [purpose as u64 + 1].iter().chain(keys) {
        state = mix(state.wrapping_add(GOLDEN) ^ mix(key.wrapping_add(GOLDEN)));
    }
    Stream(state)
}

/// A key made from text (FNV-1a, 64 bit).
pub fn text_key(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl Stream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number from 0 to below 1, 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An index below `n`, which must be above 0. The bias is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A number of mean 0 and deviation 1 (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A number of the Beta distribution with both parameters `alpha`.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let (x, y) = (self.log_gamma_number(alpha), self.log_gamma_number(alpha));
        // In logarithms: for a small alpha both numbers can be too small for a float.
        1.0 / (1.0 + (y - x).exp())
    }

    /// The logarithm of a number of the Gamma distribution (Marsaglia & Tsang 2000, "A simple method for
    /// generating gamma variables"; below 1 by their power of a uniform number).
    fn log_gamma_number(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.log_gamma_number(shape + 1.0) + (1.0 - self.unit()).ln() / shape;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return (d * v).ln();
            }
        }
    }

    /// Puts `items` into random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_stable_between_releases_and_apart_from_each_other() {
        let first = |purpose, keys: &[u64]| stream(7, purpose, keys).bits();
        assert_eq!(first(Purpose::Shuffle, &[1]), first(Purpose::Shuffle, &[1]));
        let all = [
            first(Purpose::Init, &[1]),
            first(Purpose::Shuffle, &[1]),
            first(Purpose::Augment, &[1]),
            first(Purpose::Dropout, &[1]),
            first(Purpose::Shuffle, &[2]),
            first(Purpose::Shuffle, &[1, 0]),
            stream(8, Purpose::Shuffle, &[1]).bits(),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn shuffle_is_a_permutation_and_fair_enough() {
        let mut counts = [[0u32; 5]; 5];
        for epoch in 0..5_000 {
            let mut order = [0, 1, 2, 3, 4];
            stream(3, Purpose::Shuffle, &[epoch]).shuffle(&mut order);
            for (place, item) in order.into_iter().enumerate() {
                counts[item][place] += 1;
            }
        }
        for count in counts.into_iter().flatten() {
            // 1,000 expected, standard deviation 28.
            assert!((850..1150).contains(&count), "{count}");
        }
    }

    #[test]
    fn normal_and_beta_numbers_have_their_moments() {
        let moments = |draw: &mut dyn FnMut() -> f64| {
            let values: Vec<f64> = (0..20_000).map(|_| draw()).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            assert!(values.iter().all(|value| value.is_finite()));
            (mean, square / values.len() as f64)
        };
        let mut random = stream(4, Purpose::Mix, &[]);
        let (mean, variance) = moments(&mut || random.normal());
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        for alpha in [0.001, 0.2, 1.0, 5.0] {
            let (mean, variance) = moments(&mut || random.beta(alpha));
            // Var of Beta(a, a) is 1 / (4 (2 a + 1)).
            let want = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.02 && (variance / want - 1.0).abs() < 0.06, "{alpha}: {mean} {variance}");
        }
    }

    #[test]
    fn numbers_stay_in_their_ranges() {
        let mut random = stream(1, Purpose::Augment, &[]);
        for _ in 0..10_000 {
            assert!(random.below(3) < 3);
            assert!((0.0..1.0).contains(&random.unit()));
        }
    }
}
