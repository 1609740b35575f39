//! Accuracies that add up, on a grid of images that are counted: rounding must not pass for an interaction, nor a run that failed
//! for what a setting does.

use serde_json::{Value, json};
use sweep_core::num::Num;
use sweep_core::report::analysis::{Options, Study, analyse};
use sweep_core::report::document::document;
use sweep_core::report::document::markdown::markdown;
use sweep_core::report::{Curve, EpochRow, Report, Spread};
use sweep_core::stats::paired::{Difference, Verdict};
use sweep_core::stats::sample::Estimate;

const SEEDS: u64 = 3;

/// What each level of each factor adds, and each seed, in images of 50.
#[derive(Clone, Debug)]
struct Truth {
    levels: Vec<Vec<u32>>,
    seeds: Vec<u32>,
}

impl Truth {
    /// Drawn from a fixed stream.
    fn drawn(sizes: &[usize], stream: u64) -> Self {
        let mut state = stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as u32 % 10
        };
        let levels = sizes.iter().map(|size| (0..*size).map(|_| draw()).collect()).collect();
        Self { levels, seeds: (0..SEEDS).map(|_| draw()).collect() }
    }

    /// The levels of each point.
    fn points(&self) -> Vec<Vec<usize>> {
        self.levels.iter().fold(vec![Vec::new()], |points, levels| {
            let longer = |point: Vec<usize>| (0..levels.len()).map(move |level| [&point[..], &[level]].concat());
            points.into_iter().flat_map(longer).collect()
        })
    }

    fn accuracy(&self, point: &[usize], seed: u64) -> f64 {
        let levels: u32 = point.iter().zip(&self.levels).map(|(level, adds)| adds[*level]).sum();
        f64::from(levels + self.seeds[seed as usize]) / 50.0
    }

    /// A report, with two epochs of curves, in which some runs failed.
    fn study(&self, failed: impl Fn(&[usize], u64) -> bool) -> Study {
        let spread = |values: &[f64]| serde_json::to_value(Spread::of(values)).expect("numbers are JSON");
        let mut curves = Vec::new();
        let mut rows: Vec<Value> = Vec::new();
        for (number, point) in (0u32..).zip(self.points()) {
            let mut known = Vec::new();
            let mut trials = Vec::new();
            for seed in 0..SEEDS {
                let value = (!failed(&point, seed)).then(|| self.accuracy(&point, seed));
                known.extend(value);
                let best = value.map(|value| {
                    json!({"epoch": 2, "val_accuracy": value, "val_loss": 1.0, "train_accuracy": value, "train_loss": 1.0})
                });
                trials.push(json!({
                    "trial": format!("{:032x}", number * 100 + seed as u32), "seed": seed, "epochs": 2, "weights": null,
                    "phase": if best.is_some() { "completed" } else { "failed" }, "best": best, "test": null,
                }));
                let epoch = |epoch: u32, value: f64| EpochRow {
                    epoch,
                    val_accuracy: Num(value),
                    val_loss: Num(1.0),
                    train_accuracy: Num(value),
                    train_loss: Num(1.0),
                };
                let value = value.unwrap_or(0.0);
                curves.push(Curve { point: number, seed, epochs: vec![epoch(1, value / 2.0), epoch(2, value)] });
            }
            let settings: Vec<(String, String)> =
                point.iter().enumerate().map(|(factor, level)| (format!("f{factor}"), level.to_string())).collect();
            rows.push(json!({
                "rank": null, "point": number, "baseline": number == 0, "settings": settings, "seeds": SEEDS,
                "accuracy": spread(&known), "loss": spread(&known), "test": spread(&[]),
                "cost": {"slot_seconds": 1.0, "energy": null, "peak_memory": null}, "trials": trials,
            }));
        }
        let mut report: Report = serde_json::from_value(json!({
            "sweep": "0".repeat(32), "name": "x", "status": "completed", "metric": "val_accuracy", "points": rows,
            "best": null, "trials": 0, "completed": 0, "failures": [], "cost": {"slot_seconds": 0.0, "attempts": 0},
        }))
        .expect("a report");
        report.curves = curves;
        analyse(report, &Options { factor: Some("f0".into()), ..Options::default() }).expect("f0 varies")
    }
}

#[track_caller]
fn is_exact(found: &Difference, images: i64, what: &str) {
    let expected = images as f64 / 50.0;
    let mean = found.estimate.mean.expect("a mean").0;
    assert!((mean - expected).abs() < 1e-12 && (images != 0 || mean == 0.0), "{what}: {mean:e} is not {expected}");
    assert_eq!(found.estimate, Estimate::constant(mean, found.estimate.n), "{what}");
    assert_eq!((found.t, found.p, found.d_z, found.g_z, found.needed), (None, None, None, None, None), "{what}");
    assert_eq!(found.verdict, if images == 0 { Verdict::Tie } else { Verdict::Unknown }, "{what}");
}

#[test]
fn what_adds_up_has_no_interaction() {
    for sizes in [&[2, 2][..], &[3, 2], &[3, 3], &[2, 2, 2], &[3, 3, 2]] {
        for stream in 0..60 {
            let truth = Truth::drawn(sizes, stream);
            let found = truth.study(|_, _| false).analysis;
            for contrast in found.interactions.iter().flat_map(|pair| &pair.contrasts) {
                is_exact(&contrast.difference, 0, &format!("{truth:?}: {contrast:?}"));
            }
            for (factor, adds) in found.factors.iter().zip(&truth.levels) {
                for (level, add) in factor.levels.iter().zip(adds).skip(1) {
                    let images = i64::from(*add) - i64::from(adds[0]);
                    is_exact(&level.difference.expect("pairs"), images, &format!("{truth:?}: {level:?}"));
                }
            }
            for row in &found.points {
                if let Some(against) = &row.against_baseline {
                    assert_eq!(against.t, None, "{truth:?}");
                }
            }
        }
    }
}

/// By how much the means of an interaction are off from a sum of a row and a column.
fn off(means: &[Vec<Option<Num>>]) -> f64 {
    let mut worst = 0.0f64;
    let at = |row: usize, column: usize| means[row][column].map(|mean| mean.0);
    for (row, column) in (1..means.len()).flat_map(|row| (1..means[0].len()).map(move |column| (row, column))) {
        for (other, beside) in (0..row).flat_map(|other| (0..column).map(move |beside| (other, beside))) {
            let four = [at(row, column), at(row, beside), at(other, column), at(other, beside)];
            if let [Some(a), Some(b), Some(c), Some(d)] = four {
                worst = worst.max((a - b - c + d).abs());
            }
        }
    }
    worst
}

/// Runs with a large third factor are gone from one cell: its mean must not look low for that.
#[test]
fn a_run_that_failed_does_not_bend_the_means_of_an_interaction() {
    let truth = Truth { levels: vec![vec![0, 3], vec![0, 5], vec![0, 20, 9]], seeds: vec![0, 1, 8] };
    let gone = |point: &[usize]| point == [1, 1, 1];
    let study = truth.study(|point, _| gone(point));
    let pair = &study.analysis.interactions[0];
    assert_eq!((pair.runs, pair.of_runs), (6, 9));
    assert!(off(&pair.means) < 1e-12, "{:?}", pair.means);
    let note = "each mean is over 6 of 9 runs, those that all means shown have a result of";
    let text = markdown(&document(&study, &[]));
    assert_eq!(text.matches(note).count(), 2, "of the table and of the figure: {text}");
    // One run, or whole cells; any of them leave means that add up.
    let one = truth.study(|point, seed| gone(point) && seed == 2);
    assert_eq!(one.analysis.interactions[0].runs, 6);
    let cell = truth.study(|point, _| point[..2] == [1, 1]);
    let pair = &cell.analysis.interactions[0];
    assert_eq!((pair.runs, pair.of_runs, pair.means[1][1]), (9, 9, None));
    for stream in 0..200u64 {
        let truth = Truth::drawn(&[3, 2, 3], stream);
        let lost = |point: &[usize], seed: u64| {
            let place = point.iter().fold(seed, |place, level| place * 5 + *level as u64);
            (place + 1).wrapping_mul(stream * 2 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61 == 0
        };
        for pair in truth.study(lost).analysis.interactions {
            assert!(off(&pair.means) < 1e-12, "{stream}: {pair:?}");
        }
    }
    let whole = truth.study(|_, _| false);
    assert!(whole.analysis.interactions.iter().all(|pair| pair.left_out().is_none() && pair.runs > 0));
}

/// Curves of levels differ by what the levels add, whichever runs failed.
#[test]
fn a_run_that_failed_does_not_bend_the_curve_of_its_level() {
    let truth = Truth { levels: vec![vec![0, 3, 7], vec![0, 20]], seeds: vec![0, 1, 8] };
    let last = |study: &Study| -> Vec<f64> {
        let ends = study.analysis.curves.lines.iter().map(|line| line.epochs[1].val_accuracy.mean.expect("runs").0);
        ends.map(|mean| (mean * 5000.0).round() / 100.0).collect()
    };
    let whole = truth.study(|_, _| false);
    assert_eq!((last(&whole), whole.analysis.curves.note()), (vec![13.0, 16.0, 20.0], None));
    let study = truth.study(|point, _| point == [1, 1]);
    let ends = last(&study);
    assert_eq!((ends[1] - ends[0], ends[2] - ends[0]), (3.0, 7.0), "{ends:?}");
    let curves = &study.analysis.curves;
    assert_eq!((curves.left_out, curves.lines[0].runs), (6, 3));
    let text = markdown(&document(&study, &[]));
    assert!(text.contains("; completed runs left out, whose like not every line has: 6"), "{text}");
    // A level without a run has no line and costs the others nothing.
    let study = truth.study(|point, _| point[0] == 1);
    assert_eq!((last(&study), study.analysis.curves.note()), (vec![13.0, 20.0], None));
    // No two levels with runs alike: all are drawn, and it is said what that is worth.
    let study = truth.study(|point, seed| seed != point[0] as u64);
    assert_eq!((study.analysis.curves.lines.len(), study.analysis.curves.unmatched), (3, true));
    assert!(markdown(&document(&study, &[])).contains("; the lines differ in other settings or seeds, too"));
}

/// Means of points over other seeds than the next would give the luck of a seed to a factor.
#[test]
fn importance_is_worked_out_over_the_seeds_that_all_points_have() {
    let truth = Truth { levels: vec![vec![0, 4], vec![0, 4]], seeds: vec![0, 0, 20] };
    let share = |study: &Study, factor: &str| {
        let shares = &study.analysis.importance.shares;
        shares.iter().find(|share| share.factors == [factor]).map(|share| (share.share.0 * 1e9).round() / 1e9)
    };
    let study = truth.study(|point, seed| point == [1, 1] && seed == 2);
    assert_eq!((share(&study, "f0"), share(&study, "f1")), (Some(0.5), Some(0.5)));
    assert_eq!(study.analysis.importance.runs_left_out, 3);
    assert!(markdown(&document(&study, &[])).contains("over the seeds that all of them have; runs left out: 3."));
    let lost = truth.study(|point, _| point == [1, 1]);
    assert_eq!(lost.analysis.importance.missing, 1);
    // Where all are equal, rounding is no variance.
    let equal = Truth { levels: vec![vec![0, 0], vec![0, 0]], seeds: vec![1, 3, 8] };
    let study = equal.study(|_, _| false);
    assert!(study.analysis.importance.shares.iter().all(|share| share.share.0 == 0.0));
}
