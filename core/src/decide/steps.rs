//! Budgets of steps on the data that the agents have: one that no trial uses up, and one that ends every trial before its rule has compared
//! anything, are refused.

use crate::command::Reject;
use crate::plan::{Plan, at};
use crate::search::Axis;
use crate::stopping::Rule;

use super::sweeps::values;

/// What decides how many steps a trial takes, beside its data.
const DECIDING: [&str; 3] = ["batch_size", "accumulate", "epochs"];

/// Refuses a budget that no trial uses up on so many images, the most that a copy has.
pub(super) fn are_used_up(plan: &Plan, dataset: &str, images: u64) -> Result<(), Reject> {
    let Some(max_steps) = plan.stop.as_ref().and_then(|stop| stop.max_steps) else { return Ok(()) };
    match most(plan, images) {
        Some(steps) if max_steps >= steps => {
            Err(Reject::StepsUseless { max_steps, images, dataset: dataset.to_owned(), steps })
        }
        _ => Ok(()),
    }
}

/// Why a budget ends every trial before its rule compares, where the copy with the fewest has so many images of so many classes.
pub(super) fn too_few(plan: &Plan, dataset: &str, images: u64, classes: u64) -> Option<Reject> {
    let stop = plan.stop.as_deref().filter(|stop| stop.rule != Rule::Budget)?;
    let max_steps = stop.max_steps?;
    let epoch = stop.first_look();
    // Where both are due at one epoch the budget comes first.
    let steps = least(plan, images, classes)?.checked_mul(u64::from(epoch))?;
    let (rule, dataset) = (stop.rule.name(), dataset.to_owned());
    (max_steps <= steps).then_some(Reject::StepsTooFew { max_steps, dataset, steps, rule, epoch })
}

/// More steps than this no trial of a plan takes on so many images: with the smallest batch, the most epochs and copies. A part of the images
/// may be split off, so it may be fewer.
fn most(plan: &Plan, images: u64) -> Option<u64> {
    if is_drawn(plan) {
        return None;
    }
    let least = |field: &str| numbers(plan, field).min().unwrap_or(1).max(1);
    let copies = values(plan, "copies").iter().filter_map(|value| Some(value.as_array()?.len() as u64)).max();
    let epochs = numbers(plan, "epochs").max()?;
    let batches = images.checked_mul(copies.unwrap_or(0) + 1)?.div_ceil(least("batch_size"));
    batches.div_ceil(least("accumulate")).checked_mul(epochs)
}

/// Fewer steps than this no epoch of a plan takes on so many images: with the largest batch, without copies, and with as many images split
/// off as may be. Not known where images of some sizes are left out, or where what is left out varies.
fn least(plan: &Plan, images: u64, classes: u64) -> Option<u64> {
    let data = at(&plan.base, "data");
    let of_data = |name: &str| data.and_then(|data| data.get(name)).filter(|value| !value.is_null());
    let varies = plan.columns.iter().any(|column| column.path == "data" || column.path.starts_with("data."));
    if is_drawn(plan) || varies || of_data("size").is_some() || of_data("min_side").is_some() {
        return None;
    }
    let most = |field: &str| numbers(plan, field).max().unwrap_or(1).max(1);
    let number = |name: &str| of_data(name).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    // Of each class a share is split off, rounded, if there is no folder to validate with.
    let split = images as f64 * number("val_fraction") + classes as f64;
    let left = (images as f64 - split - number("skip_bad")).max(0.0) as u64;
    Some(left.div_ceil(most("batch_size")).div_ceil(most("accumulate")))
}

/// Whole numbers between two ends: not all of them are in the plan yet.
fn is_drawn(plan: &Plan) -> bool {
    let drawn = |axis: &Axis| matches!(axis, Axis::Int { path, .. } if DECIDING.contains(&path.as_str()));
    plan.search.as_ref().is_some_and(|search| search.space.iter().any(drawn))
}

fn numbers<'a>(plan: &'a Plan, field: &str) -> impl Iterator<Item = u64> + use<'a> {
    values(plan, field).into_iter().filter_map(|value| value.as_u64())
}
