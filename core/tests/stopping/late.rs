//! Sweeps that stop early or search, and get more points: late comers are compared with those that came before, nothing that was
//! decided or proposed changes, and a restart anywhere changes nothing either.

use sweep_core::command::{Command, Reply};
use sweep_core::event::Event;
use sweep_core::id::SweepId;
use sweep_core::plan::{Plan, Wish, plan_text};
use sweep_core::report::summarise;
use sweep_core::state::trial::Phase;
use sweep_core::stopping::{Race, Rule, Standing, Stop};

use crate::extending::{extend, healthy, seeds};
use crate::lab::Lab;

const HEAD: &str = "name = \"s\"\ndataset = \"d\"\nepochs = 9\n";
const MORE: &str = "dropout = { uniform = [0.0, 0.6] }\n";

fn file(text: &str) -> Plan {
    plan_text(format!("{HEAD}{text}").as_bytes()).map(|(plan, _)| plan).unwrap()
}

fn drawn(head: &str, samples: u32) -> String {
    format!("{head}\nsamples = {samples}\nseeds = 2\n[grid]\nlr = {{ log_uniform = [1e-4, 1.0] }}\n{MORE}")
}

pub(crate) fn lab(text: &str, slots: u32) -> Lab {
    Lab::of_file(&format!("{HEAD}{text}"), slots)
}

fn to(text: &str) -> Wish {
    Wish { plan: Some(file(text)), ..Wish::default() }
}

/// As `extend`, for sweeps whose points are not all known.
fn extend_search(lab: &mut Lab, wish: &Wish) -> Reply {
    let plan = &lab.sweep().plan;
    let (growth, points, seeds) = (plan.growth(wish).unwrap(), plan.all_points(), plan.seeds.len() as u32);
    let (sweep, user) = (lab.sweep, "ann".to_owned());
    lab.ask(Command::Extend { sweep, user, growth, points, seeds, queue_anyway: false, reuse: Vec::new() })
}

pub(crate) fn crash_anywhere(lab: &Lab, what: &str) {
    for cut in 0..lab.journal.len() {
        assert!(lab.with_a_crash_at(cut) == lab.journal, "{what}: another history after a crash at event {cut}");
    }
}

/// By point: whether it was stopped.
fn fates(lab: &Lab, points: u32) -> Vec<bool> {
    let racing = lab.sweep().racing.as_deref().unwrap();
    (0..points).map(|point| matches!(racing.race.standing(point), Standing::Stopped(_))).collect()
}

#[test]
fn late_comers_are_compared_with_those_that_were_there() {
    for rule in ["asha", "asha-stop", "median", "percentile"] {
        let text = |samples| drawn(&format!("design = \"random\"\nstop = \"{rule}\""), samples);
        let mut lab = lab(&text(12), 3).run();
        healthy(&lab);
        let (before, decided, over) = (fates(&lab, 12), lab.judgements().len(), lab.journal.len());
        assert_eq!(extend(&mut lab, to(&text(20))), Reply::Changed(16), "{rule}");
        let lab = lab.run();
        healthy(&lab);
        assert_eq!(fates(&lab, 12), before, "{rule}: what was decided stays decided");
        // They come to places among all that have been at the rung.
        let late = &lab.judgements()[decided..];
        assert!(late.iter().all(|(point, _)| *point >= 12), "{rule}: {late:?}");
        assert!(late.iter().any(|(_, judged)| judged.of > 8), "{rule}: {late:?}");
        let stopped = fates(&lab, 20)[12..].iter().filter(|stopped| **stopped).count();
        assert!(stopped > 0, "{rule}: nobody of those that came late was stopped");
        let old: Vec<_> = (0..24).map(|index| lab.sweep().ids[index]).collect();
        let again = |event: &Event| matches!(event, Event::LeaseGranted { lease, .. } if old.contains(&lease.trial));
        assert!(!lab.journal[over..].iter().any(|(_, event)| again(event)), "{rule}: only what is new runs");
        // Seeds of a point follow each other.
        let plan = &lab.sweep().plan;
        assert_eq!((24..28).map(|index| plan.trial(index).point).collect::<Vec<_>>(), [12, 12, 13, 13]);
        let report = summarise(lab.core.state(), lab.sweep).unwrap();
        assert_eq!((report.trials, report.points.len()), (40, 20));
    }
}

#[test]
fn a_coordinator_that_dies_anywhere_in_a_sweep_that_grows_decides_the_same() {
    for rule in [Rule::Asha, Rule::AshaStop, Rule::Median, Rule::Percentile, Rule::Budget] {
        let knobs = match rule {
            Rule::Budget => "max_epochs = 4\n",
            Rule::Median | Rule::Percentile => "min_configurations = 2\naudit_fraction = 0.3\n",
            _ => "audit_fraction = 0.3\n",
        };
        let stop = format!("[stop]\nrule = \"{}\"\n{knobs}", rule.name());
        let text = |values: &str| format!("seeds = 2\n{stop}[grid]\nlr = [{values}]\n");
        let mut lab = lab(&text("1.0, 0.1, 0.03, 0.001"), 3);
        (0..5).for_each(|_| lab.tick());
        assert_eq!(extend(&mut lab, to(&text("1.0, 0.1, 0.03, 0.001, 0.01, 0.3"))), Reply::Changed(4), "{rule:?}");
        let lab = lab.run();
        healthy(&lab);
        crash_anywhere(&lab, rule.name());
    }
}

#[test]
fn a_search_goes_on_with_more_samples() {
    for stop in ["", "stop = \"asha\"\n"] {
        let text = |samples| drawn(&format!("{stop}search = \"tpe\""), samples);
        let mut lab = lab(&text(14), 2).run();
        healthy(&lab);
        let (ids, cells) = (lab.sweep().ids.clone(), lab.sweep().plan.cells.clone());
        assert_eq!(extend_search(&mut lab, &to(&text(20))), Reply::Changed(12));
        assert!(lab.sweep().is_searching() && lab.sweep().ended.is_none(), "it is open again");
        (0..3).for_each(|_| lab.tick());
        // And while it searches.
        assert_eq!(extend_search(&mut lab, &to(&text(22))), Reply::Changed(4));
        let lab = lab.run();
        healthy(&lab);
        let plan = &lab.sweep().plan;
        assert_eq!((plan.points, plan.len(), lab.audit().planned), (22, 44, 44));
        assert_eq!((&lab.sweep().ids[..28], &plan.cells[..cells.len()]), (&ids[..], &cells[..]));
        let told = |event: &Event| match event {
            Event::PointProposed { point, from, .. } => Some((*point, *from)),
            _ => None,
        };
        let proposed: Vec<_> = lab.journal.iter().filter_map(|(_, event)| told(event)).collect();
        assert_eq!(proposed.iter().map(|(point, _)| *point).collect::<Vec<_>>(), (10..22).collect::<Vec<_>>());
        let first = proposed.iter().find(|(point, _)| *point == 14).unwrap();
        assert!(first.1 >= 14, "it is chosen from all results that there are: {first:?}");
        assert!(
            lab.sweep().extensions[0].ends_with("by ann: 6 more points to be proposed"),
            "{:?}",
            lab.sweep().extensions
        );
        crash_anywhere(&lab, stop);
    }
}

#[test]
fn what_would_have_been_decided_otherwise_is_refused_with_the_way_out() {
    let no = |plan: &Plan, wish: Wish| plan.growth(&wish).unwrap_err().to_string();
    let grid = |stop: &str, values: &str| format!("{stop}\n[grid]\nlr = [{values}]\n");
    for rule in ["halving", "hyperband"] {
        let stop = format!("stop = \"{rule}\"");
        let plan = file(&grid(&stop, "0.1, 0.01, 0.02, 0.03, 0.04"));
        let words = no(&plan, to(&grid(&stop, "0.1, 0.01, 0.02, 0.03, 0.04, 0.001")));
        assert!(words.contains("compares all points of a rung at once") && words.contains("`asha`"), "{words}");
        assert_eq!(
            plan.growth(&to(&grid(&stop, "0.1, 0.01, 0.02, 0.03, 0.04"))).unwrap(),
            Default::default(),
            "nothing new is no error"
        );
    }
    let asha = file(&grid("stop = \"asha\"", "0.1, 0.01, 0.02, 0.03, 0.04"));
    let words = no(&asha, seeds(&[5]));
    assert!(words.contains("judged by all of its seeds together") && words.contains("--reuse"), "{words}");
    let words = no(&asha, Wish { epochs: Some(20), ..Wish::default() });
    assert!(words.contains("same number of epochs"), "{words}");
    let words = no(&asha, to(&grid("stop = \"asha-stop\"", "0.1, 0.01, 0.02, 0.03, 0.04, 0.001")));
    assert!(words.starts_with("`stop` of the file is not that of the sweep"), "{words}");
    assert!(
        matches!(file(&grid("", "0.1")).growth(&to(&grid("stop = \"asha\"", "0.1, 0.01, 0.02, 0.03, 0.04"))), Err(error) if error.to_string() == words)
    );

    let search = |head: &str, samples| drawn(&format!("search = \"tpe\"\n{head}"), samples);
    let plan = file(&search("", 14));
    for (wish, words) in [
        (seeds(&[5]), "only `samples` in its file can grow"),
        (Wish { epochs: Some(20), ..Wish::default() }, "only `samples` in its file can grow"),
        (to(&search("", 12)), "2 points that the sweep has are not in the file (`samples` is 2 less)"),
        (to(&search("sample_seed = 3", 20)), "`sample_seed` of the file is not that of the sweep"),
        (to(&search("batch_size = 7", 20)), "what all points share of the file is not"),
        (to(&search("stop = \"asha\"", 20)), "`stop` of the file"),
        (to(&search("", 20).replace("seeds = 2", "seeds = 3")), "`seeds` of the file"),
        (to(&search("", 20).replace("1e-4", "1e-5")), "`grid` of the file"),
        (to(&drawn("design = \"random\"", 20)), "`search` of the file"),
    ] {
        let found = no(&plan, wish);
        assert!(found.contains(words), "{found}\n{words}");
    }
    // The search of a sweep that was cancelled is over.
    let tiny = |samples| format!("search = \"tpe\"\nsamples = {samples}\n[grid]\nlr = {{ uniform = [0.1, 0.2] }}\n");
    let mut lab = lab(&tiny(12), 2);
    lab.ask(Command::CancelSweep { sweep: lab.sweep, user: "ann".into() });
    let reply = extend_search(&mut lab, &to(&tiny(20)));
    assert!(matches!(&reply, Reply::Rejected(reject) if reject.reason() == "extend_refused"), "{reply:?}");
    assert!(lab.sweep().trials.iter().all(|trial| !matches!(trial.phase, Phase::Waiting)));
}

#[test]
fn a_random_design_goes_on_where_it_was() {
    for design in ["random", "sobol"] {
        let text = |samples| drawn(&format!("design = \"{design}\""), samples);
        let (few, many) = (file(&text(6)), file(&text(11)));
        let growth = few.growth(&to(&text(11))).unwrap();
        assert_eq!((growth.points.len(), growth.samples), (5, 0), "{design}");
        let mut grown = few.clone();
        grown.grow(&growth);
        let recipes = |plan: &Plan| {
            let of = |index| serde_json::to_string(&plan.recipe(index).unwrap()).unwrap();
            (0..plan.len()).map(of).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(recipes(&grown), recipes(&many), "{design}");
    }
}

/// A race that had room for all from the start, and one that got it, are the same.
#[test]
fn brackets_are_those_of_a_race_that_knew_all_of_them() {
    for rule in Rule::ALL {
        for brackets in [None, Some(3)] {
            let stop = Stop { brackets, ..Stop::new(rule) };
            let new = |points| Race::new(stop.clone(), SweepId::derive("late", ""), points, 27, Some(0));
            for before in [1, 2, 7] {
                let mut grown = new(before);
                grown.room_for(40, 27);
                assert_eq!(grown, new(40), "{rule:?} {brackets:?} {before}");
            }
        }
    }
}
