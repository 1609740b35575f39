//! Every network and update rule against PyTorch's names, shapes and recorded numbers.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::collections::BTreeSet;

use common::{Bench, with_val};
use serde_json::json;
use sweep_core::recipe::optim::{Adam, Sgd};
use sweep_core::recipe::schedule::Pace;
use sweep_core::recipe::{self, Optimizer as Rule};
use sweep_trainer::logits::logits;
use sweep_trainer::model::layers::Blur;
use sweep_trainer::model::{Mode, Model, Role};
use sweep_trainer::optim::Optimizer;
use sweep_trainer::seed::{Purpose, stream};
use tch::{Device, Kind, Tensor};

fn model(name: &str, classes: u32, image_size: u32, seed: u64) -> Model {
    let model: recipe::Model = serde_json::from_str(&format!("{name:?}")).unwrap();
    Model::new(&model, classes, image_size, Some(seed), Device::Cpu)
}

fn with_options(model: serde_json::Value, classes: u32, image_size: u32) -> Model {
    let model: recipe::Model = serde_json::from_value(model).unwrap();
    Model::new(&model, classes, image_size, Some(0), Device::Cpu)
}

/// What `tests/parity.rs` has nothing to compare with, 1000 classes.
#[test]
fn networks_that_torchvision_does_not_have_keep_their_parameters() {
    let recorded = [
        ("resnet18-d", 11_708_744),
        ("resnet34-d", 21_816_904),
        // As timm's resnet50d.
        ("resnet50-d", 25_576_264),
        ("resnet101-d", 44_568_392),
        ("resnet152-d", 60_212_040),
        ("preact-resnet18", 11_687_848),
        ("preact-resnet34", 21_796_008),
        ("merged-net", 45_941_752),
    ];
    for (name, count) in recorded {
        let model: recipe::Model = serde_json::from_value(name.into()).unwrap();
        let model = Model::new(&model, 1000, 224, None, Device::Cpu);
        assert_eq!(model.parameters(), count, "{name}");
    }
}

#[test]
fn cifar_cnn_is_the_tutorials_at_32_pixels_and_fits_other_sizes() {
    // The tutorial's network: 62,006 parameters.
    assert_eq!(model("cifar-cnn", 10, 32, 0).parameters(), 62_006);
    for size in [16, 17, 31, 48, 65] {
        let model = model("cifar-cnn", 3, size, 0);
        let side = i64::from(size);
        let images = Tensor::zeros([2, 3, side, side], (Kind::Float, Device::Cpu));
        assert_eq!(model.forward(&images, &mut Mode::Eval).size(), [2, 3]);
    }
    let normed = with_options(json!({"cifar-cnn": {"batch_norm": true}}), 10, 32);
    assert_eq!(normed.parameters(), 62_006 + 2 * (6 + 16));
}

#[test]
fn the_networks_of_the_studies_have_their_layers() {
    let count = |model: serde_json::Value, classes, side| {
        let model: recipe::Model = serde_json::from_value(model).unwrap();
        Model::new(&model, classes, side, None, Device::Cpu).parameters()
    };
    // Study C: 270000-255-3.
    assert_eq!(count(json!("mlp"), 3, 300), 270_000 * 255 + 255 + 255 * 3 + 3);
    assert_eq!(count(json!({"mlp": {"hidden": [20, 10]}}), 3, 8), (192 * 20 + 20) + (20 * 10 + 10) + (10 * 3 + 3));
    // Study D at 64 pixels and 200 classes: convolutions, then 256 and 200.
    let ends = |channels: u64| channels * 8 * 8 * 256 + 256 + 256 * 200 + 200;
    let convolutions = (3 * 25 * 16 + 16) + (16 * 9 * 16 + 16) + (16 * 9 * 32 + 32);
    assert_eq!(count(json!("m1"), 200, 64), convolutions + ends(32));
    let convolutions = (3 * 25 * 32 + 32) + (32 * 25 * 32 + 32) + (32 * 9 * 64 + 64) + 2 * (64 * 9 * 64 + 64);
    assert_eq!(count(json!("m4"), 200, 64), convolutions + (64 * 9 * 128 + 128) + ends(128));
    let extra = count(json!({"alexnet": {"extra_layer": true}}), 200, 64);
    assert_eq!(extra, count(json!("alexnet"), 1000, 64) + 1000 * 200 + 200);
}

/// All networks but the one that is a file.
fn built_in() -> impl Iterator<Item = &'static str> {
    recipe::model::MODEL_NAMES.iter().copied().filter(|name| *name != "torchscript")
}

#[test]
fn every_network_takes_its_smallest_image() {
    for name in built_in() {
        let network: recipe::Model = serde_json::from_value(name.into()).unwrap();
        let side = network.family().smallest;
        let model = Model::new(&network, 3, side, None, Device::Cpu);
        let images = values([1, 3, i64::from(side), i64::from(side)]);
        let logits = tch::no_grad(|| model.forward(&images, &mut Mode::Eval));
        assert_eq!(logits.size(), [1, 3], "{name}");
    }
}

#[test]
fn stochastic_depth_leaves_branches_out_in_training_only() {
    let rate = |rate: f64| with_options(json!({"efficientnet-b0": {"stochastic_depth": rate}}), 4, 32);
    let (never, often) = (rate(0.0), rate(0.8));
    let images = values([4, 3, 32, 32]);
    let _guard = tch::no_grad_guard();
    let eval = |model: &Model| model.forward(&images, &mut Mode::Eval);
    assert!(eval(&never).equal(&eval(&often)));
    let train = |model: &Model, seed: u64| {
        let mut random = stream(seed, Purpose::Dropout, &[]);
        model.forward(&images, &mut Mode::Train { dropout: 0.0, random: &mut random })
    };
    assert!(train(&often, 1).equal(&train(&often, 1)), "the same stream leaves out the same");
    assert!(!train(&often, 1).equal(&train(&often, 2)));
    assert!(train(&never, 1).equal(&train(&never, 2)));
}

#[test]
fn options_change_what_they_name_and_nothing_else() {
    let names = |model: &Model| -> Vec<String> {
        model.tensors().iter().map(|named| format!("{} {:?}", named.name, named.tensor.size())).collect()
    };
    let plain = with_options(json!("resnet50"), 4, 64);
    let images = values([4, 3, 64, 64]);
    let logits = |model: &Model| model.forward(&images, &mut Mode::Eval);
    let mut seen = vec![logits(&plain)];
    let activations = ["relu6", "mish", "silu", "gelu"].map(|name| json!({"resnet50": {"activation": name}}));
    for options in activations.into_iter().chain([json!({"resnet50": {"blur_pool": true}})]) {
        let changed = with_options(options.clone(), 4, 64);
        assert_eq!(names(&changed), names(&plain), "{options}");
        let logits = logits(&changed);
        assert!(seen.iter().all(|other| !other.allclose(&logits, 1e-5, 1e-8, false)), "{options}");
        seen.push(logits);
    }
    // The small stem takes small images, and `auto` chooses it for them.
    let small = with_options(json!({"resnet50": {"stem": "small"}}), 4, 8);
    assert_eq!(small.tensors()[0].tensor.size(), [64, 3, 3, 3]);
    assert_eq!(small.forward(&values([2, 3, 8, 8]), &mut Mode::Eval).size(), [2, 4]);
    for (side, kernel) in [(64, 3), (65, 7)] {
        let auto = with_options(json!({"preact-resnet18": {"stem": "auto"}}), 4, side);
        assert_eq!(auto.tensors()[0].tensor.size()[2], kernel);
    }
    // With zeros at the end of every branch a block passes on what came in.
    let zero = with_options(json!({"resnet50": {"zero_init_residual": true}}), 4, 64);
    let gains = zero.tensors().iter().filter(|named| named.name.ends_with("bn3.weight"));
    assert!(
        gains.clone().count() == 16
            && gains.into_iter().all(|named| named.tensor.count_nonzero(None).int64_value(&[]) == 0)
    );
}

#[test]
fn every_network_heeds_its_activation_and_its_dropout() {
    let pattern = values([10_007, 1, 1, 1]).flatten(0, -1) / 2.0;
    let _guard = tch::no_grad_guard();
    let mut families = BTreeSet::new();
    for name in built_in() {
        let network = |options| -> recipe::Model { serde_json::from_value(json!({ name: options })).unwrap() };
        let family = network(json!({})).family();
        // One of each, and those that are put together by other code.
        if !families.insert(family.about) && !["resnet50", "m4"].contains(&name) {
            continue;
        }
        let side = family.smallest;
        let usual = Model::new(&network(json!({})), 10, side, None, Device::Cpu);
        // No network's own, so that one that always takes its own is found out.
        let mut other = Model::new(&network(json!({"activation": "gelu"})), 10, side, None, Device::Cpu);
        for (place, named) in usual.tensors().iter().enumerate() {
            let (shape, count) = (named.tensor.size(), named.tensor.numel() as i64);
            let start = place as i64 * 977 % 10_007;
            let drawn =
                || pattern.repeat([(start + count) / 10_007 + 1]).narrow(0, start, count).view(shape.as_slice());
            let filled = match named.role {
                Role::Weight if shape.len() > 1 => drawn() * (6.0 / shape[1..].iter().product::<i64>() as f64).sqrt(),
                Role::Weight if named.name.ends_with(".weight") => drawn() * 0.2 + 1.0,
                Role::Running if named.name.ends_with("running_var") => drawn() * 0.2 + 1.0,
                Role::Weight | Role::Running => drawn() * 0.1,
                Role::Frozen | Role::Batches | Role::Still => continue,
            };
            named.tensor.shallow_clone().copy_(&filled);
        }
        other
            .load(|wanted| usual.tensors().iter().find(|named| named.name == wanted).map(|named| &named.tensor))
            .unwrap();
        let images = values([3, 3, i64::from(side), i64::from(side)]);
        let differ = |one: &Tensor, two: &Tensor| {
            let largest = one.abs().max().double_value(&[]);
            assert!(largest.is_finite() && largest > 0.0, "{name}: {largest}");
            (one - two).abs().max().double_value(&[]) > 1e-3 * largest
        };
        let eval = |model: &Model| model.forward(&images, &mut Mode::Eval);
        assert!(differ(&eval(&usual), &eval(&other)), "{name}: activation");
        let train = |dropout: f64| {
            let mut random = stream(1, Purpose::Dropout, &[]);
            usual.forward(&images, &mut Mode::Train { dropout, random: &mut random })
        };
        assert!(differ(&train(0.0), &train(0.5)), "{name}: dropout");
    }
}

#[test]
fn blurring_is_zhangs_triangle_filter() {
    // A single point in the middle of 5x5, sampled at every second pixel: 1/16 in the corners of the
    // filter, 1/8 on its edges, 1/4 in the middle.
    let point = Tensor::zeros([1, 1, 5, 5], (Kind::Float, Device::Cpu));
    let _ = point.get(0).get(0).get(1).get(2).fill_(16.0);
    let blurred = Blur::new(1, Device::Cpu).forward(&point);
    // Row 1 falls between the sampled rows 0 and 2; row -1 is row 1 reflected.
    let expected = Tensor::from_slice(&[0.0f32, 4.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]).view([1, 1, 3, 3]);
    assert!(blurred.equal(&expected), "{blurred:?}");
}

#[test]
fn initial_weights_have_the_right_spread_and_depend_on_the_seed_alone() {
    let one = model("resnet18", 10, 64, 1);
    let std = |name: &str| {
        let found = one.tensors().iter().find(|named| named.name == name);
        found.unwrap().tensor.std(true).double_value(&[])
    };
    // Kaiming normal over the outputs: sqrt(2 / (512 * 9)).
    assert!((std("layer4.1.conv2.weight") - 0.020_833).abs() < 2e-4);
    // Uniform within 1 / sqrt(512): that over sqrt(3).
    assert!((std("fc.weight") - 0.025_516).abs() < 1e-3);
    let value = |model: &Model, name: &str| {
        let found = model.tensors().iter().find(|named| named.name == name);
        found.unwrap().tensor.sum(Kind::Double).double_value(&[])
    };
    let same = model("resnet18", 20, 32, 1);
    let other = model("resnet18", 10, 64, 2);
    let name = "layer2.1.conv1.weight";
    assert_eq!(value(&one, name), value(&same, name));
    assert_ne!(value(&one, name), value(&other, name));
}

/// Images that have nothing in common.
fn values(shape: [i64; 4]) -> Tensor {
    let mut random = stream(5, Purpose::Augment, &[]);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.unit() as f32 * 4.0 - 2.0).collect();
    Tensor::from_slice(&values).view(shape)
}

#[test]
fn every_network_takes_three_steps_that_lower_the_loss_of_their_batch() {
    for name in built_in() {
        let mut options = json!({ name: {} });
        if name.starts_with("efficientnet") {
            // Each step would train another network.
            options[name]["stochastic_depth"] = json!(0.0);
        }
        let network: recipe::Model = serde_json::from_value(options).unwrap();
        let side = network.family().smallest.max(32);
        let model = Model::new(&network, 4, side, Some(3), Device::Cpu);
        let rule = Rule::Sgd(Sgd { momentum: 0.0, ..Sgd::default() });
        let mut optimizer = Optimizer::new(&rule, &model);
        let weights: Vec<_> = model.weights().map(|named| &named.tensor).collect();
        let images = values([8, 3, i64::from(side), i64::from(side)]);
        let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 0, 1, 2, 3]);
        let mut random = stream(0, Purpose::Dropout, &[]);
        let mut loss = || {
            let mut mode = Mode::Train { dropout: 0.0, random: &mut random };
            model.forward(&images, &mut mode).cross_entropy_for_logits(&labels)
        };
        let (mut losses, mut lr) = (Vec::new(), None);
        for _ in 0..3 {
            let loss = loss();
            let gradients = Tensor::run_backward(&[&loss], &weights, false, false);
            losses.push(loss.double_value(&[]));
            // As far as a straight line would take 0.2 % off the loss (Polyak 1987): networks differ.
            let squares = || gradients.iter().map(|g| g.norm().double_value(&[]).powi(2)).sum::<f64>();
            let lr = *lr.get_or_insert_with(|| 0.002 * losses[0] / squares());
            optimizer.step(gradients, Pace { lr, momentum: None });
        }
        losses.push(tch::no_grad(|| loss().double_value(&[])));
        assert!(losses.is_sorted_by(|before, after| before > after), "{name}: {losses:?}");
    }
}

#[test]
fn dropout_zeroes_its_share_and_keeps_the_mean() {
    let model = model("cifar-cnn", 84, 32, 3);
    let images = Tensor::ones([256, 3, 32, 32], (Kind::Float, Device::Cpu));
    let _guard = tch::no_grad_guard();
    let logits = |seed: u64, dropout: f64| {
        let mut random = stream(seed, Purpose::Dropout, &[1]);
        let mut mode = Mode::Train { dropout, random: &mut random };
        model.forward(&images, &mut mode)
    };
    let (a, b) = (logits(1, 0.5), logits(1, 0.5));
    assert!(a.equal(&b), "the same stream gives the same mask");
    assert!(!a.equal(&logits(2, 0.5)));
    let plain = model.forward(&images, &mut Mode::Eval);
    assert!(plain.equal(&logits(1, 0.0)), "off means off");

    // The layer before the last one gives ones, and the last one passes on what dropout makes of them.
    let set = |name: &str, values: Tensor| {
        let found = model.tensors().iter().find(|named| named.name == name);
        found.unwrap().tensor.shallow_clone().copy_(&values);
    };
    let float = (Kind::Float, Device::Cpu);
    set("fc2.weight", Tensor::zeros([84, 120], float));
    set("fc2.bias", Tensor::ones([84], float));
    set("fc3.weight", Tensor::eye(84, float));
    set("fc3.bias", Tensor::zeros([84], float));
    for rate in [0.2, 0.5, 0.9] {
        let passed = logits(7, rate).flatten(0, -1).to_kind(Kind::Double);
        let passed = Vec::<f64>::try_from(passed).unwrap();
        let (count, kept) = (passed.len() as f64, 1.0 / (1.0 - rate));
        assert!(passed.iter().all(|value| *value == 0.0 || (value - kept).abs() < 1e-5), "{rate}");
        let zeros = passed.iter().filter(|value| **value == 0.0).count() as f64;
        // Five deviations of the binomial distribution.
        let off = 5.0 * (count * rate * (1.0 - rate)).sqrt();
        assert!((zeros - count * rate).abs() < off, "{rate}: {zeros} of {count}");
        let mean = passed.iter().sum::<f64>() / count;
        assert!((mean - 1.0).abs() < off * kept / count, "{rate}: {mean}");
    }
}

/// Runs `rule` on fc3 of a small network with gradients that repeat for every weight.
fn trajectory(rule: Rule, lr: f64) -> Vec<f64> {
    let model = model("cifar-cnn", 2, 16, 0);
    let mut optimizer = Optimizer::new(&rule, &model);
    let _guard = tch::no_grad_guard();
    let bias = model.weights().find(|named| named.name == "fc3.bias");
    let mut bias = bias.unwrap().tensor.shallow_clone();
    bias.copy_(&Tensor::from_slice(&[0.5f32, -1.0]));
    for gradient in [[0.1f32, -0.4], [-0.3, 0.2], [0.05, 0.7], [1.5, -0.01]] {
        let gradients = model
            .weights()
            .map(|named| match named.name.as_str() {
                "fc3.bias" => Tensor::from_slice(&gradient),
                _ => named.tensor.zeros_like(),
            })
            .collect();
        optimizer.step(gradients, Pace { lr, momentum: None });
    }
    (0..2).map(|place| bias.double_value(&[place])).collect()
}

fn check_rule(rule: Rule, lr: f64, recorded: [f64; 2]) {
    for (ours, theirs) in trajectory(rule, lr).into_iter().zip(recorded) {
        assert!((ours - theirs).abs() < 2e-7, "{ours} {theirs}");
    }
}

#[test]
fn update_rules_follow_pytorch() {
    // Four steps of torch 2.11 (torch.optim.SGD and Adam) on the same numbers.
    let sgd =
        |momentum, weight_decay, nesterov| Rule::Sgd(Sgd { momentum, weight_decay, nesterov, decay_norm_bias: true });
    let recorded = [0.387_410_014_867_782_6, -1.048_640_012_741_089];
    check_rule(sgd(0.9, 0.0, false), 0.1, recorded);
    let recorded = [0.233_299_508_690_834_05, -1.034_672_260_284_423_8];
    check_rule(sgd(0.9, 0.05, true), 0.1, recorded);
    let recorded = [0.362_977_951_765_060_4, -1.045_015_931_129_455_6];
    check_rule(sgd(0.0, 0.01, false), 0.1, recorded);
    let recorded = [0.492_507_368_326_187_13, -0.995_046_794_414_520_3];
    check_rule(Rule::Adam(Adam::default()), 0.01, recorded);
    let adam = Adam { beta1: 0.8, beta2: 0.99, eps: 1e-3, weight_decay: 0.1, decay_norm_bias: true };
    let recorded = [0.375_962_555_408_477_8, -0.906_929_433_345_794_7];
    check_rule(Rule::Adam(adam), 0.1, recorded);
}

#[test]
fn best_checkpoint_gives_the_same_logits_as_the_network_that_wrote_it() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(r#"{"dataset":"d","model":"resnet18","image_size":32,"epochs":1,"batch_size":8,"seed":4}"#);
    let told = bench.run("one", &order);
    let file = |name: &str| told.folder.join("ckpt").join(name);
    let best = logits(&file("best-1.safetensors"), None, 3).unwrap();
    let last = logits(&file("last-1.safetensors"), None, 3).unwrap();
    assert_eq!(best, last);
    assert_eq!((best.logits.len(), best.logits[0].len()), (3, 3));
    assert!(best.logits.iter().flatten().all(|value| value.is_finite()));
}
