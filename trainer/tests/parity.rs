//! Every network that torchvision has: the same parameters, the same names and shapes in the same
//! order, and the same logits from the same weights. torchvision's side is recorded
//! (`fixtures/models.json`, written by `tests/reference/models.py`), and recorded again where
//! Python has torchvision.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use sweep_core::recipe;
use sweep_trainer::model::{Mode, Model};
use tch::{Device, Kind, Tensor};

const RECORDED: &str = include_str!("fixtures/models.json");
const SIDE: u32 = 64;

/// Of the largest logit. Sums are taken in another order by other builds and processors.
const TOLERANCE: f64 = 1e-4;

#[derive(Debug, Deserialize)]
struct Entry {
    parameters: u64,
    tensors: usize,
    sha256: String,
    logits: [[f64; 10]; 2],
}

fn model(name: &str, classes: u32) -> Model {
    let model: recipe::Model = serde_json::from_value(name.into()).unwrap();
    Model::new(&model, classes, SIDE, None, Device::Cpu)
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
    // Gates and smooth activations take more away of what goes through.
    let gain = if name.starts_with("efficientnet") { 1.25 } else { 1.0 };
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
            v * 0.2 + 1.0
        } else {
            v * 0.1
        };
        tensor.copy_(&filled);
    }
}

/// Largest difference, as a share of the largest number of `theirs`.
fn difference(ours: &[[f64; 10]; 2], theirs: &[[f64; 10]; 2]) -> f64 {
    let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
    let largest = theirs.iter().flatten().fold(0f64, |most, x| most.max(x.abs()));
    pairs.fold(0f64, |most, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn every_network_of_torchvision_is_the_same_here() {
    let recorded: BTreeMap<String, Entry> = serde_json::from_str(RECORDED).unwrap();
    let pattern = pattern();
    let _guard = tch::no_grad_guard();
    let images = values(&pattern, 1, &[2, 3, i64::from(SIDE), i64::from(SIDE)]);
    for (name, entry) in &recorded {
        assert_eq!(model(name, 1000).parameters(), entry.parameters, "{name}");
        let mut model = model(name, 10);
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
        let output = model.forward(&images, &mut Mode::Eval);
        let logits = [0, 1].map(|image| std::array::from_fn(|class| output.double_value(&[image, class as i64])));
        let difference = difference(&logits, &entry.logits);
        assert!(difference <= TOLERANCE, "{name}: {difference} {logits:?}");
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
    }
}
