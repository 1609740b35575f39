//! The network of PyTorch's CIFAR-10 tutorial (pytorch.org, "Training a classifier"; after LeCun et
//! al. 1998): conv 6, pool, conv 16, pool, linear 120-84-classes. Sized for any image from 16
//! pixels. Dropout before `fc2` and before `fc3`, none in the tutorial.

use tch::Tensor;

use super::layers::{Builder, Conv, Linear};
use super::{Mode, dropout};

#[derive(Debug)]
pub(super) struct CifarCnn {
    conv1: Conv,
    conv2: Conv,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl CifarCnn {
    pub(super) fn new(builder: &mut Builder, classes: u32, image_size: u32) -> Self {
        let side = ((i64::from(image_size) - 4) / 2 - 4) / 2;
        Self {
            conv1: Conv::plain(builder, "conv1", 3, 6, 5),
            conv2: Conv::plain(builder, "conv2", 6, 16, 5),
            fc1: Linear::new(builder, "fc1", 16 * side * side, 120),
            fc2: Linear::new(builder, "fc2", 120, 84),
            fc3: Linear::new(builder, "fc3", 84, i64::from(classes)),
        }
    }

    pub(super) fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        // Pooling before ReLU gives the same values from a quarter of the work.
        let pool = |x: Tensor| x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false).relu_();
        let x = pool(self.conv1.forward(images));
        let x = pool(self.conv2.forward(&x)).flatten(1, -1);
        let x = dropout(self.fc1.forward(&x).relu_(), mode);
        let x = dropout(self.fc2.forward(&x).relu_(), mode);
        self.fc3.forward(&x)
    }
}
