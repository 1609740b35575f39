//! Clusters of calls in simulated time: whatever is lost, cut off, killed, torn or filled up, every trial ends exactly once with the
//! numbers of an undisturbed run, and nothing that was acknowledged is lost. `sweep-model SEED` plays a seed again.

use std::thread::{available_parallelism, scope};
use std::time::Duration;

use sweep_tests::model::{run, run_without};

/// Seeds of every run of the tests.
const SEEDS: u64 = 10_000;

#[test]
fn no_seed_goes_wrong() {
    let threads = available_parallelism().map_or(1, |threads| threads.get() as u64);
    let wrong: Vec<String> = scope(|scope| {
        let part = |first| move || (first..SEEDS).step_by(threads as usize).filter_map(|seed| run(seed, false).err());
        let parts: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || part(first)().take(3).map(|error| format!("{error:#}")).collect::<Vec<_>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_quiet_cluster_repeats_nothing() {
    for seed in 0..20 {
        let quiet = run(seed, true).unwrap();
        // A trial that waits at a rung and goes on has two.
        let resumed = quiet.text.matches("\"trial_halted\"").count() as u64;
        assert!(quiet.audit.attempts <= quiet.audit.planned + resumed, "seed {seed}: {:?}", quiet.audit);
    }
}

/// What its agents did meanwhile is told when it is back: no lease is taken back, nothing is done again.
#[test]
fn a_coordinator_that_is_away_for_an_hour_costs_nothing() {
    let hour = Duration::from_secs(3600);
    let mut in_the_middle = 0;
    for seed in 0..20 {
        let quiet = run(seed, true).unwrap();
        let away = run_without(seed, hour).unwrap();
        let resumed = away.text.matches("\"trial_halted\"").count() as u64;
        assert!(away.audit.attempts <= away.audit.planned + resumed, "seed {seed}: {:?}", away.audit);
        assert!(!away.text.contains("\"cause\":\"expired\""), "seed {seed}: a lease was taken back");
        in_the_middle += u32::from(away.took > hour && quiet.took > Duration::from_secs(30));
    }
    assert!(in_the_middle >= 5, "{in_the_middle}");
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    for seed in 0..60 {
        assert_eq!(run(seed, false).unwrap().journal, run(seed, false).unwrap().journal, "seed {seed}");
    }
}

#[test]
fn faults_really_happen() {
    let mut faults = [0; sweep_tests::model::KINDS];
    let mut losses = [0; 2];
    for seed in 0..200 {
        let outcome = run(seed, false).unwrap();
        faults.iter_mut().zip(outcome.faults).for_each(|(all, one)| *all += one);
        losses.iter_mut().zip(outcome.losses).for_each(|(all, one)| *all += one);
    }
    assert!(losses.iter().all(|count| *count > 10), "{losses:?}");
    assert!(faults.iter().all(|count| *count > 30), "{faults:?}");
}
