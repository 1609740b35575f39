//! Batches of images and labels: the order of an epoch, pixels through the augmentation, and a
//! helper thread that stays a few batches ahead when the trainer may use more than one thread.

use std::sync::mpsc::sync_channel;

use tch::{Device, Kind, TchError, Tensor};

use super::cache::{Cache, Picture};
use super::memory::Floats;
use super::{Dataset, Item};
use crate::augment::mix::{Mixed, Mixer};
use crate::augment::{Normalise, Pipeline, Place, Scratch};
use crate::seed::{Purpose, stream};

/// Batches that the helper thread may be ahead.
const AHEAD: usize = 2;

/// One batch on the host, before it becomes tensors.
#[derive(Debug)]
struct HostBatch {
    /// `[n, 3, size, size]`, normalised.
    images: Floats,
    labels: Vec<i64>,
    mixed: Option<Mixed>,
}

/// One batch on the device.
#[derive(Debug)]
pub struct Batch {
    /// `[n, 3, size, size]`, f32, normalised.
    pub images: Tensor,
    /// `[n]`, i64. Of a mixed batch the labels with the larger share, which accuracy counts against.
    pub labels: Tensor,
    /// The labels with the smaller share and that share, when images were mixed.
    pub second: Option<(Tensor, f64)>,
}

impl Batch {
    /// The loss over all labels, each with its share, from the loss against one set of labels.
    pub fn loss(&self, against: impl Fn(&Tensor) -> Tensor) -> Tensor {
        match &self.second {
            None => against(&self.labels),
            Some((second, share)) => against(&self.labels) * (1.0 - share) + against(second) * *share,
        }
    }
}

/// Where batches come from and go to.
#[derive(Debug)]
pub struct Batches<'a> {
    /// The images.
    pub dataset: &'a Dataset,
    /// Changes to training images, and the image size.
    pub pipeline: &'a Pipeline,
    /// Changes to whole training batches.
    pub mixer: &'a Mixer,
    /// Scale of the pixels.
    pub normalise: Normalise,
    /// Of the recipe: decides order and changes.
    pub seed: u64,
    /// Where tensors go.
    pub device: Device,
    /// Whether batches are made on a helper thread.
    pub helper: bool,
}

impl Batches<'_> {
    /// Calls `step` with every training batch of `epoch` (from 1), in the epoch's order; the last
    /// batch may be smaller. Ends early when `step` returns an error, or when there is no memory for a batch.
    pub fn train<E: Send + From<TchError>>(
        &self,
        epoch: u32,
        batch_size: usize,
        step: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        self.train_from(epoch, 0, batch_size, step)
    }

    /// The same without the first `done` batches.
    pub fn train_from<E: Send + From<TchError>>(
        &self,
        epoch: u32,
        done: usize,
        batch_size: usize,
        step: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let copies = 0..self.pipeline.copies();
        let mut items: Vec<(Item, usize)> =
            copies.flat_map(|copy| self.dataset.train.iter().map(move |item| (*item, copy))).collect();
        stream(self.seed, Purpose::Shuffle, &[u64::from(epoch)]).shuffle(&mut items);
        let square = &self.dataset.square;
        let whole = self.dataset.whole.as_ref().unwrap_or(square);
        let make = |number: usize, items: &[(Item, usize)], scratch: &mut Scratch| {
            let mut batch = self.host(items.iter().map(|(item, copy)| (item, *copy)), |item, copy, out| {
                let source = if self.pipeline.starts_whole(copy) { whole } else { square };
                let place = Place { epoch, image: item.image, copy };
                self.pipeline.apply(picture(source, item), place, &self.normalise, scratch, out);
            })?;
            let HostBatch { images, labels, mixed } = &mut batch;
            *mixed = self.mixer.apply(epoch, number, images.as_mut_slice(), self.pipeline.size(), labels);
            Ok(batch)
        };
        self.feed(&items, done, batch_size, make, step)
    }

    /// Calls `step` with batches of `items` as they are, in their order.
    pub fn plain<E: Send + From<TchError>>(
        &self,
        items: &[Item],
        batch_size: usize,
        step: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let make = |_, items: &[Item], _: &mut Scratch| {
            self.host(items.iter().map(|item| (item, 0)), |item, _, out| {
                self.normalise.square(picture(&self.dataset.square, item), out);
            })
        };
        self.feed(items, 0, batch_size, make, step)
    }

    fn host<'i>(
        &self,
        items: impl ExactSizeIterator<Item = (&'i Item, usize)>,
        mut fill: impl FnMut(&Item, usize, &mut [f32]),
    ) -> Result<HostBatch, TchError> {
        let side = self.pipeline.size();
        let mut images = Floats::new(&[items.len(), 3, side, side].map(|length| length as i64))?;
        let mut labels = Vec::with_capacity(items.len());
        for ((item, copy), out) in items.zip(images.as_mut_slice().chunks_exact_mut(3 * side * side)) {
            fill(item, copy, out);
            labels.push(i64::from(item.class));
        }
        Ok(HostBatch { images, labels, mixed: None })
    }

    fn feed<T: Sync, E: Send + From<TchError>>(
        &self,
        items: &[T],
        done: usize,
        batch_size: usize,
        make: impl Fn(usize, &[T], &mut Scratch) -> Result<HostBatch, TchError> + Sync,
        mut step: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut scratch = Scratch::default();
        if !self.helper {
            for (number, chunk) in items.chunks(batch_size).enumerate().skip(done) {
                step(self.upload(make(number, chunk, &mut scratch)?))?;
            }
            return Ok(());
        }
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(AHEAD);
            let make = &make;
            scope.spawn(move || {
                for (number, chunk) in items.chunks(batch_size).enumerate().skip(done) {
                    // The receiver is gone when a step failed or the trial was stopped.
                    if send.send(make(number, chunk, &mut scratch)).is_err() {
                        return;
                    }
                }
            });
            receive.into_iter().try_for_each(|batch| step(self.upload(batch?)))
        })
    }

    fn upload(&self, batch: HostBatch) -> Batch {
        let tensor = |labels: &[i64]| Tensor::from_slice(labels).to_kind(Kind::Int64).to_device(self.device);
        let (labels, second) = match batch.mixed {
            None => (tensor(&batch.labels), None),
            Some(mixed) if mixed.share >= 0.5 => {
                (tensor(&batch.labels), Some((tensor(&mixed.labels), 1.0 - mixed.share)))
            }
            Some(mixed) => (tensor(&mixed.labels), Some((tensor(&batch.labels), mixed.share))),
        };
        let images = batch.images.into_tensor().to_device(self.device);
        Batch { images, labels, second }
    }
}

fn picture<'a>(source: &'a Cache, item: &Item) -> Picture<'a> {
    source.picture(item.image).expect("items hold only images that were decoded")
}
