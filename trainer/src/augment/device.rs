//! Changes to training images as batched tensor operations on the trial's device: bytes go there (or lie there
//! already). All random draws are made on the host, from the same streams and in the same order as in
//! [`Pipeline::apply`], so that both ways make the same images. What only the host can do is refused by
//! `core`'s checks.

use sweep_core::recipe::{AugmentOn, Recipe};
use tch::{Device, Kind, TchError, Tensor};

use super::colour::{self, Tone};
use super::erase::{self, Patch};
use super::mix::Mix;
use super::tones;
use super::view::View;
use super::{Normalise, Pipeline, Place};
use crate::data::Dataset;

/// Images that are copied to the device at a time.
const CHUNK: usize = 1024;

/// All images as bytes on the device, `[images, size, size, 3]`, by their place in the cache, if the recipe asks for it.
pub fn resident(recipe: &Recipe, dataset: &Dataset, device: Device) -> Result<Option<Tensor>, TchError> {
    match recipe.augment_on {
        AugmentOn::Cpu | AugmentOn::Device => Ok(None),
        AugmentOn::Resident => send(dataset, i64::from(recipe.image_size), device).map(Some),
    }
}

fn send(dataset: &Dataset, side: i64, device: Device) -> Result<Tensor, TchError> {
    let items = dataset.train.iter().chain(&dataset.val).chain(&dataset.test);
    let images: Vec<usize> = items.map(|item| item.image).collect();
    let count = images.iter().max().map_or(0, |last| last + 1);
    let mut all = Tensor::f_zeros([count as i64, side, side, 3], (Kind::Uint8, device))?;
    for chunk in images.chunks(CHUNK) {
        let pictures = chunk.iter().map(|&image| {
            let picture = dataset.square.picture(image);
            picture.expect("items hold only images that were decoded").rgb
        });
        let bytes: Vec<u8> = pictures.flatten().copied().collect();
        let rows = Tensor::f_from_slice(&bytes)?.f_view([chunk.len() as i64, side, side, 3])?.f_to_device(device)?;
        let places: Vec<i64> = chunk.iter().map(|&image| image as i64).collect();
        let _same = all.f_index_copy_(0, &Tensor::f_from_slice(&places)?.f_to_device(device)?, &rows)?;
    }
    Ok(all)
}

/// One change of pixels after the first window.
#[derive(Clone, Debug, PartialEq)]
enum Action {
    Move(View),
    Tone(Tone, f64),
}

/// Everything that the steps of one image drew.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    first: View,
    rest: Vec<Action>,
    patches: Vec<Patch>,
}

impl Drawn {
    /// An image as it is.
    pub fn nothing(size: usize) -> Self {
        Self { first: View::new(size, size), rest: Vec::new(), patches: Vec::new() }
    }
}

impl Pipeline {
    /// What the steps draw for an image.
    pub fn draw(&self, place: Place) -> Drawn {
        let size = self.size;
        let super::Copy { made, each, .. } = &self.copies[place.copy];
        let [mut copy_random, mut random] = self.streams(place);
        let mut drawn = Drawn::nothing(size);
        let Drawn { first, rest, patches } = &mut drawn;
        let mut view = View::new(size, size);
        let mut moved = |view: &mut View, rest: &mut Vec<Action>| {
            let so_far = std::mem::replace(view, View::new(size, size));
            if rest.is_empty() {
                *first = so_far;
            } else if so_far != *view {
                rest.push(Action::Move(so_far));
            }
        };
        for (steps, random) in [(made, &mut copy_random), (each, &mut random)] {
            for step in steps {
                if !view.step(step, size, random) {
                    for (tone, factor) in colour::draw(step, random) {
                        moved(&mut view, rest);
                        rest.push(Action::Tone(tone, factor));
                    }
                }
            }
        }
        moved(&mut view, rest);
        for (steps, random) in [(made, &mut copy_random), (each, &mut random)] {
            patches.extend(steps.iter().filter_map(|step| erase::draw(step, size, random)));
        }
        drawn
    }
}

/// Images `places` of `bytes` (`[n, size, size, 3]`) with their changes, as normalised `[n, 3, size, size]`.
pub fn change(bytes: &Tensor, places: &[i64], drawn: &[Drawn], normalise: &Normalise) -> Tensor {
    let views: Vec<&View> = drawn.iter().map(|drawn| &drawn.first).collect();
    let mut images = window(bytes, places, &views);
    for round in 0..drawn.iter().map(|drawn| drawn.rest.len()).max().unwrap_or(0) {
        images = one_round(images.to_kind(Kind::Float), drawn, round);
    }
    let device = images.device();
    let row = |values: [f32; 3]| Tensor::from_slice(&values).to_device(device);
    let values = images.to_kind(Kind::Float) * row(normalise.scale) + row(normalise.shift);
    let mut values = values.permute([0, 3, 1, 2]).contiguous();
    for round in 0..drawn.iter().map(|drawn| drawn.patches.len()).max().unwrap_or(0) {
        let patches: Vec<Option<Patch>> = drawn.iter().map(|drawn| drawn.patches.get(round).copied()).collect();
        values = overwrite(&values, &patches);
    }
    values
}

/// Cuts every image's window; outside is zero.
fn window(images: &Tensor, places: &[i64], views: &[&View]) -> Tensor {
    let (device, n) = (images.device(), places.len() as i64);
    let side = images.size()[1];
    let lines = |line: fn(&View, usize) -> Option<usize>| -> Vec<i64> {
        let all = views.iter().flat_map(|view| (0..side as usize).map(|at| line(view, at)));
        all.map(|from| from.map_or(-1, |from| from as i64)).collect()
    };
    let (rows, columns) = (lines(View::row_of), lines(View::column_of));
    let outside = rows.contains(&-1) || columns.contains(&-1);
    let rows = Tensor::from_slice(&rows).to_device(device).view([n, side, 1]);
    let columns = Tensor::from_slice(&columns).to_device(device).view([n, 1, side]);
    let places = Tensor::from_slice(places).to_device(device).view([n, 1, 1]);
    let found = images.index(&[Some(places), Some(rows.clamp_min(0)), Some(columns.clamp_min(0))]);
    if !outside {
        return found;
    }
    let black = rows.lt(0).logical_or(&columns.lt(0)).unsqueeze(3);
    found.masked_fill(&black, 0)
}

/// Every image's action of this round, if it has one; images with the same kind of action go together.
fn one_round(images: Tensor, drawn: &[Drawn], round: usize) -> Tensor {
    let device = images.device();
    let mut images = images;
    let mut put = |chosen: &[i64], change: &dyn Fn(&Tensor) -> Tensor| {
        if !chosen.is_empty() {
            let places = Tensor::from_slice(chosen).to_device(device);
            images = images.index_copy(0, &places, &change(&images.index_select(0, &places)));
        }
    };
    let with = |wanted: &dyn Fn(&Action) -> bool| -> Vec<i64> {
        let of = drawn.iter().enumerate().filter(|(_, drawn)| drawn.rest.get(round).is_some_and(wanted));
        of.map(|(place, _)| place as i64).collect()
    };
    let moved = with(&|action| matches!(action, Action::Move(_)));
    let views: Vec<&View> = (moved.iter())
        .filter_map(|&place| match &drawn[place as usize].rest[round] {
            Action::Move(view) => Some(view),
            Action::Tone(..) => None,
        })
        .collect();
    let order: Vec<i64> = (0..moved.len() as i64).collect();
    put(&moved, &|images| window(images, &order, &views));
    for kind in Tone::ALL {
        let chosen = with(&|action| matches!(action, Action::Tone(tone, _) if *tone == kind));
        let factors: Vec<f64> = (chosen.iter())
            .filter_map(|&place| match drawn[place as usize].rest[round] {
                Action::Tone(_, factor) => Some(factor),
                Action::Move(_) => None,
            })
            .collect();
        put(&chosen, &|images| tones::change(images, kind, &factors));
    }
    images
}

/// Whether a pixel of `[n, 1, side, side]` lies in its image's rectangle (left, top, right, bottom).
fn inside(rectangles: &[[usize; 4]], side: i64, device: Device) -> Tensor {
    let edges: Vec<i64> = rectangles.iter().flatten().map(|&edge| edge as i64).collect();
    let edges = Tensor::from_slice(&edges).to_device(device).view([rectangles.len() as i64, 4, 1, 1, 1]);
    let edge = |which: i64| edges.select(1, which);
    let line = Tensor::arange(side, (Kind::Int64, device));
    let (x, y) = (line.view([1, 1, 1, side]), line.view([1, 1, side, 1]));
    let across = x.ge_tensor(&edge(0)).logical_and(&x.lt_tensor(&edge(2)));
    let down = y.ge_tensor(&edge(1)).logical_and(&y.lt_tensor(&edge(3)));
    across.logical_and(&down)
}

fn overwrite(values: &Tensor, patches: &[Option<Patch>]) -> Tensor {
    let (device, side) = (values.device(), values.size()[3]);
    let rectangles: Vec<[usize; 4]> =
        patches.iter().map(|patch| patch.map_or([0; 4], |patch| patch.rectangle)).collect();
    let written: Vec<f32> = patches.iter().map(|patch| patch.map_or(0.0, |patch| patch.value)).collect();
    let written = Tensor::from_slice(&written).to_device(device).view([-1, 1, 1, 1]);
    written.where_self(&inside(&rectangles, side, device), values)
}

/// Mixes a batch as [`Mix::apply`] does.
pub fn mix(images: &Tensor, mix: &Mix) -> Tensor {
    let device = images.device();
    let partners: Vec<i64> = mix.partners.iter().map(|&partner| partner as i64).collect();
    let others = images.index_select(0, &Tensor::from_slice(&partners).to_device(device));
    match mix.rectangle {
        None => images * mix.share + others * (1.0 - mix.share),
        Some(rectangle) => others.where_self(&inside(&[rectangle], images.size()[3], device), images),
    }
}
