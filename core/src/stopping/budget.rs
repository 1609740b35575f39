//! Budgets of a configuration: time and energy that a trial of it may take, mean over the seeds. (Epochs are the recipe's own
//! budget.) Not a comparison, so nobody is spared for the audit. What a budget stops keeps what it has reached.

use super::Cause;
use super::settings::Stop;
use super::tally::Sample;

/// Joules in a kWh.
const KWH: f64 = 3.6e6;

/// Which budget is used up.
pub(super) fn used_up(stop: &Stop, sample: &Sample) -> Option<Cause> {
    let over = |most: Option<f64>, used: f64| most.is_some_and(|most| used >= most);
    match () {
        () if over(stop.max_seconds, sample.seconds) => Some(Cause::Seconds),
        () if over(stop.max_kwh, sample.joules / KWH) => Some(Cause::Energy),
        () => None,
    }
}
