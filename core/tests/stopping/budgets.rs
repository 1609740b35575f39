//! Budgets: everybody gets the same, the baseline too, and what was reached by then is a result like any other.

use sweep_core::attempt::FailureClass;
use sweep_core::command::{Command, EffectKind, Ending, Reply};
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_core::report::analysis::{Options, analyse};
use sweep_core::report::document::document;
use sweep_core::report::document::markdown::markdown;
use sweep_core::report::summarise as report;
use sweep_core::stopping::summary::summarise;
use sweep_core::stopping::{Rule, Stop};

use crate::curves;
use crate::lab::Lab;

/// The first of the recorded curves.
fn some(count: usize, epochs: usize) -> Vec<Vec<f64>> {
    curves().into_iter().take(count).map(|curve| curve[..epochs].to_vec()).collect()
}

#[test]
fn a_budget_of_epochs_is_that_of_every_configuration_and_what_it_reached_is_its_result() {
    let stop = Stop { max_epochs: Some(3), ..Stop::new(Rule::Budget) };
    let curves = some(8, 6);
    // On one slot the seeds come one after the other: the first waits at its last epoch for the second.
    for slots in [1, 3] {
        let lab = Lab::new(&stop, curves.clone(), 2, slots, Some(1)).run();
        assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
        assert_eq!(lab.stopped(), [0, 1, 2, 3]);
        assert!(lab.judgements().iter().all(|(_, judged)| judged.why() == "max_epochs is used up at epoch 3"));
        let found = report(lab.core.state(), lab.sweep).unwrap();
        for row in &found.points {
            assert_eq!((row.accuracy.n, row.trials[0].epochs), (2, 3), "point {}", row.point);
            let best = |seed: usize| curves[row.point as usize * 2 + seed][..3].iter().copied().fold(0.0, f64::max);
            assert_eq!(row.accuracy.mean.unwrap().0, f64::midpoint(best(0), best(1)), "point {}", row.point);
        }
        assert!(found.points[0].rank == Some(1) && found.best.is_some());
        let stopping = summarise(lab.sweep()).unwrap();
        assert_eq!((stopping.stopped, stopping.by_budget), (0, 4));
        let study = analyse(found, &Options::default()).unwrap();
        assert!(study.analysis.points.iter().any(|row| row.against_baseline.is_some()));
        let text = markdown(&document(&study, &[]));
        assert!(text.contains("0 of 8 trials completed, 8 trained to the end of their budget; "), "{text}");
        assert!(text.contains("Best point: ") && !text.contains("stopped early"), "{text}");
    }
}

/// However many seeds run at a time, and whatever else happens: nobody trains past the epoch at which the budget is used up, and the seeds
/// of a configuration come equally far.
#[test]
fn a_budget_that_is_measured_ends_all_seeds_at_the_same_epoch() {
    let curves = some(12, 8);
    let steps = Stop { max_steps: Some(25), ..Stop::new(Rule::Budget) };
    // An epoch takes as many seconds as its accuracy is.
    let seconds = Stop { max_seconds: Some(1.5), ..Stop::new(Rule::Budget) };
    let with_asha = Stop { max_steps: Some(25), ..Stop::new(Rule::AshaStop) };
    for stop in [steps, seconds, with_asha] {
        for (slots, lag) in [(1, 0), (2, 0), (3, 1), (12, 1)] {
            let lab = Lab::new(&stop, curves.clone(), 3, slots, Some(1)).waiting().lagging(lag).run();
            assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
            let found = report(lab.core.state(), lab.sweep).unwrap();
            for row in &found.points {
                let epochs: Vec<u32> = row.trials.iter().map(|trial| trial.epochs).collect();
                // Those of asha-stop do not wait for each other at a rung.
                let alike = stop.rule != Rule::Budget || epochs.iter().all(|epoch| *epoch == epochs[0]);
                assert!(alike, "{epochs:?} on {slots} slots");
                assert!(
                    stop.max_steps.is_none() || epochs.iter().all(|epoch| *epoch <= 3),
                    "{epochs:?} on {slots} slots"
                );
                // Whoever is slow comes to its end.
                let by_budget = row.trials.iter().all(|trial| trial.ended_by_budget);
                if stop.rule == Rule::Budget {
                    assert_eq!((row.accuracy.n, by_budget), (3, epochs[0] < 8), "{epochs:?} on {slots} slots");
                }
            }
            let judged = lab.judgements();
            assert!(judged.iter().any(|(_, judged)| judged.why().contains("is used up at epoch ")), "{judged:?}");
        }
    }
}

/// Trainers are told one epoch at a time: what is reported while the next one trains would come too late.
#[test]
fn with_a_budget_that_is_measured_trainers_wait_for_a_word_after_each_epoch() {
    let stop = Stop { max_steps: Some(25), ..Stop::new(Rule::Budget) };
    let mut lab = Lab::new(&stop, some(4, 8), 1, 4, None);
    for until in [1, 2, 3, 3] {
        let told: Vec<_> = lab.sweep().ids.iter().map(|id| lab.core.state().find(*id).unwrap()).collect();
        let told: Vec<_> = told.iter().map(|at| lab.sweep().racing.as_deref().unwrap().race.limit(at.index)).collect();
        let over = |index: u32| lab.sweep().racing.as_deref().unwrap().race.ended_by_budget(index).is_some();
        let expected = |index: u32| (!over(index)).then_some(until);
        assert_eq!(told, (0..4).map(expected).collect::<Vec<_>>());
        lab.tick();
    }
}

/// Who wins every comparison and then comes to the end of a budget is the best that there is, not somebody without a result.
#[test]
fn the_winner_of_a_race_with_a_budget_is_the_first_of_the_report() {
    let stop = Stop { max_epochs: Some(9), ..Stop::new(Rule::Asha) };
    let lab = Lab::new(&stop, some(27, 27), 1, 4, Some(3)).run();
    assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
    let found = report(lab.core.state(), lab.sweep).unwrap();
    let with_result: Vec<_> = found.points.iter().filter(|row| row.accuracy.n > 0).collect();
    assert!(with_result.len() > 1 && with_result.iter().all(|row| row.trials[0].epochs == 9));
    assert!(with_result.iter().any(|row| row.baseline) && with_result[0].note() == "to the end of its budget");
    let stopping = summarise(lab.sweep()).unwrap();
    assert_eq!((stopping.by_budget, stopping.stopped + stopping.by_budget), (with_result.len() as u32, 27));
}

/// A seed that failed long before the end of the budget has no result, and gets none by being asked to run again: its configuration
/// is at its end. A diverged one stays one that diverged.
#[test]
fn a_failed_seed_of_a_configuration_at_the_end_of_its_budget_has_no_result() {
    let stop = Stop { max_epochs: Some(3), ..Stop::new(Rule::Budget) };
    for class in [FailureClass::Recipe, FailureClass::Diverged] {
        let mut lab = Lab::new(&stop, some(8, 6), 2, 8, None);
        lab.tick();
        let lease = lab.core.state().agents.values().next().unwrap().slots[1].unwrap();
        let (at, _) = lab.core.state().leased(lease).unwrap();
        while let Some((_, leased)) =
            lab.core.state().leased(Lease { attempt: lab.core.state().trial(at).attempt, ..lease })
        {
            let (final_seq, (reason, message)) = (leased.acked_seq, ("test".into(), "test".into()));
            let how = Ending::Failed(Failure { class, reason, message });
            lab.effect(
                Lease { attempt: lab.core.state().trial(at).attempt, ..lease },
                EffectKind::Ended { final_seq, how },
            );
        }
        let mut lab = lab.run();
        let point = lab.sweep().plan.trial(at.index).point;
        let diverged = class == FailureClass::Diverged;
        for again in [false, true] {
            let failed = u32::from(diverged || !again);
            assert!(lab.audit().is_legal() && lab.audit().failed == u64::from(failed), "{:?}", lab.audit());
            assert_eq!((lab.sweep().counts.failed, lab.core.state().check()), (failed, Ok(())));
            let found = report(lab.core.state(), lab.sweep).unwrap();
            let row = found.points.iter().find(|row| row.point == point).unwrap();
            assert_eq!((row.accuracy.n, row.diverged > 0), (1, diverged));
            assert!(!lab.sweep().has_result(at.index));
            let sweep = lab.sweep;
            let retry = Command::RetrySweep { sweep, user: "ann".into(), cancelled: true };
            assert_eq!(lab.ask(retry), Reply::Changed(u32::from(!diverged && !again)));
        }
    }
}

/// Who was stopped is shown with what is known: how far it came, and what it had reached there. No rank, interval or verdict.
#[test]
fn what_was_stopped_is_shown_as_far_as_it_came() {
    let curves = some(18, 9);
    let lab = Lab::new(&Stop::new(Rule::Asha), curves.clone(), 2, 2, Some(0)).run();
    let found = report(lab.core.state(), lab.sweep).unwrap();
    let stopped: Vec<_> = found.points.iter().filter(|row| row.stopped.is_some()).collect();
    assert_eq!(stopped.len(), found.points.iter().filter(|row| row.accuracy.n == 0).count());
    assert!(!stopped.is_empty() && stopped.len() < found.points.len());
    for row in &stopped {
        let reached = row.stopped.unwrap();
        assert_eq!((row.rank, reached.seeds, reached.epoch), (None, 2, reached.furthest));
        let until = |seed: usize| &curves[row.point as usize * 2 + seed][..reached.epoch as usize];
        let best = |seed: usize| until(seed).iter().copied().fold(0.0, f64::max);
        assert_eq!(reached.best.0, f64::midpoint(best(0), best(1)), "point {}", row.point);
        assert_eq!(reached.last.0, f64::midpoint(*until(0).last().unwrap(), *until(1).last().unwrap()));
        assert_eq!((row.cost.run_seconds, row.cost.runs), (None, 0), "it has no complete run");
    }
    let words = stopped[0].stopped.unwrap().words();
    assert!(words.contains(" (stopped at epoch "), "{words}");
    let study = analyse(found, &Options::default()).unwrap();
    let text = markdown(&document(&study, &[]));
    // Best epoch, interval and verdict stay empty; against the baseline it says why.
    assert!(text.contains(&format!("| 0/2 | {words} | - | - | 0 | - | - |")), "{text}");
    assert!(text.contains("| - | stopped at epoch 1 |") && text.contains("not a result, and not ranked"), "{text}");
}
