//! Checkpoints that are no longer in the store.

use sweep_core::attempt::{CheckpointKind, FailureClass};
use sweep_core::audit::Auditor;
use sweep_core::orders::order;
use sweep_core::retry;
use sweep_core::time::Span;

use crate::lab::*;

/// The newest state was thrown away with the best one, and the trial went back.
#[test]
fn a_trial_whose_best_state_is_gone_goes_on_from_its_newest_without_it() {
    let (mut lab, lease) = Lab::training();
    for (epoch, accuracy) in [(1, 0.5), (2, 0.7), (3, 0.6), (4, 0.6)] {
        lab.epoch(1, lease, u64::from(epoch), epoch, accuracy);
        if epoch < 3 {
            lab.checkpoint(1, lease, CheckpointKind::Best, epoch, u64::from(epoch));
        }
        lab.checkpoint(1, lease, CheckpointKind::Last, epoch, u64::from(epoch));
    }
    lab.fail(1, lease, FailureClass::Host, 4);
    lab.pass(Span::seconds(3));
    let again = lab.leases(1)[0];
    lab.cannot_begin(1, again, retry::BEST_MISSING);
    lab.pass(Span::seconds(5));
    let third = lab.leases(1)[0];
    let (at, _) = lab.core.state().leased(third).unwrap();
    let order = order(lab.core.state(), at).unwrap();
    assert_eq!((order.resume.map(|resume| resume.epoch), order.best), (Some(4), None));
    assert_eq!(lab.core.state().trial(at).own_failures, 0);
    // What it has reached is known all the same; a better one is kept again.
    lab.epoch(1, third, 1, 5, 0.8);
    lab.checkpoint(1, third, CheckpointKind::Best, 5, 1);
    let progress = lab.core.state().trial(at).progress.clone().unwrap();
    assert_eq!(progress.best_checkpoint.map(|best| best.epoch), Some(5));
    lab.core.state().check().unwrap();
    let mut auditor = Auditor::new();
    lab.journal.iter().for_each(|(_, event)| auditor.read(event));
    assert_eq!(auditor.all().violations, []);
}
