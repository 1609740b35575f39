//! Sweeps that get more seeds, points or epochs: what there was stays as it is, and only what is new runs.

use sweep_core::audit::Auditor;
use sweep_core::command::{Command, Reply};
use sweep_core::event::Event;
use sweep_core::plan::{ExtendError, Growth, Plan, Wish, plan_text};
use sweep_core::report::summarise;

use crate::lab::{Lab, fold};

const HEAD: &str = "name = \"s\"\ndataset = \"d\"\nepochs = 3\n";
pub(crate) const GRID: &str = "seeds = 2\n[grid]\nlr = [0.1, 0.01]\ndropout = [0.0, 0.3]\n";

pub(crate) fn file(text: &str) -> Plan {
    plan_text(format!("{HEAD}{text}").as_bytes()).map(|(plan, _)| plan).unwrap()
}

pub(crate) fn lab(text: &str, slots: u32) -> Lab {
    Lab::of_file(&format!("{HEAD}{text}"), slots)
}

pub(crate) fn healthy(lab: &Lab) {
    let audit = lab.audit();
    assert!(audit.is_exactly_once(), "{audit:?}");
    assert_eq!(lab.core.state().check(), Ok(()));
    assert_eq!(&fold(&lab.journal), lab.core.state());
}

pub(crate) fn extend(lab: &mut Lab, wish: Wish) -> Reply {
    let plan = &lab.sweep().plan;
    let (growth, points, seeds) = (plan.growth(&wish).unwrap(), plan.points, plan.seeds.len() as u32);
    let (sweep, user) = (lab.sweep, "ann".to_owned());
    lab.ask(Command::Extend { sweep, user, growth, points, seeds, queue_anyway: false, reuse: Vec::new() })
}

pub(crate) fn seeds(seeds: &[u64]) -> Wish {
    Wish { seeds: seeds.to_vec(), ..Wish::default() }
}

fn to(text: &str) -> Wish {
    Wish { plan: Some(file(text)), ..Wish::default() }
}

/// What was over is not touched: its ids, attempts and results are those of before.
fn only_what_is_new(wish: Wish, points: u32, per_point: u32) -> Lab {
    let mut lab = lab(GRID, 3).run();
    healthy(&lab);
    let (ids, trials) = (lab.sweep().ids.clone(), lab.sweep().trials.clone());
    let all = points * per_point;
    assert_eq!(extend(&mut lab, wish), Reply::Changed(all - 8));
    assert_eq!(lab.sweep().status(), "running", "it is open again");
    let granted = lab.journal.len();
    let lab = lab.run();
    healthy(&lab);
    assert_eq!((lab.sweep().ids[..8].to_vec(), lab.sweep().trials[..8].to_vec()), (ids.clone(), trials));
    let again = lab.journal[granted..]
        .iter()
        .filter(|(_, event)| matches!(event, Event::LeaseGranted { lease, .. } if ids.contains(&lease.trial)));
    assert_eq!(again.count(), 0);
    assert_eq!((lab.audit().planned, lab.audit().attempts), (u64::from(all), u64::from(all)));
    // One sweep for the report: every point has all seeds.
    let report = summarise(lab.core.state(), lab.sweep).unwrap();
    assert_eq!((report.trials, report.points.len()), (all, points as usize));
    assert!(report.points.iter().all(|row| row.seeds == per_point), "{:?}", report.points);
    lab
}

#[test]
fn more_seeds_run_every_point_with_them() {
    let lab = only_what_is_new(seeds(&[7, 1, 8]), 4, 4);
    assert_eq!(lab.sweep().plan.seeds, [0, 1, 7, 8]);
    let report = summarise(lab.core.state(), lab.sweep).unwrap();
    let told = &report.provenance.extensions;
    assert!(told.len() == 1 && told[0].ends_with("UTC, by ann: seeds 7, 8"), "{told:?}");
    // The trials have the ids that they would have had from the start.
    let whole = file(&GRID.replace("seeds = 2", "seeds = [0, 1, 7, 8]"));
    let ids = |ids: &[sweep_core::id::TrialId]| ids.iter().copied().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&lab.sweep().ids), ids(&whole.trial_ids(lab.sweep)));
}

#[test]
fn a_file_with_more_values_adds_their_points() {
    let lab = only_what_is_new(to(&GRID.replace("[0.1, 0.01]", "[0.1, 0.01, 0.001]")), 6, 2);
    assert_eq!(lab.sweep().plan.columns[0].labels, ["0.1", "0.01", "0.001"]);
    assert!(
        lab.sweep().extensions[0].contains("2 points (lr = 0.001, dropout = 0.0; "),
        "{:?}",
        lab.sweep().extensions
    );
    // Seeds, values and another axis at once; a value in front of the others changes no place.
    let text = "seeds = 3\n[grid]\nlr = [1.0, 0.1, 0.01]\ndropout = [0.0, 0.3]\nbatch_size = [32, 64]\n";
    let lab = only_what_is_new(to(text), 12, 3);
    assert_eq!(lab.sweep().plan.baseline, file(GRID).baseline);
}

#[test]
fn more_epochs_are_points_of_their_own() {
    let lab = only_what_is_new(Wish { epochs: Some(5), ..Wish::default() }, 8, 2);
    let plan = &lab.sweep().plan;
    assert_eq!((0..plan.len()).map(|index| plan.epochs(index)).collect::<Vec<_>>(), [[3u32; 8], [5; 8]].concat());
    // Others are compared with the baseline at as many epochs.
    let (before, now) = (file(GRID).baseline.unwrap(), plan.baseline.unwrap());
    assert_eq!(now, before + 4);
    assert!(
        lab.sweep().trials[8..].iter().all(|trial| trial.progress.as_ref().unwrap().last.as_ref().unwrap().epoch == 5)
    );
    // And again: those that were extended are not extended twice.
    let mut lab = lab;
    assert_eq!(extend(&mut lab, Wish { epochs: Some(6), ..Wish::default() }), Reply::Changed(8));
    let lab = lab.run();
    healthy(&lab);
    assert_eq!((lab.sweep().plan.points, lab.sweep().plan.baseline), (12, Some(before + 8)));
}

#[test]
fn a_running_sweep_is_extended_and_a_coordinator_may_die_anywhere() {
    let mut lab = lab(GRID, 2);
    (0..4).for_each(|_| lab.tick());
    assert_eq!(extend(&mut lab, seeds(&[5])), Reply::Changed(4));
    (0..3).for_each(|_| lab.tick());
    assert_eq!(
        extend(&mut lab, to(&GRID.replace("seeds = 2", "seeds = [0, 1, 5]").replace("0.3]", "0.3, 0.5]"))),
        Reply::Changed(6)
    );
    let lab = lab.run();
    healthy(&lab);
    for cut in 0..lab.journal.len() {
        assert!(lab.with_a_crash_at(cut) == lab.journal, "another history after a crash at event {cut}");
    }
}

/// Trials on another data set wait in a list of their own.
#[test]
fn a_data_set_may_be_added() {
    let mut lab = lab("[grid]\nlr = [0.1, 0.01]\n", 2).run();
    assert_eq!(extend(&mut lab, to("[grid]\nlr = [0.1, 0.01]\ndataset = [\"d\", \"e\"]\n")), Reply::Changed(2));
    assert_eq!(lab.core.state().check(), Ok(()));
    let lab = lab.run();
    healthy(&lab);
    let sweep = lab.sweep();
    assert_eq!((0..4).map(|index| sweep.dataset(index)).collect::<Vec<_>>(), ["d", "d", "e", "e"]);
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let plan = file(GRID);
    let no = |plan: &Plan, wish: Wish| plan.growth(&wish).unwrap_err().to_string();
    let fewer = no(&plan, to("seeds = 2\n[grid]\nlr = [0.1]\ndropout = [0.0, 0.3]\n"));
    assert!(fewer.starts_with("2 points that the sweep has are not in the file (lr = 0.01"), "{fewer}");
    let other = no(&plan, to("seeds = 2\nbatch_size = 7\n[grid]\nlr = [0.1, 0.01]\ndropout = [0.0, 0.3]\n"));
    assert!(other.contains("are not in the file"), "{other}");
    let seed = no(&plan, to(&GRID.replace("seeds = 2", "seeds = [1, 2]")));
    assert!(seed.starts_with("1 seed that the sweep has is not in the file (seed 0)"), "{seed}");
    assert!(matches!(
        plan.growth(&Wish { epochs: Some(3), ..Wish::default() }),
        Err(ExtendError::Epochs { asked: 3, most: 3 })
    ));
    assert!(matches!(plan.growth(&Wish { epochs: Some(100_001), ..Wish::default() }), Err(ExtendError::NoRecipe(_))));
    assert!(matches!(plan.growth(&seeds(&(10..30_000).collect::<Vec<_>>())), Err(ExtendError::TooMany(_))));
    // Nothing new is no error, and not written down.
    let mut lab = lab(GRID, 3).run();
    let before = lab.journal.len();
    assert_eq!(extend(&mut lab, seeds(&[0, 1])), Reply::Changed(0));
    assert_eq!(lab.journal.len(), before);
    // Somebody else was quicker: what was worked out does not fit any more.
    let growth = lab.sweep().plan.growth(&seeds(&[9])).unwrap();
    let (sweep, user) = (lab.sweep, "ann".to_owned());
    extend(&mut lab, seeds(&[5]));
    let late =
        lab.ask(Command::Extend { sweep, user, growth, points: 4, seeds: 2, queue_anyway: false, reuse: Vec::new() });
    assert!(matches!(&late, Reply::Rejected(reject) if reject.reason() == "extended_meanwhile"), "{late:?}");
}

#[test]
fn the_oracle_sees_what_is_planned_twice() {
    let mut lab = lab(GRID, 3).run();
    extend(&mut lab, to(&GRID.replace("0.3]", "0.3, 0.5]")));
    let lab = lab.run();
    let rules = |change: &dyn Fn(&Event) -> Vec<Event>| {
        let mut auditor = Auditor::new();
        lab.journal.iter().flat_map(|(_, event)| change(event)).for_each(|event| auditor.read(&event));
        auditor.all().violations.iter().map(|found| found.rule).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(rules(&|event| vec![event.clone()]).is_empty());
    let twice = rules(&|event| match event {
        Event::SweepExtended { .. } => vec![event.clone(), event.clone()],
        _ => vec![event.clone()],
    });
    assert!(twice.contains("planned_twice"), "{twice:?}");
    let old = rules(&|event| match event {
        Event::SweepExtended { sweep, user, .. } => {
            let growth = Growth { seeds: vec![1], ..Growth::default() };
            vec![event.clone(), Event::SweepExtended { sweep: *sweep, user: user.clone(), growth }]
        }
        _ => vec![event.clone()],
    });
    assert!(old.contains("planned_twice"), "{old:?}");
}

/// It was answered with "extended meanwhile", however often one asked.
#[test]
fn longer_points_of_a_sweep_with_a_budget_begin_at_the_beginning() {
    let text = |epochs: &str| {
        format!("seeds = 2\nstop = {{ rule = \"budget\", max_seconds = 1e6 }}\n[grid]\nepochs = {epochs}\n")
    };
    let mut lab = lab(&text("[2, 3]"), 3).run();
    healthy(&lab);
    assert_eq!(extend(&mut lab, to(&text("[2, 3, 5]"))), Reply::Changed(2));
    let lab = lab.run();
    healthy(&lab);
    let new = &lab.sweep().ids[4..];
    let from = lab.journal.iter().filter_map(|(_, event)| match event {
        Event::LeaseGranted { lease, resume_epoch, .. } if new.contains(&lease.trial) => Some(*resume_epoch),
        _ => None,
    });
    assert_eq!(from.collect::<Vec<_>>(), [0, 0]);
}
