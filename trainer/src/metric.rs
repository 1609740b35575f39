//! Running sums of loss and accuracy that stay on the device, so that a step needs no wait for it.
//! NaN is an outcome here, not an error: see [`Mean::is_finite`].

use sweep_core::evaluation::{Confusion, Evaluation, Score};
use sweep_core::num::Num;
use tch::{Kind, Tensor};

/// Sums over the batches of one pass.
#[derive(Debug)]
pub struct Meter {
    loss: Tensor,
    correct: Tensor,
    /// Absent where five classes are all there are.
    among_five: Option<Tensor>,
    /// (classes, classes taken for) of each batch, where they are wanted.
    pairs: Option<Vec<(Tensor, Tensor)>>,
    images: i64,
}

/// Means over the images of one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Cross entropy, nats.
    pub loss: f64,
    /// Share classified right, 0 to 1.
    pub accuracy: f64,
    /// Share whose class is among the five with the highest logits; absent with five classes or fewer.
    pub top5: Option<f64>,
}

impl Mean {
    /// What a pass with a loss that is not finite is worth, whichever step showed it first.
    pub const NONE: Self = Self { loss: f64::NAN, accuracy: f64::NAN, top5: None };

    /// Whether the loss is a number to train on.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite()
    }
}

impl Meter {
    /// Empty sums for so many classes, on `device`.
    pub fn new(classes: usize, device: tch::Device) -> Self {
        let none = || Tensor::zeros([], (Kind::Int64, device));
        Self {
            loss: Tensor::zeros([], (Kind::Double, device)),
            correct: none(),
            among_five: (classes > 5).then(none),
            pairs: None,
            images: 0,
        }
    }

    /// Back to empty sums.
    pub fn clear(&mut self) {
        let _guard = tch::no_grad_guard();
        for sum in [&mut self.loss, &mut self.correct].into_iter().chain(&mut self.among_five) {
            let _ = sum.zero_();
        }
        self.images = 0;
    }

    /// Remembers from here on which class is taken for which; for [`Meter::evaluation`].
    pub fn with_pairs(self) -> Self {
        Self { pairs: Some(Vec::new()), ..self }
    }

    /// Adds a batch: its mean loss (0-dimensional), logits `[n, classes]` and labels `[n]`.
    pub fn add(&mut self, loss: &Tensor, logits: &Tensor, labels: &Tensor) {
        let n = labels.size()[0];
        let _guard = tch::no_grad_guard();
        self.loss += loss.detach().to_kind(Kind::Double) * n;
        let taken_for = logits.detach().argmax(1, false);
        self.correct += taken_for.eq_tensor(labels).sum(Kind::Int64);
        if let Some(among_five) = &mut self.among_five {
            let (_, likely) = logits.detach().topk(5, 1, true, false);
            *among_five += likely.eq_tensor(&labels.unsqueeze(1)).sum(Kind::Int64);
        }
        if let Some(pairs) = &mut self.pairs {
            pairs.push((labels.copy(), taken_for));
        }
        self.images += n;
    }

    /// The sums, so that another meter can go on with them.
    pub fn state(&self) -> Vec<(&'static str, Tensor)> {
        let mut state = vec![
            ("loss", self.loss.shallow_clone()),
            ("correct", self.correct.shallow_clone()),
            ("images", Tensor::from(self.images)),
        ];
        state.extend(self.among_five.as_ref().map(|among_five| ("among_five", among_five.shallow_clone())));
        state
    }

    /// Takes over sums. Whether they fit; nothing is changed by some that do not.
    pub fn load<'a>(&mut self, find: impl Fn(&str) -> Option<&'a Tensor>) -> bool {
        let fits = |name: &str, kind: Kind| find(name).filter(|sum| sum.size().is_empty() && sum.kind() == kind);
        let five = self.among_five.is_none() || fits("among_five", Kind::Int64).is_some();
        let sums = (fits("loss", Kind::Double), fits("correct", Kind::Int64), fits("images", Kind::Int64));
        let (Some(loss), Some(correct), Some(images), true) = (sums.0, sums.1, sums.2, five) else {
            return false;
        };
        self.loss.copy_(loss);
        self.correct.copy_(correct);
        self.images = images.int64_value(&[]);
        if let (Some(ours), Some(theirs)) = (&mut self.among_five, find("among_five")) {
            ours.copy_(theirs);
        }
        true
    }

    /// Waits for the device and divides.
    pub fn mean(&self) -> Mean {
        let images = self.images.max(1) as f64;
        let share = |count: &Tensor| count.int64_value(&[]) as f64 / images;
        Mean {
            loss: self.loss.double_value(&[]) / images,
            accuracy: share(&self.correct),
            top5: self.among_five.as_ref().map(share),
        }
    }

    /// Waits for the device; the same numbers as [`Meter::mean`], and the confusions. `epoch` is that of
    /// the weights.
    pub fn evaluation(&self, epoch: u32) -> Evaluation {
        let Mean { loss, accuracy, top5 } = self.mean();
        let score = Score {
            epoch,
            images: self.images as u64,
            loss: loss.into(),
            accuracy: accuracy.into(),
            top5: top5.map(Num),
        };
        let pairs = self.pairs.iter().flatten().flat_map(|(labels, taken_for)| numbers(labels).zip(numbers(taken_for)));
        Evaluation { score, confusion: Confusion::count(pairs) }
    }
}

/// Class numbers, on the host.
fn numbers(classes: &Tensor) -> impl Iterator<Item = u32> + use<> {
    let mut numbers = vec![0i64; classes.numel()];
    let count = numbers.len();
    classes.to_device(tch::Device::Cpu).contiguous().copy_data(&mut numbers, count);
    numbers.into_iter().map(|class| class as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_five_counts_the_five_highest() {
        // Class c has the c-th highest logit of six.
        let logits = Tensor::from_slice(&[6f32, 5.0, 4.0, 3.0, 2.0, 1.0]).repeat([6, 1]);
        let labels = Tensor::arange(6, (Kind::Int64, tch::Device::Cpu));
        let mut meter = Meter::new(6, tch::Device::Cpu).with_pairs();
        meter.add(&Tensor::from(2.0f32), &logits, &labels);
        meter.add(&Tensor::from(8.0f32), &logits.narrow(0, 0, 2), &labels.narrow(0, 4, 2));
        let mean = Mean { loss: 3.5, accuracy: 1.0 / 8.0, top5: Some(6.0 / 8.0) };
        assert_eq!(meter.mean(), mean);
        let evaluation = meter.evaluation(9);
        assert_eq!((evaluation.score.epoch, evaluation.score.images), (9, 8));
        assert_eq!((evaluation.score.accuracy.0, evaluation.score.top5), (1.0 / 8.0, Some(Num(6.0 / 8.0))));
        // Every image is taken for class 0.
        let column = [(0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 1), (4, 0, 2), (5, 0, 2)];
        assert_eq!(evaluation.confusion.cells(), column);

        let mut meter = Meter::new(5, tch::Device::Cpu);
        meter.add(&Tensor::from(2.0f32), &logits.narrow(1, 0, 5).narrow(0, 0, 5), &labels.narrow(0, 0, 5));
        assert_eq!(meter.mean(), Mean { loss: 2.0, accuracy: 1.0 / 5.0, top5: None });
    }
}
