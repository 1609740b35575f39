//! Everything at once, with real processes: programs are killed and stopped, the network between agents and coordinator is late,
//! breaks and swallows, conversations are played again, the journal loses its end, stored checkpoints are damaged, the disk is full. In
//! the end every trial has the bits that it has in a quiet run.

use std::time::Duration;

use sweep_tests::chaos::hurts::Hurt;
use sweep_tests::chaos::proxy::{Flow, Way};
use sweep_tests::chaos::{Plan, noop, run};
use sweep_tests::process::{Lab, built, wait_for};
use sweep_tests::skipped;

use crate::recovery::{SPEC, setup};

/// Trials of the sweep.
const TRIALS: u32 = 500;
/// Kills of the coordinator, the agents and trainers.
const CYCLES: u32 = 200;
/// Mean time between two hurts.
const EVERY: Duration = Duration::from_millis(100);

#[test]
fn five_hundred_trials_and_two_hundred_kills_end_as_if_nothing_had_happened() {
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("noop.toml");
    std::fs::write(&spec, noop::spec(TRIALS)).unwrap();
    let limit = Duration::from_secs(600);
    let seed = u64::from(std::process::id());
    let sweep = |name: &str, plan: Plan| {
        let setup = noop::setup(built().unwrap(), dir.path().join(name), noop::epoch(TRIALS, plan.least()));
        let mut lab = Lab::start(setup).unwrap();
        let mut expected = Hurt::ALL.to_vec();
        if lab.disk().is_none() {
            skipped("a full disk needs the right to mount a tmpfs");
            expected.retain(|hurt| *hurt != Hurt::Fill);
        }
        (run(&mut lab, &spec, plan).unwrap(), expected)
    };
    let (quiet, _) = sweep("quiet", Plan::quiet(limit));
    let (noisy, expected) = sweep("noisy", Plan::everything(EVERY, seed, limit, Some(CYCLES)));
    let done = format!("seed {seed}, {} s: {}, {} rollbacks", noisy.seconds, noisy.hurts, noisy.rollbacks);
    println!("quiet {} s; {done}", quiet.seconds);
    assert!(noisy.hurts.kills() >= CYCLES && noisy.hurts.has_all(&expected), "{done}");
    assert_eq!(noisy.result, quiet.result, "{done}");
    for audit in [&quiet.audit, &noisy.audit] {
        assert_eq!((&audit["exactly_once"], &audit["completed"]), (&true.into(), &TRIALS.into()), "{done}: {audit}");
    }
}

#[test]
fn an_agent_gives_up_a_connection_on_which_nothing_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("noop.toml");
    std::fs::write(&spec, SPEC).unwrap();
    let labs = [Way::Up, Way::Down].map(|way| {
        let mut setup = setup(&dir.path().join(format!("{way:?}")));
        setup.has_proxy = true;
        let lab = Lab::start(setup).unwrap();
        lab.wait_for_agent().unwrap();
        let proxy = lab.proxy().unwrap();
        let silent = proxy.connections();
        assert!(!silent.is_empty());
        // Nobody resets them: who waits for an answer has to notice by itself.
        silent.iter().for_each(|connection| proxy.set(*connection, way, Flow::Swallow));
        lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
        (lab, silent)
    });
    for (lab, silent) in labs {
        lab.text(&["watch", "noop", "--quiet"]).unwrap();
        let audit = lab.json(&["audit", "noop"]).unwrap();
        assert_eq!((&audit["exactly_once"], &audit["completed"]), (&true.into(), &32.into()), "{audit}");
        assert_eq!(audit["attempts"], 32, "nothing is done again: {audit}");
        let is_over = || !lab.proxy().unwrap().connections().iter().any(|connection| silent.contains(connection));
        wait_for("the end of what nobody hears", || is_over().then_some(())).unwrap();
    }
}
