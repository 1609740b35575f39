//! Random changes to training images, on the CPU, from the bytes of the cache to normalised floats. Each is a
//! pure function of (seed, epoch, image): the caller says which, streams of numbers follow from it.
//!
//! Steps run in the order of the list. Flips and crops only move a window over the source and cost nothing
//! extra; any other step draws that window on a canvas of bytes, changes it and goes on from there.
//! Erasing and cutout come last, on normalised values: torchvision's usual order, and `core` refuses another.
//! Mixing whole batches is left to [`mix`], doing all this with tensors on the device to [`device`].

mod affine;
mod auto;
mod blur;
mod canvas;
mod colour;
pub mod device;
mod erase;
mod jpeg;
pub mod mix;
mod planes;
mod resized_crop;
#[cfg(test)]
mod tests;
mod view;

use sweep_core::recipe::augment::{Stage, starts_whole};
use sweep_core::recipe::{Augment, Recipe};

use crate::data::cache::Picture;
use crate::data::decode::Form;
use crate::seed::{Purpose, Stream, stream};
use affine::{Inverse, affine};
use resized_crop::Window;
use view::View;

pub use canvas::Scratch;

/// The form of whole images that the steps of a recipe choose their own window of, if they do: as large as the
/// largest `resize`, and what `resized-crop` needs.
pub fn whole_form(recipe: &Recipe) -> Option<Form> {
    let size = recipe.image_size;
    let side = |list: Vec<Augment>| {
        let first = list.iter().find_map(|step| match step {
            Augment::Resize(resize) => Some(Form::Whole(if resize.side == 0 { size } else { resize.side })),
            Augment::ResizedCrop(_) => Some(Form::whole_for(size)),
            _ => None,
        });
        first.filter(|_| starts_whole(&list))
    };
    let forms = lists(recipe).into_iter().filter_map(|(made, each)| side([made, each].concat()));
    forms.max_by_key(|form| match form {
        Form::Whole(side) | Form::Square(side) => *side,
    })
}

/// Per copy of an image the steps of the copy and those of every epoch.
fn lists(recipe: &Recipe) -> Vec<(Vec<Augment>, Vec<Augment>)> {
    let each = || -> Vec<Augment> {
        let single = recipe.augmentation.0.iter().filter(|step| step.stage() != Stage::Batch);
        single.cloned().collect()
    };
    match recipe.copies.as_slice() {
        [] => vec![(Vec::new(), each())],
        copies => copies.iter().map(|copy| (copy.0.clone(), each())).collect(),
    }
}

/// The steps of a recipe.
#[derive(Clone, Debug)]
pub struct Pipeline {
    copies: Vec<Copy>,
    /// Whether `recipe.copies` is given, and its draws are the same in all epochs.
    copied: bool,
    fixed: bool,
    seed: u64,
    size: usize,
}

#[derive(Clone, Debug)]
struct Copy {
    made: Vec<Augment>,
    each: Vec<Augment>,
    whole: bool,
}

/// Which version of which image in which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub epoch: u32,
    /// Place in the caches.
    pub image: usize,
    /// Below [`Pipeline::copies`].
    pub copy: usize,
}

/// Scales bytes to floats: `(byte / 255 - mean) / std`, per channel.
#[derive(Clone, Copy, Debug)]
pub struct Normalise {
    scale: [f32; 3],
    shift: [f32; 3],
}

impl Normalise {
    /// For these means and deviations of pixels from 0 to 1.
    pub fn new(mean: [f64; 3], std: [f64; 3]) -> Self {
        let channels = [0, 1, 2];
        Self {
            scale: channels.map(|c| (1.0 / (255.0 * std[c])) as f32),
            shift: channels.map(|c| (-mean[c] / std[c]) as f32),
        }
    }

    /// Writes a picture as `[3, height, width]`.
    pub fn square(&self, picture: Picture<'_>, out: &mut [f32]) {
        View::new(picture.width, picture.height).write(picture, self, out);
    }
}

impl Pipeline {
    /// The steps of `recipe` on single images.
    pub fn new(recipe: &Recipe) -> Self {
        let copy = |(made, each): (Vec<Augment>, Vec<Augment>)| {
            let whole = starts_whole(&[made.as_slice(), &each].concat());
            Copy { made, each, whole }
        };
        Self {
            copies: lists(recipe).into_iter().map(copy).collect(),
            copied: !recipe.copies.is_empty(),
            fixed: recipe.fixed_copies,
            seed: recipe.seed,
            size: recipe.image_size as usize,
        }
    }

    /// Side of the images that come out, pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How often an epoch goes through every training image.
    pub fn copies(&self) -> usize {
        self.copies.len()
    }

    /// Whether a copy begins with the whole image, not with the square.
    pub fn starts_whole(&self, copy: usize) -> bool {
        self.copies[copy].whole
    }

    /// Streams of the steps of the copy and of the steps of every epoch.
    fn streams(&self, Place { epoch, image, copy }: Place) -> [Stream; 2] {
        let (epoch, image, copy) = (u64::from(epoch), image as u64, copy as u64);
        let when = if self.fixed { 0 } else { epoch };
        let each = match self.copied {
            true => stream(self.seed, Purpose::Augment, &[epoch, image, copy]),
            false => stream(self.seed, Purpose::Augment, &[epoch, image]),
        };
        [stream(self.seed, Purpose::Copy, &[when, image, copy]), each]
    }

    /// Writes `picture` with random changes as `[3, size, size]` into `out`. The picture is a
    /// square of `size`, or a whole image if [`Self::starts_whole`].
    pub fn apply(
        &self,
        picture: Picture<'_>,
        place: Place,
        normalise: &Normalise,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let Copy { made, each, .. } = &self.copies[place.copy];
        let [mut copy_random, mut random] = self.streams(place);
        let mut work = Work::new(picture, self.size, scratch);
        for step in made {
            work.step(step, &mut copy_random);
        }
        for step in each {
            work.step(step, &mut random);
        }
        work.write(normalise, out);
        for (steps, random) in [(made, &mut copy_random), (each, &mut random)] {
            for step in steps {
                if let Some(patch) = erase::draw(step, self.size, random) {
                    patch.fill(out, self.size, random);
                }
            }
        }
    }
}

/// Width and height when the short side becomes `side`; nothing if it is so already.
fn resized((width, height): (usize, usize), side: usize) -> Option<(usize, usize)> {
    let short = width.min(height);
    // torchvision cuts the fraction of the long side off.
    let long = |length: usize| (length * side / short).max(side);
    (short != side).then(|| if width <= height { (side, long(height)) } else { (long(width), side) })
}

/// One image on its way through the steps on pixels.
struct Work<'a> {
    /// The source of the view, until something was drawn on the canvas.
    picture: Option<Picture<'a>>,
    view: View,
    size: usize,
    scratch: &'a mut Scratch,
}

impl<'a> Work<'a> {
    fn new(picture: Picture<'a>, size: usize, scratch: &'a mut Scratch) -> Self {
        Self { view: View::new(picture.width, picture.height), picture: Some(picture), size, scratch }
    }

    /// The canvas with everything so far on it.
    fn canvas(&mut self) -> &mut canvas::Canvas {
        let (width, height) = self.view.size();
        if self.picture.is_some() || self.view != View::new(width, height) {
            self.scratch.draw(&self.view, self.picture.take());
            self.view = View::new(width, height);
        }
        &mut self.scratch.canvas
    }

    fn write(&mut self, normalise: &Normalise, out: &mut [f32]) {
        self.view.write(self.picture.unwrap_or(self.scratch.canvas.picture()), normalise, out);
    }

    /// What the next window is cut from; mirrored sources stay as they are, the view goes on mirroring.
    fn before_window(&mut self) -> (Option<Picture<'a>>, usize, usize) {
        match self.picture.take() {
            Some(picture) if self.view.is_flip_only(picture.width, picture.height) => {
                (Some(picture), picture.width, picture.height)
            }
            picture => {
                self.picture = picture;
                let canvas = self.canvas();
                (None, canvas.width, canvas.height)
            }
        }
    }

    fn resize(&mut self, side: usize) {
        let Some((to_width, to_height)) = resized(self.view.size(), side) else {
            return;
        };
        let (source, width, height) = self.before_window();
        self.scratch.resize(source, Window::all(width, height), to_width, to_height);
        self.view = self.view.same_flips(to_width, to_height);
    }

    fn step(&mut self, step: &Augment, random: &mut Stream) {
        let between = |[low, high]: [f64; 2], random: &mut Stream| low + (high - low) * random.unit();
        if self.view.step(step, self.size, random) {
            return;
        }
        match step {
            Augment::Resize(resize) => self.resize(if resize.side == 0 { self.size } else { resize.side as usize }),
            Augment::ResizedCrop(crop) => {
                let (source, width, height) = self.before_window();
                let window = Window::draw(width, height, crop.scale_min, random);
                self.scratch.resize(source, window, self.size, self.size);
                self.view = self.view.same_flips(self.size, self.size);
            }
            Augment::Rotation(rotation) => {
                let map = Inverse::rotation(between(rotation.degrees, random));
                affine(self.canvas(), map, rotation.interpolation);
            }
            Augment::Scale(scale) => {
                let map = Inverse::scale(between(scale.range, random));
                affine(self.canvas(), map, scale.interpolation);
            }
            Augment::ColorJitter(_) | Augment::Grayscale(_) => {
                for (tone, factor) in colour::draw(step, random) {
                    colour::change(self.canvas(), tone, factor);
                }
            }
            Augment::GaussianBlur(blur) => {
                let sigma = between(blur.sigma, random);
                blur::gaussian(self.canvas(), blur.kernel as usize, sigma);
            }
            Augment::Jpeg(jpeg) => {
                let [low, high] = jpeg.quality;
                jpeg::jpeg(self.canvas(), low + random.below((high - low) as usize + 1) as u32);
            }
            Augment::RandAugment(augment) => {
                auto::rand_augment(self.canvas(), augment.n, augment.magnitude, random);
            }
            Augment::TrivialAugment(_) => auto::trivial_augment(self.canvas(), random),
            // Earlier; later, on values; and on batches.
            Augment::Flip(_) | Augment::Vflip(_) | Augment::Crop(_) | Augment::CenterCrop(_) => {}
            Augment::Erasing(_) | Augment::Cutout(_) | Augment::Mixup(_) | Augment::Cutmix(_) => {}
        }
    }
}
