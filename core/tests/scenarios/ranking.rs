//! The order of points in a report, where not every seed came to its end.

use std::sync::Arc;

use sweep_core::attempt::FailureClass;
use sweep_core::id::SweepId;
use sweep_core::plan::{Limits, Plan};
use sweep_core::report::analysis::{Options, analyse};
use sweep_core::report::document::document;
use sweep_core::report::document::markdown::markdown;
use sweep_core::report::summarise;

use crate::lab::{Lab, facts, plan};

/// A setting whose seeds diverge is not the best one for the seed that did not, and it is said wherever it is named.
#[test]
fn a_mean_over_the_lucky_seeds_is_no_first_place() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 6, 1), &[]);
    let two = plan("a", 2, Limits::default());
    lab.submit(Arc::new(Plan { seeds: vec![1, 2, 3], order: (0..6).collect(), ..(*two).clone() }));
    let leases = lab.leases(1);
    assert_eq!(leases.len(), 6);
    for lease in leases {
        let state = lab.core.state();
        let at = state.find(lease.trial).unwrap();
        let planned = state.sweep_of(at).plan.trial(at.index);
        let lucky = planned.point == 0;
        lab.epoch(1, lease, 1, 1, if lucky { 0.9 } else { 0.5 });
        if lucky && planned.seed != 2 {
            lab.fail(1, lease, FailureClass::Diverged, 1);
        } else {
            lab.done(1, lease, 1);
        }
    }
    let report = summarise(lab.core.state(), SweepId::derive("a", "")).unwrap();
    let order: Vec<_> = report.points.iter().map(|row| (row.point, row.rank, row.diverged, row.note())).collect();
    assert_eq!(order, [(1, Some(1), 0, ""), (0, Some(2), 2, "some seeds diverged")]);
    let text = markdown(&document(&analyse(report, &Options::default()).unwrap(), &[]));
    assert!(text.contains("Of 1 point some seeds diverged"), "{text}");
}
