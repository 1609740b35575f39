//! Runs what was drawn for a batch, action by action: in each round the images with the same kind of action and the
//! same size go together, as one tensor.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::draw::{Action, Drawn};
use super::{Span, geometry, lossy, tones};

/// Some images of a batch that have the same size.
struct Part {
    /// Their places in the batch.
    places: Vec<usize>,
    /// `[images, height, width, 3]`, whole numbers from 0 to 255.
    images: Tensor,
}

/// Images from `pixels` (`[any, 3]`, bytes), each from its span, with everything that was drawn: `[n, size, size, 3]`.
pub(super) fn run(pixels: &Tensor, spans: &[Span], drawn: &[Drawn]) -> Tensor {
    let action = |place: usize, round: usize| drawn[place].actions.get(round);
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for place in 0..drawn.len() {
        groups.entry(action(place, 0).map(Action::key)).or_default().push(place);
    }
    let begin = |places: Vec<usize>| {
        let actions: Vec<&Action> = places.iter().filter_map(|&place| action(place, 0)).collect();
        let spans: Vec<Span> = places.iter().map(|&place| spans[place]).collect();
        Part { images: read(pixels, &spans, &actions), places }
    };
    let mut parts = merged(groups.into_values().map(begin).collect());
    for round in 1..drawn.iter().map(|drawn| drawn.actions.len()).max().unwrap_or(0) {
        let mut next = Vec::new();
        for part in parts {
            let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
            for (row, &place) in part.places.iter().enumerate() {
                groups.entry(action(place, round).map(Action::key)).or_default().push(row);
            }
            let all = groups.len() == 1;
            for rows in groups.into_values() {
                let places: Vec<usize> = rows.iter().map(|&row| part.places[row]).collect();
                let chosen = if all {
                    part.images.shallow_clone()
                } else {
                    part.images.index_select(0, &ints(&rows, &part.images))
                };
                let actions: Vec<&Action> = places.iter().filter_map(|&place| action(place, round)).collect();
                let images = if actions.is_empty() { chosen } else { apply(&chosen.to_kind(Kind::Float), &actions) };
                next.push(Part { places, images });
            }
        }
        parts = merged(next);
    }
    let places: Vec<usize> = parts.iter().flat_map(|part| part.places.iter().copied()).collect();
    let images = joined(parts.into_iter().map(|part| part.images).collect());
    if places.is_sorted() {
        return images;
    }
    let mut back = vec![0; places.len()];
    places.iter().enumerate().for_each(|(row, &place)| back[place] = row);
    images.index_select(0, &ints(&back, &images))
}

fn ints(values: &[usize], like: &Tensor) -> Tensor {
    let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
    Tensor::from_slice(&values).to_device(like.device())
}

/// Parts of the same size become one.
fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut sizes: BTreeMap<Vec<i64>, (Vec<usize>, Vec<Tensor>)> = BTreeMap::new();
    for Part { places, images } in parts {
        let entry = sizes.entry(images.size()[1..].to_vec()).or_default();
        entry.0.extend(places);
        entry.1.push(images);
    }
    sizes.into_values().map(|(places, images)| Part { places, images: joined(images) }).collect()
}

fn joined(mut images: Vec<Tensor>) -> Tensor {
    if images.len() == 1 {
        return images.remove(0);
    }
    // Bytes and what is computed from bytes.
    let images: Vec<Tensor> = images.into_iter().map(|images| images.to_kind(Kind::Float)).collect();
    Tensor::cat(&images, 0)
}

/// The first action of images with the same key, from the source.
fn read(pixels: &Tensor, spans: &[Span], actions: &[&Action]) -> Tensor {
    match actions.first() {
        Some(Action::Resample { to, .. }) => geometry::resample(pixels, spans, &windows(actions), *to),
        _ => geometry::pick(pixels, spans, &views(actions)),
    }
}

fn views<'a>(actions: &[&'a Action]) -> Vec<&'a super::super::view::View> {
    let view = |action: &&'a Action| match action {
        Action::Pick(view) => Some(view),
        _ => None,
    };
    actions.iter().filter_map(view).collect()
}

fn windows(actions: &[&Action]) -> Vec<super::super::resized_crop::Window> {
    let window = |action: &&Action| match action {
        Action::Resample { window, .. } => Some(*window),
        _ => None,
    };
    actions.iter().filter_map(window).collect()
}

/// The next action of images with the same key and size.
fn apply(images: &Tensor, actions: &[&Action]) -> Tensor {
    let numbers = |value: fn(&Action) -> f64| -> Vec<f64> { actions.iter().map(|action| value(action)).collect() };
    let number = |action: &Action| match *action {
        Action::Tone(_, value) | Action::Sharpness(value) | Action::Solarize(value) => value,
        Action::Blur { sigma, .. } => sigma,
        Action::Posterize(value) | Action::Jpeg(value) => f64::from(value),
        _ => 0.0,
    };
    let flat = || images.reshape([-1, 3]);
    match *actions[0] {
        Action::Pick(_) => geometry::pick(&flat(), &Span::rows_of(images), &views(actions)),
        Action::Resample { to, .. } => geometry::resample(&flat(), &Span::rows_of(images), &windows(actions), to),
        Action::Map(_, interpolation) => {
            let maps = actions.iter().filter_map(|action| match action {
                Action::Map(map, _) => Some(*map),
                _ => None,
            });
            geometry::affine(images, &maps.collect::<Vec<_>>(), interpolation)
        }
        Action::Tone(tone, _) => tones::change(images, tone, &numbers(number)),
        Action::Sharpness(_) => tones::sharpness(images, &numbers(number)),
        Action::Posterize(_) => tones::posterize(images, &numbers(number)),
        Action::Solarize(_) => tones::solarize(images, &numbers(number)),
        Action::Autocontrast => tones::autocontrast(images),
        Action::Equalize => tones::equalize(images),
        Action::Blur { kernel, .. } => geometry::blur(images, kernel, &numbers(number)),
        Action::Jpeg(_) => lossy::jpeg(images, &numbers(number)),
    }
}
