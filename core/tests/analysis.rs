//! The analysis of a whole report: against pandas, SciPy and statsmodels on the same table
//! (`tests/reference/effects.py`), with holes, with single runs, with the test accuracy kept back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use sweep_core::num::Num;
use sweep_core::report::analysis::{Options, Study, analyse};
use sweep_core::report::document::document;
use sweep_core::report::document::html::html;
use sweep_core::report::document::latex::latex;
use sweep_core::report::document::markdown::markdown;
use sweep_core::report::{Curve, EpochRow, Report};
use sweep_core::stats::paired::{Difference, Verdict};

type Row = (String, String, String, u64, f64);

#[derive(Deserialize)]
struct Expected {
    rows: Vec<Row>,
    mains: Vec<Test>,
    contrasts: Vec<Test>,
    against: Vec<Test>,
    shares: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    factor: String,
    #[serde(default)]
    level: String,
    #[serde(default)]
    factors: String,
    #[serde(default)]
    row: String,
    #[serde(default)]
    column: String,
    #[serde(default)]
    point: Vec<String>,
    mean: f64,
    low: f64,
    high: f64,
    p: f64,
    p_holm: f64,
}

fn expected() -> Expected {
    let whole: Value = serde_json::from_str(include_str!("statistics.json")).expect("the recorded numbers are JSON");
    serde_json::from_value(whole["study"].clone()).expect("a recorded study")
}

/// A point as JSON: its settings, and what came out for each seed (`None`: it failed).
type Point<'a> = (Vec<(&'a str, &'a str)>, Vec<Option<f64>>);

/// A report as a coordinator sends it.
fn report(points: &[Point<'_>], baseline: Option<usize>) -> Report {
    let spread =
        |values: &[f64]| serde_json::to_value(sweep_core::report::Spread::of(values)).expect("numbers are JSON");
    let mut rows: Vec<Value> = (points.iter().enumerate())
        .map(|(point, (settings, results))| {
            let known: Vec<f64> = results.iter().flatten().copied().collect();
            let trial = |(seed, value): (usize, &Option<f64>)| {
                let best = value.map(|value| {
                    json!({"epoch": 3 + seed, "val_accuracy": value, "val_loss": 1.0, "train_accuracy": value, "train_loss": 1.0})
                });
                json!({
                    "trial": format!("{:032x}", point * 100 + seed), "seed": seed, "epochs": 5, "weights": null,
                    "phase": if best.is_some() { "completed" } else { "failed" }, "best": best,
                    "test": best.as_ref().map(|_| json!({"epoch": 5, "images": 10, "loss": 1.0, "accuracy": 0.5})),
                })
            };
            json!({
                "rank": null, "point": point, "baseline": baseline == Some(point), "settings": settings,
                "seeds": results.len(), "accuracy": spread(&known), "loss": spread(&known), "test": spread(&[0.5]),
                "cost": {"slot_seconds": 3600.0 * (point + 1) as f64, "run_seconds": 3600.0 * (point + 1) as f64, "energy": null, "peak_memory": null},
                "trials": results.iter().enumerate().map(trial).collect::<Vec<_>>(),
            })
        })
        .collect();
    rows.sort_by(|a, b| b["accuracy"]["mean"].as_f64().partial_cmp(&a["accuracy"]["mean"].as_f64()).expect("no NaN"));
    serde_json::from_value(json!({
        "sweep": "0".repeat(32), "name": "x", "status": "completed", "metric": "val_accuracy", "points": rows,
        "best": null, "trials": 0, "completed": 0, "failures": [], "cost": {"slot_seconds": 0.0, "attempts": 0},
    }))
    .expect("a report")
}

fn study(points: &[Point<'_>], baseline: Option<usize>) -> Study {
    analyse(report(points, baseline), &Options::default()).expect("no factor was asked for")
}

fn grid(rows: &[Row]) -> Vec<Point<'_>> {
    (rows.chunks(4))
        .map(|seeds| {
            let settings = vec![("a", seeds[0].0.as_str()), ("b", seeds[0].1.as_str()), ("c", seeds[0].2.as_str())];
            (settings, seeds.iter().map(|row| Some(row.4)).collect())
        })
        .collect()
}

#[track_caller]
fn same(found: &Difference, expected: &Test) {
    let found = [found.estimate.mean, found.estimate.low, found.estimate.high, found.p, found.p_holm];
    let expected = [expected.mean, expected.low, expected.high, expected.p, expected.p_holm];
    for (found, expected) in found.into_iter().zip(expected) {
        let found = found.expect("a number").0;
        assert!((found - expected).abs() < 1e-11, "{found} is not {expected}");
    }
}

#[test]
fn a_full_grid_is_analysed_as_pandas_and_statsmodels_do() {
    let expected = expected();
    let found = study(&grid(&expected.rows), Some(0)).analysis;
    let mut tests = 0;
    for test in &expected.mains {
        let factor = found.factors.iter().find(|factor| factor.factor == test.factor).unwrap();
        let level = factor.levels.iter().find(|level| level.level == test.level).unwrap();
        assert_eq!((level.pairs, level.points), if test.factor == "b" { (4, 4) } else { (6, 6) });
        same(level.difference.as_ref().unwrap(), test);
        tests += 1;
    }
    for test in &expected.contrasts {
        let pair =
            found.interactions.iter().find(|pair| format!("{}{}", pair.factors.0, pair.factors.1) == test.factors);
        let mut contrasts = pair.unwrap().contrasts.iter();
        let contrast = contrasts.find(|contrast| contrast.row == test.row && contrast.column == test.column);
        same(&contrast.unwrap().difference, test);
        tests += 1;
    }
    for (test, point) in expected.against.iter().zip(1u32..) {
        let row = found.points.iter().find(|row| row.point == point).unwrap();
        assert_eq!(test.point.len(), 3);
        same(row.against_baseline.as_ref().unwrap(), test);
        tests += 1;
    }
    assert_eq!((tests, found.importance.method.as_str()), (4 + 5 + 11, "variance_shares"));
    for share in &found.importance.shares {
        let expected = expected.shares[&share.factors.concat()];
        assert!((share.share.0 - expected).abs() < 1e-11, "{share:?}: {expected}");
    }
    assert_eq!(found.importance.shares.len(), 6);
    assert_eq!(found.points[0].against_best, None, "the best is not compared with itself");
}

#[test]
fn one_factor_at_a_time_is_compared_with_the_baseline() {
    let points: Vec<Point<'_>> = vec![
        (vec![("lr", "1"), ("batch", "32")], vec![Some(0.5), Some(0.6), Some(0.7)]),
        (vec![("lr", "2"), ("batch", "32")], vec![Some(0.6), Some(0.71), Some(0.82)]),
        (vec![("lr", "1"), ("batch", "64")], vec![Some(0.4), None, Some(0.5)]),
    ];
    let found = study(&points, Some(0)).analysis;
    assert_eq!((found.factors.len(), found.interactions.len()), (2, 0));
    let level = |factor: usize, level: usize| &found.factors[factor].levels[level];
    assert_eq!((level(0, 1).pairs, level(0, 1).difference.unwrap().verdict), (1, Verdict::Better));
    let batch = level(1, 1).difference.unwrap();
    assert_eq!((batch.estimate.n, batch.verdict), (2, Verdict::Tie), "a failed run takes its seed out of the pair");
    assert!((batch.estimate.mean.unwrap().0 + 0.15).abs() < 1e-12);
    let row = found.points.iter().find(|row| row.point == 2).unwrap();
    assert_eq!((row.failed, row.best_epoch), (1, Some((3, Num(4.0), 5))));
    assert_eq!(found.ties().count(), 1, "point 2 cannot be told from the best: {:#?}", found.points);
}

/// All but a few points of an ablation have the baseline's value of a factor: they are not what its other values are compared with.
#[test]
fn the_accuracies_of_an_effect_differ_by_what_it_says() {
    let points: Vec<Point<'_>> = vec![
        (vec![("lr", "1"), ("batch", "32")], vec![Some(0.5), Some(0.6), Some(0.9)]),
        (vec![("lr", "2"), ("batch", "32")], vec![Some(0.6), Some(0.71), Some(1.0)]),
        (vec![("lr", "1"), ("batch", "64")], vec![Some(0.1), None, Some(0.2)]),
    ];
    let study = study(&points, Some(0));
    let mean = |estimate: sweep_core::stats::sample::Estimate| estimate.mean.unwrap().0;
    for factor in &study.analysis.factors {
        let reference = factor.levels.iter().find(|row| row.level == factor.reference).unwrap();
        assert!((mean(reference.accuracy) - 2.0 / 3.0).abs() < 1e-12, "the baseline alone: {reference:?}");
        for row in factor.levels.iter().filter(|row| row.level != factor.reference) {
            let difference = row.difference.unwrap().estimate;
            assert_eq!((row.accuracy.n, row.reference_accuracy.n), (difference.n, difference.n));
            let shown = mean(row.accuracy) - mean(row.reference_accuracy);
            assert!((shown - mean(difference)).abs() < 1e-12, "{row:?}");
        }
    }
    // The seed that failed is left out on both sides, and one sees with what that leaves.
    let text = markdown(&document(&study, &[]));
    assert!(text.contains("| batch | points | accuracy % | reference % | pairs |"), "{text}");
    assert!(text.contains("| 64 | 1 | 15.00 ± 7.07 | 70.00 ± 28.28 | 1 |"), "{text}");
    assert!(text.contains("| lr | points | accuracy % | pairs |"), "{text}");
}

#[test]
fn importance_names_what_it_cannot_tell_and_says_what_one_run_is_worth() {
    let points: Vec<Point<'_>> = vec![
        (vec![("lr", "1"), ("batch", "32"), ("decay", "0")], vec![Some(0.5)]),
        (vec![("lr", "2"), ("batch", "32"), ("decay", "0")], vec![Some(0.6)]),
        (vec![("lr", "1"), ("batch", "64"), ("decay", "0")], vec![None]),
        (vec![("lr", "1"), ("batch", "32"), ("decay", "1")], vec![Some(0.4)]),
        (vec![("lr", "3"), ("batch", "32"), ("decay", "0")], vec![Some(0.45)]),
    ];
    let study = study(&points, Some(0));
    let importance = &study.analysis.importance;
    let told: Vec<&str> = importance.shares.iter().map(|share| share.factors[0].as_str()).collect();
    assert_eq!((told, importance.left_out.join(" ")), (vec!["decay"], "lr batch".to_owned()));
    let text = markdown(&document(&study, &[]));
    assert!(text.contains("Some points rest on a single run: their shares hold the luck of that run, too"), "{text}");
    assert!(text.contains("Not told of lr, batch: fewer than two of its values have a result"), "{text}");
    // One factor explains all that there is, whatever it does.
    let alone: Vec<Point<'_>> =
        vec![(vec![("lr", "1")], vec![Some(0.5), Some(0.6)]), (vec![("lr", "2")], vec![Some(0.6), Some(0.5)])];
    let study = self::study(&alone, None);
    assert_eq!((study.analysis.importance.method.as_str(), study.analysis.importance.shares.len()), ("none", 0));
}

#[test]
fn a_single_run_has_no_spread_and_no_verdict() {
    let points: Vec<Point<'_>> = vec![(vec![("lr", "1")], vec![Some(0.5)]), (vec![("lr", "2")], vec![Some(0.9)])];
    let found = study(&points, Some(0)).analysis;
    assert!(found.has_single_runs());
    let difference = found.factors[0].levels[1].difference.unwrap();
    assert_eq!((difference.verdict, difference.p, difference.needed), (Verdict::Unknown, None, None));
    assert_eq!(difference.estimate.mean, Some(Num(0.4)));
}

#[test]
fn axes_that_move_together_are_one_factor() {
    let points: Vec<Point<'_>> = ["1", "2", "3"]
        .map(|level| (vec![("lr", level), ("warmup", level), ("same", "x")], vec![Some(0.5), Some(0.6)]))
        .into();
    let found = study(&points, None).analysis;
    assert_eq!(found.factors.len(), 1);
    assert_eq!((found.factors[0].factor.as_str(), found.factors[0].levels[2].level.as_str()), ("lr + warmup", "3 + 3"));
    let report = report(&points, None);
    let asked = |factor: &str| analyse(report.clone(), &Options { factor: Some(factor.into()), ..Options::default() });
    assert!(asked("warmup").is_ok());
    assert_eq!(asked("loss").unwrap_err().to_string(), "no factor `loss` in this sweep; it varies lr + warmup");
}

#[test]
fn the_test_accuracy_is_kept_back_until_its_point_is_named() {
    let points: Vec<Point<'_>> = vec![(vec![("lr", "1")], vec![Some(0.5)]), (vec![("lr", "2")], vec![Some(0.9)])];
    let all = study(&points, None);
    assert_eq!(all.analysis.test_kept_back, 2);
    assert!(!serde_json::to_string(&all.report).unwrap().contains("\"images\":10"), "not in any form");
    let options = Options { test: vec![1], ..Options::default() };
    let one = analyse(report(&points, None), &options).unwrap();
    let shown: Vec<u32> = one.report.points.iter().filter(|row| row.test.n > 0).map(|row| row.point).collect();
    assert_eq!((shown, one.analysis.test_kept_back), (vec![1], 1));
}

#[test]
fn foreign_text_stays_text_in_every_form() {
    let evil = "<script>|*\\{$%_#&~^[\u{1b}Ω";
    let points: Vec<Point<'_>> =
        vec![(vec![("lr", evil)], vec![Some(0.5), Some(0.6)]), (vec![("lr", "2")], vec![Some(0.9), Some(0.7)])];
    let document = document(&study(&points, Some(0)), &[]);
    let html = html(&document);
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;") && !html.contains('\u{1b}'));
    let tex = latex(&document);
    assert!(tex.contains("\\textless{}script\\textgreater{}\\textbar{}*\\textbackslash{}\\{\\$\\%\\_\\#\\&"), "{tex}");
    assert!(tex.is_ascii() && tex.contains("U+03A9"));
    let text = markdown(&document);
    assert!(text.contains("\\<script\\>\\|\\*"), "{text}");
}

#[test]
fn curves_are_means_over_seeds_as_far_as_all_runs_went() {
    let points: Vec<Point<'_>> = vec![
        (vec![("lr", "1")], vec![Some(0.5), Some(0.6), None]),
        (vec![("lr", "2")], vec![Some(0.9), Some(0.7), Some(0.8)]),
    ];
    let mut report = report(&points, Some(0));
    let row = |epoch: u32, accuracy: f64| EpochRow {
        epoch,
        val_accuracy: Num(accuracy),
        val_loss: Num(1.0),
        train_accuracy: Num(accuracy),
        train_loss: Num(2.0),
    };
    let curve = |point: u32, seed: u64, values: &[f64]| Curve {
        point,
        seed,
        epochs: (1u32..).zip(values).map(|(epoch, value)| row(epoch, *value)).collect(),
    };
    report.curves = vec![
        curve(0, 0, &[0.1, 0.5]),
        curve(0, 1, &[0.3, 0.6, 0.6]),
        curve(0, 2, &[0.9]),
        curve(1, 0, &[0.2, 0.9]),
        curve(1, 1, &[0.2, 0.7]),
        curve(1, 2, &[0.2, 0.8]),
    ];
    let study = analyse(report, &Options::default()).unwrap();
    let curves = &study.analysis.curves;
    assert_eq!((curves.factor.as_deref(), curves.lines.len()), (Some("lr"), 2));
    let first = &curves.lines[0];
    assert_eq!((first.runs, first.epochs.len()), (2, 2), "a failed run is not drawn");
    let start = first.epochs[0].val_accuracy;
    assert!((start.mean.unwrap().0 - 0.2).abs() < 1e-12 && start.n == 2 && start.low.is_some());
    assert_eq!(first.epochs[1].train_loss, Num(2.0));
    let html = html(&document(&study, &[]));
    assert_eq!(html.matches("<svg").count(), 3, "effects, curves, accuracy against time");
}

#[test]
fn a_report_survives_json() {
    let expected = expected();
    let study = study(&grid(&expected.rows), Some(0));
    let text = serde_json::to_string(&study).unwrap();
    assert_eq!(serde_json::from_str::<Study>(&text).unwrap(), study);
}

#[test]
fn where_nothing_can_be_compared_it_says_why() {
    let points: Vec<Point<'_>> =
        vec![(vec![("lr", "1")], vec![Some(0.5), Some(0.6)]), (vec![("lr", "2")], vec![None, None])];
    let mut report = report(&points, Some(0));
    (report.trials, report.completed) = (5, 2);
    report.points[1].trials[1].phase = "stopped".into();
    report.points[0].parameters = Some(68_851_023);
    let text = markdown(&document(&analyse(report, &Options::default()).unwrap(), &[]));
    let why = "No point can be compared with the baseline: of 5 trials 2 were completed, 1 stopped early, 1 failed, 1 not over yet.";
    assert!(text.contains(why), "{text}");
    assert!(
        text.contains("2 of 5 trials completed, 1 stopped early, 1 failed, 1 not over yet; the sweep is"),
        "{text}"
    );
    assert!(text.contains("Nothing can be said of lr: of the points that differ in it alone those with other values than the reference have no result."), "{text}");
    assert!(text.contains("68,851,023") && !text.contains("Pareto front of accuracy and parameters"), "{text}");
}

#[test]
fn drawn_values_have_thirds_and_no_main_effects() {
    let labels: Vec<String> = (1..=12).map(|at| format!("{at}e-3")).collect();
    let point = |(at, label): (usize, &'static str)| {
        let kind = if at % 2 == 0 { "sgd" } else { "adam" };
        let accuracy = 0.9 - 0.01 * (at as f64 - 5.5).abs() - if at >= 8 { 0.2 } else { 0.0 };
        let settings = vec![("lr", label), ("decay", label), ("optimizer", kind)];
        (settings, vec![Some(accuracy), Some(accuracy + 0.001)])
    };
    let labels: Vec<&'static str> = labels.into_iter().map(|label| &*label.leak()).collect();
    let points: Vec<Point<'_>> = labels.into_iter().enumerate().map(point).collect();
    let mut report = report(&points, None);
    report.drawn = vec!["lr".into(), "decay".into()];
    let study = analyse(report.clone(), &Options::default()).unwrap();
    let found = &study.analysis;
    assert_eq!(found.drawn.iter().map(|factor| &factor.factor).collect::<Vec<_>>(), ["lr", "decay"], "not one factor");
    let lr = &found.drawn[0];
    let medians: Vec<f64> = lr.thirds.iter().map(|third| (third.median.0 * 1e4).round() / 1e4).collect();
    assert_eq!((medians, lr.thirds[1].range()), (vec![0.8605, 0.8905, 0.6605], "0.005 to 0.008".to_owned()));
    assert!(lr.share.unwrap().0 > 0.9, "{lr:?}");
    assert!(found.factors.iter().all(|factor| factor.factor == "optimizer"), "{:?}", found.factors);
    let text = markdown(&document(&study, &[]));
    assert!(text.contains("Values of lr, decay were drawn from a range") && text.contains("0.005 to 0.008"), "{text}");
    assert!(!text.contains("Main effect of lr") && !text.contains("lr + decay"), "{text}");
    // One drawn factor is no full grid that explains everything.
    report.points.iter_mut().for_each(|row| row.settings.truncate(1));
    let alone = analyse(report, &Options::default()).unwrap().analysis;
    assert_eq!((alone.importance.method.as_str(), alone.factors.len()), ("none", 0));
}

#[test]
fn the_network_is_a_price_where_it_varies_and_the_file_stands_word_for_word() {
    let points: Vec<Point<'_>> =
        vec![(vec![("model", "m1")], vec![Some(0.5), Some(0.6)]), (vec![("model", "m4")], vec![Some(0.7), Some(0.8)])];
    let mut report = report(&points, None);
    for (row, count) in report.points.iter_mut().zip([2_000_000, 500_000]) {
        row.parameters = Some(count);
    }
    report.provenance.source = Some("name = \"x\" # ```` 'a'  --b\n\n\tmodel = \"<m1>\"\n".into());
    let document = document(&analyse(report, &Options::default()).unwrap(), &[]);
    let text = markdown(&document);
    assert!(text.contains("Pareto front of accuracy and parameters") && text.contains("| 500,000 |"), "{text}");
    assert!(text.contains("`````toml\nname = \"x\" # ```` 'a'  --b\n\n\tmodel"), "{text}");
    assert!(html(&document).contains("<pre>name = &quot;x&quot; # ```` &#39;a&#39;  --b\n\n"), "lines stay lines");
    let tex = latex(&document);
    assert!(tex.contains("\\ \\ -{}-{}b\\\\\n\\mbox{}\\\\\n"), "{tex}");
    assert_eq!(tex.matches('{').count(), tex.matches('}').count(), "{tex}");
}
