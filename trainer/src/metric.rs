//! Running sums of loss and accuracy that stay on the device, so that a step needs no wait for it.
//! NaN is an outcome here, not an error: see [`Mean::is_finite`].

use tch::{Kind, Tensor};

/// Sums over the batches of one pass.
#[derive(Debug)]
pub struct Meter {
    loss: Tensor,
    correct: Tensor,
    images: i64,
}

/// Means over the images of one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Cross entropy, nats.
    pub loss: f64,
    /// Share classified right, 0 to 1.
    pub accuracy: f64,
}

impl Mean {
    /// What a pass with a loss that is not finite is worth, whichever step showed it first.
    pub const NONE: Self = Self { loss: f64::NAN, accuracy: f64::NAN };

    /// Whether the loss is a number to train on.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite()
    }
}

impl Meter {
    /// Empty sums on `device`.
    pub fn new(device: tch::Device) -> Self {
        Self {
            loss: Tensor::zeros([], (Kind::Double, device)),
            correct: Tensor::zeros([], (Kind::Int64, device)),
            images: 0,
        }
    }

    /// Adds a batch: its mean loss (0-dimensional), logits `[n, classes]` and labels `[n]`.
    pub fn add(&mut self, loss: &Tensor, logits: &Tensor, labels: &Tensor) {
        let n = labels.size()[0];
        let _guard = tch::no_grad_guard();
        self.loss += loss.detach().to_kind(Kind::Double) * n;
        self.correct += logits.detach().argmax(1, false).eq_tensor(labels).sum(Kind::Int64);
        self.images += n;
    }

    /// Waits for the device and divides.
    pub fn mean(&self) -> Mean {
        let images = self.images.max(1) as f64;
        Mean { loss: self.loss.double_value(&[]) / images, accuracy: self.correct.int64_value(&[]) as f64 / images }
    }
}
