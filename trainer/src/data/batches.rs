//! Batches of images and labels: the order of an epoch, pixels through the augmentation, and a
//! helper thread that stays a few batches ahead when the trainer may use more than one thread.

use std::sync::mpsc::sync_channel;

use sweep_core::recipe::AugmentOn;
use tch::{Device, Kind, TchError, Tensor};

use super::cache::{Cache, Picture};
use super::memory::Floats;
use super::{Dataset, Item};
use crate::augment::device::{self, Drawn, Resident, Span, Spans};
use crate::augment::mix::{Mix, Mixer};
use crate::augment::{Normalise, Pipeline, Place, Scratch};
use crate::seed::{Purpose, stream};

/// Batches that the helper thread may be ahead.
const AHEAD: usize = 2;

/// One batch on the host, before it becomes tensors.
#[derive(Debug)]
struct HostBatch {
    images: HostImages,
    labels: Vec<i64>,
    mix: Option<Mix>,
}

/// Images of a batch on the host.
#[derive(Debug)]
enum HostImages {
    /// `[n, 3, size, size]`, normalised and changed.
    Done(Floats),
    /// What the device is to do with them, and where each of them lies in `bytes`, which is empty when the device has them.
    Drawn { bytes: Vec<u8>, spans: Vec<Span>, drawn: Vec<Drawn> },
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
    /// Where images are changed.
    pub on: AugmentOn,
    /// All images, when they lie on the device.
    pub resident: Option<&'a Resident>,
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
        let host = self.host();
        let make =
            |number: usize, items: &[(Item, usize)], scratch: &mut Scratch| host.train(epoch, number, items, scratch);
        self.feed(&items, done, batch_size, make, step)
    }

    /// Calls `step` with batches of `items` as they are, in their order.
    pub fn plain<E: Send + From<TchError>>(
        &self,
        items: &[Item],
        batch_size: usize,
        step: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let host = self.host();
        let make = |_, items: &[Item], _: &mut Scratch| host.plain(items);
        self.feed(items, 0, batch_size, make, step)
    }

    fn host(&self) -> Host<'_> {
        let Self { dataset, pipeline, mixer, normalise, on, resident, .. } = *self;
        // A tensor stays with the thread that made it.
        let span = resident.map(|resident| resident.spans());
        Host { dataset, pipeline, mixer, normalise, on, resident: span }
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
        let images = match batch.images {
            HostImages::Done(images) => images.into_tensor().to_device(self.device),
            HostImages::Drawn { bytes, spans, drawn } => {
                let images = match self.resident {
                    Some(all) => device::change(all.pixels(), &spans, &drawn, &self.normalise),
                    None => {
                        let pixels = Tensor::from_slice(&bytes).view([-1, 3]).to_device(self.device);
                        device::change(&pixels, &spans, &drawn, &self.normalise)
                    }
                };
                match &batch.mix {
                    Some(mix) => device::mix(&images, mix),
                    None => images,
                }
            }
        };
        let (labels, second) = match &batch.mix {
            None => (tensor(&batch.labels), None),
            Some(mix) => {
                let (first, second) = (tensor(&batch.labels), tensor(&mix.labels(&batch.labels)));
                match mix.share >= 0.5 {
                    true => (first, Some((second, 1.0 - mix.share))),
                    false => (second, Some((first, mix.share))),
                }
            }
        };
        Batch { images, labels, second }
    }
}

/// The part of [`Batches`] that a helper thread may use: no tensors.
#[derive(Debug)]
struct Host<'a> {
    dataset: &'a Dataset,
    pipeline: &'a Pipeline,
    mixer: &'a Mixer,
    normalise: Normalise,
    on: AugmentOn,
    /// Where images lie on the device, if they are there.
    resident: Option<&'a Spans>,
}

impl Host<'_> {
    fn train(
        &self,
        epoch: u32,
        number: usize,
        items: &[(Item, usize)],
        scratch: &mut Scratch,
    ) -> Result<HostBatch, TchError> {
        let mix = self.mixer.draw(epoch, number, items.len(), self.pipeline.size());
        let place = |(item, copy): &(Item, usize)| Place { epoch, image: item.image, copy: *copy };
        let images = match self.on {
            AugmentOn::Cpu => HostImages::Done(self.changed(items.iter().map(place), mix.as_ref(), scratch)?),
            AugmentOn::Device | AugmentOn::Resident => {
                let mut images = Drawing::default();
                for item in items {
                    let (picture, whole) = self.source(place(item));
                    let drawn = self.pipeline.draw(place(item), picture.width, picture.height);
                    self.add(&mut images, item.0.image, picture, whole, drawn);
                }
                images.done()
            }
        };
        Ok(HostBatch { images, labels: items.iter().map(|(item, _)| i64::from(item.class)).collect(), mix })
    }

    fn plain(&self, items: &[Item]) -> Result<HostBatch, TchError> {
        let images = match self.on {
            AugmentOn::Cpu => HostImages::Done(self.filled(items.iter(), |item, out| {
                self.normalise.square(picture(&self.dataset.square, item.image), out);
            })?),
            AugmentOn::Device | AugmentOn::Resident => {
                let mut images = Drawing::default();
                for item in items {
                    let picture = picture(&self.dataset.square, item.image);
                    self.add(&mut images, item.image, picture, false, Drawn::nothing(self.pipeline.size()));
                }
                images.done()
            }
        };
        Ok(HostBatch { images, labels: items.iter().map(|item| i64::from(item.class)).collect(), mix: None })
    }

    /// Training images with all of their changes.
    fn changed(
        &self,
        places: impl ExactSizeIterator<Item = Place>,
        mix: Option<&Mix>,
        scratch: &mut Scratch,
    ) -> Result<Floats, TchError> {
        let mut images = self.filled(places, |place, out| {
            self.pipeline.apply(self.source(place).0, place, &self.normalise, scratch, out);
        })?;
        if let Some(mix) = mix {
            mix.apply(images.as_mut_slice(), self.pipeline.size());
        }
        Ok(images)
    }

    fn filled<T>(
        &self,
        items: impl ExactSizeIterator<Item = T>,
        mut fill: impl FnMut(T, &mut [f32]),
    ) -> Result<Floats, TchError> {
        let side = self.pipeline.size();
        let mut images = Floats::new(&[items.len(), 3, side, side].map(|length| length as i64))?;
        for (item, out) in items.zip(images.as_mut_slice().chunks_exact_mut(3 * side * side)) {
            fill(item, out);
        }
        Ok(images)
    }

    /// What the steps begin with, and whether it is the whole image.
    fn source(&self, place: Place) -> (Picture<'_>, bool) {
        match &self.dataset.whole {
            Some(whole) if self.pipeline.starts_whole(place.copy) => (picture(whole, place.image), true),
            _ => (picture(&self.dataset.square, place.image), false),
        }
    }

    /// One more image for the device: its bytes, unless they are there, and what to do with them.
    fn add(&self, images: &mut Drawing, image: usize, picture: Picture<'_>, whole: bool, mut drawn: Drawn) {
        let there = self.resident.and_then(|resident| resident.span(image, whole));
        let span = there.unwrap_or_else(|| {
            let window = drawn.window().unwrap_or([0, 0, picture.width, picture.height]);
            drawn.is_cut();
            images.bytes(picture, window)
        });
        images.spans.push(span);
        images.drawn.push(drawn);
    }
}

/// Images for the device, one after the other.
#[derive(Debug, Default)]
struct Drawing {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    drawn: Vec<Drawn>,
}

impl Drawing {
    /// Puts a window of a picture behind the others.
    fn bytes(&mut self, picture: Picture<'_>, [left, top, width, height]: [usize; 4]) -> Span {
        let offset = (self.bytes.len() / 3) as i64;
        for row in picture.rgb.chunks_exact(3 * picture.width).skip(top).take(height) {
            self.bytes.extend_from_slice(&row[3 * left..3 * (left + width)]);
        }
        Span { offset, width, height }
    }

    fn done(self) -> HostImages {
        let Self { bytes, spans, drawn } = self;
        HostImages::Drawn { bytes, spans, drawn }
    }
}

fn picture(source: &Cache, image: usize) -> Picture<'_> {
    source.picture(image).expect("items hold only images that were decoded")
}
