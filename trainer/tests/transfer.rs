//! Transfer learning: weights from a file, layers that stay as they are.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::fs;
use std::path::Path;

use common::{Bench, with_val};
use serde_json::json;
use sweep_core::attempt::{Body, CheckpointKind, FailureClass, OrderFile};
use sweep_core::recipe::{self, Freeze};
use sweep_trainer::checkpoint;
use sweep_trainer::model::{Misfit, Mode, Model, Role};
use sweep_trainer::seed::{Purpose, stream};
use tch::{Device, Kind, Tensor};

fn model(name: &str, classes: u32, seed: u64) -> Model {
    let model: recipe::Model = serde_json::from_value(name.into()).unwrap();
    Model::new(&model, classes, 32, Some(seed), Device::Cpu)
}

fn find<'a>(model: &'a Model, name: &str) -> Option<&'a Tensor> {
    model.tensors().iter().find(|named| named.name == name).map(|named| &named.tensor)
}

/// Writes the state of a network with 5 classes, with running statistics that nothing starts with.
fn write(path: &Path) -> Model {
    let other = model("resnet18", 5, 99);
    tch::no_grad(|| {
        for named in other.tensors().iter().filter(|named| named.role == Role::Running) {
            let (low, high) = if named.name.ends_with("mean") { (-0.1, 0.1) } else { (0.01, 0.1) };
            let _ = named.tensor.shallow_clone().uniform_(low, high);
        }
    });
    let tensors: Vec<_> = other.tensors().iter().map(|named| (named.name.as_str(), &named.tensor)).collect();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    Tensor::write_safetensors(&tensors, path).unwrap();
    other
}

fn order(bench: &Bench, more: serde_json::Value) -> OrderFile {
    let mut recipe = json!({"dataset": "d", "model": "resnet18", "image_size": 32, "epochs": 2, "batch_size": 8, "seed": 4,
        "init": {"weights": "pretrained/other.safetensors"}});
    for (name, value) in more.as_object().unwrap() {
        recipe[name] = value.clone();
    }
    bench.order(&recipe.to_string())
}

#[test]
fn a_class_layer_of_another_size_is_drawn_and_frozen_layers_keep_every_bit() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let file = bench.data().join("pretrained/other.safetensors");
    let other = write(&file);
    let order = order(
        &bench,
        json!({"freeze": {"all_but_last": 2}, "ema": {"decay": 0.5},
        "optimizer": {"adamw": {"weight_decay": 0.1}}}),
    );
    let straight = bench.run("straight", &order);
    let last = straight.checkpoints(CheckpointKind::Last);
    let (header, tensors) = checkpoint::load(&straight.folder.join("ckpt").join(&last.last().unwrap().file)).unwrap();
    assert_eq!(header.init.map(|digest| digest.len()), Some(64));
    let (mut kept, mut trained) = (0, 0);
    for named in other.tensors() {
        let now = &tensors[&named.name];
        // The last two layers are the last convolution, with the norm behind it, and `fc`.
        let last = ["layer4.1.conv2.", "layer4.1.bn2.", "fc."].iter().any(|layer| named.name.starts_with(layer));
        let same = now.size() == named.tensor.size() && now.equal(&named.tensor);
        assert_eq!(same, !last, "{}", named.name);
        if last {
            trained += 1
        } else {
            kept += 1
        }
        let average = &tensors[&format!("average.{}", named.name)];
        assert_eq!(average.size() == named.tensor.size() && average.equal(&named.tensor), !last, "{}", named.name);
        let moments = format!("optimizer.{}.", named.name);
        assert!(last || !tensors.keys().any(|key| key.starts_with(&moments)), "{}", named.name);
    }
    assert_eq!((kept, trained), (122 - 8, 8));

    // Stopped after an epoch, and gone on with when the file is no longer there.
    let first = bench.run_with("first", &order, |line, stop| {
        if matches!(line, Body::Checkpoint(line) if line.kind == CheckpointKind::Last) {
            stop.ask();
        }
    });
    fs::remove_file(file).unwrap();
    let mut order = order;
    order.work[0].resume = Some(first.resume());
    let second = bench.run("second", &order);
    assert_eq!(second.weights(), straight.weights());
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let bench = Bench::new();
    with_val(&bench, "d");
    write(&bench.data().join("pretrained/other.safetensors"));
    write(&bench.path("outside.safetensors"));
    std::os::unix::fs::symlink(bench.path("outside.safetensors"), bench.data().join("link.safetensors")).unwrap();
    fs::create_dir(bench.data().join("folder.safetensors")).unwrap();
    fs::write(bench.data().join("broken.safetensors"), b"\xff\xff\xff\xff\xff\xff\xff\xff").unwrap();
    let outside = bench.path("outside.safetensors").display().to_string();
    let cases = [
        (json!({"init": {"weights": "missing.safetensors"}}), FailureClass::Data, "init_unknown"),
        (json!({"init": {"weights": outside}}), FailureClass::Data, "path_not_regular"),
        (json!({"init": {"weights": "link.safetensors"}}), FailureClass::Data, "path_not_regular"),
        (json!({"init": {"weights": "folder.safetensors"}}), FailureClass::Data, "path_not_regular"),
        (json!({"init": {"weights": "broken.safetensors"}}), FailureClass::Data, "init_invalid"),
        (json!({"model": "cifar-cnn"}), FailureClass::Data, "init_invalid"),
        (json!({"freeze": {"names": "conv9.*"}}), FailureClass::Recipe, "freeze_invalid"),
        (json!({"freeze": {"names": "*"}}), FailureClass::Recipe, "freeze_invalid"),
    ];
    for (at, (more, class, reason)) in cases.into_iter().enumerate() {
        let told = bench.run(&format!("case{at}"), &order(&bench, more.clone()));
        let (found, word, message) = told.failed();
        assert_eq!((found, word), (class, reason), "{more}: {message}");
    }
    for weights in ["../outside.safetensors", "a.pth", "a\n.safetensors"] {
        let recipe: recipe::Recipe =
            serde_json::from_value(json!({"dataset": "d", "init": {"weights": weights}})).unwrap();
        assert_eq!(recipe.check()[0].path, "init.weights");
    }
}

#[test]
fn names_freeze_what_they_match_and_a_frozen_norm_is_as_in_evaluation() {
    let images = Tensor::randn([4, 3, 32, 32], (Kind::Float, Device::Cpu));
    let forward = |model: &Model, train: bool| {
        let mut random = stream(0, Purpose::Dropout, &[]);
        let mut mode = if train { Mode::Train { dropout: 0.0, random: &mut random } } else { Mode::Eval };
        tch::no_grad(|| model.forward(&images, &mut mode))
    };
    let mut some = model("resnet18", 4, 1);
    let all = some.weights().count();
    some.freeze(&Freeze { names: "conv1.weight layer1.*".into(), ..Freeze::default() }).unwrap();
    // Both blocks of layer 1 have two convolutions and two norms.
    assert_eq!(some.weights().count(), all - 1 - 2 * (2 + 2 * 2));
    assert_eq!(some.parameters(), model("resnet18", 4, 1).parameters());
    assert!(!find(&some, "layer1.0.bn1.weight").unwrap().requires_grad());
    some.set_batches(7);
    let count = |name: &str| find(&some, name).unwrap().int64_value(&[]);
    assert_eq!((count("bn1.num_batches_tracked"), count("layer1.0.bn1.num_batches_tracked")), (7, 0));
    assert!(!forward(&some, true).allclose(&forward(&some, false), 1e-3, 1e-3, false));

    let mut but_one = model("resnet18", 4, 1);
    but_one.freeze(&Freeze { all_but_last: 1, ..Freeze::default() }).unwrap();
    let left: Vec<_> = but_one.weights().map(|named| named.name.as_str()).collect();
    assert_eq!(left, ["fc.weight", "fc.bias"]);
    assert!(forward(&but_one, true).equal(&forward(&but_one, false)));
    // As many layers as there are, or more: nothing is frozen.
    let mut none = model("resnet18", 4, 1);
    none.freeze(&Freeze { all_but_last: 1000, ..Freeze::default() }).unwrap();
    assert_eq!(none.weights().count(), all);
}

#[test]
fn weights_of_another_network_are_refused() {
    let other = model("resnet34", 4, 1);
    let mut same_size = model("resnet34", 4, 2);
    assert_eq!(same_size.start_from(|name| find(&other, name)).unwrap(), None);
    assert!(find(&same_size, "fc.weight").unwrap().equal(find(&other, "fc.weight").unwrap()));
    let mut more_classes = model("resnet34", 9, 2);
    let drawn = find(&more_classes, "fc.weight").unwrap().copy();
    assert_eq!(more_classes.start_from(|name| find(&other, name)).unwrap().as_deref(), Some("fc"));
    assert!(find(&more_classes, "fc.weight").unwrap().equal(&drawn));
    let mut deeper = model("resnet50", 4, 2);
    assert!(matches!(deeper.start_from(|name| find(&other, name)), Err(Misfit::Shape { .. } | Misfit::Missing(_))));
}
