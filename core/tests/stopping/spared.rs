//! What the stop audit spares: it gets no more than what was kept, and the sweep comes out as if it had been stopped.

use sweep_core::event::Event;
use sweep_core::report::analysis::{Options, analyse};
use sweep_core::report::document::{document, markdown::markdown};
use sweep_core::report::{PointRow, summarise as report};
use sweep_core::state::trial::Phase;
use sweep_core::stopping::summary::{summarise, why};
use sweep_core::stopping::{Cause, Fate, Rule, Stop};

use crate::curves;
use crate::lab::Lab;

/// The first curves of the table, cut off.
fn some(count: usize, epochs: usize) -> Vec<Vec<f64>> {
    curves().into_iter().take(count).map(|curve| curve[..epochs].to_vec()).collect()
}

/// The last one is slow to start and the best in the end.
fn slow_to_start() -> Vec<Vec<f64>> {
    let mut curves: Vec<Vec<f64>> = (0..9).map(|at| vec![0.3 + 0.01 * f64::from(at); 9]).collect();
    curves.push((1..=9).map(|epoch| 0.1 * f64::from(epoch)).collect());
    curves
}

fn spared(lab: &Lab) -> Vec<u32> {
    let judged = lab.judgements();
    judged.iter().filter(|(_, judged)| judged.fate == Fate::Spare).map(|(point, _)| *point).collect()
}

#[test]
fn what_is_spared_comes_to_the_end_of_the_budget_of_all() {
    let asha = Stop { audit_fraction: 0.999_999, ..Stop::new(Rule::Asha) };
    let epochs = Stop { max_epochs: Some(9), ..asha.clone() };
    // Ten steps an epoch.
    let steps = Stop { max_steps: Some(85), ..asha.clone() };
    let median = Stop { max_epochs: Some(9), ..Stop { rule: Rule::Median, ..asha } };
    for stop in [epochs, steps, median] {
        for slots in [1, 5] {
            let lab = Lab::new(&stop, some(24, 27), 2, slots, Some(1)).waiting().run();
            assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
            let (found, spared) = (report(lab.core.state(), lab.sweep).unwrap(), spared(&lab));
            assert!(spared.len() > 2, "{spared:?}");
            for row in &found.points {
                assert!(row.trials.iter().all(|trial| trial.epochs == 9 && trial.ended_by_budget), "{row:?}");
                assert_eq!(row.spared, spared.contains(&row.point));
            }
            // It came to its end, and is told apart from what was kept to the end of the budget.
            let summary = summarise(lab.sweep()).unwrap();
            assert_eq!((summary.audit.spared, summary.audit.finished), (spared.len() as u32, spared.len() as u32));
            assert_eq!(summary.by_budget, 12 - spared.len() as u32);
            let index = (0..24).find(|index| lab.sweep().plan.trial(*index).point == spared[0]).unwrap();
            assert_eq!(lab.sweep().trials[index as usize].phase, Phase::Stopped);
            assert!(why(lab.sweep(), index).unwrap().starts_with("ran to the end of its budget for the stop audit ("));
            for cut in (0..lab.journal.len()).step_by(7) {
                assert!(lab.with_a_crash_at(cut) == lab.journal, "another history after a crash at event {cut}");
            }
        }
    }
}

/// Only a budget may be said of what was spared, and only once.
#[test]
fn the_oracle_takes_no_other_decision_about_what_was_spared() {
    let stop = Stop { audit_fraction: 0.999_999, max_epochs: Some(9), ..Stop::new(Rule::Asha) };
    let lab = Lab::new(&stop, some(12, 27), 1, 4, None).waiting().run();
    assert!(lab.audit().is_legal());
    let with = |change: &dyn Fn(&Event) -> Vec<Event>| {
        let mut auditor = sweep_core::audit::Auditor::new();
        lab.journal.iter().flat_map(|(_, event)| change(event)).for_each(|event| auditor.read(&event));
        auditor.all().violations.iter().map(|found| found.rule).collect::<std::collections::BTreeSet<_>>()
    };
    let spared = spared(&lab);
    let of_rule = with(&|event| {
        let mut event = event.clone();
        if let Event::PointJudged { point, judgement, .. } = &mut event
            && judgement.fate == Fate::Stop
            && spared.contains(point)
        {
            judgement.cause = Cause::Rule;
        }
        vec![event]
    });
    assert!(of_rule.contains("judged_twice"), "{of_rule:?}");
    let is_end = |event: &Event| matches!(event, Event::PointJudged { judgement, .. } if judgement.fate == Fate::Stop);
    let twice = with(&|event| vec![event.clone(); if is_end(event) { 2 } else { 1 }]);
    assert!(twice.contains("judged_twice"), "{twice:?}");
}

/// However good it is in the end: without the audit nobody would know.
#[test]
fn what_is_spared_changes_nothing_in_the_report_but_the_audit() {
    let halving = Stop::new(Rule::Halving);
    let asked = |audit_fraction: f64| {
        let lab = Lab::new(&Stop { audit_fraction, ..halving.clone() }, slow_to_start(), 1, 4, None).run();
        assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
        analyse(report(lab.core.state(), lab.sweep).unwrap(), &Options::default()).unwrap()
    };
    let (without, with) = (asked(0.0), asked(0.999_999));
    let audit = &with.report.stopping.as_ref().unwrap().audit;
    assert!(audit.wrong == 1 && audit.spared > 2, "the best of all was spared: {audit:?}");
    let ranked =
        |row: &PointRow| (row.rank, row.point, row.accuracy, row.loss, row.lowest_loss, row.test, row.cost.runs);
    let rows = |study: &sweep_core::report::analysis::Study| study.report.points.iter().map(ranked).collect::<Vec<_>>();
    assert_eq!(rows(&without), rows(&with));
    assert_eq!(without.report.best, with.report.best);
    let fronts = |study: &sweep_core::report::analysis::Study| {
        let of = |front: &sweep_core::report::pareto::Pareto| front.points.iter().map(|trade| trade.point).collect();
        study.analysis.pareto.iter().map(of).collect::<Vec<Vec<u32>>>()
    };
    assert_eq!(fronts(&without), fronts(&with));
    assert_eq!(without.analysis.points, with.analysis.points);
    assert_eq!(without.analysis.factors, with.analysis.factors);
    assert_eq!(without.analysis.importance, with.analysis.importance);
    // What it reached is shown for what it is.
    let row = with.report.points.iter().find(|row| row.point == 9).unwrap();
    assert_eq!((row.rank, row.spared, row.note()), (None, true, "spared for the stop audit"));
    assert_eq!(row.stopped.unwrap().words(), "90.00 (stop audit, to epoch 9)");
    let text = markdown(&document(&with, &[]));
    assert!(text.contains("90.00 (stop audit, to epoch 9)") && text.contains("but not ranked or compared"), "{text}");
}

/// A search that learned from the ends of those that were spared would propose what it never does without the audit.
#[test]
fn a_search_proposes_what_it_would_without_the_audit() {
    let proposed = |audit: &str| {
        let text = format!(
            "name = \"s\"\ndataset = \"d\"\nepochs = 9\nsearch = \"tpe\"\nsamples = 40\n\
             [stop]\nrule = \"asha-stop\"\n{audit}\n[grid]\nlr = {{ log_uniform = [1e-6, 1.0] }}\n\
             dropout = {{ uniform = [0.0, 0.9] }}\n"
        );
        let lab = Lab::of_file(&text, 1).run();
        let settings = |event: &Event| match event {
            Event::PointProposed { settings, .. } => Some(settings.clone()),
            _ => None,
        };
        (lab.journal.iter().filter_map(|(_, event)| settings(event)).collect::<Vec<_>>(), spared(&lab).len())
    };
    let (without, with) = (proposed(""), proposed("audit_fraction = 0.7"));
    assert!(without.1 == 0 && with.1 > 5, "{}", with.1);
    assert_eq!(without.0, with.0);
}
