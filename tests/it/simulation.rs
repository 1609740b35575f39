//! Clusters in simulated time, one process per seed: crashes, restarts and partitions over real tonic,
//! judged by the oracle (inside `sweep-sim`) and compared with a quiet run.

use std::process::Command;

use serde_json::Value;
use sweep_tests::process::built;

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
    let mut faults = 0;
    for seed in 1..=40 {
        let noisy = simulate(seed, false);
        assert_eq!(noisy["weights"], quiet["weights"], "seed {seed}");
        faults += noisy["faults"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    }
    assert!(faults > 200, "only {faults} faults in 40 seeds");
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    for seed in [3, 7, 11] {
        assert_eq!(simulate(seed, false)["journal"], simulate(seed, false)["journal"], "seed {seed}");
    }
}
