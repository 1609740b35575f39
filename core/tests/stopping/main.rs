//! Early stopping against other programs: on a recorded table of curves each rule stops what the reference does, and
//! ASHA finds a good configuration for a quarter of the work. `tests/reference/stopping.py` recorded both files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod budgets;
mod extending;
mod futile;
mod going_on;
mod joining;
mod lab;
mod late;
mod live;
mod searching;
mod seeds;
mod spared;
#[path = "../tube/mod.rs"]
mod tube;
mod waiting;

use serde::Deserialize;
use sweep_core::stopping::replay::{Replay, replay};
use sweep_core::stopping::{Fate, Rule, Stop};

#[derive(Deserialize)]
struct Table {
    curves: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Recorded {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    by: String,
    workers: usize,
    epochs: Vec<u32>,
    brackets: Option<Vec<u32>>,
}

fn curves() -> Vec<Vec<f64>> {
    serde_json::from_str::<Table>(include_str!("curves.json")).unwrap().curves
}

fn recorded(by: &str) -> Vec<Case> {
    let all = serde_json::from_str::<Recorded>(include_str!("decisions.json")).unwrap().cases;
    let found: Vec<Case> = all.into_iter().filter(|case| case.by == by).collect();
    assert_eq!(found.len(), 2, "{by}");
    found
}

/// Every configuration gets the epochs that the reference gave it.
fn agrees(by: &str, stop: &Stop) {
    let curves = curves();
    for case in recorded(by) {
        let ours = replay(stop, &curves, case.workers, case.brackets.as_deref());
        let differing = (0..curves.len()).filter(|at| ours.epochs[*at] != case.epochs[*at]);
        let shown: Vec<_> = differing.map(|at| (at, ours.epochs[at], case.epochs[at])).take(5).collect();
        assert!(shown.is_empty(), "{by} with {} workers: (configuration, ours, theirs) {shown:?}", case.workers);
        assert!(case.epochs.iter().any(|epochs| *epochs < 27), "{by}: nothing was stopped, the test shows nothing");
    }
}

#[test]
fn asha_promotes_what_the_paper_promotes() {
    agrees("paper-asha", &Stop::new(Rule::Asha));
}

#[test]
fn asha_without_promotion_stops_what_optunas_successive_halving_stops() {
    agrees("optuna-halving", &Stop::new(Rule::AshaStop));
}

#[test]
fn in_optunas_brackets_asha_without_promotion_stops_what_its_hyperband_stops() {
    agrees("optuna-hyperband", &Stop::new(Rule::AshaStop));
}

#[test]
fn percentile_stops_what_optunas_percentile_pruner_stops() {
    let stop = Stop { percentile: 25.0, warmup_epochs: 3, interval: 2, ..Stop::new(Rule::Percentile) };
    agrees("optuna-percentile-25", &stop);
}

#[test]
fn percentile_50_stops_what_optunas_median_pruner_stops() {
    agrees("optuna-median", &Stop { percentile: 50.0, ..Stop::new(Rule::Percentile) });
}

/// Vizier's rule is Ray Tune's, with those that ran to their end in place of all that came as far.
#[test]
fn median_stops_what_ray_tunes_rule_stops_when_it_compares_with_those_at_their_end() {
    agrees("ray-median-of-completed", &Stop::new(Rule::Median));
}

/// Ray Tune goes through the table in four bands of 27, 12, 6 and 4 configurations that begin at epochs 1, 3, 9 and 27. Four of twelve come to
/// the second comparison: Ray keeps two of them (4 / 3, rounded up), the paper and ours one.
#[test]
fn hyperband_and_halving_stop_what_ray_tunes_hyperband_stops() {
    let curves = curves();
    for case in recorded("ray-hyperband") {
        let brackets = case.brackets.unwrap();
        for band in [0, 49, 98, 147] {
            let (curves, brackets) = (&curves[band..band + 49], &brackets[band..band + 49]);
            let theirs = &case.epochs[band..band + 49];
            let ours = replay(&Stop::new(Rule::Hyperband), curves, case.workers, Some(brackets)).epochs;
            let differing: Vec<usize> = (0..49).filter(|at| ours[*at] != theirs[*at]).collect();
            let shown: Vec<_> = differing.iter().map(|at| (brackets[*at], ours[*at], theirs[*at])).collect();
            assert_eq!(shown, [(1, 9, 27)], "(bracket, ours, theirs) in the band from {band} on");
            // That is the second of the four.
            let better = |at: &usize| curves[*at][8] > curves[differing[0]][8];
            let four = (0..49).filter(|at| brackets[*at] == 1 && ours[*at] >= 9);
            assert_eq!(four.filter(better).count(), 1);
            // The bracket that begins at the first rung is a halving for itself.
            let first: Vec<usize> = (0..49).filter(|at| brackets[*at] == 0).collect();
            let alone: Vec<Vec<f64>> = first.iter().map(|at| curves[*at].clone()).collect();
            let halving = replay(&Stop::new(Rule::Halving), &alone, case.workers, None).epochs;
            assert_eq!(halving, first.iter().map(|at| theirs[*at]).collect::<Vec<_>>());
        }
    }
}

fn points_short(run: &Replay, curves: &[Vec<f64>]) -> f64 {
    let best = curves.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    100.0 * (best - run.best(curves))
}

/// The promise of the project, next to what Ray Tune's and Optuna's rules make of the same table.
#[test]
fn asha_finds_a_configuration_within_half_a_point_for_a_quarter_of_the_epochs() {
    let curves = curves();
    for workers in [1, 2, 8, 32] {
        let run = replay(&Stop::new(Rule::Asha), &curves, workers, None);
        let (share, short) = (run.share(&curves), points_short(&run, &curves));
        assert!(share <= 0.25, "{share} of the epochs with {workers} workers");
        assert!(short <= 0.5, "{short} points short with {workers} workers");
    }
    for by in ["ray-asha", "optuna-halving"] {
        for case in recorded(by) {
            let theirs = Replay { epochs: case.epochs, judgements: Vec::new() };
            let ours = replay(&Stop::new(Rule::Asha), &curves, case.workers, None);
            assert!(ours.share(&curves) <= theirs.share(&curves) + 0.02, "{by}");
            assert!(points_short(&ours, &curves) <= points_short(&theirs, &curves), "{by}");
        }
    }
}

#[test]
fn halvings_keep_one_in_so_many_at_every_rung() {
    let curves = curves();
    let reached = |run: &Replay, epoch: u32| run.epochs.iter().filter(|epochs| **epochs >= epoch).count();
    let run = replay(&Stop::new(Rule::Halving), &curves, 8, None);
    // 200, a third of them, a third of those, ...
    assert_eq!([1, 2, 4, 10, 27].map(|epoch| reached(&run, epoch)), [200, 66, 22, 7, 7]);
    let expected = Stop::new(Rule::Halving).expected_epochs(200, 27, None);
    assert_eq!(expected, Some(run.epochs.iter().map(|epochs| u64::from(*epochs)).sum()));
    // Each bracket of Hyperband is such a halving; the last one trains all of its own.
    let run = replay(&Stop::new(Rule::Hyperband), &curves, 8, None);
    let expected = Stop::new(Rule::Hyperband).expected_epochs(200, 27, None);
    assert_eq!(expected, Some(run.epochs.iter().map(|epochs| u64::from(*epochs)).sum()));
}

#[test]
fn no_rule_leaves_fewer_epochs_than_is_said() {
    let curves = curves();
    for rule in Rule::ALL {
        for points in [200, 20, 6] {
            let stop = Stop { warmup_epochs: 3, max_epochs: (rule == Rule::Budget).then_some(9), ..Stop::new(rule) };
            let curves = &curves[..points as usize];
            let all = u64::from(points) * 27;
            let trained = |curves: &[Vec<f64>]| -> u64 {
                replay(&stop, curves, 4, None).epochs.iter().map(|it| u64::from(*it)).sum()
            };
            let mut falling = curves.to_vec();
            falling.sort_by(|one, other| other[0].total_cmp(&one[0]));
            let fewest = stop.fewest_epochs(points, 27, None);
            let (found, worst) = (trained(curves), trained(&falling));
            assert!(fewest <= worst && fewest <= found && found <= all, "{rule:?}: {fewest}, {worst}, {found}, {all}");
            assert!(fewest < all, "{rule:?}");
        }
    }
}

/// Nothing hangs, everything is decided once, and what is spared runs to its end.
#[test]
fn every_configuration_ends_in_one_way() {
    let curves = curves();
    for rule in Rule::ALL {
        for (workers, points) in [(1, 200), (7, 200), (4, 3), (4, 1), (3, 2)] {
            let curves = &curves[..points];
            let stop = Stop { audit_fraction: 0.2, brackets: None, ..Stop::new(rule) };
            let run = replay(&stop, curves, workers, None);
            let count = |point: u32, fate: Fate| {
                run.judgements.iter().filter(|(of, judged)| *of == point && judged.fate == fate).count()
            };
            for point in 0..points as u32 {
                let epochs = run.epochs[point as usize];
                let ends = (count(point, Fate::Stop), count(point, Fate::Spare));
                assert!(epochs >= 1, "{rule:?}: {point} never ran");
                match ends {
                    (1, 0) => assert!(epochs < 27, "{rule:?}: {point} was stopped at its end"),
                    (0, 0 | 1) => assert_eq!(epochs, 27, "{rule:?} {workers} workers: {point} stands still"),
                    other => panic!("{rule:?}: {point} was decided about {other:?} times"),
                }
            }
            assert!(run.epochs.contains(&27), "{rule:?}: nobody reached the end");
        }
    }
}
