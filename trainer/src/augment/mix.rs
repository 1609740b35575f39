//! Mixup and cutmix: every image of a batch with another one of it. One draw for a batch, from (seed, epoch, number of
//! the batch); partners are a random permutation. The loss is mixed as the images are; accuracy counts
//! against the label with the larger share.

use sweep_core::recipe::{Augment, Recipe};

use crate::seed::{Purpose, Stream, stream};

/// The steps of a recipe on whole batches.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixer {
    /// At most one mixup and one cutmix; with both, each batch draws one of them.
    steps: Vec<Augment>,
    seed: u64,
}

/// How one batch is mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// Whom every image is mixed with.
    pub partners: Vec<usize>,
    /// Share of the first image and its label, 0 to 1.
    pub share: f64,
    /// What is pasted by cutmix: left, top, right, bottom. Mixup blends all of the image.
    pub rectangle: Option<[usize; 4]>,
}

impl Mixer {
    /// The mixing steps of `recipe`.
    pub fn new(recipe: &Recipe) -> Self {
        let steps = recipe.augmentation.0.iter();
        let mixing = steps.filter(|step| matches!(step, Augment::Mixup(_) | Augment::Cutmix(_)));
        Self { steps: mixing.cloned().collect(), seed: recipe.seed }
    }

    /// Draws for batch `number` (from 0) of `epoch`, which has `many` images of `side` pixels.
    pub fn draw(&self, epoch: u32, number: usize, many: usize, side: usize) -> Option<Mix> {
        let mut random = stream(self.seed, Purpose::Mix, &[u64::from(epoch), number as u64]);
        let step = match self.steps.as_slice() {
            [] => return None,
            [step] => step,
            steps => &steps[random.below(steps.len())],
        };
        let mut partners: Vec<usize> = (0..many).collect();
        random.shuffle(&mut partners);
        match step {
            Augment::Mixup(mixing) => Some(Mix { partners, share: random.beta(mixing.alpha), rectangle: None }),
            Augment::Cutmix(mixing) => {
                let share = random.beta(mixing.alpha);
                let rectangle = rectangle(side, share, &mut random);
                let [left, top, right, bottom] = rectangle;
                let share = 1.0 - ((right - left) * (bottom - top)) as f64 / (side * side) as f64;
                Some(Mix { partners, share, rectangle: Some(rectangle) })
            }
            _ => None,
        }
    }
}

impl Mix {
    /// Mixes square images, `[n, 3, side, side]`.
    pub fn apply(&self, images: &mut [f32], side: usize) {
        let (before, image) = (images.to_vec(), 3 * side * side);
        for (out, partner) in images.chunks_exact_mut(image).zip(&self.partners) {
            let other = &before[partner * image..(partner + 1) * image];
            let Some([left, top, right, bottom]) = self.rectangle else {
                for (out, other) in out.iter_mut().zip(other) {
                    *out = *out * self.share as f32 + other * (1.0 - self.share) as f32;
                }
                continue;
            };
            for (out, other) in out.chunks_exact_mut(side * side).zip(other.chunks_exact(side * side)) {
                for y in top..bottom {
                    let row = y * side + left..y * side + right;
                    out[row.clone()].copy_from_slice(&other[row]);
                }
            }
        }
    }

    /// The labels of the partners.
    pub fn labels(&self, labels: &[i64]) -> Vec<i64> {
        self.partners.iter().map(|&partner| labels[partner]).collect()
    }
}

/// `[left, top, right, bottom]` of the pasted rectangle around a random pixel, cut at the border (torchvision's).
fn rectangle(side: usize, share: f64, random: &mut Stream) -> [usize; 4] {
    let (x, y) = (random.below(side), random.below(side));
    let half = (0.5 * (1.0 - share).sqrt() * side as f64) as usize;
    let (low, high) = (|centre: usize| centre.saturating_sub(half), |centre: usize| (centre + half).min(side));
    [low(x), low(y), high(x), high(y)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixer(steps: &str) -> Mixer {
        let recipe: Recipe = serde_json::from_str(&format!(r#"{{"dataset":"d","augmentation":{steps}}}"#)).unwrap();
        Mixer::new(&recipe)
    }

    /// Four images of one value each: 0, 1, 2, 3, their labels too.
    fn batch(side: usize) -> (Vec<f32>, Vec<i64>) {
        let images = (0..4).flat_map(|value| vec![value as f32; 3 * side * side]).collect();
        (images, vec![0, 1, 2, 3])
    }

    #[test]
    fn the_images_hold_the_shares_that_the_labels_say() {
        let side = 8;
        for steps in [r#"["mixup"]"#, r#"["cutmix"]"#, r#"["mixup","cutmix"]"#] {
            let mixer = mixer(steps);
            for number in 0..50 {
                let (mut images, labels) = batch(side);
                let mix = mixer.draw(3, number, 4, side).expect("it mixes");
                mix.apply(&mut images, side);
                let second = mix.labels(&labels);
                for (at, image) in images.chunks(3 * side * side).enumerate() {
                    let mean = image.iter().map(|value| f64::from(*value)).sum::<f64>() / image.len() as f64;
                    let want = mix.share * labels[at] as f64 + (1.0 - mix.share) * second[at] as f64;
                    assert!((mean - want).abs() < 1e-5, "{mean} {want}");
                }
                let mut sorted = second.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, labels, "partners are a permutation");
            }
        }
    }

    #[test]
    fn a_batch_is_mixed_the_same_way_again_and_others_differently() {
        let mixer = mixer(r#"["mixup"]"#);
        let share = |epoch, number| mixer.draw(epoch, number, 4, 4).map(|mix| mix.share);
        assert_eq!(share(1, 2), share(1, 2));
        assert_ne!(share(1, 2), share(1, 3));
        assert_ne!(share(1, 2), share(2, 2));
    }

    #[test]
    fn without_a_mixing_step_nothing_happens() {
        assert_eq!(mixer(r#"["flip"]"#).draw(1, 0, 4, 4), None);
    }
}
