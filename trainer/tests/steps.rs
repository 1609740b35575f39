//! What surrounds an update rule: clipping, averages and smoothing against PyTorch's recorded numbers
//! (`tests/reference/steps.py`), and batches that share a step.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use common::{Bench, Told, with_val};
use serde::Deserialize;
use sweep_core::attempt::{CHECKPOINT_DIR, CheckpointKind};
use sweep_core::recipe;
use sweep_trainer::average::Average;
use sweep_trainer::checkpoint::{self, Tensors};
use sweep_trainer::model::Model;
use sweep_trainer::optim::clip;
use sweep_trainer::trial::cross_entropy;
use tch::{Device, Kind, Tensor};

#[derive(Deserialize)]
struct Recorded {
    clip: Vec<Clip>,
    ema: Ema,
    smooth: Smooth,
}

#[derive(Deserialize)]
struct Clip {
    longest: f64,
    before: Vec<f32>,
    after: Vec<f32>,
}

#[derive(Deserialize)]
struct Ema {
    decay: f64,
    steps: Vec<EmaStep>,
}

#[derive(Deserialize)]
struct EmaStep {
    now: Vec<f32>,
    average: Vec<f32>,
}

#[derive(Deserialize)]
struct Smooth {
    logits: Vec<Vec<f32>>,
    labels: Vec<i64>,
    losses: Vec<(f64, f64)>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("fixtures/steps.json")).unwrap()
}

fn close(ours: &Tensor, theirs: &[f32]) {
    let ours = Vec::<f32>::try_from(ours.detach().view(-1)).unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= 1e-6 * theirs.abs().max(1.0), "{ours} {theirs}");
    }
}

#[test]
fn gradients_are_clipped_as_pytorch_does() {
    for Clip { longest, before, after } in recorded().clip {
        let before = Tensor::from_slice(&before);
        let mut gradients = vec![before.narrow(0, 0, 6).view([2, 3]).copy(), before.narrow(0, 6, 2).copy()];
        clip(&mut gradients, longest);
        close(&Tensor::cat(&[gradients[0].view(-1), gradients[1].view(-1)], 0), &after);
    }
}

#[test]
fn averages_follow_weights_and_running_statistics() {
    let recorded = recorded().ema;
    let net: recipe::Model = serde_json::from_str("\"resnet18\"").unwrap();
    let make = || Model::new(&net, 2, 32, Some(0), Device::Cpu);
    let (model, mut average) = (make(), Average::new(recorded.decay, make()));
    let parts = ["weight", "bias", "running_mean", "running_var"];
    // The first two of each tensor of one batch norm.
    let head = |model: &Model, part: &str| {
        let named = model.tensors().iter().find(|named| named.name == format!("bn1.{part}")).unwrap();
        named.tensor.detach().narrow(0, 0, 2)
    };
    for (step, EmaStep { now, average: theirs }) in recorded.steps.iter().enumerate() {
        let _guard = tch::no_grad_guard();
        for (part, values) in parts.iter().zip(now.chunks(2)) {
            head(&model, part).copy_(&Tensor::from_slice(values));
        }
        average.follow(&model, step == 0);
        close(&Tensor::cat(&parts.map(|part| head(&average.model, part)), 0), theirs);
    }
}

#[test]
fn smoothed_targets_cost_what_they_do_in_pytorch() {
    let Smooth { logits, labels, losses } = recorded().smooth;
    let logits = Tensor::from_slice2(&logits);
    for (share, loss) in losses {
        let ours = cross_entropy(&logits, &Tensor::from_slice(&labels), share).double_value(&[]);
        assert!((ours - loss).abs() < 1e-6, "{share}: {ours} {loss}");
    }
}

fn kept(told: &Told, kind: CheckpointKind) -> Tensors {
    let line = *told.checkpoints(kind).last().unwrap();
    checkpoint::load(&told.folder.join(CHECKPOINT_DIR).join(&line.file)).unwrap().1
}

fn farthest(a: &Tensors, b: &Tensors) -> f64 {
    let apart = |name: &String| (&a[name] - &b[name]).abs().to_kind(Kind::Double).max().double_value(&[]);
    assert_eq!(a.len(), b.len());
    a.keys().map(apart).fold(0.0, f64::max)
}

#[test]
fn small_batches_together_make_the_step_of_a_large_one() {
    let bench = Bench::new();
    with_val(&bench, "d");
    // 24 images: steps of 15 (three batches of 5) and 9 (one of 5, one of 4).
    let recipe = |batch: u32, accumulate: u32| {
        let text = r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":2,"lr":0.1,"clip_norm":0.5,
            "optimizer":{"sgd":{"momentum":0.9}},"label_smoothing":0.1,"seed":3}"#;
        let mut order = bench.order(text);
        (order.work[0].recipe.batch_size, order.work[0].recipe.accumulate) = (batch, accumulate);
        order
    };
    let whole = bench.run("whole", &recipe(15, 1));
    let parts = bench.run("parts", &recipe(5, 3));
    let apart = farthest(&kept(&whole, CheckpointKind::Last), &kept(&parts, CheckpointKind::Last));
    assert!(apart < 1e-5, "{apart}");
    let other = bench.run("other", &recipe(5, 2));
    assert!(farthest(&kept(&whole, CheckpointKind::Last), &kept(&other, CheckpointKind::Last)) > 1e-3);
}

#[test]
fn batch_norm_counts_batches_and_the_average_is_what_is_validated() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(
        r#"{"dataset":"d","model":"resnet18","image_size":32,"epochs":2,"batch_size":10,"accumulate":2,"lr":0.01,
            "ema":{"decay":0.8},"seed":3}"#,
    );
    let told = bench.run("averaged", &order);
    let (last, best) = (kept(&told, CheckpointKind::Last), kept(&told, CheckpointKind::Best));
    assert_eq!(last["bn1.num_batches_tracked"].int64_value(&[]), 6);
    assert_eq!(last["average.bn1.num_batches_tracked"].int64_value(&[]), 6);
    assert!((&last["conv1.weight"] - &last["average.conv1.weight"]).abs().max().double_value(&[]) > 1e-6);
    assert!(!best.contains_key("average.conv1.weight"));
    // The last line of the trial speaks of the average.
    let average: Vec<_> = last.iter().filter_map(|(name, t)| Some((name.strip_prefix("average.")?, t))).collect();
    assert_eq!(average.len(), best.len());
    assert_eq!(checkpoint::digest(average.into_iter()), told.weights());
    if told.checkpoints(CheckpointKind::Best).last().unwrap().epoch == 2 {
        assert_eq!(checkpoint::digest(best.iter().map(|(name, t)| (name.as_str(), t))), told.weights());
    }
}
