//! Batches of images and labels: the order of an epoch, pixels through the augmentation, and a
//! helper thread that stays a few batches ahead when the trainer may use more than one thread.

use std::sync::mpsc::sync_channel;

use tch::{Device, Kind, Tensor};

use super::cache::Cache;
use super::{Dataset, Item};
use crate::augment::{Normalise, Pipeline, Scratch};
use crate::seed::{Purpose, stream};

/// Batches that the helper thread may be ahead.
const AHEAD: usize = 2;

/// One batch on the host, before it becomes tensors.
#[derive(Debug)]
struct HostBatch {
    /// `[n, 3, size, size]`, normalised.
    images: Vec<f32>,
    labels: Vec<i64>,
}

/// One batch on the device.
#[derive(Debug)]
pub struct Batch {
    /// `[n, 3, size, size]`, f32, normalised.
    pub images: Tensor,
    /// `[n]`, i64.
    pub labels: Tensor,
}

/// Where batches come from and go to.
#[derive(Debug)]
pub struct Batches<'a> {
    /// The images.
    pub dataset: &'a Dataset,
    /// Changes to training images, and the image size.
    pub pipeline: &'a Pipeline,
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
    /// batch may be smaller. Ends early when `step` returns an error.
    pub fn train<E: Send>(
        &self,
        epoch: u32,
        batch_size: usize,
        step: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut items = self.dataset.train.clone();
        stream(self.seed, Purpose::Shuffle, &[u64::from(epoch)]).shuffle(&mut items);
        let source = self.dataset.whole.as_ref().unwrap_or(&self.dataset.square);
        let make = |items: &[Item], scratch: &mut Scratch| {
            self.host(items, source, |picture, item, out| {
                let keys = [u64::from(epoch), item.image as u64];
                let mut random = stream(self.seed, Purpose::Augment, &keys);
                self.pipeline.apply(picture, &mut random, &self.normalise, scratch, out);
            })
        };
        self.feed(&items, batch_size, make, step)
    }

    /// Calls `step` with every validation batch, in the order of the files.
    pub fn val<E: Send>(&self, batch_size: usize, step: impl FnMut(Batch) -> Result<(), E>) -> Result<(), E> {
        let make = |items: &[Item], _: &mut Scratch| {
            self.host(items, &self.dataset.square, |picture, _, out| {
                self.normalise.square(picture, out);
            })
        };
        self.feed(&self.dataset.val, batch_size, make, step)
    }

    fn host(
        &self,
        items: &[Item],
        source: &Cache,
        mut fill: impl FnMut(super::cache::Picture<'_>, &Item, &mut [f32]),
    ) -> HostBatch {
        let image = 3 * self.pipeline.size() * self.pipeline.size();
        let mut images = vec![0f32; items.len() * image];
        for (item, out) in items.iter().zip(images.chunks_exact_mut(image)) {
            let picture = source.picture(item.image).expect("items hold only images that were decoded");
            fill(picture, item, out);
        }
        let labels = items.iter().map(|item| i64::from(item.class)).collect();
        HostBatch { images, labels }
    }

    fn feed<E: Send>(
        &self,
        items: &[Item],
        batch_size: usize,
        make: impl Fn(&[Item], &mut Scratch) -> HostBatch + Sync,
        mut step: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut scratch = Scratch::default();
        if !self.helper {
            for chunk in items.chunks(batch_size) {
                step(self.upload(make(chunk, &mut scratch)))?;
            }
            return Ok(());
        }
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(AHEAD);
            let make = &make;
            scope.spawn(move || {
                for chunk in items.chunks(batch_size) {
                    // The receiver is gone when a step failed or the trial was stopped.
                    if send.send(make(chunk, &mut scratch)).is_err() {
                        return;
                    }
                }
            });
            receive.into_iter().try_for_each(|batch| step(self.upload(batch)))
        })
    }

    fn upload(&self, batch: HostBatch) -> Batch {
        let (n, size) = (batch.labels.len() as i64, self.pipeline.size() as i64);
        Batch {
            images: Tensor::from_slice(&batch.images).view([n, 3, size, size]).to_device(self.device),
            labels: Tensor::from_slice(&batch.labels).to_kind(Kind::Int64).to_device(self.device),
        }
    }
}
