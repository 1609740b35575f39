//! Clusters in simulated time, one process per seed: crashes, restarts and partitions, of both ways and of one, over real tonic,
//! judged by the oracle (inside `sweep-sim`) and compared with a quiet run.

use std::process::Command;
use std::thread::{available_parallelism, scope};

use serde_json::Value;
use sweep_tests::process::built;

/// Seeds of every run of the tests.
const SEEDS: u64 = 1000;

fn simulate(seed: u64, quiet: bool) -> Value {
    let mut command = Command::new(built().unwrap().join("sweep-sim"));
    command.arg(seed.to_string());
    if quiet {
        command.arg("--quiet");
    }
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "sweep-sim {seed}: {words}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_seed_ends_exactly_once_with_the_weights_of_a_quiet_run() {
    let quiet = simulate(0, true);
    assert_eq!(quiet["trials"], 12);
    assert_eq!(quiet["attempts"], 12, "nothing is repeated when nothing goes wrong");
    let threads = available_parallelism().map_or(1, usize::from);
    let play = |first: usize| {
        let mut faults = [0; 4];
        for seed in (first..=SEEDS as usize).step_by(threads) {
            let noisy = simulate(seed as u64, false);
            assert_eq!(noisy["weights"], quiet["weights"], "seed {seed}");
            let counts = noisy["faults"].as_object().unwrap().values().filter_map(Value::as_u64);
            faults.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
        }
        faults
    };
    let faults = scope(|scope| {
        let parts: Vec<_> = (1..=threads).map(|first| scope.spawn(move || play(first))).collect();
        parts.into_iter().map(|part| part.join().unwrap()).collect::<Vec<_>>()
    });
    let of = |kind: usize| faults.iter().map(|part| part[kind]).sum::<u64>();
    assert!((0..4).all(|kind| of(kind) > SEEDS), "some fault is rare: {faults:?}");
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    for seed in [3, 7, 11] {
        assert_eq!(simulate(seed, false)["journal"], simulate(seed, false)["journal"], "seed {seed}");
    }
}
