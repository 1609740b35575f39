//! Every network and update rule against PyTorch's names, shapes and recorded numbers.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use common::{Bench, with_val};
use sweep_core::recipe::optim::{Adam, Sgd};
use sweep_core::recipe::schedule::Pace;
use sweep_core::recipe::{self, Optimizer as Rule};
use sweep_trainer::logits::logits;
use sweep_trainer::model::{Mode, Model};
use sweep_trainer::optim::Optimizer;
use sweep_trainer::seed::{Purpose, stream};
use tch::{Device, Kind, Tensor};

fn model(name: &str, classes: u32, image_size: u32, seed: u64) -> Model {
    let model: recipe::Model = serde_json::from_str(&format!("{name:?}")).unwrap();
    Model::new(&model, classes, image_size, seed, Device::Cpu)
}

#[test]
fn resnet18_has_torchvisions_names_shapes_and_count() {
    let model = model("resnet18", 1000, 224, 0);
    // torchvision.models.resnet18(): 11,689,512 parameters, 122 entries in the state dict.
    assert_eq!(model.parameters(), 11_689_512);
    assert_eq!(model.tensors().len(), 122);
    let shape = |name: &str| {
        let found = model.tensors().iter().find(|named| named.name == name);
        found.unwrap_or_else(|| panic!("{name}")).tensor.size()
    };
    assert_eq!(shape("conv1.weight"), [64, 3, 7, 7]);
    assert_eq!(shape("layer1.0.bn2.running_var"), [64]);
    assert_eq!(shape("layer2.0.downsample.0.weight"), [128, 64, 1, 1]);
    assert_eq!(shape("layer4.1.conv2.weight"), [512, 512, 3, 3]);
    assert_eq!(shape("layer4.0.downsample.1.num_batches_tracked"), [0; 0]);
    assert_eq!(shape("fc.bias"), [1000]);
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

#[test]
fn every_network_takes_a_step_that_lowers_the_loss_of_its_batch() {
    for name in recipe::model::MODEL_NAMES {
        let model = model(name, 4, 32, 3);
        let rule = Rule::Sgd(Sgd::default());
        let mut optimizer = Optimizer::new(&rule, &model);
        let weights: Vec<_> = model.weights().map(|named| &named.tensor).collect();
        let values: Vec<f32> = (0..8 * 3 * 32 * 32).map(|i| (i as f32 * 0.37).sin()).collect();
        let images = Tensor::from_slice(&values).view([8, 3, 32, 32]);
        let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 0, 1, 2, 3]);
        let mut random = stream(0, Purpose::Dropout, &[]);
        let mut losses = Vec::new();
        for _ in 0..6 {
            let mut mode = Mode::Train { dropout: 0.0, random: &mut random };
            let loss = model.forward(&images, &mut mode).cross_entropy_for_logits(&labels);
            losses.push(loss.double_value(&[]));
            let gradients = Tensor::run_backward(&[&loss], &weights, false, false);
            optimizer.step(gradients, Pace { lr: 0.01, momentum: None });
        }
        assert!(losses[5] < losses[0], "{name}: {losses:?}");
    }
}

#[test]
fn dropout_zeroes_its_share_and_keeps_the_mean() {
    let model = model("cifar-cnn", 4, 32, 3);
    let images = Tensor::ones([64, 3, 32, 32], (Kind::Float, Device::Cpu));
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
