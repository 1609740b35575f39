//! Precision and layout: what they may change and what not, and that a probe changes nothing.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::fs;

use common::{Bench, with_val};
use sweep_core::attempt::{Body, CheckpointKind};
use sweep_core::recipe::{self, Layout, Numerics, Precision, Recipe};
use sweep_trainer::checkpoint;
use sweep_trainer::model::{Mode, Model};
use sweep_trainer::numerics::forward;
use tch::{Device, Kind, Tensor};

fn numerics(text: &str) -> Numerics {
    let recipe: Recipe = serde_json::from_str(&format!(r#"{{"dataset":"d",{text}}}"#)).unwrap();
    let [only] = Numerics::allowed(&recipe)[..] else { panic!("{text}") };
    only
}

#[test]
fn layouts_agree_and_bf16_is_near() {
    let images = Tensor::linspace(-2.0, 2.0, 4 * 3 * 32 * 32, (Kind::Float, Device::Cpu)).view([4, 3, 32, 32]);
    for name in ["cifar-cnn", "resnet18"] {
        let net: recipe::Model = serde_json::from_str(&format!("{name:?}")).unwrap();
        let model = Model::new(&net, 5, 32, Some(1), Device::Cpu);
        let logits = |text: &str| {
            let logits = forward(numerics(text), &model, &images, &mut Mode::Eval);
            assert_eq!(logits.kind(), Kind::Float);
            logits
        };
        let plain = logits(r#""precision":"fp32""#);
        let apart = |other: &Tensor| (&plain - other).abs().max().double_value(&[]);
        let last = apart(&logits(r#""layout":"channels-last""#));
        assert!(last < 1e-4, "{name}: {last}");
        let scale = plain.abs().max().double_value(&[]);
        let half = apart(&logits(r#""precision":"bf16""#));
        assert!(half > 0.0 && half < 0.05 * scale, "{name}: {half} of {scale}");
    }
}

#[test]
fn weights_and_their_gradients_stay_wide() {
    let net: recipe::Model = serde_json::from_str("\"resnet18\"").unwrap();
    let model = Model::new(&net, 5, 32, Some(1), Device::Cpu);
    let images = Tensor::linspace(-2.0, 2.0, 4 * 3 * 32 * 32, (Kind::Float, Device::Cpu)).view([4, 3, 32, 32]);
    let mut random = sweep_trainer::seed::stream(0, sweep_trainer::seed::Purpose::Dropout, &[0]);
    let mut mode = Mode::Train { dropout: 0.5, random: &mut random };
    let logits = forward(numerics(r#""precision":"bf16","layout":"channels-last""#), &model, &images, &mut mode);
    let loss = logits.cross_entropy_for_logits(&Tensor::from_slice(&[0i64, 1, 2, 3]));
    let weights: Vec<&Tensor> = model.weights().map(|named| &named.tensor).collect();
    let gradients = Tensor::run_backward(&[&loss], &weights, false, false);
    assert!(gradients.iter().all(|gradient| gradient.kind() == Kind::Float));
    assert!(gradients.iter().zip(&weights).all(|(gradient, weight)| gradient.size() == weight.size()));
    assert!(model.tensors().iter().all(|named| matches!(named.tensor.kind(), Kind::Float | Kind::Int64)));
}

const AUTO: &str = r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":2,"batch_size":7,"lr":0.01,
    "dropout":0.2,"precision":"auto","layout":"auto","seed":5}"#;

#[test]
fn a_probe_changes_nothing_but_the_choice() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(AUTO);
    let first = bench.run("first", &order);
    let line = *first.checkpoints(CheckpointKind::Last).last().unwrap();
    let (header, _) = checkpoint::load(&first.folder.join("ckpt").join(&line.file)).unwrap();
    // Later trials of the host take its finding, and the probe itself left no trace.
    assert_eq!(bench.run("second", &order).weights(), first.weights());
    let mut explicit = bench.order(AUTO);
    let chosen = serde_json::to_value(header.numerics).unwrap();
    let recipe = &mut explicit.work[0].recipe;
    recipe.precision = serde_json::from_value(chosen["precision"].clone()).unwrap();
    recipe.layout = serde_json::from_value(chosen["layout"].clone()).unwrap();
    assert_ne!((recipe.precision, recipe.layout), (Precision::Auto, Layout::Auto));
    assert_eq!(bench.run("explicit", &explicit).weights(), first.weights());
}

#[test]
fn a_resumed_trial_computes_as_it_began_whatever_a_probe_would_say_now() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(AUTO);
    bench.run("probe", &order);
    let finding = |place: &std::path::Path| -> std::path::PathBuf {
        let mut files = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("probe-")).unwrap()
    };
    let path = finding(&order.cache_dir);
    let decide = |precision: &str| {
        let chosen = serde_json::json!({"precision": precision, "layout": "channels-last"});
        fs::write(&path, serde_json::json!({"chosen": chosen, "steps": []}).to_string()).unwrap();
    };
    decide("bf16");
    let whole = bench.run("whole", &order);
    let mut rest = order.clone();
    let part = bench.run_with("part", &order, |line, stop| {
        if matches!(line, Body::Checkpoint(line) if line.kind == CheckpointKind::Last) {
            stop.ask();
        }
    });
    decide("fp32");
    rest.work[0].resume = Some(part.resume());
    assert_eq!(bench.run("rest", &rest).weights(), whole.weights());
    assert_ne!(bench.run("other", &order).weights(), whole.weights());
}

#[test]
fn memory_that_is_not_there_is_told_in_bytes() {
    // As a layer's call panics with it.
    let error = sweep_trainer::TrainError::Panic(
        "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a \
         total capacity of 79.11 GiB of which 1.00 GiB is free.\")"
            .to_owned(),
    );
    let error = error.explained();
    assert_eq!(error.reason(), "out_of_memory");
    assert!(error.to_string().contains("2147483648 bytes asked for, 1073741824 bytes free"), "{error}");
}
