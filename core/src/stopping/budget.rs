//! Budgets of a configuration: epochs, steps, time and energy that a trial of it may take. Looked at when an epoch ends, of the seed that
//! comes to it first; the others come as far. Not a comparison, so nobody is spared for the audit. What a budget stops keeps what it has reached.

use super::Cause;
use super::settings::Stop;
use super::tally::Sample;

/// Joules in a kWh.
const KWH: f64 = 3.6e6;

/// Which budget is used up.
pub(super) fn used_up(stop: &Stop, epoch: u32, sample: &Sample) -> Option<Cause> {
    let over = |most: Option<f64>, used: f64| most.is_some_and(|most| used >= most);
    match () {
        () if over(stop.max_seconds, sample.seconds) => Some(Cause::Seconds),
        () if stop.max_epochs.is_some_and(|most| epoch >= most) => Some(Cause::Epochs),
        () if over(stop.max_steps.map(|most| most as f64), sample.steps) => Some(Cause::Steps),
        () if over(stop.max_kwh, sample.joules / KWH) => Some(Cause::Energy),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stopping::Rule;

    #[test]
    fn the_first_budget_that_is_reached_ends_it() {
        let sample = Sample { value: 0.5, seconds: 10.0, joules: 3.6e6, steps: 300.0 };
        let with = |change: fn(&mut Stop)| {
            let mut stop = Stop::new(Rule::Budget);
            change(&mut stop);
            used_up(&stop, 3, &sample)
        };
        assert_eq!(with(|_| ()), None);
        assert_eq!(with(|stop| stop.max_epochs = Some(3)), Some(Cause::Epochs));
        assert_eq!(with(|stop| stop.max_epochs = Some(4)), None);
        assert_eq!(with(|stop| stop.max_steps = Some(300)), Some(Cause::Steps));
        assert_eq!(with(|stop| stop.max_steps = Some(301)), None);
        assert_eq!(with(|stop| stop.max_kwh = Some(1.0)), Some(Cause::Energy));
        let both = |stop: &mut Stop| (stop.max_seconds, stop.max_steps) = (Some(10.0), Some(1));
        assert_eq!(with(both), Some(Cause::Seconds));
        // Where the trainer does not say, no budget of steps is used up.
        let silent = Sample { steps: 0.0, ..sample };
        let stop = Stop { max_steps: Some(1), ..Stop::new(Rule::Budget) };
        assert_eq!(used_up(&stop, 3, &silent), None);
    }
}
