//! The network of PyTorch's CIFAR-10 tutorial (pytorch.org, "Training a classifier"; after LeCun et
//! al. 1998): conv 6, pool, conv 16, pool, linear 120-84-classes. Sized for any image from 16
//! pixels. Dropout before `fc2` and before `fc3`, and batch norm after the convolutions if asked
//! for; the tutorial has neither.

use sweep_core::recipe::model::{Activation, CifarCnn as Options};
use tch::Tensor;

use super::layers::{BatchNorm, Builder, Conv, Linear, activate, dropout, max_pool};
use super::{Mode, Network, Size};

#[derive(Debug)]
pub(super) struct CifarCnn {
    convs: Vec<(Conv, Option<BatchNorm>)>,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    activation: Activation,
}

impl CifarCnn {
    pub(super) fn new(builder: &mut Builder, size: Size, options: &Options) -> Self {
        let side = ((size.side - 4) / 2 - 4) / 2;
        let convs = [("1", 3, 6), ("2", 6, 16)].map(|(place, from, to)| {
            let conv = Conv::of(from, to, 5).padding(0).plain().build(builder, &format!("conv{place}"));
            (conv, options.batch_norm.then(|| BatchNorm::new(builder, &format!("bn{place}"), to)))
        });
        Self {
            convs: convs.into(),
            fc1: Linear::new(builder, "fc1", 16 * side * side, 120),
            fc2: Linear::new(builder, "fc2", 120, 84),
            fc3: Linear::new(builder, "fc3", 84, size.classes),
            activation: options.activation,
        }
    }
}

impl Network for CifarCnn {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let mut x = images.shallow_clone();
        for (conv, norm) in &self.convs {
            x = conv.forward(&x);
            if let Some(norm) = norm {
                x = norm.forward(&x, mode);
            }
            // What never falls commutes with pooling: the same values from a quarter of the work.
            x = match self.activation {
                Activation::Relu | Activation::Relu6 => activate(self.activation, max_pool(&x, 2, 2, 0)),
                _ => max_pool(&activate(self.activation, x), 2, 2, 0),
            };
        }
        let x = activate(self.activation, self.fc1.forward(&x.flatten(1, -1)));
        let x = activate(self.activation, self.fc2.forward(&dropout(x, mode)));
        self.fc3.forward(&dropout(x, mode))
    }
}
