//! A module of the user's own: only where it is allowed, bit for bit after an interruption, and with words for
//! what cannot be used.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Bench, Told, folder_of_images, with_val};
use serde_json::json;
use sweep_core::attempt::{Body, CheckpointKind, EpochMetrics, FailureClass, OrderFile};
use sweep_core::recipe::{Precision, Recipe};
use sweep_trainer::checkpoint;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/script/small.pt");

fn order(bench: &Bench, file: &str) -> OrderFile {
    let recipe = json!({"dataset": "d", "model": {"torchscript": {"file": file}}, "image_size": 32, "epochs": 3,
        "batch_size": 8, "seed": 4, "lr": 0.05, "optimizer": {"sgd": {"momentum": 0.9}}, "ema": {"decay": 0.5}});
    OrderFile { allow_torchscript: true, ..bench.order(&recipe.to_string()) }
}

fn bench() -> Bench {
    let bench = Bench::new();
    with_val(&bench, "d");
    fs::create_dir(bench.data().join("nets")).unwrap();
    fs::copy(FILE, bench.data().join("nets/small.pt")).unwrap();
    bench
}

#[test]
fn a_module_is_trained_and_goes_on_bit_for_bit() {
    let bench = bench();
    let mut order = order(&bench, "nets/small.pt");
    let straight = bench.run("straight", &order);
    let losses: Vec<f64> = straight.epochs().iter().map(|epoch| epoch.train_loss.0).collect();
    assert!(losses[2] < losses[0], "{losses:?}");
    let last = straight.checkpoints(CheckpointKind::Last);
    let (header, tensors) = checkpoint::load(&straight.folder.join("ckpt").join(&last.last().unwrap().file)).unwrap();
    assert_eq!(header.script.map(|digest| digest.len()), Some(64));
    // The names of the user's own module; its buffers are there and have changed.
    assert!(tensors.contains_key("fc.weight") && tensors.contains_key("optimizer.conv.weight.momentum"));
    assert!(!tensors.keys().any(|name| name.starts_with("optimizer.norm.running")));
    assert!(tensors["norm.running_mean"].abs().max().double_value(&[]) > 0.0);
    assert!(tensors["norm.num_batches_tracked"].int64_value(&[]) > 0);

    let first = bench.run_with("first", &order, |line, stop| {
        if matches!(line, Body::Checkpoint(line) if line.kind == CheckpointKind::Last) {
            stop.ask();
        }
    });
    order.work[0].resume = Some(first.resume());
    let second = bench.run("second", &order);
    assert_eq!(second.weights(), straight.weights());
    // Lines are counted from anew.
    let numbers = |told: &Told, from: usize| -> Vec<EpochMetrics> {
        told.epochs().drain(from..).map(|epoch| EpochMetrics { seq: 0, ..epoch }).collect()
    };
    assert_eq!(numbers(&second, 0), numbers(&straight, 1));

    let mut bytes = fs::read(FILE).unwrap();
    bytes.extend_from_slice(b"changed");
    fs::write(bench.data().join("nets/small.pt"), bytes).unwrap();
    let third = bench.run("third", &order);
    assert!(matches!(third.failed().1, "weights_invalid" | "torchscript_invalid"), "{:?}", third.last);
}

#[test]
fn a_module_that_is_scripted_today_trains_as_the_one_that_was() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |args: &[&str]| {
        Command::new(&python).args(args).env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").output()
    };
    if !run(&["-c", "import torch"]).is_ok_and(|ran| ran.status.success()) {
        return common::skip(&format!("{python} has no torch"));
    }
    let bench = bench();
    let today = bench.data().join("nets/today.pt");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/to_torchscript.py");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/script/small.py:Small");
    let ran = run(&[script, source, today.to_str().unwrap(), "--set", "classes=3"]).unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    // Convolution, norm, linear layer; buffers are not trained.
    let trained = 6 * 27 + 6 + 2 * 6 + 6 * 3 + 3;
    assert!(String::from_utf8_lossy(&ran.stdout).ends_with(&format!(": {trained} trained parameters\n")), "{ran:?}");
    let [today, recorded] = ["today", "small"].map(|name| bench.run(name, &order(&bench, &format!("nets/{name}.pt"))));
    assert_eq!((today.weights(), today.epochs()), (recorded.weights(), recorded.epochs()));
}

#[test]
fn what_cannot_be_used_says_why() {
    let bench = bench();
    fs::copy(FILE, bench.path("outside.pt")).unwrap();
    std::os::unix::fs::symlink(bench.path("outside.pt"), bench.data().join("link.pt")).unwrap();
    fs::create_dir(bench.data().join("folder.pt")).unwrap();
    fs::write(bench.data().join("broken.pt"), b"PK\x03\x04 nothing").unwrap();
    let reason = |file: &str, allowed: bool| {
        let name = format!("{}-{allowed}", file.replace('/', "_"));
        let told = bench.run(&name, &OrderFile { allow_torchscript: allowed, ..order(&bench, file) });
        let (class, word, message) = told.failed();
        assert_eq!(class, FailureClass::Data, "{message}");
        (word.to_owned(), message.to_owned())
    };
    let (word, message) = reason("nets/small.pt", false);
    assert!(word == "torchscript_not_allowed" && message.contains("--allow-torchscript"), "{message}");
    for (file, word) in [
        ("missing.pt", "torchscript_unknown"),
        ("link.pt", "path_not_regular"),
        ("folder.pt", "path_not_regular"),
        ("broken.pt", "torchscript_invalid"),
    ] {
        assert_eq!(reason(file, true).0, word, "{file}");
    }
    // Three outputs for four classes.
    folder_of_images(&bench.data().join("d/train"), 4, 8);
    folder_of_images(&bench.data().join("d/val"), 4, 3);
    let (word, message) = reason("nets/small.pt", true);
    assert!(word == "torchscript_invalid" && message.contains("[2, 3]"), "{message}");
}

#[test]
fn recipes_say_what_does_not_go_together() {
    let recipe = |more: serde_json::Value| {
        let mut recipe = json!({"dataset": "d", "model": {"torchscript": {"file": "a.pt"}}});
        for (name, value) in more.as_object().unwrap() {
            recipe[name] = value.clone();
        }
        let recipe: Recipe = serde_json::from_value(recipe).unwrap();
        recipe.check().into_iter().map(|wrong| wrong.path).collect::<Vec<_>>()
    };
    assert_eq!(recipe(json!({})), [""; 0]);
    assert_eq!(recipe(json!({"dropout": 0.2})), ["dropout"]);
    assert_eq!(recipe(json!({"precision": Precision::Bf16.name()})), ["precision"]);
    for file in ["", "a.pth", "../a.pt", "a\n.pt"] {
        assert_eq!(recipe(json!({"model": {"torchscript": {"file": file}}})), ["model.torchscript.file"]);
    }
    assert!(Path::new(FILE).exists());
}
