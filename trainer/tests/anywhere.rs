//! Every update rule with dropout, with mixing and with bf16: two runs are equal to the bit, and so is one that
//! is cut after 20 of its 24 steps, drawn at random, and goes on from the file each time.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use common::{Bench, Told, folder_of_images, with_val};
use sweep_core::attempt::{Body, CheckpointKind, EpochMetrics};
use sweep_trainer::seed::{Purpose, stream};

/// Steps of a trial: 24 images, 2 at a time, 2 epochs.
const STEPS: usize = 24;
const KILLS: usize = 20;

const COMPANIONS: [(&str, &str); 3] = [
    ("dropout", r#""dropout":0.3,"augmentation":["flip","crop"],"ema":{"decay":0.9}"#),
    ("mixup", r#""augmentation":[{"mixup":{"alpha":0.4}}],"schedule":"one-cycle","clip_norm":1.0"#),
    ("bf16", r#""precision":"bf16","layout":"channels-last","warmup":{"steps":9},"early_stop":{"patience":5}"#),
];

/// The epochs of several attempts, one after the other.
fn curve(told: &[Told]) -> Vec<EpochMetrics> {
    let mut epochs: Vec<_> = told.iter().flat_map(Told::epochs).collect();
    for epoch in &mut epochs {
        epoch.seq = 0;
    }
    epochs
}

/// Digest of the last checkpoint, which also holds the state of the optimizer.
fn end_state(told: &Told) -> &str {
    &told.checkpoints(CheckpointKind::Last).last().unwrap().sha256
}

fn check(optimizer: &str) {
    for (companion, fields) in COMPANIONS {
        let bench = Bench::new();
        with_val(&bench, "d");
        let mut order = bench.order(&format!(
            r#"{{"dataset":"d","model":"cifar-cnn","image_size":16,"epochs":2,"batch_size":2,"lr":0.001,"seed":4,
            "optimizer":{optimizer},{fields}}}"#
        ));
        let whole = bench.run("whole", &order);
        // With as many checkpoints as the pieces below, which say how many there will be.
        order.work[0].recipe.checkpoint_steps = 1;

        let again = bench.run("again", &order);
        let told = |other| format!("{optimizer} {companion}: not reproducible:{}", again.apart(other));
        assert_eq!(again.weights(), whole.weights(), "{}", told(&whole));
        let expected = curve(std::slice::from_ref(&whole));
        assert_eq!(curve(std::slice::from_ref(&again)), expected, "{}", told(&whole));

        // Each run draws other steps; a failure names the seed.
        let seed = std::process::id().into();
        let mut steps: Vec<usize> = (1..STEPS).collect();
        stream(seed, Purpose::Split, &[]).shuffle(&mut steps);
        let mut kills = steps[..KILLS].to_vec();
        kills.sort_unstable();
        let mut told = Vec::new();
        let mut done = 0;
        for kill in kills.iter().copied() {
            let piece = bench.run_with(&format!("piece{kill}"), &order, |line, stop| {
                if matches!(line, Body::Checkpoint(line) if line.kind == CheckpointKind::Last) {
                    done += 1;
                    if done == kill {
                        stop.ask();
                    }
                }
            });
            assert!(matches!(piece.last, Body::Stopped(_)), "{:?}", piece.last);
            order.work[0].resume = Some(piece.resume());
            told.push(piece);
        }
        told.push(bench.run("end", &order));
        let end = told.last().unwrap();
        let apart = || format!("{optimizer} {companion}, seed {seed}: cut after {kills:?}:{}", end.apart(&again));
        assert_eq!(end.weights(), again.weights(), "{}", apart());
        assert_eq!(end_state(end), end_state(&again), "{}", apart());
        assert_eq!(curve(&told), expected, "{optimizer} {companion}, seed {seed}: cut after {kills:?}");
    }
}

#[test]
fn sgd_goes_on_anywhere() {
    check(r#"{"sgd":{"nesterov":true,"weight_decay":0.01}}"#);
}

#[test]
fn adam_goes_on_anywhere() {
    check(r#""adam""#);
}

#[test]
fn adamw_goes_on_anywhere() {
    check(r#""adamw""#);
}

#[test]
fn radam_goes_on_anywhere() {
    check(r#""radam""#);
}

#[test]
fn rmsprop_goes_on_anywhere() {
    check(r#"{"rmsprop":{"momentum":0.9,"centered":true}}"#);
}

/// Trains twice, the second time with a cut when `file` is written, in the second epoch. Returns the epochs.
fn cut_at(bench: &Bench, recipe: &str, file: &str) -> Vec<EpochMetrics> {
    let mut order = bench.order(recipe);
    let whole = bench.run("whole", &order);
    let part = bench.run_with("part", &order, |line, stop| {
        if matches!(line, Body::Checkpoint(line) if line.file == file) {
            stop.ask();
        }
    });
    let line = *part.checkpoints(CheckpointKind::Last).last().unwrap();
    assert_eq!((line.epoch, line.seq, line.file.as_str()), (1, 1, file));
    order.work[0].resume = Some(part.resume());
    let rest = bench.run("rest", &order);
    assert_eq!(rest.weights(), whole.weights());
    assert_eq!(end_state(&rest), end_state(&whole));
    let epochs = curve(&[whole]);
    assert_eq!(curve(&[part, rest]), epochs);
    epochs
}

#[test]
fn batch_norm_and_accumulation_go_on_inside_an_epoch() {
    let bench = Bench::new();
    with_val(&bench, "d");
    // Steps of 12 and 12 images; the cut comes after the first one of the second epoch.
    cut_at(
        &bench,
        r#"{"dataset":"d","model":"resnet18","image_size":32,"epochs":2,"batch_size":4,"accumulate":3,"lr":0.001,
            "ema":{"decay":0.5},"early_stop":{"patience":5},"checkpoint_steps":1,"seed":4}"#,
        "last-1-3.safetensors",
    );
}

#[test]
fn the_count_among_five_goes_on_inside_an_epoch() {
    let bench = Bench::new();
    folder_of_images(&bench.data().join("d/train"), 6, 4);
    folder_of_images(&bench.data().join("d/val"), 6, 2);
    let epochs = cut_at(
        &bench,
        r#"{"dataset":"d","model":"cifar-cnn","image_size":16,"epochs":2,"batch_size":4,"lr":0.001,
            "checkpoint_steps":1,"seed":4}"#,
        "last-1-3.safetensors",
    );
    // More than the 12 of 24 images after the cut can give: those before it were among them.
    assert!(epochs[1].top5.unwrap().train.0 > 0.5, "{:?}", epochs[1]);
}
