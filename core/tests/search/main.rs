//! Model-based search finds as good a value in as many trials as Optuna's, on toy functions. `tests/reference/tpe.py` recorded it.

use std::collections::BTreeMap;

use sweep_core::search::tpe::propose;
use sweep_core::search::{Dimension, Knobs, Method, Observation};

type Function = fn(&[f64]) -> f64;

fn sphere(x: &[f64]) -> f64 {
    -x.iter().map(|x| (x - 1.0).powi(2)).sum::<f64>()
}

fn branin(x: &[f64]) -> f64 {
    use std::f64::consts::PI;
    let a = x[1] - 5.1 / (4.0 * PI * PI) * x[0] * x[0] + 5.0 / PI * x[0] - 6.0;
    -(a * a + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x[0].cos() + 10.0)
}

fn network(x: &[f64]) -> f64 {
    let kinds = [0.1, 0.0, 0.15, 0.05];
    1.0 - 0.05 * (x[0].log10() + 3.0).powi(2) - 0.005 * (x[1] - 8.0).powi(2) - kinds[x[2] as usize]
}

fn knobs() -> Knobs {
    Knobs::new(Method::Tpe, 80)
}

/// The best after 30 and after 80 trials, the median of 25 seeds.
fn medians(space: &[Dimension], function: Function) -> [f64; 2] {
    let mut runs: [Vec<f64>; 2] = Default::default();
    for seed in 0..25 {
        let mut seen = Vec::new();
        for number in 0..80 {
            let values = propose(&knobs(), space, (&seen, &[]), seed, number);
            let score = function(&values);
            seen.push(Observation { values, epoch: 1, score });
        }
        let best = |count: usize| seen[..count].iter().map(|one| one.score).fold(f64::NEG_INFINITY, f64::max);
        runs[0].push(best(30));
        runs[1].push(best(80));
    }
    runs.map(|mut values| {
        values.sort_by(f64::total_cmp);
        values[12]
    })
}

#[test]
fn tpe_finds_as_good_in_as_many_trials_as_optuna() {
    let recorded: BTreeMap<String, [f64; 2]> = serde_json::from_str(include_str!("tpe.json")).expect("a recording");
    let line = |low, high| Dimension::Float { low, high, log: false };
    let rate = Dimension::Float { low: 1e-6, high: 1.0, log: true };
    let like_a_sweep = vec![rate, Dimension::Int { low: 1, high: 12 }, Dimension::Choice(4), line(0.0, 1.0)];
    let cases: [(&str, Vec<Dimension>, Function, f64); 3] = [
        ("sphere", vec![line(-5.0, 5.0); 3], sphere, 0.0),
        ("branin", vec![line(-5.0, 10.0), line(0.0, 15.0)], branin, -0.397_887),
        ("network", like_a_sweep, network, 1.0),
    ];
    for (name, space, function, best) in cases {
        let (ours, theirs) = (medians(&space, function), recorded[&format!("{name} tpe")]);
        let random = recorded[&format!("{name} random")];
        println!("{name}: ours {ours:?}, Optuna {theirs:?}, random {random:?}");
        // How much is missing to the best possible, after 80 trials: a quarter more than Optuna misses at most (and a thousandth,
        // where next to nothing is missing), and less than random search misses.
        assert!(best - ours[1] <= 1.25 * (best - theirs[1]) + 1e-3, "{name}: {ours:?}, Optuna {theirs:?}");
        assert!(best - ours[1] < best - random[1], "{name}: {ours:?}, random {random:?}");
    }
}

#[test]
fn proposals_are_a_function_of_what_was_seen() {
    let space = [Dimension::Float { low: 0.0, high: 1.0, log: false }, Dimension::Choice(3)];
    let one = |at: u32| {
        let values = vec![f64::from(at) / 12.0, f64::from(at % 3)];
        Observation { values, epoch: 1, score: f64::from(at) }
    };
    let seen: Vec<Observation> = (0..12).map(one).collect();
    let next = |seen: &[Observation], seed, number| propose(&knobs(), &space, (seen, &[]), seed, number);
    assert_eq!(next(&seen, 1, 12), next(&seen, 1, 12));
    assert_ne!(next(&seen, 1, 12), next(&seen, 2, 12));
    for number in 0..200 {
        let next = next(&seen, 5, number);
        assert!((0.0..=1.0).contains(&next[0]) && [0.0, 1.0, 2.0].contains(&next[1]), "{next:?}");
    }
    // A configuration that diverged is among the worst: as if it had come last.
    let mut worst = seen.clone();
    worst[11].score = f64::NAN;
    let mut last = seen.clone();
    last[11].score = -1.0;
    assert_eq!(next(&worst, 1, 12), next(&last, 1, 12));
    // Who got further is better, whatever the score.
    let mut further = seen.clone();
    (further[3].epoch, further[3].score) = (2, -5.0);
    let mut best = seen.clone();
    best[3].score = 100.0;
    best[3].epoch = 2;
    assert_eq!(next(&further, 1, 12), next(&best, 1, 12));
    assert_ne!(next(&further, 1, 12), next(&seen, 1, 12));
}

/// Proposals made at the same time keep away from each other.
#[test]
fn what_is_under_way_is_kept_away_from() {
    let space = [Dimension::Float { low: 0.0, high: 1.0, log: false }];
    let score = |x: f64| -(x - 0.3).powi(2);
    let seen: Vec<Observation> = (0..20)
        .map(|at| f64::from(at) / 19.0)
        .map(|x| Observation { values: vec![x], epoch: 1, score: score(x) })
        .collect();
    let near = |pending: &[Vec<f64>]| {
        let drawn = (0..400).map(|number| propose(&knobs(), &space, (&seen, pending), 7, number)[0]);
        drawn.filter(|x| (x - 0.3).abs() < 0.02).count()
    };
    let (alone, beside) = (near(&[]), near(&vec![vec![0.3]; 6]));
    println!("{alone} of 400 without, {beside} with six under way there");
    assert!(beside * 2 < alone, "{alone} {beside}");
    // Before half of the first ones have results nothing is known.
    assert_eq!(propose(&knobs(), &space, (&seen[..4], &[]), 7, 1), propose(&knobs(), &space, (&[], &[]), 7, 1));
}
