//! Every network that torchvision has: the same parameters, the same names and shapes in the same
//! order, the same logits from the same weights, and of some of each kind the same step of training.
//! torchvision's side is recorded (`fixtures/models.json`, written by `tests/reference/models.py`), and
//! recorded again where Python has torchvision.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use sweep_core::recipe;
use sweep_trainer::model::{Mode, Model, Role};
use sweep_trainer::seed::{Purpose, stream};
use sweep_trainer::trial::cross_entropy;
use tch::{Device, Kind, Tensor};

const RECORDED: &str = include_str!("fixtures/models.json");
const SIDE: u32 = 64;

/// Of the largest logit. Sums are taken in another order by other builds and processors.
const TOLERANCE: f64 = 1e-4;

/// Of the step of training, which is computed in 64 bits: there no sum falls to the other side of a ReLU on another processor.
const TRAINED_TOLERANCE: f64 = 1e-7;
const TRAINED_SIDE: u32 = 32;
const LABELS: [i64; 4] = [3, 1, 4, 1];

#[derive(Debug, Deserialize)]
struct Entry {
    parameters: u64,
    tensors: usize,
    sha256: String,
    logits: [[f64; 10]; 2],
    trained: Option<Trained>,
}

/// What a step of training gives: digests of the gradients and of the running statistics.
#[derive(Debug, Deserialize)]
struct Trained {
    loss: f64,
    gradients: Vec<[f64; 2]>,
    running: Vec<[f64; 2]>,
}

fn model(model: serde_json::Value, classes: u32, side: u32) -> Model {
    let model: recipe::Model = serde_json::from_value(model).unwrap();
    Model::new(&model, classes, side, None, Device::Cpu)
}

/// 10007 numbers spread over -1 to 1 without an order.
fn pattern() -> Tensor {
    let number = |i: u32| {
        let h = i.wrapping_mul(2_654_435_761);
        let h = (h ^ (h >> 16)).wrapping_mul(2_246_822_519);
        (f64::from(h ^ (h >> 13)) / f64::from(1u32 << 31) - 1.0) as f32
    };
    Tensor::from_slice(&(0..10_007).map(number).collect::<Vec<_>>())
}

/// Numbers for the tensor with this place in the state.
fn values(pattern: &Tensor, place: i64, shape: &[i64]) -> Tensor {
    let (length, count) = (10_007, shape.iter().product::<i64>());
    let start = place * 977 % length;
    pattern.repeat([(start + count) / length + 1]).narrow(0, start, count).view(shape)
}

fn fill(name: &str, model: &mut Model, pattern: &Tensor) {
    let efficient = name.starts_with("efficientnet");
    // Gates and smooth activations take more away of what goes through; blocks that add to what they were given bring it back.
    let gain = if efficient { 1.25 } else { 1.0 };
    // The norm that a block ends with, but not in the first block of a stage.
    let ends = |name: &str| name.ends_with(".block.3.1.weight") && name.split('.').nth(2) != Some("0");
    let _guard = tch::no_grad_guard();
    for (place, named) in model.tensors().iter().enumerate() {
        let mut tensor = named.tensor.shallow_clone();
        let shape = tensor.size();
        if tensor.kind() != Kind::Float {
            let _ = tensor.zero_();
            continue;
        }
        let v = values(pattern, place as i64, &shape);
        let filled = if shape.len() > 1 {
            v * (gain * (6.0 / shape[1..].iter().product::<i64>() as f64).sqrt())
        } else if named.name.ends_with("running_var") || named.name.ends_with(".weight") {
            let v = v * 0.2 + 1.0;
            if efficient && ends(&named.name) { v * 0.1 } else { v }
        } else {
            v * 0.1
        };
        tensor.copy_(&filled);
    }
}

fn largest<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> f64 {
    numbers.into_iter().fold(0f64, |most, x| most.max(x.abs()))
}

/// Largest difference, as a share of the largest number of `theirs`.
fn difference(ours: &[[f64; 10]; 2], theirs: &[[f64; 10]; 2]) -> f64 {
    let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
    pairs.fold(0f64, |most, (a, b)| most.max((a - b).abs())) / largest(theirs.iter().flatten())
}

/// How long a tensor is, and how far along the pattern: what is turned, moved or missing shows.
fn digest(pattern: &Tensor, tensor: &Tensor) -> [f64; 2] {
    let flat = tensor.detach().to_kind(Kind::Double).view(-1);
    let along = flat.dot(&values(pattern, 3, &flat.size()).to_kind(Kind::Double));
    [flat.norm().double_value(&[]), along.double_value(&[])]
}

/// The step of `trained` in `tests/reference/models.py`.
fn trained(name: &str, pattern: &Tensor) -> Trained {
    let options = match name.starts_with("efficientnet") {
        true => serde_json::json!({ name: { "stochastic_depth": 0.0 } }),
        false => name.into(),
    };
    let mut model = model(options, 10, TRAINED_SIDE);
    fill(name, &mut model, pattern);
    for named in model.tensors() {
        if named.tensor.kind() == Kind::Float {
            let double = named.tensor.detach().to_kind(Kind::Double);
            named.tensor.shallow_clone().set_data(&double);
        }
    }
    let side = i64::from(TRAINED_SIDE);
    let images = values(pattern, 2, &[4, 3, side, side]).to_kind(Kind::Double);
    let mut mode = Mode::Train { dropout: 0.0, random: &mut stream(0, Purpose::Dropout, &[0]) };
    let loss = cross_entropy(&model.forward(&images, &mut mode), &Tensor::from_slice(&LABELS), 0.0);
    loss.backward();
    let of = |role, tensor: fn(&Tensor) -> Tensor| {
        let tensors = model.tensors().iter().filter(|named| named.role == role);
        tensors.map(|named| digest(pattern, &tensor(&named.tensor))).collect::<Vec<_>>()
    };
    Trained {
        loss: loss.double_value(&[]),
        gradients: of(Role::Weight, Tensor::grad),
        running: of(Role::Running, Tensor::shallow_clone),
    }
}

/// How far two steps are apart: as a share of each tensor's length. Where that is next to nothing, as for a bias before a norm, of
/// a millionth of the longest.
fn step_difference(ours: &Trained, theirs: &Trained) -> f64 {
    let mut most = (ours.loss - theirs.loss).abs() / theirs.loss;
    for (ours, theirs) in [(&ours.gradients, &theirs.gradients), (&ours.running, &theirs.running)] {
        assert_eq!(ours.len(), theirs.len());
        let longest = largest(theirs.iter().map(|[length, _]| length));
        assert!(longest.is_normal(), "{theirs:?}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            let off = (ours[0] - theirs[0]).abs().max((ours[1] - theirs[1]).abs());
            most = most.max(off / theirs[0].max(longest * 1e-6));
        }
    }
    most
}

#[test]
fn every_network_of_torchvision_is_the_same_here() {
    let recorded: BTreeMap<String, Entry> = serde_json::from_str(RECORDED).unwrap();
    let pattern = pattern();
    let images = values(&pattern, 1, &[2, 3, i64::from(SIDE), i64::from(SIDE)]);
    for (name, entry) in &recorded {
        assert_eq!(model(name.as_str().into(), 1000, SIDE).parameters(), entry.parameters, "{name}");
        let mut model = model(name.as_str().into(), 10, SIDE);
        let mut lines = String::new();
        for named in model.tensors() {
            let kind = if named.tensor.kind() == Kind::Float { "float" } else { "int64" };
            writeln!(lines, "{} {:?} {kind}", named.name, named.tensor.size()).unwrap();
        }
        assert_eq!(model.tensors().len(), entry.tensors, "{name}\n{lines}");
        let digest: String = Sha256::digest(&lines).iter().map(|byte| format!("{byte:02x}")).collect();
        // `tests/reference/models.py --list NAME` prints what torchvision has.
        assert_eq!(digest, entry.sha256, "{name}\n{lines}");
        fill(name, &mut model, &pattern);
        let output = tch::no_grad(|| model.forward(&images, &mut Mode::Eval));
        let logits = [0, 1].map(|image| std::array::from_fn(|class| output.double_value(&[image, class as i64])));
        let difference = difference(&logits, &entry.logits);
        assert!(difference <= TOLERANCE, "{name}: {difference} {logits:?}");
        // What is compared says something: nothing has grown or died away, and what the network was shown makes a difference.
        let [one, other] = &entry.logits;
        let (most, apart) = (largest(entry.logits.iter().flatten()), one.iter().zip(other).map(|(a, b)| a - b));
        assert!((0.01..1000.0).contains(&most), "{name}: {most}");
        let apart = largest(&apart.collect::<Vec<_>>()) / most;
        assert!(apart > 100.0 * TOLERANCE, "{name}: {apart}");
    }
}

#[test]
fn a_step_of_training_is_the_same_here() {
    let recorded: BTreeMap<String, Entry> = serde_json::from_str(RECORDED).unwrap();
    let pattern = pattern();
    let steps: Vec<_> = recorded.iter().filter_map(|(name, entry)| Some((name, entry.trained.as_ref()?))).collect();
    assert!(steps.len() >= 6, "{steps:?}");
    for (name, theirs) in steps {
        let difference = step_difference(&trained(name, &pattern), theirs);
        assert!(difference <= TRAINED_TOLERANCE, "{name}: {difference}");
    }
}

#[test]
fn the_recording_is_what_torchvision_says_today() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/reference/models.py");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    // Python brings its own libtorch.
    let output = Command::new(&python).arg(script).env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return common::skip(&format!("{python}: {error}")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(why) = text.strip_prefix("skipped: ") {
        return common::skip(why.trim_end());
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let today: BTreeMap<String, Entry> = serde_json::from_str(&text).unwrap();
    let recorded: BTreeMap<String, Entry> = serde_json::from_str(RECORDED).unwrap();
    assert!(today.keys().eq(recorded.keys()));
    for (name, entry) in &today {
        let recorded = &recorded[name];
        assert_eq!((entry.parameters, &entry.sha256), (recorded.parameters, &recorded.sha256), "{name}");
        let difference = difference(&entry.logits, &recorded.logits);
        assert!(difference <= TOLERANCE, "{name}: {difference}");
        assert_eq!(entry.trained.is_some(), recorded.trained.is_some(), "{name}");
        if let (Some(today), Some(recorded)) = (&entry.trained, &recorded.trained) {
            let difference = step_difference(today, recorded);
            assert!(difference <= TRAINED_TOLERANCE, "{name}: {difference}");
        }
    }
}
