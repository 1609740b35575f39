//! Trainers die at every call with which they change a file, and their trials end with the weights of those of a quiet run.

use std::time::Duration;

use sweep_tests::crash::points::{Program, STEPS};
use sweep_tests::crash::{Plan, Round, run};
use sweep_tests::process::{Setup, built};

const ROUNDS: &[&[Round]] = &[&[Round::every("sweep-trainer", 100)]];
const GRID: &str = "dataset = \"demo\"\nmodel = \"cifar-cnn\"\nimage_size = 32\nepochs = 2\nbatch_size = 64\nseeds = 4\n\
                    precision = \"fp32\"\nlayout = \"contiguous\"\n\n[grid]\nlr = [1e-3, 1e-2]\ndropout = [0.0, 0.1]\n";

#[test]
fn wherever_a_trainer_dies_its_trial_ends_as_if_it_had_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    super::demo_images(&built().unwrap(), &data);
    let mut setup = Setup::new(built().unwrap(), dir.path().join("lab"));
    setup.data = vec![data];
    let limit = Duration::from_secs(1800);
    let plan = Plan { grid: |_| GRID.to_owned(), rounds: ROUNDS, stopping: 0, limit };
    let outcome = run(setup, plan).unwrap();
    println!("{outcome}");
    let steps = STEPS.iter().filter(|step| step.of == Program::Trainer);
    let missed: Vec<&str> = steps.filter(|step| step.hits(&outcome.deaths) == 0).map(|step| step.name).collect();
    // Where a life ends decides what the next one does: a step of a single call may be passed over.
    assert!(missed.len() <= 2, "nothing died at {missed:?}");
}
