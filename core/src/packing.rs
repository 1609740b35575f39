//! Several trials on one device: which trials are alike in what they need of one, what was measured of them, and
//! what follows. A device whose agent lets trials share it is divided into thousandths.
//!
//! The *shape* of a trial is what decides its memory: every field of [`FIELDS`]. Of the optimizer only its name counts,
//! of the average only whether there is one. Learning rate, schedule, epochs, seed and the like change nothing.
//! Of each shape on each model of device it is known, from the reports of epochs:
//!
//! * the most memory that a trial had there. Until it is known, a trial gets a whole device;
//! * images/s of a trial alone, beside one of the same shape, beside two, ... If k together are not at least
//!   [`GAIN`] per cent faster than k - 1 (all of them summed), or one of k runs out of memory, there are never k again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::device::DeviceFacts;
use crate::num::Num;
use crate::plan::{Plan, at, put, variant_of};
use crate::shares::DEVICE;

/// What is added to measured memory, per cent: the same trial does not always need the same.
pub const HEADROOM: u64 = 10;
/// So much faster k trials have to be than k - 1, all of them together, per cent.
pub const GAIN: u64 = 5;
/// Epochs that make a speed.
pub const EPOCHS: u32 = 3;
/// So many shapes of a sweep are told apart; trials of others always get a whole device.
const SHAPES: usize = 64;
/// No shape is known.
pub(crate) const NONE: u32 = u32::MAX;

/// Fields of a recipe that change how much memory a trial needs.
pub const FIELDS: [&str; 12] = [
    "dataset",
    "model",
    "image_size",
    "batch_size",
    "accumulate",
    "precision",
    "layout",
    "augment_on",
    "copies",
    "freeze",
    "optimizer",
    "ema",
];

/// The shapes of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanShapes {
    /// As texts, each once.
    pub keys: Vec<String>,
    /// By point: index into `keys`, or `u32::MAX` for one that is not told apart. A single entry stands for all points.
    pub of: Vec<u32>,
}

/// Tells the trials of a plan apart by what they need of a device.
pub fn shapes(plan: &Plan) -> PlanShapes {
    let columns = deciding(plan);
    let mut known: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
    let mut shapes = PlanShapes::default();
    if columns.is_empty() {
        return PlanShapes { keys: vec![text(plan, &columns, &[])], of: vec![0] };
    }
    for point in 0..plan.points {
        let cells = cells(plan, &columns, point);
        let number = known.get(&cells).copied().unwrap_or_else(|| {
            let key = text(plan, &columns, &cells);
            let place = shapes.keys.iter().position(|other| *other == key);
            let number = match place {
                Some(place) => place as u32,
                None if shapes.keys.len() < SHAPES => {
                    shapes.keys.push(key);
                    shapes.keys.len() as u32 - 1
                }
                None => NONE,
            };
            known.insert(cells, number);
            number
        });
        shapes.of.push(number);
    }
    shapes
}

/// The shape of one point, where not all points have the same.
pub(crate) fn shape(plan: &Plan, point: u32) -> Option<String> {
    let columns = deciding(plan);
    (!columns.is_empty()).then(|| text(plan, &columns, &cells(plan, &columns, point)))
}

/// Columns that change how much memory a trial needs.
fn deciding(plan: &Plan) -> Vec<usize> {
    let decides = |path: &str| FIELDS.contains(&path.split('.').next().unwrap_or_default());
    (0..plan.columns.len()).filter(|column| decides(&plan.columns[*column].path)).collect()
}

fn cells(plan: &Plan, columns: &[usize], point: u32) -> Vec<u32> {
    let row = plan.row(point);
    columns.iter().map(|column| row[*column]).collect()
}

fn text(plan: &Plan, columns: &[usize], cells: &[u32]) -> String {
    let base = FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), at(&plan.base, field)?.clone())));
    let mut value = Value::Object(base.collect::<Map<String, Value>>());
    for (column, cell) in columns.iter().map(|column| &plan.columns[*column]).zip(cells) {
        if let Some(new) = column.values.get(*cell as usize) {
            put(&mut value, &column.path, new.clone());
        }
    }
    key(value)
}

fn key(mut value: Value) -> String {
    if let Some(optimizer) = value.get("optimizer").map(variant_of) {
        value["optimizer"] = Value::from(optimizer);
    }
    if let Some(decay) = at(&value, "ema.decay").and_then(Value::as_f64) {
        value["ema"] = Value::from(decay > 0.0);
    }
    value.to_string()
}

/// Thousandths of a device that a trial takes: by the memory that it needs, and no less than its part of the slots; all
/// of it while that is not known.
pub fn share(needs: Option<u64>, device: u64, slots: u32) -> u32 {
    let whole = DEVICE as u32;
    let Some(needs) = needs.filter(|_| device > 0 && slots > 0) else { return whole };
    let part = (u128::from(needs) * u128::from(DEVICE)).div_ceil(u128::from(device));
    u32::try_from(part).unwrap_or(whole).clamp(whole / slots, whole)
}

/// So many trials are put on a device at a time, by memory alone: by what their file says, else by what was measured of one. A trial that needs
/// nearly all of it has it for itself.
pub(crate) fn together(device: &DeviceFacts, stated: Option<u64>, peak: u64) -> u32 {
    if stated.unwrap_or(peak) > device.memory {
        return 0;
    }
    let (needs, slots) = (stated.unwrap_or_else(|| with_headroom(peak)), device.slots.len() as u32);
    let most = match device.packed {
        true => DEVICE as u32 / share(Some(needs), device.memory, slots).max(1),
        false => u32::try_from(device.memory / needs.max(1)).unwrap_or(u32::MAX).max(1),
    };
    most.min(slots)
}

/// What to reckon with where this was measured, bytes.
pub(crate) fn with_headroom(peak: u64) -> u64 {
    peak.saturating_add(peak / 100 * HEADROOM).saturating_add(1)
}

/// What was measured of a shape on a model of device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The most memory that a trial had, bytes.
    pub peak: Option<u64>,
    /// For one trial alone, for two together, ...: what each of them did.
    speeds: Vec<Speed>,
    /// Never more together than so many.
    limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Speed {
    /// Thousandths of images/s, over all epochs.
    sum: u64,
    epochs: u32,
}

impl Speed {
    fn mean(self) -> Option<u64> {
        (self.epochs >= EPOCHS).then(|| self.sum / u64::from(self.epochs))
    }
}

impl Measured {
    /// The memory to reckon with, bytes.
    pub fn needs(&self) -> Option<u64> {
        self.peak.map(with_headroom)
    }

    /// So many of this shape may be together: one more than is known to be worth it.
    pub fn most(&self) -> u32 {
        let known = self.speeds.iter().take_while(|speed| speed.mean().is_some()).count() as u32;
        self.limit.unwrap_or(known + 1)
    }

    /// What was found to be no gain, if anything was.
    pub fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Images/s of so many together, all of them summed, in thousandths.
    pub fn together(&self, trials: u32) -> Option<u64> {
        let each = self.speeds.get((trials as usize).checked_sub(1)?)?.mean()?;
        each.checked_mul(u64::from(trials))
    }

    pub(crate) fn note_memory(&mut self, bytes: u64) {
        self.peak = self.peak.max(Some(bytes));
    }

    /// One of so many together trained an epoch.
    pub(crate) fn note_speed(&mut self, trials: u32, images_per_s: Num) {
        // What nobody asked for any more is not learned from, so that a limit stays what it is.
        if trials == 0 || trials > self.most() || !(images_per_s.0 > 0.0 && images_per_s.0 < 1e12) {
            return;
        }
        let place = trials as usize - 1;
        if self.speeds.len() <= place {
            self.speeds.resize(place + 1, Speed::default());
        }
        let speed = &mut self.speeds[place];
        speed.sum = speed.sum.saturating_add((images_per_s.0 * 1000.0) as u64);
        speed.epochs = speed.epochs.saturating_add(1);
        let pair = self.together(trials).zip(self.together(trials.saturating_sub(1)));
        if self.limit.is_none()
            && let Some((more, fewer)) = pair
            && u128::from(more) * 100 < u128::from(fewer) * u128::from(100 + GAIN)
        {
            self.limit = Some(trials - 1);
        }
    }

    /// One of so many together ran out of memory.
    pub(crate) fn note_failure(&mut self, trials: u32) {
        let most = trials.saturating_sub(1).max(1);
        if trials > 1 {
            self.limit = Some(self.limit.map_or(most, |limit| limit.min(most)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(measured: &mut Measured, trials: u32, each: f64) {
        (0..EPOCHS).for_each(|_| measured.note_speed(trials, Num(each)));
    }

    #[test]
    fn more_are_tried_until_it_is_no_gain_and_that_is_remembered() {
        let mut measured = Measured::default();
        assert_eq!((measured.most(), measured.needs()), (1, None));
        measured.note_speed(1, Num(1000.0));
        assert_eq!(measured.most(), 1, "one epoch is no speed");
        train(&mut measured, 1, 1000.0);
        assert_eq!(measured.most(), 2);
        train(&mut measured, 2, 800.0);
        assert_eq!((measured.most(), measured.together(2)), (3, Some(1_600_000)));
        // Three together do 1650: 3 % more than two.
        train(&mut measured, 3, 550.0);
        assert_eq!((measured.most(), measured.limit()), (2, Some(2)));
        train(&mut measured, 1, 1.0);
        train(&mut measured, 3, 9000.0);
        assert_eq!(measured.most(), 2, "it stays so");
        measured.note_failure(2);
        assert_eq!(measured.most(), 1);
        measured.note_failure(1);
        measured.note_speed(1, Num(f64::NAN));
        assert_eq!(measured.most(), 1);
    }

    #[test]
    fn so_many_fit_as_are_given_a_share() {
        let gb = |packed| DeviceFacts {
            id: "g".into(),
            model: "G".into(),
            memory: 80_000_000_000,
            slots: vec![0, 1, 2, 3],
            packed,
        };
        for device in [gb(true), gb(false)] {
            let of = |peak: u64| together(&device, None, peak * 1_000_000_000);
            assert_eq!(
                [10, 20, 30, 36, 40, 79, 81].map(of),
                [4, 3, 2, 2, 1, 1, 0],
                "with a tenth more, {}",
                device.packed
            );
            let shares = share(Some(with_headroom(36_000_000_000)), device.memory, 4);
            assert!(shares * of(36) <= 1000 && shares * (of(36) + 1) > 1000);
            assert_eq!(together(&device, Some(20_000_000_000), 40_000_000_000), 4, "the file comes first");
            assert_eq!(together(&device, Some(90_000_000_000), 1), 0);
        }
    }

    #[test]
    fn a_share_is_by_memory_and_no_less_than_a_slot() {
        assert_eq!(share(None, 40, 4), 1000);
        assert_eq!((share(Some(1), 40, 4), share(Some(20), 40, 4), share(Some(41), 40, 4)), (250, 500, 1000));
        assert_eq!((share(Some(1), 3, 4), share(Some(1), 0, 4), share(Some(0), 9, 3)), (334, 1000, 333));
        let mut measured = Measured::default();
        measured.note_memory(10_000);
        measured.note_memory(9_000);
        assert_eq!(measured.needs(), Some(11_001));
    }
}
