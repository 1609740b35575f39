//! What early stopping saves and what it costs, on the recorded table of curves, next to Optuna and Ray Tune:
//! `cargo run -p sweep-core --example stopping`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and ends when its files are broken")]

use serde_json::Value;
use sweep_core::stopping::replay::{Replay, replay};
use sweep_core::stopping::{Rule, Stop};

fn main() {
    let table: Value = serde_json::from_str(include_str!("../tests/stopping/curves.json")).unwrap();
    let recorded: Value = serde_json::from_str(include_str!("../tests/stopping/decisions.json")).unwrap();
    let curves: Vec<Vec<f64>> = serde_json::from_value(table["curves"].clone()).unwrap();
    let best = curves.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    println!("{} configurations x {} epochs; the best reaches {:.2} %", curves.len(), curves[0].len(), 100.0 * best);
    println!("{:<24} {:>7}  {:>10}  {:>14}", "rule", "workers", "% of epochs", "points short");
    let show = |name: &str, workers: u64, run: &Replay| {
        let (share, short) = (100.0 * run.share(&curves), 100.0 * (best - run.best(&curves)));
        println!("{name:<24} {workers:>7}  {share:>10.1}  {short:>14.2}");
    };
    for workers in [1, 8] {
        for rule in Rule::ALL.into_iter().filter(|rule| *rule != Rule::Budget) {
            show(rule.name(), workers, &replay(&Stop::new(rule), &curves, workers as usize, None));
        }
        for case in recorded["cases"].as_array().unwrap().iter().filter(|case| case["workers"] == workers) {
            let epochs = serde_json::from_value(case["epochs"].clone()).unwrap();
            show(case["by"].as_str().unwrap(), workers, &Replay { epochs, judgements: Vec::new() });
        }
    }
}
