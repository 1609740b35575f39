//! Points that are chosen while a sweep runs, in the whole of core: trials, slots, early stopping, restarts.

use sweep_core::audit::Auditor;
use sweep_core::command::Command;
use sweep_core::event::Event;
use sweep_core::plan::plan_text;
use sweep_core::report::summarise;
use sweep_core::search::Setting;
use sweep_core::state::trial::Phase;
use sweep_core::tuning::TuningPatch;

use crate::lab::{Lab, fold};

const SPACE: &str = "name = \"s\"\ndataset = \"d\"\nepochs = 4\n";
const GRID: &str = "[grid]\nlr = { log_uniform = [1e-6, 1.0] }\ndropout = { uniform = [0.0, 0.9] }\n\
    model = [\"resnet18\", \"resnet34\"]\n";

fn file(head: &str, tables: &str) -> String {
    format!("{SPACE}{head}\n{GRID}{tables}")
}

fn healthy(lab: &Lab) {
    let audit = lab.audit();
    assert!(audit.is_exactly_once(), "{audit:?}");
    assert_eq!(lab.core.state().check(), Ok(()));
    assert_eq!(&fold(&lab.journal), lab.core.state());
}

/// Of each point that was proposed: its number, and from how many results.
fn proposals(lab: &Lab) -> Vec<(u32, u32)> {
    let proposed = |event: &Event| match event {
        Event::PointProposed { point, from, .. } => Some((*point, *from)),
        _ => None,
    };
    lab.journal.iter().filter_map(|(_, event)| proposed(event)).collect()
}

fn best(lab: &Lab) -> f64 {
    let sweep = lab.sweep();
    let best = |trial: &sweep_core::state::trial::Trial| Some(trial.progress.as_ref()?.best.as_ref()?.val_accuracy.0);
    sweep.trials.iter().filter_map(best).fold(0.0, f64::max)
}

#[test]
fn a_search_goes_where_results_are_good() {
    let searched = Lab::of_file(&file("search = \"tpe\"\nsamples = 60\nseeds = 2", ""), 3).run();
    healthy(&searched);
    let plan = &searched.sweep().plan;
    assert_eq!((plan.points, plan.len(), searched.audit().planned), (60, 120, 120));
    // The first ten are in the plan; the others know all that was over, which is all but those on three slots.
    let proposed = proposals(&searched);
    assert_eq!(proposed.iter().map(|(point, _)| *point).collect::<Vec<_>>(), (10..60).collect::<Vec<_>>());
    assert!(proposed.iter().all(|(point, from)| point - from <= 3), "{proposed:?}");
    let random = Lab::of_file(&file("design = \"random\"\nsamples = 60\nseeds = 2", ""), 3).run();
    // Top accuracy after four epochs is 0.9 x 15/16, and a little by the seed.
    let top = 0.901 * 15.0 / 16.0;
    let (ours, theirs) = (top - best(&searched), top - best(&random));
    println!("short of the best possible: {ours:.5} searched, {theirs:.5} random");
    assert!(ours * 3.0 < theirs, "{ours} {theirs}");
    // The first points are those of a random design.
    let ids = |lab: &Lab| lab.sweep().ids.iter().copied().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&searched).intersection(&ids(&random)).count(), 20);
    let report = summarise(searched.core.state(), searched.sweep).unwrap();
    assert_eq!((report.points.len(), report.trials), (60, 120));
}

#[test]
fn a_coordinator_that_dies_anywhere_proposes_the_same() {
    for (head, tables) in [
        ("search = \"tpe\"\nsamples = 14", "[search]"),
        ("samples = 14\nseeds = 2\nstop = \"asha\"", "[search]\nmethod = \"tpe\"\nstartup = 4\noutstanding = 3"),
        ("samples = 12\nmax_parallel = 2\nstop = \"halving\"", "[search]\nmethod = \"tpe\"\nstartup = 4"),
        ("samples = 12\nstop = \"median\"", "[search]\nmethod = \"tpe\"\nstartup = 3\nmetric = \"val_accuracy\""),
    ] {
        let tables = if tables == "[search]" { "" } else { tables };
        let lab = Lab::of_file(&file(head, tables), 3).run();
        healthy(&lab);
        assert!(proposals(&lab).iter().any(|(_, from)| *from > 0), "{head}");
        for cut in 0..lab.journal.len() {
            let again = lab.with_a_crash_at(cut);
            let differs = again.iter().zip(&lab.journal).position(|(a, b)| a != b);
            assert!(again == lab.journal, "{head}: another history after a crash at event {cut}, from {differs:?} on");
        }
    }
}

type Curve = Vec<f64>;
/// Of the best of two curves.
type Of = fn(f64, f64) -> f64;

/// What one seed happened to give proposes nothing: on the recorded table, two curves for each point, the proposals are those of a table in
/// which both seeds have the mean of the two, and of no other.
#[test]
fn a_search_goes_by_the_mean_over_the_seeds() {
    let text = file("samples = 30\nseeds = 2", "[search]\nmethod = \"tpe\"\noutstanding = 1");
    let rows: Vec<Vec<f64>> = crate::curves().into_iter().take(60).map(|curve| curve[..4].to_vec()).collect();
    let proposed = |of_point: &dyn Fn(&[Curve]) -> [Curve; 2]| -> Vec<Vec<Setting>> {
        let lab = Lab::of_table(&text, rows.chunks(2).flat_map(of_point).collect(), 2).run();
        healthy(&lab);
        let known = |event: &Event| match event {
            Event::PointProposed { settings, .. } => Some(settings.clone()),
            _ => None,
        };
        lab.journal.iter().filter_map(|(_, event)| known(event)).collect()
    };
    let best = |curve: &[f64]| curve.iter().copied().fold(0.0, f64::max);
    let both = |value: f64| [vec![value; 4], vec![value; 4]];
    let recorded = proposed(&|two| [two[0].clone(), two[1].clone()]);
    assert_eq!(recorded.len(), 20);
    assert_eq!(recorded, proposed(&|two| [two[1].clone(), two[0].clone()]), "which seed is which");
    assert_eq!(recorded, proposed(&|two| both(f64::midpoint(best(&two[0]), best(&two[1])))), "the mean");
    let others: [(&str, Of); 4] =
        [("the first", |a, _| a), ("the second", |_, b| b), ("the better", f64::max), ("the worse", f64::min)];
    for (which, of) in others {
        assert_ne!(recorded, proposed(&|two| both(of(best(&two[0]), best(&two[1])))), "{which} alone");
    }
}

/// By the loss, a point is as good as its lowest: what comes after that, better accuracies included, proposes nothing else.
#[test]
fn a_search_by_the_loss_goes_by_the_lowest() {
    let text = file("samples = 24", "[search]\nmethod = \"tpe\"\nstartup = 4\noutstanding = 1\nmetric = \"val_loss\"");
    let settings = |lab: &Lab| -> Vec<Vec<Setting>> {
        let proposed = |event: &Event| match event {
            Event::PointProposed { settings, .. } => Some(settings.clone()),
            _ => None,
        };
        lab.journal.iter().filter_map(|(_, event)| proposed(event)).collect()
    };
    let overfitted = Lab::of_file(&text, 1).overfitting().run();
    healthy(&overfitted);
    let short = Lab::of_file(&text.replace("epochs = 4", "epochs = 1"), 1).run();
    assert_eq!((settings(&short).len(), settings(&overfitted)), (20, settings(&short)));
}

/// With early stopping, those that got furthest count as the best, and paused ones leave room for others.
#[test]
fn search_and_stopping_work_together() {
    let text = file("samples = 40\nstop = \"asha\"", "[search]\nmethod = \"tpe\"\noutstanding = 4")
        .replace("epochs = 4", "epochs = 9");
    let lab = Lab::of_file(&text, 2).run();
    healthy(&lab);
    let audit = lab.audit();
    assert_eq!(audit.completed + audit.stopped, 40);
    assert!(audit.stopped > 20 && audit.epochs * 2 < 40 * 9, "{audit:?}");
    let phases = lab.sweep().trials.iter().map(|trial| &trial.phase);
    assert!(phases.clone().all(|phase| matches!(phase, Phase::Completed { .. } | Phase::Stopped)));
}

#[test]
fn so_many_are_under_way_and_no_more() {
    let text = file("samples = 30", "[search]\nmethod = \"tpe\"\nstartup = 2\noutstanding = 3");
    let mut lab = Lab::of_file(&text, 8);
    let mut most = 0;
    while lab.sweep().ended.is_none() {
        lab.tick();
        let counts = lab.sweep().counts;
        most = most.max(counts.running + counts.waiting + counts.backoff);
        assert!(lab.sweep().plan.points == 30 || most <= 3, "{counts:?}");
        // Not before the last point.
        assert_eq!(lab.sweep().status() == "completed", lab.sweep().ended.is_some() && lab.sweep().plan.points == 30);
    }
    assert_eq!(most, 3);
}

/// A restart right after the change proposes the same.
#[test]
fn a_higher_limit_is_room_for_the_next_point() {
    let text = file("samples = 12\nmax_parallel = 1", "[search]\nmethod = \"tpe\"\nstartup = 1");
    let mut lab = Lab::of_file(&text, 3);
    (0..3).for_each(|_| lab.tick());
    assert_eq!((lab.sweep().counts.running, lab.sweep().plan.points), (1, 1));
    let patch = TuningPatch { max_parallel: Some(Some(3)), ..TuningPatch::default() };
    lab.ask(Command::SetSweep { sweep: lab.sweep, user: "ann".into(), patch });
    assert_eq!(lab.sweep().counts.running, 3);
    let lab = lab.run();
    healthy(&lab);
    for cut in 0..lab.journal.len() {
        assert!(lab.with_a_crash_at(cut) == lab.journal, "another history after a crash at event {cut}");
    }
}

#[test]
fn cancelled_sweeps_propose_nothing_more() {
    let mut lab = Lab::of_file(&file("search = \"tpe\"\nsamples = 30", ""), 2);
    (0..30).for_each(|_| lab.tick());
    let points = lab.sweep().plan.points;
    assert!((11..30).contains(&points));
    let (sweep, user) = (lab.sweep, "ann".to_owned());
    assert_eq!(lab.audit().planned, 30);
    lab.ask(Command::CancelSweep { sweep, user: user.clone() });
    let mut lab = lab.run();
    assert_eq!((lab.sweep().plan.points, lab.sweep().status()), (points, "cancelled"));
    let audit = lab.audit();
    assert!(audit.is_legal() && audit.planned == u64::from(points) && audit.open == 0, "{audit:?}");
    // Run again: what there was, and nothing new.
    lab.ask(Command::RetrySweep { sweep, user, cancelled: true });
    let lab = lab.run();
    healthy(&lab);
    assert_eq!(lab.sweep().plan.points, points);
}

/// Where fewer points can be tried than were asked for, the search ends when all are.
#[test]
fn a_space_that_is_used_up_ends_the_search() {
    let text = "name = \"s\"\ndataset = \"d\"\nepochs = 1\nsearch = \"tpe\"\nsamples = 15\n[grid]\nlr = [0.1, 0.01, 0.001, 0.0001]\n\
        dropout = [0.0, 0.1, 0.2, 0.3]\n[[exclude]]\nlr = 0.1\ndropout = 0.0\n[[exclude]]\nlr = 0.1\ndropout = 0.1\n";
    let lab = Lab::of_file(text, 2).run();
    healthy(&lab);
    assert_eq!((lab.sweep().plan.points, lab.sweep().status()), (14, "completed"));
    assert!(lab.journal.iter().any(|(_, event)| matches!(event, Event::SearchEnded { .. })));
}

#[test]
fn the_oracle_sees_points_that_must_not_be() {
    let lab = Lab::of_file(&file("search = \"tpe\"\nsamples = 12", ""), 2).run();
    let verdict = |change: &dyn Fn(Event) -> Vec<Event>| {
        let mut auditor = Auditor::new();
        lab.journal.iter().flat_map(|(_, event)| change(event.clone())).for_each(|event| auditor.read(&event));
        let rules: std::collections::BTreeSet<_> = auditor.all().violations.iter().map(|found| found.rule).collect();
        rules.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(verdict(&|event| vec![event]), <[&str; 0]>::default());
    let twice = verdict(&|event| match &event {
        Event::PointProposed { point: 10, .. } => vec![event.clone(), event],
        _ => vec![event],
    });
    assert_eq!(twice, ["proposed_out_of_turn"]);
    let again = verdict(&|event| match event {
        Event::PointProposed { sweep, point: 11, from, .. } => {
            let settings = lab.journal.iter().find_map(|(_, event)| match event {
                Event::PointProposed { settings, point: 10, .. } => Some(settings.clone()),
                _ => None,
            });
            vec![Event::PointProposed { sweep, point: 11, from, settings: settings.unwrap() }]
        }
        _ => vec![event],
    });
    assert!(again.contains(&"planned_twice"), "{again:?}");
    let outside = verdict(&|event| match event {
        Event::PointProposed { sweep, point, from, mut settings } => {
            settings[0] = Setting { value: 7.0.into(), ..settings[0].clone() };
            vec![Event::PointProposed { sweep, point, from, settings }]
        }
        _ => vec![event],
    });
    assert!(outside.contains(&"proposed_outside"), "{outside:?}");
    let after = verdict(&|event| match &event {
        Event::SweepSubmitted { sweep, .. } => vec![event.clone(), Event::SearchEnded { sweep: *sweep }],
        _ => vec![event],
    });
    assert!(after.contains(&"proposed_without_search"), "{after:?}");
}

#[test]
fn searches_that_cannot_be_are_refused_with_the_reason() {
    let wrong = |head: &str, tables: &str, expected: &str| {
        let errors = plan_text(file(head, tables).as_bytes()).map(|_| ()).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(text.iter().any(|line| line.contains(expected)), "{expected}: {text:#?}");
    };
    let search = |knobs: &str| format!("[search]\nmethod = \"tpe\"\n{knobs}");
    wrong("search = \"tpe\"", "", "a searched design needs a number of samples");
    wrong("search = \"tpo\"\nsamples = 30", "", "did you mean `tpe`?");
    wrong("search = 3\nsamples = 30", "", "search = \"tpe\" is enough");
    wrong("samples = 30", "[search]\nstartup = 3", "which method?");
    wrong("search = \"tpe\"\ndesign = \"sobol\"\nsamples = 30", "", "leave out one of `design` and `search`");
    wrong("search = \"tpe\"\nsamples = 10", "", "10 of 10 samples are drawn at random");
    wrong("samples = 30", &search("outstanding = 30"), "30 of 30 samples may be under way at once");
    wrong("samples = 30", &search("trials = 30"), "how many points is `samples`");
    wrong("samples = 30", &search("candidats = 30"), "did you mean `candidates`?");
    wrong("samples = 30", &search("candidates = 0"), "must be 1 to 1000");
    wrong("samples = 30\nstop = \"asha\"", &search("metric = \"val_loss\""), "stop and search by the same metric");
    // What makes no recipe with anything.
    let text = file("search = \"tpe\"\nsamples = 30\nimage_size = 32", "").replace("resnet34", "alexnet");
    let errors = plan_text(text.as_bytes()).map(|_| ()).unwrap_err();
    assert!(errors.iter().any(|error| error.to_string().contains("alexnet")), "{errors:#?}");
    let text = file("search = \"tpe\"\nsamples = 30\nmodel = \"alexnet\"", "");
    let text = text
        .replace("model = [\"resnet18\", \"resnet34\"]", "image_size = { int = [60, 4000] }")
        .replace("sample_seed", "");
    let errors = plan_text(text.as_bytes()).map(|_| ()).unwrap_err();
    assert!(errors.iter().any(|error| error.to_string().contains("image_size")), "{errors:#?}");
    // Epochs that vary have no rungs in common.
    let text = file("search = \"tpe\"\nsamples = 30\nstop = \"asha\"", "")
        .replace("epochs = 4\n", "")
        .replace("lr =", "epochs = { int = [3, 9] }\nlr =");
    let errors = plan_text(text.as_bytes()).map(|_| ()).unwrap_err();
    assert!(errors.iter().any(|error| error.to_string().contains("`epochs` varies")), "{errors:#?}");
}

/// What a budget ended has a result like any other: the search goes by the best that it reached.
#[test]
fn a_search_learns_from_what_a_budget_ended() {
    let metric = "[search]\nmethod = \"tpe\"\nmetric = \"val_loss\"\n";
    let of = |epochs: u32, more: &str| {
        let text = file("samples = 16", &format!("{metric}{more}"));
        // The lowest loss is long past when the budget is used up.
        Lab::of_file(&text.replace("epochs = 4", &format!("epochs = {epochs}")), 1).overfitting().run()
    };
    let (whole, ended) = (of(3, ""), of(4, "[stop]\nrule = \"budget\"\nmax_epochs = 3\n"));
    assert_eq!((ended.sweep().counts.completed, ended.sweep().counts.stopped), (0, 16));
    let settings = |lab: &Lab| -> Vec<Vec<Setting>> {
        let proposed = |event: &Event| match event {
            Event::PointProposed { settings, .. } => Some(settings.clone()),
            _ => None,
        };
        lab.journal.iter().filter_map(|(_, event)| proposed(event)).collect()
    };
    let (whole, ended) = (settings(&whole), settings(&ended));
    assert!(!whole.is_empty() && whole == ended, "{whole:?} {ended:?}");
}
