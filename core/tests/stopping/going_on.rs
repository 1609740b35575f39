//! Sweeps that get more epochs: a longer trial goes on where a shorter one ended, if that gives the same numbers; else it begins at the
//! beginning.

use std::collections::BTreeSet;

use sweep_core::attempt::FailureClass;
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, EffectKind, Ending, Reply};
use sweep_core::event::{Event, Failure};
use sweep_core::id::TrialId;
use sweep_core::plan::{GoesOn, Wish};
use sweep_core::report::analysis::{Options, analyse};
use sweep_core::report::document::{document, markdown::markdown};
use sweep_core::report::{PointRow, Report, summarise};
use sweep_core::retry::CHECKPOINT_MISSING;

use crate::extending::{GRID, extend, file, healthy, lab, seeds};
use crate::lab::Lab;

fn epochs(epochs: u32) -> Wish {
    Wish { epochs: Some(epochs), ..Wish::default() }
}

/// Where the trials from a place of the plan on went on, in the order in which they were granted.
fn resumed(lab: &Lab, first: usize) -> Vec<u32> {
    let new: BTreeSet<TrialId> = lab.sweep().ids[first..].iter().copied().collect();
    let granted = |event: &Event| match event {
        Event::LeaseGranted { lease, resume_epoch, .. } if new.contains(&lease.trial) => Some(*resume_epoch),
        _ => None,
    };
    lab.journal.iter().filter_map(|(_, event)| granted(event)).collect()
}

fn epochs_trained(lab: &Lab) -> usize {
    lab.journal.iter().filter(|(_, event)| matches!(event, Event::EpochReported { .. })).count()
}

fn begun(lab: &Lab, place: usize) -> Option<(u32, u32)> {
    lab.sweep().trials[place].progress.as_ref().unwrap().begun
}

#[test]
fn a_longer_trial_goes_on_where_the_shorter_one_ended() {
    let mut lab = lab(GRID, 3).run();
    assert_eq!(epochs_trained(&lab), 8 * 3);
    assert_eq!(extend(&mut lab, epochs(5)), Reply::Changed(8));
    assert!(lab.sweep().extensions[0].contains("8 trials go on from shorter ones"), "{:?}", lab.sweep().extensions);
    assert_eq!(lab.core.state().check(), Ok(()), "those that have something to go on from wait among such");
    let mut lab = lab.run();
    healthy(&lab);
    assert_eq!((resumed(&lab, 8), epochs_trained(&lab)), (vec![3; 8], 8 * 5));
    // The best of the whole curve is the result, and the checkpoints of the shorter one stay.
    let trials = &lab.sweep().trials;
    let plan = &lab.sweep().plan;
    for place in 8..16 {
        let (from, epoch) = begun(&lab, place).unwrap();
        let (long, short) = (plan.trial(place as u32), plan.trial(from));
        assert_eq!((epoch, long.seed, plan.value(long.point, "lr")), (3, short.seed, plan.value(short.point, "lr")));
        let last = |place: usize| trials[place].progress.as_ref().unwrap().last.as_ref().unwrap().epoch;
        assert_eq!((last(place), last(from as usize)), (5, 3));
    }
    // The longest of the shorter ones is gone on from.
    assert_eq!(extend(&mut lab, epochs(6)), Reply::Changed(8));
    let mut lab = lab.run();
    healthy(&lab);
    assert_eq!((resumed(&lab, 16), epochs_trained(&lab)), (vec![5; 8], 8 * 6));
    assert!((16..24).all(|place| begun(&lab, place).is_some_and(|(from, _)| from >= 8)));
    // New seeds have nothing to go on from.
    assert_eq!(extend(&mut lab, seeds(&[9])), Reply::Changed(12));
    let lab = lab.run();
    healthy(&lab);
    assert_eq!(resumed(&lab, 24), [0; 12]);
}

/// What a longer trial took is what the shorter ones took, too, from which it went on; the sweep counts each of them once.
#[test]
fn a_longer_trial_costs_what_the_shorter_ones_cost_too() {
    let mut lab = lab(GRID, 3).run();
    for more in [5, 6] {
        extend(&mut lab, epochs(more));
        lab = lab.run();
    }
    let report = summarise(lab.core.state(), lab.sweep).unwrap();
    let spent = |place: usize| lab.sweep().trials[place].progress.as_ref().unwrap().spent as f64 / 1e6;
    let whole = |place: usize| {
        let shorter = begun(&lab, place).map_or(0.0, |(middle, _)| {
            spent(middle as usize) + begun(&lab, middle as usize).map_or(0.0, |(first, _)| spent(first as usize))
        });
        spent(place) + shorter
    };
    for row in &report.points {
        let places = row.trials.iter().map(|trial| lab.sweep().ids.iter().position(|id| *id == trial.trial).unwrap());
        let (took, expected) = (row.cost.slot_seconds, places.map(whole).sum::<f64>());
        assert!(took > 0.0 && (took - expected).abs() < 1e-9, "point {}: {took} is not {expected}", row.point);
    }
    let begun: Vec<Option<u32>> = [3, 5, 6].map(|epochs| row_of(&report, epochs).trials[0].begun).into();
    assert_eq!(begun, [None, Some(3), Some(5)]);
    let cost = |epochs| row_of(&report, epochs).cost.slot_seconds;
    assert!(cost(6) > cost(5) && cost(5) > cost(3), "{} {} {}", cost(6), cost(5), cost(3));
    let all: f64 = (0..24).map(spent).sum();
    assert!((report.cost.slot_seconds - all).abs() < 1e-9, "{} is not {all}", report.cost.slot_seconds);
    // The price of accuracy, too, is that of all that was trained.
    let study = analyse(report, &Options::default()).unwrap();
    let hours = study.analysis.pareto.iter().find(|found| found.cost == "device_hours").unwrap();
    for trade in &hours.points {
        let row = study.report.points.iter().find(|row| row.point == trade.point).unwrap();
        assert!((trade.cost.0 * 3600.0 * 2.0 - row.cost.slot_seconds).abs() < 1e-9);
    }
    let text = markdown(&document(&study, &[]));
    assert!(text.contains("Of 16 trials the first epochs are those of a shorter trial"), "{text}");
}

/// The first point with so many epochs.
fn row_of(report: &Report, epochs: u32) -> &PointRow {
    report.points.iter().find(|row| row.trials.iter().all(|trial| trial.epochs == epochs)).unwrap()
}

#[test]
fn a_file_with_longer_trials_goes_on_too() {
    let text = "[grid]\nlr = [0.1, 0.01]\nepochs = [3]\n";
    let mut lab = Lab::of_file(&format!("name = \"s\"\ndataset = \"d\"\n{text}"), 2).run();
    let plan = sweep_core::plan::plan_text(
        format!("name = \"s\"\ndataset = \"d\"\n{}", text.replace("[3]", "[2, 3, 4]")).as_bytes(),
    );
    extend(&mut lab, Wish { plan: Some(plan.unwrap().0), ..Wish::default() });
    let lab = lab.run();
    healthy(&lab);
    // Those with 2 epochs are shorter than what there is.
    let mut resumed = resumed(&lab, 2);
    resumed.sort_unstable();
    assert_eq!(resumed, [0, 0, 3, 3]);
}

#[test]
fn where_the_rate_follows_the_length_a_longer_trial_begins_at_the_beginning() {
    let goes_on = |schedule: &str| file(&format!("{schedule}\n{GRID}")).growth(&epochs(5)).unwrap().goes_on;
    for schedule in [
        "schedule = \"constant\"",
        "schedule = \"step\"",
        "schedule.multi-step.milestones = [2, 4]",
        "schedule = \"plateau\"",
        "schedule = \"cosine-restarts\"",
        "schedule.cosine.t_max = 3",
        "warmup.epochs = 2\nema.decay = 0.9\nearly_stop.patience = 2",
    ] {
        let found = goes_on(schedule);
        assert_eq!(found.len(), 8, "{schedule}");
        assert!(found.iter().all(|one| one.epoch == 3 && one.trial >= 8 && one.from < 8), "{schedule}: {found:?}");
    }
    for schedule in ["schedule = \"cosine\"", "schedule = \"one-cycle\"\noptimizer.sgd.momentum = 0.9"] {
        assert_eq!(goes_on(schedule), [], "{schedule}");
    }
    let mut lab = lab(&format!("schedule = \"cosine\"\n{GRID}"), 3).run();
    extend(&mut lab, epochs(5));
    let lab = lab.run();
    healthy(&lab);
    assert_eq!(resumed(&lab, 8), [0; 8]);
}

#[test]
fn only_what_came_to_its_end_is_gone_on_from_and_a_coordinator_may_die_anywhere() {
    let mut lab = lab(GRID, 2);
    (0..7).for_each(|_| lab.tick());
    let done = lab.sweep().counts.completed;
    assert!((1..8).contains(&done), "{done}");
    assert_eq!(extend(&mut lab, epochs(5)), Reply::Changed(8));
    let lab = lab.run();
    healthy(&lab);
    let mut resumed = resumed(&lab, 8);
    resumed.sort_unstable();
    let done = done as usize;
    assert_eq!(resumed, [vec![0; 8 - done], vec![3; done]].concat());
    for cut in 0..lab.journal.len() {
        assert!(lab.with_a_crash_at(cut) == lab.journal, "another history after a crash at event {cut}");
    }
}

#[test]
fn a_longer_trial_whose_checkpoint_is_gone_begins_at_the_beginning() {
    let mut lab = lab(GRID, 1).run();
    extend(&mut lab, epochs(5));
    let lease =
        lab.core.state().agents.values().flat_map(|agent| agent.slots.iter().flatten()).next().copied().unwrap();
    let place = lab.core.state().find(lease.trial).unwrap().index as usize;
    assert_eq!(begun(&lab, place).map(|(_, epoch)| epoch), Some(3));
    let failure = Failure { class: FailureClass::Host, reason: CHECKPOINT_MISSING.into(), message: "gone".into() };
    lab.effect(lease, EffectKind::Ended { final_seq: 0, how: Ending::Failed(failure) });
    assert_eq!(begun(&lab, place), None);
    while lab.sweep().ended.is_none() {
        let (agent, known) = lab.core.state().agents.iter().next().unwrap();
        let known = known.slots.iter().flatten().copied().collect();
        lab.ask(Command::Heartbeat { agent: *agent, known });
        lab.tick();
    }
    healthy(&lab);
    let mut resumed = resumed(&lab, 8);
    resumed.sort_unstable();
    assert_eq!(resumed, [vec![0], vec![3; 8]].concat());
}

#[test]
fn the_oracle_compares_what_is_gone_on_from_for_itself() {
    let mut lab = lab(GRID, 3).run();
    extend(&mut lab, epochs(5));
    let lab = lab.run();
    let rules = |change: &dyn Fn(&mut GoesOn)| {
        let mut auditor = Auditor::new();
        for (_, event) in &lab.journal {
            let mut event = event.clone();
            if let Event::SweepExtended { growth, .. } = &mut event {
                change(&mut growth.goes_on[0]);
            }
            auditor.read(&event);
        }
        auditor.all().violations.iter().map(|found| found.rule).collect::<BTreeSet<_>>()
    };
    assert_eq!(rules(&|_| {}), BTreeSet::new());
    // Another recipe, an epoch that was not the last, a trial that was started, none at all.
    assert!(rules(&|one| one.from = (one.from + 1) % 8).contains("goes_on_wrongly"));
    assert!(rules(&|one| one.epoch = 2).contains("goes_on_wrongly"));
    assert!(rules(&|one| one.trial = 1).contains("goes_on_wrongly"));
    assert!(rules(&|one| one.from = 99).contains("goes_on_from_nothing"));
}
