//! Random changes to training images, on the CPU, from the bytes of the cache straight to
//! normalised floats. Each is a pure function of (seed, epoch, image): the caller hands in the
//! stream of numbers. Flips and crops only move a window over the source and cost nothing extra.

mod resized_crop;
mod view;

use sweep_core::recipe::{Augment, Augmentation};

use crate::data::cache::Picture;
use crate::seed::Stream;
use resized_crop::Window;
use view::View;

pub use resized_crop::Scratch;

/// Whether the steps choose a window of the whole image, so that the cache must keep it.
pub fn needs_whole(augmentation: &Augmentation) -> bool {
    let first_move = (augmentation.0.iter()).find(|step| !matches!(step, Augment::Flip(_)));
    matches!(first_move, Some(Augment::ResizedCrop(_)))
}

/// The steps of a recipe for one image size.
#[derive(Clone, Debug)]
pub struct Pipeline {
    steps: Vec<Augment>,
    size: usize,
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

    /// Writes a square picture as `[3, side, side]`.
    pub fn square(&self, picture: Picture<'_>, out: &mut [f32]) {
        View::new(picture.width).write(picture, self, out);
    }
}

impl Pipeline {
    /// The steps of `augmentation` for squares of `size` pixels.
    pub fn new(augmentation: &Augmentation, size: usize) -> Self {
        Self { steps: augmentation.0.clone(), size }
    }

    /// Side of the images that come out, pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Writes `picture` with random changes as `[3, size, size]` into `out`. The picture is a
    /// square of `size`, or a whole image if [`needs_whole`].
    pub fn apply(
        &self,
        picture: Picture<'_>,
        random: &mut Stream,
        normalise: &Normalise,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let mut view = View::new(self.size);
        let mut resized = false;
        for step in &self.steps {
            match step {
                Augment::Flip(flip) => {
                    if random.unit() < flip.p {
                        view.flip();
                    }
                }
                Augment::Crop(crop) => {
                    let border = (crop.padding * self.size as f64).round() as usize;
                    let left = random.below(2 * border + 1) as isize - border as isize;
                    let top = random.below(2 * border + 1) as isize - border as isize;
                    view.shift(left, top);
                }
                Augment::ResizedCrop(crop) => {
                    // Steps so far only flipped, or worked on an image of the right size: draw
                    // them, then cut the window out of the result.
                    if resized || !view.is_flip_only() {
                        scratch.keep(&view, if resized { None } else { Some(picture) });
                        view = View::new(self.size);
                        let window = Window::draw(self.size, self.size, crop.scale_min, random);
                        scratch.cut_kept(window, self.size);
                    } else {
                        let (width, height) = (picture.width, picture.height);
                        let window = Window::draw(width, height, crop.scale_min, random);
                        scratch.cut(picture, window, self.size);
                    }
                    resized = true;
                }
            }
        }
        let source = if resized { scratch.picture(self.size) } else { picture };
        view.write(source, normalise, out);
    }
}
