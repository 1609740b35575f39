//! Two sweeps against each other: what is matched, what is told apart, and what is said of it.

use serde_json::json;

use super::*;
use crate::plan::plan_text;

/// The report of a sweep file all of whose trials are completed with these accuracies: `(point, seed index)` to value.
fn report(name: &str, text: &str, accuracy: impl Fn(u32, u32) -> f64) -> Report {
    let text = format!("name = \"{name}\"\n{text}");
    let (plan, _) = plan_text(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}"));
    let spread = json!({"n": 0, "mean": null, "std": null, "min": null, "max": null});
    let rows = (0..plan.points).map(|point| {
        let settings: Vec<_> = plan.labels(point);
        let trials = (0u32..).zip(&plan.seeds).map(|(at, seed)| {
            let value = accuracy(point, at);
            // Trials of their own in each sweep.
            let trial = format!("{:016x}{point:08x}{at:08x}", name.bytes().map(u64::from).sum::<u64>());
            json!({
                "trial": trial, "seed": seed, "epochs": 1, "weights": null, "phase": "completed",
                "best": {"epoch": 1, "val_accuracy": value, "val_loss": 1.0, "train_accuracy": value, "train_loss": 1.0},
            })
        });
        json!({
            "rank": null, "point": point, "baseline": plan.baseline == Some(point), "settings": settings,
            "values": plan.unspelt(point), "seeds": plan.seeds.len(), "accuracy": spread, "loss": spread,
            "trials": trials.collect::<Vec<_>>(),
        })
    });
    serde_json::from_value(json!({
        "sweep": "0".repeat(32), "name": name, "status": "completed", "metric": "val_accuracy",
        "points": rows.collect::<Vec<_>>(), "best": null, "trials": 0, "completed": 0, "failures": [],
        "cost": {"slot_seconds": 0.0, "attempts": 0}, "provenance": {"recipe": plan.base, "seeds": plan.seeds},
    }))
    .expect("a report")
}

fn found(a: &str, b: &str) -> Comparison {
    compare(&report("a", a, |_, _| 0.5), &report("b", b, |_, seed| 0.5 + f64::from(seed) / 8.0), Method::T)
}

const GRID: &str = "dataset = \"d\"\nepochs = 3\nseeds = [0, 1]\n[grid]\nlr = [0.1, 0.2]\n";

#[test]
fn the_same_settings_are_compared_and_nothing_is_said_besides() {
    // Written otherwise, and in another order.
    let same = found(GRID, &GRID.replace("[0.1, 0.2]", "[2e-1, 1e-1]"));
    assert_eq!((same.rows.len(), same.only_a, same.only_b), (2, 0, 0));
    assert_eq!(same.rows[0].settings, ["0.1"]);
    assert_eq!((same.differs_besides(), same.is_confounded(), same.no_difference()), (None, None, None));
    assert_eq!(same.other_meanings(), None);
    assert!(same.overall.is_some());
}

#[test]
fn other_data_and_other_epochs_are_said_first() {
    let other = found(GRID, &GRID.replace("\"d\"", "\"e\"").replace("epochs = 3", "epochs = 4\nbatch_size = 64"));
    assert_eq!(other.rows.len(), 2, "they are compared all the same");
    let besides = other.differs_besides().expect("it differs");
    assert_eq!(besides, "differs besides: batch_size 32 | 64, dataset d | e, epochs 3 | 4");
    assert_eq!(other.besides[1], ("dataset".to_owned(), Some("\"d\"".to_owned()), Some("\"e\"".to_owned())));
    let confounded = other.is_confounded().expect("it is");
    assert!(confounded.ends_with("a and b also differ in dataset d | e, epochs 3 | 4"), "{confounded}");
    // Another batch size is said, and is a comparison of what it is.
    let batch = found(GRID, &GRID.replace("epochs = 3", "epochs = 3\nbatch_size = 64"));
    assert_eq!(
        (batch.differs_besides().as_deref(), batch.is_confounded()),
        (Some("differs besides: batch_size 32 | 64"), None)
    );
    // What varies is no difference besides.
    let varied = found(GRID, "dataset = \"d\"\nseeds = [0, 1]\nlr = 0.1\n[grid]\nepochs = [3, 4]\n");
    assert_eq!((varied.rows.len(), varied.differs_besides(), varied.is_confounded()), (1, None, None));
}

#[test]
fn other_images_of_the_same_name_are_said() {
    let (mut a, mut b) = (report("a", GRID, |_, _| 0.5), report("b", GRID, |_, _| 0.5));
    let images = |digest: &str| vec![("10 images".to_owned(), digest.repeat(32))];
    (a.provenance.images, b.provenance.images) = (images("ab"), images("ab"));
    assert_eq!(compare(&a, &b, Method::T).is_confounded(), None);
    b.provenance.images = images("cd");
    let said = compare(&a, &b, Method::T).is_confounded().expect("other images");
    assert!(said.ends_with("images abababababab | cdcdcdcdcdcd"), "{said}");
    // No trainer has said yet: the copies of the data sets.
    b.provenance.images.clear();
    (a.provenance.data, b.provenance.data) =
        (vec![("d".to_owned(), Some("12".to_owned()))], vec![("d".to_owned(), Some("34".to_owned()))]);
    assert!(compare(&a, &b, Method::T).is_confounded().is_some());
}

const AUGMENTED: &str = "dataset = \"d\"\nseeds = 2\n[augmentations]\nstrong = [\"flip\", { crop = { padding = 0.25 } }]\n\
    [grid]\naugmentation = [\"none\", \"strong\"]\n";

#[test]
fn a_name_that_means_something_else_is_another_setting() {
    let same = found(AUGMENTED, AUGMENTED);
    assert_eq!((same.rows.len(), same.rows[1].settings[0].as_str(), same.other_meanings()), (2, "strong", None));
    let other = found(AUGMENTED, &AUGMENTED.replace("0.25", "0.125"));
    assert_eq!((other.rows.len(), other.only_a, other.only_b), (1, 1, 1));
    assert_eq!(other.namesakes, [("augmentation".to_owned(), "strong".to_owned())]);
    assert!(other.other_meanings().expect("said").ends_with("augmentation strong"));
    // The same steps by another name are the same.
    let renamed = found(AUGMENTED, &AUGMENTED.replace("strong", "turned"));
    assert_eq!((renamed.rows.len(), renamed.only_b, renamed.rows[1].settings[0].as_str()), (2, 0, "strong"));
}

#[test]
fn what_one_varies_and_the_other_has_at_the_top_is_matched() {
    let top = AUGMENTED.replace("seeds = 2", "seeds = 2\naugmentation = \"strong\"");
    let top = top.replace("[grid]\naugmentation = [\"none\", \"strong\"]\n", "");
    for (a, b) in [(AUGMENTED, top.as_str()), (top.as_str(), AUGMENTED)] {
        let found = found(a, b);
        assert_eq!((found.rows.len(), found.differs_besides()), (1, None));
        assert_eq!(found.rows[0].settings, ["strong"]);
        assert!(found.rows[0].difference.is_some());
    }
    // Whole tables and names that are short for them.
    let short = "dataset = \"d\"\n[grid]\noptimizer = [\"adam\", \"sgd\"]\n";
    let long = "dataset = \"d\"\noptimizer = { sgd = { momentum = 0.9 } }\n";
    let momentum = found(short, long);
    let plain = found(short, "dataset = \"d\"\noptimizer = \"sgd\"\n");
    assert_eq!((plain.rows.len(), plain.rows[0].settings[0].as_str()), (1, "sgd"));
    assert!(momentum.rows.len() <= 1 && momentum.besides.is_empty());
}

#[test]
fn nothing_will_come_of_a_sweep_that_is_over() {
    use crate::report::document::sections::no_result;
    let mut report = report("a", GRID, |_, _| 0.5);
    report.status = "running".to_owned();
    assert_eq!(no_result(&report), "no trial has a result yet");
    report.status = "cancelled".to_owned();
    report.points.iter_mut().flat_map(|row| &mut row.trials).for_each(|trial| trial.phase = "cancelled".to_owned());
    assert_eq!(no_result(&report), "no trial has a result, and the sweep is over: 4 cancelled");
}

#[test]
fn an_unknown_factor_is_named() {
    let factors = crate::report::analysis::Factors::of(&report("a", GRID, |_, _| 0.5));
    assert_eq!(factors.find("lr").ok(), Some("lr"));
    let unknown = factors.find("foo").expect_err("it does not vary").to_string();
    assert_eq!(unknown, "no factor `foo` in this sweep; it varies lr");
}

#[test]
fn without_a_common_seed_it_is_said_which_each_has() {
    let none = found(GRID, &GRID.replace("[0, 1]", "[2]"));
    assert_eq!((none.rows.len(), none.overall), (2, None));
    let said = none.no_difference().expect("said");
    assert!(said.contains("no seed in common, a has seeds 0, 1 and b has seed 2"), "{said}");
    let mut running = report("b", GRID, |_, _| 0.5);
    running.points.iter_mut().for_each(|row| row.trials.clear());
    let said = compare(&report("a", GRID, |_, _| 0.5), &running, Method::T).no_difference().expect("said");
    assert!(said.contains("no point has a result of the same seed"), "{said}");
}

/// "21.00, 22.00, +5.00": means over all seeds beside a difference over the common ones.
#[test]
fn the_means_beside_a_difference_are_those_of_its_pairs() {
    let value = |base: f64| move |_: u32, seed: u32| base + f64::from(seed) / 8.0;
    let a = report("a", GRID, value(0.5));
    let b = report("b", &GRID.replace("[0, 1]", "[1, 2]"), value(0.25));
    let found = compare(&a, &b, Method::T);
    let row = &found.rows[0];
    let mean = |estimate: Estimate| estimate.mean.unwrap().0;
    assert_eq!((mean(row.a), mean(row.b)), (0.5625, 0.3125), "over all seeds of each");
    // Seed 1 is the second of one and the first of the other.
    let (shown_a, shown_b) = row.shown();
    assert_eq!((mean(shown_a), mean(shown_b), shown_a.n), (0.625, 0.25, 1));
    assert_eq!(row.difference.unwrap().estimate.mean.unwrap().0, 0.25 - 0.625);
    assert!(found.over_pairs().is_some_and(|text| text.contains("over the seeds of the difference")));
    // Nothing is left out, or there is nothing to leave out.
    assert_eq!(compare(&a, &report("c", GRID, value(0.25)), Method::T).over_pairs(), None);
    let none = compare(&a, &report("d", &GRID.replace("[0, 1]", "[5, 6]"), value(0.25)), Method::T);
    assert_eq!((none.over_pairs(), none.rows[0].shown()), (None, (none.rows[0].a, none.rows[0].b)));
}
