//! What follows a failure: try again and when, or give up. The host's and the device's faults
//! never count against a trial; a trial that keeps failing without progress is given up.

use crate::attempt::FailureClass;
use crate::event::Failure;
use crate::time::Span;

/// First pause after a failure; doubled for each further one in a row.
const FIRST_PAUSE: Span = Span::seconds(1);
/// Longest pause.
const LONGEST_PAUSE: Span = Span::seconds(300);

/// What a host says of an attempt that could not begin because the checkpoint to go on from is no longer in the store.
pub const CHECKPOINT_MISSING: &str = "checkpoint_missing";

/// The same of the best state alone: the one to go on from is there.
pub const BEST_MISSING: &str = "best_missing";

/// Whether the best state is gone: the trial goes on without it.
pub fn goes_on_without_best(failure: &Failure) -> bool {
    failure.class == FailureClass::Host && failure.reason == BEST_MISSING
}

/// Whether the trial can go on from nothing it has: it begins again, which gives the same numbers.
pub fn begins_again(failure: &Failure) -> bool {
    failure.class == FailureClass::Host && failure.reason == CHECKPOINT_MISSING
}

/// What a host says when nothing at all can run on it: its disk is full, its folders or its trainer cannot be used.
pub const UNFIT: [&str; 4] = ["disk_full", "folder_unusable", "trainer_missing", "trainer_not_started"];

/// Whether any other trial would have failed there, too.
pub fn is_of_the_host(failure: &Failure) -> bool {
    failure.class == FailureClass::Host && UNFIT.contains(&failure.reason.as_str())
}

/// Whether a failure is charged to the trial.
pub fn is_own(class: FailureClass) -> bool {
    match class {
        FailureClass::Device | FailureClass::Host => false,
        FailureClass::Recipe
        | FailureClass::Data
        | FailureClass::Diverged
        | FailureClass::OutOfMemory
        | FailureClass::Crash => true,
    }
}

/// Whether a failure may come of being stopped: it says nothing about the recipe or the data.
pub fn is_of_the_moment(class: FailureClass) -> bool {
    match class {
        FailureClass::Device | FailureClass::Host | FailureClass::Crash => true,
        FailureClass::Recipe | FailureClass::Data | FailureClass::Diverged | FailureClass::OutOfMemory => false,
    }
}

/// The pause before the next attempt, or `None` to give up. `own_failures` and `failures` count the
/// failures in a row before this one, without a new checkpoint between them.
pub fn pause(class: FailureClass, own_failures: u16, failures: u16, max_retries: u32) -> Option<Span> {
    let again = match class {
        // The same input gives the same result.
        FailureClass::Recipe | FailureClass::Data | FailureClass::Diverged => false,
        FailureClass::OutOfMemory => max_retries >= 1 && own_failures == 0,
        FailureClass::Crash => u32::from(own_failures) < max_retries,
        FailureClass::Device | FailureClass::Host => true,
    };
    let doubled = FIRST_PAUSE.0.saturating_mul(1 << failures.min(20));
    again.then_some(Span(doubled.min(LONGEST_PAUSE.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules() {
        let check = |class, own, all, expected: Option<i64>| {
            assert_eq!(pause(class, own, all, 3), expected.map(Span::seconds), "{class:?} {own} {all}");
        };
        check(FailureClass::Recipe, 0, 0, None);
        check(FailureClass::Diverged, 0, 0, None);
        check(FailureClass::Crash, 0, 0, Some(1));
        check(FailureClass::Crash, 2, 2, Some(4));
        check(FailureClass::Crash, 3, 3, None);
        check(FailureClass::OutOfMemory, 1, 1, None);
        check(FailureClass::Host, 3, 60, Some(300));
        check(FailureClass::Device, 3, 60, Some(300));
    }

    /// A trial that met ten broken devices and then crashes has all of its retries.
    #[test]
    fn only_the_machines_faults_are_not_charged() {
        let free = [FailureClass::Device, FailureClass::Host];
        let charged = [FailureClass::Recipe, FailureClass::Data, FailureClass::Diverged];
        assert!(free.into_iter().all(|class| !is_own(class)));
        assert!(charged.into_iter().chain([FailureClass::OutOfMemory, FailureClass::Crash]).all(is_own));
    }
}
