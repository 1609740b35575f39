//! What a report says where it can compare nothing, or finds nothing: the true reason, the same in tables, figures and sentences.

use serde_json::{Value, json};
use sweep_core::report::Report;
use sweep_core::report::analysis::{Options, Study, analyse};
use sweep_core::report::document::document;
use sweep_core::report::document::markdown::markdown;
use sweep_core::report::document::sections::silent;
use sweep_core::report::figures;

/// A point: its settings, and what came out for each seed (`None`: it diverged).
type Point<'a> = (&'a [(&'a str, &'a str)], &'a [Option<f64>]);

fn study(points: &[Point<'_>], baseline: Option<usize>) -> Study {
    let row = |(point, (settings, results)): (usize, &Point<'_>)| {
        let known: Vec<f64> = results.iter().flatten().copied().collect();
        let spread = serde_json::to_value(sweep_core::report::Spread::of(&known)).expect("numbers are JSON");
        let trial = |(seed, value): (usize, &Option<f64>)| {
            let best = value.map(|value| {
                json!({"epoch": 3, "val_accuracy": value, "val_loss": 1.0, "train_accuracy": value, "train_loss": 1.0})
            });
            json!({
                "trial": format!("{:032x}", point * 100 + seed), "seed": seed, "epochs": 5, "weights": null,
                "phase": if best.is_some() { "completed" } else { "failed" }, "best": best,
            })
        };
        json!({
            "rank": null, "point": point, "baseline": baseline == Some(point), "settings": settings,
            "seeds": results.len(), "diverged": results.len() - known.len(), "accuracy": spread, "loss": spread,
            "trials": results.iter().enumerate().map(trial).collect::<Vec<_>>(),
        })
    };
    let rows: Vec<Value> = points.iter().enumerate().map(row).collect();
    let report: Report = serde_json::from_value(json!({
        "sweep": "0".repeat(32), "name": "x", "status": "completed", "metric": "val_accuracy", "points": rows,
        "best": null, "trials": 0, "completed": 0, "failures": [], "cost": {"slot_seconds": 0.0, "attempts": 0},
    }))
    .expect("a report");
    analyse(report, &Options::default()).expect("no factor was asked for")
}

/// The pairs of a value are there: they diverged.
#[test]
fn a_value_that_diverged_has_pairs_and_no_result() {
    let result = [Some(0.5), Some(0.6)];
    let none = [None, None];
    let of = |lr, dropout| [("lr", lr), ("dropout", dropout)];
    let settings = ["1e-3", "1e30", "1e-2"].map(|lr| ["0.0", "0.3"].map(|dropout| of(lr, dropout)));
    let points: Vec<Point<'_>> = (settings.iter().flatten())
        .map(|settings| (&settings[..], if settings[0].1 == "1e30" { &none[..] } else { &result[..] }))
        .collect();
    let study = study(&points, None);
    let text = markdown(&document(&study, &[]));
    let row = text.lines().find(|line| line.starts_with("| 1e30 |")).expect("a row of main effects");
    assert!(row.ends_with("| no result |"), "{row}");
    let svg = figures::effects(&study).expect("1e-2 is compared").svg;
    assert!(svg.contains(">no result<") && !svg.contains("no pair"), "{svg}");
}

/// Points 1 and 2 do differ in lr alone, and both have a result.
#[test]
fn a_baseline_that_diverged_is_the_reason_of_its_table() {
    let points: [Point<'_>; 4] = [
        (&[("lr", "1e30"), ("dropout", "0.0")], &[None, None]),
        (&[("lr", "1e-2"), ("dropout", "0.0")], &[Some(0.5), Some(0.6)]),
        (&[("lr", "1e-3"), ("dropout", "0.0")], &[Some(0.6), Some(0.6)]),
        (&[("lr", "1e30"), ("dropout", "0.3")], &[None, None]),
    ];
    let found = study(&points, Some(0));
    let text = markdown(&document(&found, &[]));
    assert!(text.contains("No point can be compared with the baseline: it diverged, and has no result."), "{text}");
    assert!(text.contains("Of 2 points all seeds diverged: no result."), "{text}");
    assert!(text.contains("(baseline, diverged)") && !text.contains("some seeds"), "{text}");
    let reference = "of the points that differ in it alone those with the value of the reference have no result";
    let neither = "of the points that differ in it alone those with other values than the reference have no result";
    let of = |name: &str, why: &str| format!("Nothing can be said of {name}: {why}");
    assert_eq!(silent(&found), [of("lr", reference), of("dropout", neither)]);
    assert!(text.contains(&format!("{reference}.")) && !text.contains("no two"), "{text}");
    // Where there is no such pair it is still said.
    let points: [Point<'_>; 2] = [
        (&[("lr", "1"), ("optimizer", "adam"), ("dropout", "0.0")], &[Some(0.5)]),
        (&[("lr", "1"), ("optimizer", "sgd"), ("dropout", "0.3")], &[Some(0.5)]),
    ];
    assert_eq!(silent(&study(&points, None)), Vec::<String>::new(), "they move together, and are one factor");
    let points: [Point<'_>; 3] = [
        (&[("lr", "1"), ("dropout", "0.0")], &[Some(0.5)]),
        (&[("lr", "2"), ("dropout", "0.3")], &[Some(0.5)]),
        (&[("lr", "1"), ("dropout", "0.5")], &[Some(0.5)]),
    ];
    assert_eq!(silent(&study(&points, Some(0))), [of("lr", "no two points differ in it alone")]);
}

/// An interval that leaves zero out beside the word "tie" needs the rest of the word.
#[test]
fn a_figure_says_what_its_table_says() {
    let base = [Some(0.5), Some(0.52), Some(0.51)];
    let lower = [Some(0.4), Some(0.33), Some(0.40)];
    let values = ["1", "2", "3", "4", "5", "6", "7", "8"].map(|lr| [("lr", lr)]);
    let result = |at: usize| if at == 1 { &lower[..] } else { &base[..] };
    let points: Vec<Point<'_>> = values.iter().enumerate().map(|(at, lr)| (&lr[..], result(at))).collect();
    let study = study(&points, Some(0));
    let text = markdown(&document(&study, &[]));
    let row = text.lines().find(|line| line.starts_with("| 2 | 1 |")).expect("a row of main effects");
    assert!(row.ends_with("| tie after correction |"), "{row}");
    let figure = figures::effects(&study).expect("values are compared");
    assert!(figure.svg.contains(" tie after correction<"), "{}", figure.svg);
}
