//! What the steps of a recipe draw for an image, and what that means for its pixels: the same draws from the same
//! streams as in [`Pipeline::apply`], without a pixel.

use sweep_core::recipe::Augment;
use sweep_core::recipe::augment::Interpolation;

use super::super::affine::Inverse;
use super::super::auto::{self, Change};
use super::super::colour::{self, Tone};
use super::super::erase::{self, Patch};
use super::super::resized_crop::Window;
use super::super::view::View;
use super::super::{Pipeline, Place};
use crate::seed::Stream;

/// One change of an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Flips and crops.
    Pick(View),
    /// A window, resized to a width and a height.
    Resample {
        window: Window,
        to: (usize, usize),
    },
    /// Turned, scaled, sheared, moved.
    Map(Inverse, Interpolation),
    Tone(Tone, f64),
    Sharpness(f64),
    /// Bits that stay.
    Posterize(u32),
    /// From which byte on it is inverted.
    Solarize(f64),
    Autocontrast,
    Equalize,
    Blur {
        kernel: usize,
        sigma: f64,
    },
    /// Quality.
    Jpeg(u32),
}

impl Action {
    /// Images with equal keys are changed together: the kind, and what must be the same for all of them.
    pub(super) fn key(&self) -> (usize, usize, usize) {
        match *self {
            Self::Pick(ref view) => (0, view.size().0, view.size().1),
            Self::Resample { to: (width, height), .. } => (1, width, height),
            Self::Map(_, Interpolation::Nearest) => (2, 0, 0),
            Self::Map(_, Interpolation::Bilinear) => (3, 0, 0),
            Self::Tone(tone, _) => (4, tone as usize, 0),
            Self::Sharpness(_) => (5, 0, 0),
            Self::Posterize(_) => (6, 0, 0),
            Self::Solarize(_) => (7, 0, 0),
            Self::Autocontrast => (8, 0, 0),
            Self::Equalize => (9, 0, 0),
            Self::Blur { kernel, .. } => (10, kernel, 0),
            Self::Jpeg(_) => (11, 0, 0),
        }
    }
}

/// Everything that the steps of one image drew.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The first one reads the source: a [`Action::Pick`] or [`Action::Resample`].
    pub(super) actions: Vec<Action>,
    /// Rectangles to overwrite, with the noise for those that get it (channel by channel, row by row).
    pub(super) patches: Vec<(Patch, Vec<f32>)>,
}

impl Drawn {
    /// An image as it is, a square of this size.
    pub fn nothing(size: usize) -> Self {
        Self { actions: vec![Action::Pick(View::new(size, size))], patches: Vec::new() }
    }

    /// Part of the source that is read, if it is a window that can be cut out before: left, top, width, height.
    pub fn window(&self) -> Option<[usize; 4]> {
        match self.actions.first()? {
            Action::Resample { window, .. } => Some([window.left, window.top, window.width, window.height]),
            _ => None,
        }
    }

    /// The source is no more than its window from now on.
    pub fn is_cut(&mut self) {
        if let Some(Action::Resample { window, .. }) = self.actions.first_mut() {
            *window = Window::all(window.width, window.height);
        }
    }
}

/// One image on its way through the steps on pixels, as `Work` on the host.
struct Plan {
    actions: Vec<Action>,
    view: View,
    /// Of what the view looks at.
    canvas: (usize, usize),
    size: usize,
}

impl Plan {
    fn new(width: usize, height: usize, size: usize) -> Self {
        Self { actions: Vec::new(), view: View::new(width, height), canvas: (width, height), size }
    }

    /// Everything so far is on the canvas, whose size this returns.
    fn draw(&mut self) -> (usize, usize) {
        let (width, height) = self.view.size();
        let plain = View::new(width, height);
        if self.actions.is_empty() || self.view != plain || self.canvas != (width, height) {
            self.actions.push(Action::Pick(std::mem::replace(&mut self.view, plain)));
            self.canvas = (width, height);
        }
        self.canvas
    }

    fn push(&mut self, action: Action) {
        self.draw();
        self.actions.push(action);
    }

    /// Size of what the next window is cut from.
    fn before_window(&mut self) -> (usize, usize) {
        let (width, height) = self.canvas;
        if self.actions.is_empty() && self.view.is_flip_only(width, height) { (width, height) } else { self.draw() }
    }

    fn resample(&mut self, window: Window, to: (usize, usize)) {
        self.actions.push(Action::Resample { window, to });
        self.view = self.view.same_flips(to.0, to.1);
        self.canvas = to;
    }

    fn change(&mut self, change: Change) {
        self.push(match change {
            Change::Map(map) => Action::Map(map, Interpolation::Nearest),
            Change::Tone(tone, factor) => Action::Tone(tone, factor),
            Change::Sharpness(factor) => Action::Sharpness(factor),
            Change::Posterize(bits) => Action::Posterize(bits),
            Change::Solarize(threshold) => Action::Solarize(threshold),
            Change::Autocontrast => Action::Autocontrast,
            Change::Equalize => Action::Equalize,
        });
    }

    fn step(&mut self, step: &Augment, random: &mut Stream) {
        let between = |[low, high]: [f64; 2], random: &mut Stream| low + (high - low) * random.unit();
        if self.view.step(step, self.size, random) {
            return;
        }
        match step {
            Augment::Resize(resize) => {
                let side = if resize.side == 0 { self.size } else { resize.side as usize };
                if let Some(to) = super::super::resized(self.view.size(), side) {
                    let (width, height) = self.before_window();
                    self.resample(Window::all(width, height), to);
                }
            }
            Augment::ResizedCrop(crop) => {
                let (width, height) = self.before_window();
                let window = Window::draw(width, height, crop.scale_min, random);
                self.resample(window, (self.size, self.size));
            }
            Augment::Rotation(rotation) => {
                let map = Inverse::rotation(between(rotation.degrees, random));
                self.push(Action::Map(map, rotation.interpolation));
            }
            Augment::Scale(scale) => {
                let map = Inverse::scale(between(scale.range, random));
                self.push(Action::Map(map, scale.interpolation));
            }
            Augment::ColorJitter(_) | Augment::Grayscale(_) => {
                for (tone, factor) in colour::draw(step, random) {
                    self.push(Action::Tone(tone, factor));
                }
            }
            Augment::GaussianBlur(blur) => {
                let sigma = between(blur.sigma, random);
                self.push(Action::Blur { kernel: blur.kernel as usize, sigma });
            }
            Augment::Jpeg(jpeg) => {
                let [low, high] = jpeg.quality;
                self.push(Action::Jpeg(low + random.below((high - low) as usize + 1) as u32));
            }
            Augment::RandAugment(augment) => {
                let (width, height) = self.draw();
                for (operation, strength) in auto::draw_rand(width, height, augment.n, augment.magnitude, random) {
                    auto::change(operation, strength, width, height).into_iter().for_each(|change| self.change(change));
                }
            }
            Augment::TrivialAugment(_) => {
                let (width, height) = self.draw();
                let (operation, strength) = auto::draw_trivial(random);
                auto::change(operation, strength, width, height).into_iter().for_each(|change| self.change(change));
            }
            // Earlier; later, on values; and on batches.
            Augment::Flip(_) | Augment::Vflip(_) | Augment::Crop(_) | Augment::CenterCrop(_) => {}
            Augment::Erasing(_) | Augment::Cutout(_) | Augment::Mixup(_) | Augment::Cutmix(_) => {}
        }
    }
}

impl Pipeline {
    /// What the steps draw for an image whose source (the square, or the whole image if [`Self::starts_whole`]) has
    /// this width and height.
    pub fn draw(&self, place: Place, width: usize, height: usize) -> Drawn {
        let super::super::Copy { made, each, .. } = &self.copies[place.copy];
        let [mut copy_random, mut random] = self.streams(place);
        let mut plan = Plan::new(width, height, self.size);
        let mut patches = Vec::new();
        for (steps, random) in [(made, &mut copy_random), (each, &mut random)] {
            steps.iter().for_each(|step| plan.step(step, random));
        }
        plan.draw();
        for (steps, random) in [(made, &mut copy_random), (each, &mut random)] {
            for step in steps {
                if let Some(patch) = erase::draw(step, self.size, random) {
                    patches.push((patch, patch.noise(random)));
                }
            }
        }
        Drawn { actions: plan.actions, patches }
    }
}
