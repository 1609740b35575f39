//! Model-based search with real processes under `kill -9`: the coordinator proposes the points that it would have proposed.

use std::path::Path;
use std::time::Duration;

use sweep_tests::chaos::hurts::Hurt;
use sweep_tests::chaos::{Outcome, Plan, run};
use sweep_tests::process::Lab;

use super::setup;

/// With one slot and one point at a time each proposal follows from all results before, however kills shift them in time. With more slots
/// who is first depends on the clock: that a crash changes nothing then is tested event by event in `core/tests/stopping/searching.rs`.
fn sweep(dir: &Path, name: &str, slots: u32, plan: Plan) -> Outcome {
    let spec = dir.join(format!("{name}.toml"));
    let text = format!(
        "name = \"tpe\"\ndataset = \"none\"\nmodel = \"cifar-cnn\"\nepochs = 6\nsamples = 14\nmax_retries = 20\n\
         [search]\nmethod = \"tpe\"\nstartup = 5\noutstanding = {slots}\n\
         [grid]\nlr = {{ log_uniform = [1e-5, 1.0] }}\ndropout = {{ uniform = [0.0, 0.9] }}\n"
    );
    std::fs::write(&spec, text).unwrap();
    let mut setup = setup(&dir.join(name));
    setup.slots = slots;
    run(&mut Lab::start(setup).unwrap(), &spec, plan).unwrap()
}

#[test]
fn killing_everything_changes_no_proposal() {
    let dir = tempfile::tempdir().unwrap();
    let limit = Duration::from_secs(300);
    let quiet = sweep(dir.path(), "quiet", 1, Plan::quiet(limit));
    let seed = u64::from(std::process::id());
    let noisy = Plan::kills(Duration::from_millis(400), seed, limit);
    let killed = sweep(dir.path(), "noisy", 1, noisy);
    assert!(killed.hurts.has_all(Hurt::PROCESSES), "seed {seed}: {}", killed.hurts);
    assert_eq!(killed.result, quiet.result, "seed {seed}, {}", killed.hurts);
    let wide = sweep(dir.path(), "wide", 3, noisy);
    for outcome in [&quiet, &killed, &wide] {
        let audit = &outcome.audit;
        assert_eq!((&audit["exactly_once"], &audit["completed"]), (&true.into(), &14.into()), "seed {seed}: {audit}");
    }
}
