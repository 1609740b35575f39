//! Sweeps with budgets and no comparison, and more seeds or epochs: what joins comes as far as what was there, and a restart anywhere
//! changes nothing.

use sweep_core::attempt::FailureClass;
use sweep_core::command::{Command, EffectKind, Ending, Reply};
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_core::plan::Wish;
use sweep_core::report::summarise;

use crate::extending::{extend, healthy, seeds};
use crate::lab::fold;
use crate::late::{crash_anywhere, lab};

/// Nothing is compared: a seed that joins comes as far as those that were there, whether their configuration is at the end of its budget
/// or on its way, on any number of slots.
#[test]
fn a_sweep_with_budgets_alone_takes_seeds() {
    let budgets = ["max_epochs = 4", "max_steps = 35", "max_seconds = 1.6"];
    for (budget, slots, ticks) in
        budgets.iter().flat_map(|budget| [(budget, 1, 0), (budget, 1, 9), (budget, 3, 5), (budget, 3, 100)])
    {
        let text = format!("seeds = 2\n[stop]\nrule = \"budget\"\n{budget}\n[grid]\nlr = [1.0, 0.03, 0.001]\n");
        let mut lab = lab(&text, slots).waiting();
        (0..ticks).for_each(|_| lab.tick());
        assert_eq!(lab.sweep().ended.is_some(), ticks == 100, "{budget}");
        assert_eq!(extend(&mut lab, seeds(&[7, 8])), Reply::Changed(6), "{budget}");
        let before = lab.journal.len();
        let lab = lab.run();
        healthy(&lab);
        assert!(ticks < 100 || lab.journal.len() > before, "the new ones run");
        let report = summarise(lab.core.state(), lab.sweep).unwrap();
        for row in &report.points {
            let epochs: Vec<u32> = row.trials.iter().map(|trial| trial.epochs).collect();
            assert_eq!((row.accuracy.n, epochs.len()), (4, 4), "{budget} on {slots} slots: {epochs:?}");
            assert!(epochs.iter().all(|epoch| *epoch == epochs[0] && *epoch < 9), "{budget}: {epochs:?}");
        }
        assert!(budget.starts_with("max_seconds") || report.points[0].trials[3].epochs == 4, "{budget}");
        if slots == 3 {
            crash_anywhere(&lab, budget);
        }
    }
}

/// One that joins and crashes is tried again, where one that was there has had its chance.
#[test]
fn a_seed_that_joins_and_fails_may_be_run_again() {
    let text = "seeds = 1\n[stop]\nrule = \"budget\"\nmax_epochs = 4\n[grid]\nlr = [1.0, 0.03]\n";
    let mut lab = lab(text, 2).run();
    assert_eq!(extend(&mut lab, seeds(&[7])), Reply::Changed(2));
    lab.tick();
    let at = lab.sweep().trials.iter().rposition(|trial| trial.leased().is_some()).unwrap();
    while let Some(leased) = lab.sweep().trials[at].leased() {
        let (final_seq, attempt) = (leased.acked_seq, lab.sweep().trials[at].attempt);
        let (class, reason, message) = (FailureClass::Recipe, "test".into(), "test".into());
        let how = Ending::Failed(Failure { class, reason, message });
        let lease = Lease { trial: lab.sweep().ids[at], attempt };
        lab.effect(lease, EffectKind::Ended { final_seq, how });
    }
    let mut lab = lab.run();
    assert_eq!((lab.sweep().counts.failed, lab.sweep().has_result(at as u32)), (1, false));
    let sweep = lab.sweep;
    lab.ask(Command::RetrySweep { sweep, user: "ann".into(), cancelled: false });
    let lab = lab.run();
    healthy(&lab);
    assert!(lab.sweep().has_result(at as u32));
    crash_anywhere(&lab, "retry");
}

/// More epochs are points of their own, from the beginning, and come to the end of the same budget.
#[test]
fn a_sweep_with_budgets_alone_takes_epochs() {
    let text = "seeds = 2\n[stop]\nrule = \"budget\"\nmax_steps = 85\n[grid]\nlr = [1.0, 0.03]\n";
    for ticks in [3, 100] {
        let mut lab = lab(text, 3).waiting();
        (0..ticks).for_each(|_| lab.tick());
        assert_eq!(extend(&mut lab, Wish { epochs: Some(20), ..Wish::default() }), Reply::Changed(4));
        let lab = lab.run();
        healthy(&lab);
        let report = summarise(lab.core.state(), lab.sweep).unwrap();
        assert_eq!((report.points.len(), lab.sweep().plan.baseline), (4, Some(2)));
        assert!(
            report.points.iter().all(|row| row.accuracy.n == 2 && row.trials.iter().all(|trial| trial.epochs == 9))
        );
        crash_anywhere(&lab, "epochs");
    }
}

/// Cancelled when one seed had used the budget up and the others had not: those that join come as far as that one, and no further.
#[test]
fn a_seed_that_joins_a_cancelled_sweep_keeps_to_the_budget() {
    let budgets = ["max_epochs = 4", "max_steps = 35", "max_seconds = 1.6"];
    for budget in budgets {
        let text = format!("seeds = 2\n[stop]\nrule = \"budget\"\n{budget}\n[grid]\nlr = [1.0, 0.03]\n");
        let mut unjudged = 0;
        for (slots, ticks) in (1..=3).flat_map(|slots| (1..15).map(move |ticks| (slots, ticks))) {
            let what = format!("{budget} on {slots} slots, cancelled after {ticks} ticks");
            let mut lab = lab(&text, slots).waiting();
            (0..ticks).for_each(|_| lab.tick());
            let sweep = lab.sweep;
            lab.ask(Command::CancelSweep { sweep, user: "ann".into() });
            lab = lab.run();
            let judged: Vec<u32> = lab.judgements().iter().map(|judgement| judgement.0).collect();
            extend(&mut lab, seeds(&[7, 8]));
            // Those that were cancelled come back in between, or do not.
            let again = ticks % 2 == 0;
            if again {
                (0..3).for_each(|_| lab.tick());
                lab.ask(Command::RetrySweep { sweep, user: "ann".into(), cancelled: true });
            }
            let lab = lab.run();
            assert!(lab.audit().is_legal(), "{what}: {:?}", lab.audit());
            assert_eq!((lab.core.state().check(), &fold(&lab.journal)), (Ok(()), lab.core.state()), "{what}");
            let report = summarise(lab.core.state(), lab.sweep).unwrap();
            for row in &report.points {
                let epochs: Vec<u32> = row.trials.iter().map(|trial| trial.epochs).collect();
                // One that was judged without those that were cancelled does not take them back.
                let all = again && !judged.contains(&row.point);
                let joined = if all { &epochs[..] } else { &epochs[2..] };
                let most = epochs[..2].iter().max().unwrap();
                assert!(joined.iter().all(|epoch| *epoch == joined[0] && *epoch < 9), "{what}: {epochs:?}");
                assert!(joined[0] >= *most && row.accuracy.n >= joined.len() as u32, "{what}: {epochs:?}");
                assert!(budget != "max_epochs = 4" || joined[0] == 4, "{what}: {epochs:?}");
                unjudged += u32::from(epochs[0] == joined[0] && epochs[1] < epochs[0]);
            }
            assert_eq!(lab.judgements().len(), 2, "{what}");
            if (slots, ticks) == (1, 6) || (slots, ticks) == (3, 5) {
                crash_anywhere(&lab, &what);
            }
        }
        assert!(unjudged > 0, "{budget}: in none had one seed alone used it up");
    }
}
