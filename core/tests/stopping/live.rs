//! Early stopping in the whole of core: trials, slots, checkpoints, restarts.

use proptest::prelude::*;
use sweep_core::attempt::FailureClass;
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, EffectKind, Ending};
use sweep_core::event::{Event, Failure};
use sweep_core::id::{AgentId, Lease};
use sweep_core::queue::{Why, waiting};
use sweep_core::recipe::Watched;
use sweep_core::report::analysis::{Options, analyse};
use sweep_core::report::document::{document, markdown::markdown};
use sweep_core::report::summarise as report;
use sweep_core::state::trial::Phase;
use sweep_core::stopping::replay::replay;
use sweep_core::stopping::summary::{summarise, why};
use sweep_core::stopping::{Fate, Judgement, Rule, Stop};

use crate::curves;
use crate::lab::{Lab, fold};

/// The first curves of the table, cut off.
fn some(count: usize, epochs: usize) -> Vec<Vec<f64>> {
    curves().into_iter().take(count).map(|curve| curve[..epochs].to_vec()).collect()
}

fn epochs_of(lab: &Lab) -> Vec<u32> {
    let last = |progress: &sweep_core::state::trial::Progress| progress.last.as_ref().map_or(0, |last| last.epoch);
    lab.sweep().trials.iter().map(|trial| trial.progress.as_deref().map_or(0, last)).collect()
}

fn healthy(lab: &Lab) {
    let audit = lab.audit();
    assert!(audit.is_exactly_once(), "{audit:?}");
    assert_eq!(lab.core.state().check(), Ok(()));
    assert_eq!(&fold(&lab.journal), lab.core.state());
}

/// The promise, through slots, checkpoints and events: 200 configurations on 8 slots.
#[test]
fn asha_spends_a_quarter_and_finds_the_best() {
    let lab = Lab::new(&Stop::new(Rule::Asha), curves(), 1, 8, None).run();
    healthy(&lab);
    let (trained, all) = (lab.audit().epochs, 200 * 27);
    assert!(trained * 4 <= all, "{trained} of {all} epochs");
    let best = |curve: &Vec<f64>| curve.iter().copied().fold(0.0, f64::max);
    let top = curves().iter().map(best).fold(0.0, f64::max);
    let completed = |at: &usize| matches!(lab.sweep().trials[*at].phase, Phase::Completed { .. });
    let found = (0..200).filter(completed).map(|at| best(&curves()[at])).fold(0.0, f64::max);
    assert!(top - found <= 0.005, "{found} of {top}");
    let audit = lab.audit();
    assert_eq!((audit.completed + audit.stopped, audit.planned), (200, 200));
    assert_eq!(audit.stopped_by.into_iter().collect::<Vec<_>>(), ["asha"]);
    // The slots are kept busy by the same rule as in the replay: about as many epochs.
    let replayed: u32 = replay(&Stop::new(Rule::Asha), &curves(), 8, None).epochs.iter().sum();
    assert!(trained.abs_diff(u64::from(replayed)) <= u64::from(replayed) / 20, "{trained}, {replayed}");
}

#[test]
fn a_coordinator_that_dies_anywhere_decides_the_same() {
    for rule in [Rule::Asha, Rule::Halving] {
        let stop = Stop { reduction_factor: 2, audit_fraction: 0.3, ..Stop::new(rule) };
        let lab = Lab::new(&stop, some(12, 5), 2, 3, None).run();
        healthy(&lab);
        for cut in 0..lab.journal.len() {
            let again = lab.with_a_crash_at(cut);
            assert!(again == lab.journal, "{rule:?}: another history after a crash at event {cut}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_rule_it_ends_legally_and_a_restart_changes_nothing(
        rule in prop::sample::select(Rule::ALL.to_vec()),
        seeds in 1usize..4,
        slots in 1u32..7,
        baseline in prop::option::of(0u32..4),
        lag in 0u32..2,
        audit in prop::sample::select(vec![0.0, 0.4]),
        max_epochs in prop::option::of(1u32..7),
        cuts in prop::collection::vec(0.0f64..1.0, 6),
    ) {
        // One epoch before the end a seed whose checkpoint is late finishes before it is asked to leave, and that counts.
        let max_epochs = max_epochs.filter(|most| *most != 5 || lag == 0);
        let max_seconds = (rule == Rule::Budget && max_epochs.is_none()).then_some(1.5);
        let audit_fraction = audit;
        let stop = Stop { reduction_factor: 2, min_configurations: 2, audit_fraction, max_seconds, max_epochs, ..Stop::new(rule) };
        let lab = Lab::new(&stop, some(8 * seeds, 6), seeds, slots, baseline).lagging(lag).run();
        healthy(&lab);
        // All seeds of a configuration share one fate, and the baseline is never stopped but by a budget.
        for point in 0..8 {
            let of = |index: u32| lab.sweep().plan.trial(index).point == point;
            let phases: Vec<&str> = (0..lab.sweep().plan.len()).filter(|index| of(*index))
                .map(|index| lab.sweep().trials[index as usize].phase.name()).collect();
            prop_assert!(phases.windows(2).all(|pair| pair[0] == pair[1]), "{point}: {:?}", phases);
            let budget = max_epochs.is_some() || max_seconds.is_some();
            prop_assert!(baseline != Some(point) || phases[0] == "completed" || budget);
            prop_assert!(baseline != Some(point) || max_epochs.is_none() || phases[0] == "stopped" || max_epochs >= Some(6) || lag > 0);
            let most = max_epochs.filter(|_| lag == 0).unwrap_or(6);
            let trained = epochs_of(&lab);
            prop_assert!((0..lab.sweep().plan.len()).filter(|index| of(*index)).all(|index| trained[index as usize] <= most));
        }
        for cut in cuts {
            let cut = (cut * lab.journal.len() as f64) as usize;
            prop_assert!(lab.with_a_crash_at(cut) == lab.journal, "another history after a crash at event {}", cut);
        }
    }
}

/// The baseline takes nobody's place: the best of the others runs to its end, too.
#[test]
fn a_small_ablation_is_not_left_with_its_baseline_alone() {
    for rule in [Rule::Asha, Rule::Halving, Rule::Hyperband] {
        for (points, baseline) in [(2, 0), (4, 0), (4, 3), (5, 2), (8, 0), (8, 5)] {
            let lab = Lab::new(&Stop::new(rule), some(points, 9), 1, 2, Some(baseline)).run();
            healthy(&lab);
            let ended = (0..points).filter(|point| lab.sweep().trials[*point].phase.name() == "completed");
            assert!(ended.count() > 1, "{rule:?}, {points} points: nobody but the baseline ran to its end");
            let first = |(_, judged): &&(u32, Judgement)| judged.fate != Fate::Promote && judged.rank == 1;
            assert_eq!(lab.judgements().iter().find(first), None, "{rule:?}, {points} points");
        }
    }
}

#[test]
fn a_paused_trial_frees_its_slot_and_goes_on_from_the_rung() {
    let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::Asha) };
    // The second is better at the rung, the first waits there.
    let curves = vec![vec![0.1, 0.2, 0.3, 0.4], vec![0.2, 0.1, 0.1, 0.1], vec![0.15, 0.3, 0.3, 0.3]];
    let mut lab = Lab::new(&stop, curves, 1, 1, None);
    lab.tick();
    let first = &lab.sweep().trials[0];
    assert!(first.leased().is_some_and(|leased| leased.halted), "it waits at the rung: it has to leave");
    lab.tick();
    assert_eq!((&lab.sweep().trials[0].phase, lab.sweep().counts.paused), (&Phase::Paused, 1));
    assert_eq!(lab.sweep().trials[0].resume_epoch(), 1);
    assert_eq!(why(lab.sweep(), 0).unwrap(), "asha: waits at the rung of epoch 1, place 1 of 1 so far");
    let lab = lab.run();
    healthy(&lab);
    // Of three one goes on, at the second rung because nobody else is left.
    let fates: Vec<_> = lab.judgements().iter().map(|(point, judged)| (*point, judged.fate, judged.epoch)).collect();
    assert_eq!(fates, [(1, Fate::Promote, 1), (0, Fate::Stop, 1), (2, Fate::Stop, 1), (1, Fate::Promote, 2)]);
    // The first waits at the rung until the third makes room for it.
    let curves = vec![vec![0.2, 0.3, 0.3, 0.3], vec![0.1, 0.1, 0.1, 0.1], vec![0.15, 0.2, 0.2, 0.2]];
    let lab = Lab::new(&stop, curves, 1, 1, None).run();
    healthy(&lab);
    assert_eq!(lab.judgements()[0].0, 0);
    assert_eq!(epochs_of(&lab), [4, 1, 1]);
    let back = lab.journal.iter().filter_map(|(_, event)| match event {
        Event::LeaseGranted { lease, resume_epoch: 1, .. } => Some((lease.trial, lease.attempt)),
        _ => None,
    });
    assert_eq!(back.collect::<Vec<_>>(), [(lab.sweep().ids[0], 2)], "it goes on from the checkpoint of the rung");
}

#[test]
fn a_queue_says_what_waits_at_a_rung() {
    let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::Halving) };
    let mut lab = Lab::new(&stop, some(3, 8), 1, 3, None);
    // One is faster than the others.
    lab.tick();
    lab.tick();
    let found = waiting(lab.core.state(), lab.now, |_| true);
    assert!(found.is_empty() || matches!(found[0].why, Why::AtRung(_) | Why::NoFreeSlot { .. }), "{found:?}");
    assert_eq!(Why::AtRung(2).to_string(), "2 trials wait at a rung until those that run have come as far");
    healthy(&lab.run());
}

#[test]
fn a_failure_in_one_seed_is_judged_by_the_others() {
    let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::Asha) };
    let mut lab = Lab::new(&stop, some(8, 4), 2, 8, None);
    let lease = lab.core.state().agents.values().next().unwrap().slots[1].unwrap();
    for _ in 0..3 {
        let Some((_, leased)) = lab.core.state().leased(lease) else { break };
        let final_seq = leased.acked_seq;
        let failure = Failure { class: FailureClass::Recipe, reason: "test".into(), message: "test".into() };
        lab.effect(lease, EffectKind::Ended { final_seq, how: Ending::Failed(failure) });
    }
    let lab = lab.run();
    assert_eq!((lab.sweep().counts.failed, lab.audit().violations.len()), (1, 0));
    assert_eq!(lab.sweep().counts.ended(), 8);
    let trained = epochs_of(&lab);
    assert!(trained[0] >= 1, "its other seed went on");
}

#[test]
fn a_cancelled_sweep_ends_its_paused_trials() {
    let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::Halving) };
    let mut lab = Lab::new(&stop, some(6, 8), 1, 2, None);
    (0..4).for_each(|_| lab.tick());
    assert!(lab.sweep().counts.paused > 0);
    let sweep = lab.sweep;
    lab.ask(Command::CancelSweep { sweep, user: "ann".into() });
    let lab = lab.run();
    assert_eq!(lab.sweep().counts.paused, 0);
    assert!(lab.audit().is_legal(), "{:?}", lab.audit());
    // Run again, what was over goes to its end.
    let mut lab = lab;
    lab.ask(Command::RetrySweep { sweep, user: "ann".into(), cancelled: true });
    let lab = lab.run();
    assert!(lab.audit().is_legal(), "{:?}", lab.audit());
    assert_eq!(lab.core.state().check(), Ok(()));
}

#[test]
fn the_stop_audit_says_how_often_stopping_was_wrong() {
    // The last one is slow to start and the best in the end.
    let mut curves: Vec<Vec<f64>> = (0..9).map(|at| vec![0.3 + 0.01 * f64::from(at); 9]).collect();
    curves.push((1..=9).map(|epoch| 0.1 * f64::from(epoch)).collect());
    let stop = Stop { audit_fraction: 0.999_999, ..Stop::new(Rule::Asha) };
    let lab = Lab::new(&stop, curves, 1, 4, None).run();
    healthy(&lab);
    let summary = summarise(lab.sweep()).unwrap();
    assert_eq!((summary.stopped, summary.planned_epochs), (0, 90));
    let audit = summary.audit;
    assert_eq!((audit.spared, audit.finished, audit.wrong), (5, 5, 1));
    assert!((audit.worst_miss.unwrap().0 - (0.9 - 0.38)).abs() < 1e-12, "{audit:?}");
    let lab = Lab::new(&Stop { audit_fraction: 0.3, ..stop }, some(60, 9), 1, 4, None).run();
    let summary = summarise(lab.sweep()).unwrap();
    let would_be = summary.stopped + summary.audit.spared;
    assert!((2..would_be / 2).contains(&summary.audit.spared), "{summary:?}");
    assert_eq!(lab.stopped().len() as u32, summary.stopped);
}

/// What was spared and then diverged in a seed is no proof that stopping was wrong, however good its other seed is.
#[test]
fn a_spared_configuration_that_diverges_has_not_come_to_its_end() {
    let mut curves: Vec<Vec<f64>> = (0..9).map(|at| vec![0.3 + 0.01 * f64::from(at); 9]).collect();
    curves.push((1..=9).map(|epoch| 0.1 * f64::from(epoch)).collect());
    let stop = Stop { audit_fraction: 0.999_999, ..Stop::new(Rule::Asha) };
    let run = |diverges: bool| {
        let mut lab = Lab::new(&stop, curves.clone(), 2, 20, None);
        // On a slot again, after it was drawn to run on.
        let spared = |lab: &Lab| {
            let slots = &lab.core.state().agents.values().next().unwrap().slots;
            let point = |lease: Lease| lab.sweep().plan.trial(lab.core.state().leased(lease).unwrap().0.index).point;
            let judged = lab.judgements();
            let is_spared =
                |lease: Lease| judged.iter().any(|(at, judged)| *at == point(lease) && judged.fate == Fate::Spare);
            slots.iter().flatten().copied().find(|lease| is_spared(*lease))
        };
        let found = (0..100).find_map(|_| {
            lab.tick();
            spared(&lab)
        });
        let lease = found.unwrap();
        if diverges {
            let final_seq = lab.core.state().leased(lease).unwrap().1.acked_seq;
            let failure = Failure { class: FailureClass::Diverged, reason: "nan".into(), message: "NaN".into() };
            lab.effect(lease, EffectKind::Ended { final_seq, how: Ending::Failed(failure) });
        }
        let lab = lab.run();
        let audit = summarise(lab.sweep()).unwrap().audit;
        (lab.sweep().counts.failed, audit.spared - audit.finished)
    };
    assert_eq!(run(false), (0, 0));
    assert_eq!(run(true), (1, 1), "it did not come to its end");
}

/// The baseline and those that the audit spares are trained, too: what is said beforehand counts them.
#[test]
fn what_is_expected_counts_the_baseline_and_the_audit() {
    for (points, baseline) in [(27, None), (27, Some(0)), (12, Some(11)), (5, Some(0))] {
        let trained = |audit_fraction: f64| {
            let stop = Stop { audit_fraction, ..Stop::new(Rule::Halving) };
            let lab = Lab::new(&stop, some(points as usize, 9), 1, 4, baseline).waiting().run();
            (lab.audit().epochs, stop.expected_epochs(points, 9, baseline).unwrap())
        };
        let (found, expected) = trained(0.0);
        assert_eq!(found, expected, "{points} {baseline:?}");
        let (found, expected) = trained(0.999_999_9);
        assert_eq!((found, expected), (u64::from(points) * 9, u64::from(points) * 9), "{points} {baseline:?}");
        // Which ones are spared is drawn; that some are is expected.
        let (_, some) = trained(0.3);
        assert!(some > trained(0.0).1 && some < expected, "{points} {baseline:?}: {some}");
    }
    // Nor does any rule leave fewer than is said.
    for rule in Rule::ALL {
        let max_epochs = (rule == Rule::Budget).then_some(3);
        let stop = Stop { min_configurations: 2, max_epochs, ..Stop::new(rule) };
        for baseline in [None, Some(0), Some(9)] {
            let lab = Lab::new(&stop, some(10, 9), 1, 3, baseline).waiting().run();
            let (found, fewest) = (lab.audit().epochs, stop.fewest_epochs(10, 9, baseline));
            assert!(fewest <= found && found <= 90, "{rule:?} {baseline:?}: {fewest}, {found}");
            assert!(baseline.is_none() || fewest > stop.fewest_epochs(9, 9, None), "{rule:?}: {fewest}");
        }
    }
}

/// By the loss, who ended how is judged by the lowest loss of a run: at the best accuracy it may be long past that.
#[test]
fn the_stop_audit_of_a_sweep_that_watches_the_loss_goes_by_the_lowest() {
    let curves: Vec<Vec<f64>> =
        (0..10).map(|at| (1..=9).map(|epoch| 0.05 * f64::from(at) + 0.05 * f64::from(epoch)).collect()).collect();
    let stop = Stop { audit_fraction: 0.999_999, metric: Watched::ValLoss, ..Stop::new(Rule::Asha) };
    let lab = Lab::new(&stop, curves, 1, 4, None).overfitting().run();
    healthy(&lab);
    let audit = summarise(lab.sweep()).unwrap().audit;
    let gain = audit.mean_gain.unwrap().0;
    assert!(audit.finished > 0 && gain >= 0.0, "nobody ends worse than it was: {audit:?}");
    let report = report(lab.core.state(), lab.sweep).unwrap();
    assert_eq!(report.judged_by, Watched::ValLoss);
    // Who was spared is marked, and only they are.
    let spared = report.points.iter().filter(|row| row.spared && row.note() == "spared for the stop audit").count();
    assert_eq!(
        (spared as u32, report.points.iter().filter(|row| row.spared).count() as u32),
        (audit.spared, audit.spared)
    );
    for row in report.points.iter().filter(|row| !row.spared) {
        let (best, lowest) = (row.loss.mean.unwrap().0, row.lowest_loss.mean.unwrap().0);
        assert!(best > 2.0 && lowest < 1.0, "point {}: {best} at the best accuracy, {lowest}", row.point);
    }
    let text = markdown(&document(&analyse(report, &Options::default()).unwrap(), &[]));
    assert!(text.contains("| lowest loss |") && text.contains("compare by validation loss"), "{text}");
}

/// The oracle reads forged histories.
#[test]
fn the_oracle_sees_what_must_not_be() {
    let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::Asha) };
    let lab = Lab::new(&stop, some(8, 5), 1, 2, Some(3)).run();
    healthy(&lab);
    let found = |forge: &dyn Fn(&Event) -> Vec<Event>| {
        let mut auditor = Auditor::new();
        lab.journal.iter().flat_map(|(_, event)| forge(event)).for_each(|event| auditor.read(&event));
        let rules = auditor.all().violations.into_iter().map(|violation| violation.rule);
        rules.collect::<std::collections::BTreeSet<_>>()
    };
    let judged =
        |event: &Event, fate: Fate| matches!(event, Event::PointJudged { judgement, .. } if judgement.fate == fate);
    assert!(found(&|event| vec![event.clone()]).is_empty());
    let twice = found(&|event| vec![event.clone(); if judged(event, Fate::Stop) { 2 } else { 1 }]);
    assert!(twice.contains("judged_twice"), "{twice:?}");
    let unasked = found(&|event| if judged(event, Fate::Promote) { vec![] } else { vec![event.clone()] });
    assert!(unasked.contains("granted_at_rung"), "{unasked:?}");
    let baseline = found(&|event| match event.clone() {
        Event::PointJudged { sweep, judgement, .. } => vec![Event::PointJudged { sweep, point: 3, judgement }],
        other => vec![other],
    });
    assert!(baseline.contains("baseline_judged"), "{baseline:?}");
    let early = found(&|event| match event.clone() {
        Event::TrialHalted { lease, epoch } => vec![Event::TrialHalted { lease, epoch: epoch + 1 }],
        other => vec![other],
    });
    assert!(early.contains("halted_early"), "{early:?}");
    // The newest checkpoint is gone from the store: it went on from the one before.
    let from = |back: u32| {
        found(&|event| match event.clone() {
            Event::TrialHalted { lease, epoch } if epoch > 1 => {
                let next = Lease { attempt: lease.attempt + 1, ..lease };
                let (resume_epoch, slot, fingerprint, share) = (epoch - 1, 0, None, 1000);
                let agent = AgentId::from(uuid::Uuid::from_u128(1));
                let granted = Event::LeaseGranted { lease: next, agent, slot, resume_epoch, fingerprint, share };
                vec![granted, Event::TrialHalted { lease: next, epoch: epoch - back }]
            }
            other => vec![other],
        })
    };
    assert!(!from(1).contains("halted_early") && from(0).contains("halted_early"), "{:?}", (from(1), from(0)));
    let stopped = found(&|event| match event.clone() {
        Event::PointJudged { sweep, point, judgement } => {
            let judgement = Judgement { fate: Fate::Stop, ..judgement };
            vec![Event::PointJudged { sweep, point, judgement }]
        }
        other => vec![other],
    });
    assert!(stopped.contains("granted_after_stop"), "{stopped:?}");
}
