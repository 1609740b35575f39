//! The order of points in a report, where not every seed came to its end; and their price, where some were trained more than once.

use std::sync::Arc;

use sweep_core::attempt::{CheckpointKind, EpochMetrics, FailureClass};
use sweep_core::command::EffectKind;
use sweep_core::cost::{Energy, EpochCost};
use sweep_core::id::SweepId;
use sweep_core::num::Num;
use sweep_core::plan::{Limits, Plan};
use sweep_core::report::analysis::{Options, analyse};
use sweep_core::report::document::document;
use sweep_core::report::document::markdown::markdown;
use sweep_core::report::summarise;
use sweep_core::time::Span;

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

/// Two points that take as long; the trainers of one crash half-way. What was done twice makes it no dearer, and is not hidden.
#[test]
fn the_price_of_a_point_is_that_of_one_complete_run() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    let two = plan("a", 2, Limits::default());
    lab.submit(Arc::new(Plan { seeds: vec![1, 2], order: (0..4).collect(), ..(*two).clone() }));
    let seconds = |seconds: i64| Span(seconds * 1_000_000);
    for _ in 0..40 {
        let Some(lease) = lab.leases(1).first().copied() else {
            lab.pass(seconds(30));
            lab.beat(1);
            continue;
        };
        let at = lab.core.state().find(lease.trial).unwrap();
        let point = lab.core.state().sweep_of(at).plan.trial(at.index).point;
        let first = lease.attempt == 1;
        if first {
            lab.pass(seconds(10));
            lab.epoch(1, lease, 1, 1, 0.5);
            lab.checkpoint(1, lease, CheckpointKind::Last, 1, 1);
        }
        lab.pass(seconds(7));
        if first && point == 1 {
            lab.fail(1, lease, FailureClass::Crash, 1);
            continue;
        }
        let seq = if first { 2 } else { 1 };
        lab.epoch(1, lease, seq, 2, 0.5 + 0.1 * f64::from(point));
        lab.done(1, lease, seq);
    }
    let report = summarise(lab.core.state(), SweepId::derive("a", "")).unwrap();
    assert_eq!((report.status.as_str(), report.cost.attempts), ("completed", 6), "{report:#?}");
    let costs: Vec<_> = (report.points.iter())
        .map(|row| (row.point, row.cost.runs, row.cost.run_seconds, row.cost.slot_seconds, row.cost.wasted_seconds))
        .collect();
    let run = Some(Num(17.0));
    assert_eq!(costs, [(1, 2, run, 48.0, 14.0), (0, 2, run, 34.0, 0.0)]);
    assert_eq!((report.cost.slot_seconds, report.cost.wasted_seconds), (82.0, 14.0));
    let epochs = report.points.iter().map(|row| (row.cost.seconds_per_epoch, row.cost.watts));
    assert_eq!(epochs.collect::<Vec<_>>(), [(Some(Num(8.5)), None); 2], "two epochs a run, nothing measures energy");
    let trials = report.points[0].trials.iter().map(|trial| (trial.cost.runs, trial.cost.wasted_seconds));
    assert_eq!(trials.collect::<Vec<_>>(), [(1, 7.0); 2]);
    // As dear as the other and better: the other is not on the front.
    let study = analyse(report, &Options::default()).unwrap();
    let hours = study.analysis.pareto.iter().find(|found| found.cost == "device_hours").unwrap();
    let front: Vec<_> = hours.points.iter().filter(|trade| trade.front).map(|trade| trade.point).collect();
    assert_eq!(front, [1]);
    let text = markdown(&document(&study, &[]));
    assert!(text.contains("| 1 | lr=2.0 | - | 8.500 | 17.0 s | - | - | 48.0 s | 0.01333 | - | 14.0 s | - |"), "{text}");
    assert!(text.contains("| **all** | **6 attempts** | **-** | **-** | **-** | **-** | **-** | **1 min 22 s** | **0.02278** | **-** | **14.0 s** | **-** |"), "{text}");
}

/// Watts are those of the runs that were measured, over their own time; an epoch is over all runs.
#[test]
fn the_cost_table_has_seconds_an_epoch_and_watts() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    let one = plan("a", 1, Limits::default());
    lab.submit(Arc::new(Plan { seeds: vec![1, 2], order: (0..2).collect(), ..(*one).clone() }));
    for (seconds, joules) in [(10, Some(340.0)), (30, None)] {
        let lease = lab.leases(1)[0];
        for epoch in 1..=2 {
            lab.pass(Span::seconds(seconds));
            let energy = joules.map(|joules| Energy { gpu: Some(Num(joules)), ..Energy::default() });
            let cost = Some(Box::new(EpochCost { energy, ..EpochCost::default() }));
            let metrics = EpochMetrics { cost, ..EpochMetrics::uniform(u64::from(epoch), epoch, Num(0.5)) };
            lab.effect(1, lease, EffectKind::Metrics(vec![metrics]));
        }
        lab.done(1, lease, 2);
    }
    let report = summarise(lab.core.state(), SweepId::derive("a", "")).unwrap();
    let cost = report.points[0].cost;
    assert_eq!(
        (cost.run_seconds, cost.seconds_per_epoch, cost.watts),
        (Some(Num(40.0)), Some(Num(20.0)), Some(Num(34.0)))
    );
    let of_trials = report.points[0].trials.iter().map(|trial| (trial.cost.seconds_per_epoch, trial.cost.watts));
    assert_eq!(of_trials.collect::<Vec<_>>(), [(Some(Num(10.0)), Some(Num(34.0))), (Some(Num(30.0)), None)]);
    let text = markdown(&document(&analyse(report, &Options::default()).unwrap(), &[]));
    assert!(text.contains("| 20.00 | 40.0 s | 34.00 |"), "{text}");
}
