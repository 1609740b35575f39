//! Rows of cells from a spec: the product, one factor at a time, seeded draws, and the points
//! written by hand. Whether a row makes a recipe is left to `point`, its turn to `order`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::{Number, Value};

use crate::spec::{Axis, Choice, Design, Draw, Draws, Errors, Group, Reason, Spec, Values, conflict};

use super::sobol::{self, mix};
use super::{BASE, Column};

/// A column that still learns values.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) column: Column,
    /// Where each value stands in the file; empty for drawn and default values.
    pub(super) spans: Vec<Option<Range<usize>>>,
    by_text: BTreeMap<String, u32>,
    /// Another column can decide what this one says, so a cell may have to stay [`BASE`].
    pub(super) overlaps: bool,
}

impl Draft {
    /// The cell of a value, which is added if it is new.
    pub(super) fn cell(&mut self, value: &Value, label: &str, span: Option<&Range<usize>>) -> u32 {
        let next = self.column.values.len() as u32;
        let cell = *self.by_text.entry(value.to_string()).or_insert(next);
        if cell == next {
            self.column.values.push(value.clone());
            self.column.labels.push(label.to_owned());
            self.spans.push(span.cloned());
        }
        cell
    }

    fn choice(&mut self, choice: &Choice) -> u32 {
        self.cell(&choice.value, &choice.label, Some(&choice.span))
    }

    /// The cell of a value that is already known.
    pub(super) fn find(&self, value: &Value) -> Option<u32> {
        self.by_text.get(&value.to_string()).copied()
    }
}

/// All rows of a spec before checks.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) columns: Vec<Draft>,
    /// Row-major, `columns.len()` cells a row.
    pub(super) cells: Vec<u32>,
    /// How many rows there are; those from `designed` on are written by hand.
    pub(super) count: usize,
    pub(super) designed: usize,
    /// Values per group in file order, in the product and in the ablation.
    pub(super) lengths: Vec<usize>,
}

impl Rows {
    pub(super) fn row(&self, row: usize) -> &[u32] {
        let width = self.columns.len();
        &self.cells[row * width..(row + 1) * width]
    }
}

/// For each step of a group: the cells that it sets.
type Steps = Vec<Vec<(usize, u32)>>;

/// Makes the rows. What cannot be drawn is noted in `errors`.
pub(super) fn rows(spec: &Spec, base: &Value, errors: &mut Errors<'_>) -> Rows {
    let mut columns = columns(spec);
    let width = columns.len();
    let mut cells = Vec::new();
    let mut lengths = Vec::new();
    let mut count = 0;
    if let Design::Random { samples, seed, draws } = spec.design {
        // A search chooses the others while it runs, but all of a list's values are columns' from the start.
        let first = spec.search.as_ref().map_or(samples, |knobs| knobs.startup.min(samples));
        cells = draw(spec, &mut columns, (first, seed, draws), errors);
        count = first as usize;
        if spec.search.is_some() {
            spec.groups.iter().for_each(|group| drop(steps(group, &mut columns)));
        }
    } else if !spec.groups.is_empty() || spec.points.is_empty() {
        let groups: Vec<Steps> = (spec.groups.iter()).map(|group| steps(group, &mut columns)).collect();
        lengths = groups.iter().map(Vec::len).collect();
        match spec.design {
            Design::Ablation => {
                let groups: Vec<Steps> =
                    (groups.into_iter()).map(|steps| without_base(steps, &columns, base)).collect();
                lengths = groups.iter().map(Vec::len).collect();
                cells.resize(width, BASE);
                count = 1;
                for step in groups.iter().flatten() {
                    let start = cells.len();
                    cells.resize(start + width, BASE);
                    for (column, cell) in step {
                        cells[start + column] = *cell;
                    }
                    count += 1;
                }
            }
            _ => {
                count = lengths.iter().product();
                cells.reserve(count * width);
                for index in 0..count {
                    let start = cells.len();
                    cells.resize(start + width, BASE);
                    let mut rest = index;
                    // The last group turns fastest.
                    for steps in groups.iter().rev() {
                        for (column, cell) in &steps[rest % steps.len()] {
                            cells[start + column] = *cell;
                        }
                        rest /= steps.len();
                    }
                }
            }
        }
    }
    let designed = count;
    for point in &spec.points {
        let start = cells.len();
        cells.resize(start + width, BASE);
        for setting in &point.settings {
            if let Some(at) = position(&columns, &setting.path) {
                cells[start + at] = columns[at].choice(&setting.choice);
            }
        }
        count += 1;
    }
    Rows { columns, cells, count, designed, lengths }
}

/// One column for each path, in the order of the file.
fn columns(spec: &Spec) -> Vec<Draft> {
    let axes = (spec.groups.iter().flat_map(|group| &group.axes)).map(|axis| (axis.span.start, axis.path.as_str()));
    let points = (spec.points.iter().flat_map(|point| &point.settings))
        .map(|setting| (setting.choice.span.start, setting.path.as_str()));
    let mut places: Vec<(usize, &str)> = axes.chain(points).collect();
    places.sort_unstable();
    let mut seen = BTreeSet::new();
    places.retain(|(_, path)| seen.insert(*path));
    let overlaps = |path: &str| (seen.iter()).any(|other| *other != path && conflict(other, path));
    (places.iter())
        .map(|(_, path)| Draft {
            column: Column { path: (*path).to_owned(), values: Vec::new(), labels: Vec::new() },
            spans: Vec::new(),
            by_text: BTreeMap::new(),
            overlaps: overlaps(path),
        })
        .collect()
}

fn position(columns: &[Draft], path: &str) -> Option<usize> {
    (columns.iter()).position(|draft| draft.column.path == path)
}

fn steps(group: &Group, columns: &mut [Draft]) -> Steps {
    let mut steps: Steps = Vec::new();
    for axis in &group.axes {
        let (Some(at), Values::List(choices)) = (position(columns, &axis.path), &axis.values) else {
            continue;
        };
        steps.resize(choices.len().max(steps.len()), Vec::new());
        for (step, choice) in steps.iter_mut().zip(choices) {
            step.push((at, columns[at].choice(choice)));
        }
    }
    steps
}

/// The steps of a group that change something.
fn without_base(steps: Steps, columns: &[Draft], base: &Value) -> Steps {
    let same = |&(at, cell): &(usize, u32)| {
        let column = &columns[at].column;
        super::at(base, &column.path) == Some(&column.values[cell as usize])
    };
    (steps.into_iter()).filter(|step| !step.iter().all(same)).collect()
}

/// Distinct rows drawn from the groups. The draw of an axis depends on the sample seed, its own
/// path and the number of the sample, so that another axis does not change it.
fn draw(spec: &Spec, columns: &mut [Draft], design: (u32, u64, Draws), errors: &mut Errors<'_>) -> Vec<u32> {
    let (samples, seed, draws) = design;
    let wanted = if let Design::Random { samples, .. } = spec.design { samples } else { samples };
    let space = (spec.groups.iter()).try_fold(1u128, |all, group| all.checked_mul(size(&group.axes[0])?));
    if let Some(space) = space
        && space < u128::from(wanted)
    {
        let what = format!("{wanted} samples of a space of {space} points");
        let hint = "draw fewer, or use a grid for all of them";
        errors.push(Reason::SamplesTooMany, "samples", None, what, hint);
        return vec![BASE; samples as usize * columns.len()];
    }
    let streams: Vec<u64> = (spec.groups.iter())
        .map(|group| {
            let path = group.axes.iter().map(|axis| axis.path.as_str()).min();
            let bytes = path.unwrap_or_default().bytes();
            let hash = bytes.fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
            mix(seed ^ mix(hash))
        })
        .collect();
    let dimensions = dimensions(spec);
    let width = columns.len();
    let mut cells: Vec<u32> = Vec::with_capacity(samples as usize * width);
    let mut seen: BTreeSet<Vec<u64>> = BTreeSet::new();
    // Enough to collect every point of a space that is only just large enough.
    let mut tries = 200_000 + 20 * u64::from(samples);
    // A Sobol sequence goes on where a point was left out.
    let mut point = 0;
    for sample in 0..u64::from(samples) {
        for attempt in 0u64.. {
            if tries == 0 {
                let found = cells.len() / width.max(1);
                let what = format!("only {found} of {samples} distinct points were found");
                let hint = "draw fewer, or exclude less";
                errors.push(Reason::SamplesTooMany, "samples", None, what, hint);
                cells.resize(samples as usize * width, BASE);
                return cells;
            }
            tries -= 1;
            // Linked axes share a number and have the same length, so they move together.
            let drawn: Vec<u64> = (spec.groups.iter().zip(&streams).zip(&dimensions))
                .map(|((group, stream), dimension)| {
                    let random = match draws {
                        Draws::Random => mix(mix(stream ^ mix(sample)) ^ attempt),
                        Draws::Sobol => sobol::coordinate(point, *dimension, *stream),
                    };
                    draw_one(&group.axes[0], random)
                })
                .collect();
            point += 1;
            if seen.insert(drawn.clone()) && !excluded(spec, &drawn) {
                let start = cells.len();
                cells.resize(start + width, BASE);
                for (group, drawn) in spec.groups.iter().zip(&drawn) {
                    for axis in &group.axes {
                        if let Some(at) = position(columns, &axis.path) {
                            cells[start + at] = learn(&mut columns[at], axis, *drawn);
                        }
                    }
                }
                break;
            }
        }
    }
    cells
}

/// The dimension of each group: by path, so that the order in which axes are written down does not matter.
fn dimensions(spec: &Spec) -> Vec<usize> {
    let path = |group: &Group| group.axes.iter().map(|axis| axis.path.clone()).min();
    let mut order: Vec<usize> = (0..spec.groups.len()).collect();
    order.sort_by_cached_key(|at| path(&spec.groups[*at]));
    let mut dimensions = vec![0; order.len()];
    for (dimension, at) in order.into_iter().enumerate() {
        dimensions[at] = dimension;
    }
    dimensions
}

/// Whether drawn values have all values of an exclusion.
fn excluded(spec: &Spec, drawn: &[u64]) -> bool {
    let value = |path: &str| {
        (spec.groups.iter().zip(drawn))
            .flat_map(|(group, drawn)| group.axes.iter().map(move |axis| (axis, drawn)))
            .find(|(axis, _)| axis.path == path)
            .map(|(axis, drawn)| value_of(axis, *drawn))
    };
    (spec.excludes.iter()).any(|exclude| {
        let mut settings = exclude.settings.iter();
        settings.all(|setting| value(&setting.path).as_ref() == Some(&setting.choice.value))
    })
}

/// How many values an axis has; nothing when it has no end of them.
fn size(axis: &Axis) -> Option<u128> {
    match &axis.values {
        Values::List(choices) => Some(choices.len() as u128),
        Values::Drawn(Draw::Int { low, high, .. }) => Some(u128::from(high - low) + 1),
        Values::Drawn(_) => None,
    }
}

/// A value as a number: the index in a list, the whole number, or the bits of the float.
fn draw_one(axis: &Axis, random: u64) -> u64 {
    // 53 bits: every float of [0, 1) with that spacing.
    let unit = (random >> 11) as f64 / (1u64 << 53) as f64;
    match &axis.values {
        Values::List(choices) => below(random, choices.len() as u64),
        Values::Drawn(Draw::Uniform { low, high }) => rounded(low + (high - low) * unit).clamp(*low, *high).to_bits(),
        Values::Drawn(Draw::LogUniform { low, high }) => {
            let (from, to) = (low.ln(), high.ln());
            rounded((from + (to - from) * unit).exp()).clamp(*low, *high).to_bits()
        }
        Values::Drawn(Draw::Int { low, high, .. }) => match (high - low).checked_add(1) {
            Some(count) => low + below(random, count),
            None => random,
        },
    }
}

/// The value behind such a number.
fn value_of(axis: &Axis, drawn: u64) -> Value {
    let float = |value: f64| Number::from_f64(value).map_or(Value::Null, Value::Number);
    match &axis.values {
        Values::List(choices) => choices[drawn as usize].value.clone(),
        Values::Drawn(Draw::Int { float: false, .. }) => Value::from(drawn),
        Values::Drawn(Draw::Int { float: true, .. }) => float(drawn as f64),
        Values::Drawn(_) => float(f64::from_bits(drawn)),
    }
}

/// The cell of such a number.
fn learn(draft: &mut Draft, axis: &Axis, drawn: u64) -> u32 {
    match &axis.values {
        Values::List(choices) => draft.choice(&choices[drawn as usize]),
        Values::Drawn(_) => {
            let value = value_of(axis, drawn);
            draft.cell(&value, &value.to_string(), None)
        }
    }
}

/// Six significant digits: a value that people can read out and type, and the same on every
/// machine whatever the last bit of its logarithm is.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// A number below `count` from 64 random bits.
fn below(random: u64, count: u64) -> u64 {
    ((u128::from(random) * u128::from(count)) >> 64) as u64
}
