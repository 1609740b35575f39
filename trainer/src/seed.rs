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
    /// Zeroed activations; keyed by the optimizer step.
    Dropout,
    /// Which images are held out for validation; keyed by class and file name.
    Split,
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
    fn numbers_stay_in_their_ranges() {
        let mut random = stream(1, Purpose::Augment, &[]);
        for _ in 0..10_000 {
            assert!(random.below(3) < 3);
            assert!((0.0..1.0).contains(&random.unit()));
        }
    }
}
