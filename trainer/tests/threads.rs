//! Two threads: a training repeats, and goes on from its middle, to the bit. By itself, because libtorch has one
//! number of threads for the whole process.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use common::{Bench, Told, with_val};
use sweep_core::attempt::{Body, CheckpointKind, EpochMetrics};

/// Convolutions large enough for libtorch to divide them: 12 x 6 x 60 x 60 values.
const RECIPE: &str = r#"{"dataset":"d","model":"cifar-cnn","image_size":64,"epochs":2,"batch_size":12,"lr":0.001,
    "dropout":0.3,"augmentation":["flip","crop"],"checkpoint_steps":1,"seed":7}"#;

fn curve(told: &[&Told]) -> Vec<EpochMetrics> {
    let mut epochs: Vec<_> = told.iter().flat_map(|told| told.epochs()).collect();
    epochs.iter_mut().for_each(|epoch| epoch.seq = 0);
    epochs
}

#[test]
fn two_threads_train_and_resume_to_the_bit() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let mut order = bench.order(RECIPE);
    order.threads = 2;
    let whole = bench.run("whole", &order);
    assert_eq!(tch::get_num_threads(), 2);
    let part = bench.run_with("part", &order, |line, stop| {
        if matches!(line, Body::Checkpoint(line) if line.file == "last-1-1.safetensors") {
            stop.ask();
        }
    });
    assert!(matches!(part.last, Body::Stopped(_)), "{:?}", part.last);
    order.work[0].resume = Some(part.resume());
    let rest = bench.run("rest", &order);
    let state = |told: &Told| told.checkpoints(CheckpointKind::Last).last().unwrap().sha256.clone();
    assert_eq!(rest.weights(), whole.weights());
    assert_eq!(state(&rest), state(&whole));
    assert_eq!(curve(&[&part, &rest]), curve(&[&whole]));
}
