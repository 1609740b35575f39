//! Every update rule against 100 steps of PyTorch (`tests/reference/optimizers.py` records them).

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

use serde::Deserialize;
use serde_json::Value;
use sweep_core::recipe::optim::OPTIMIZER_NAMES;
use sweep_core::recipe::schedule::Pace;
use sweep_core::recipe::{self, Optimizer as Rule};
use sweep_trainer::model::Model;
use sweep_trainer::optim::Optimizer;
use tch::{Device, Tensor};

#[derive(Deserialize)]
struct Recorded {
    lr: f64,
    after: Vec<usize>,
    start: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    optimizer: Value,
    weights: Vec<Vec<f64>>,
}

/// Sets the first values of fc3's weight (6) and bias (2).
fn put(model: &Model, name: &str, values: &[f32]) {
    let _guard = tch::no_grad_guard();
    let named = model.weights().find(|named| named.name == name).unwrap();
    named.tensor.view(-1).narrow(0, 0, values.len() as i64).copy_(&Tensor::from_slice(values));
}

fn head(tensor: &Tensor, count: i64) -> Vec<f64> {
    Vec::try_from(tensor.detach().view(-1).narrow(0, 0, count).to_kind(tch::Kind::Double)).unwrap()
}

#[test]
fn every_rule_follows_pytorch_for_100_steps() {
    let recorded: Recorded = serde_json::from_str(include_str!("fixtures/optimizers.json")).unwrap();
    assert_eq!(recorded.gradients.len(), 100);
    for name in OPTIMIZER_NAMES {
        let cases = recorded.cases.iter().filter(|case| case.optimizer.get(name).is_some());
        assert!(cases.count() >= 3, "{name}");
    }
    for case in &recorded.cases {
        let rule: Rule = serde_json::from_value(case.optimizer.clone()).unwrap();
        let net: recipe::Model = serde_json::from_str("\"cifar-cnn\"").unwrap();
        let model = Model::new(&net, 2, 16, Some(0), Device::Cpu);
        put(&model, "fc3.weight", &recorded.start[..6]);
        put(&model, "fc3.bias", &recorded.start[6..]);
        let mut optimizer = Optimizer::new(&rule, &model);
        let mut expected = recorded.after.iter().zip(&case.weights);
        for (step, gradient) in (1..).zip(&recorded.gradients) {
            let gradients = (model.weights())
                .map(|named| {
                    let zeros = named.tensor.detach().zeros_like();
                    let values = match named.name.as_str() {
                        "fc3.weight" => &gradient[..6],
                        "fc3.bias" => &gradient[6..],
                        _ => return zeros,
                    };
                    let flat = zeros.view(-1);
                    flat.narrow(0, 0, values.len() as i64).copy_(&Tensor::from_slice(values));
                    zeros
                })
                .collect();
            optimizer.step(gradients, Pace { lr: recorded.lr, momentum: None });
            if !recorded.after.contains(&step) {
                continue;
            }
            let (after, theirs) = expected.next().unwrap();
            assert_eq!(*after, step);
            let weight = |name: &str| &model.weights().find(|named| named.name == name).unwrap().tensor;
            let ours = [head(weight("fc3.weight"), 6), head(weight("fc3.bias"), 2)].concat();
            for (ours, theirs) in ours.iter().zip(theirs) {
                let difference = (ours - theirs).abs();
                assert!(difference < 1e-6, "{} after {step}: {ours} {theirs}", case.optimizer);
            }
        }
        assert!(expected.next().is_none());
    }
}

/// The bottom of a cosine: nothing moves, also where no gradient ever was.
#[test]
fn a_rate_of_zero_moves_no_weight() {
    for name in OPTIMIZER_NAMES {
        let rule: Rule = serde_json::from_value(Value::String((*name).to_owned())).unwrap();
        let net: recipe::Model = serde_json::from_str("\"cifar-cnn\"").unwrap();
        let model = Model::new(&net, 2, 16, Some(0), Device::Cpu);
        let fc3 = || head(&model.weights().find(|named| named.name == "fc3.weight").unwrap().tensor, 6);
        let before = fc3();
        let zeros = model.weights().map(|named| named.tensor.detach().zeros_like()).collect();
        Optimizer::new(&rule, &model).step(zeros, Pace { lr: 0.0, momentum: None });
        assert_eq!(fc3(), before, "{name}");
    }
}
