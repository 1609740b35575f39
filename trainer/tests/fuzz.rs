//! The parts of the trainer that read files of others, with the share of changed inputs that every run of the tests tries; and where
//! the binary inputs come from: `UPDATE=1 cargo test -p sweep-trainer --test fuzz` writes those that are missing.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;
#[path = "../examples/fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Bench, pixels, with_val};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use sweep_core::attempt::{CHECKPOINT_DIR, CheckpointKind};
use sweep_fuzzing::run::{Settings, Until, run};
use targets::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus")
}

fn png(width: u32, height: u32, data: &[u8], colour: ExtendedColorType) -> Vec<u8> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(data, width, height, colour).unwrap();
    png
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 80);
    encoder.write_image(&pixels(1, 1, width, height), width, height, ExtendedColorType::Rgb8).unwrap();
    jpeg
}

/// Images of every kind that a data set may hold, some at the limits.
fn images() -> Vec<(&'static str, Vec<u8>)> {
    let rgb = |width, height| png(width, height, &pixels(0, 1, width, height), ExtendedColorType::Rgb8);
    vec![
        ("rgb.png", rgb(19, 13)),
        ("gray.png", png(9, 11, &[77; 99], ExtendedColorType::L8)),
        ("gray-alpha-16.png", png(5, 7, &[33; 140], ExtendedColorType::La16)),
        ("rgba-16.png", png(6, 4, &[200; 192], ExtendedColorType::Rgba16)),
        ("rgb.jpg", jpeg(24, 17)),
        ("one-pixel.jpg", jpeg(1, 1)),
        ("a-line.png", png(16_384, 1, &[5; 16_384], ExtendedColorType::L8)),
        ("a-thin-line.png", png(2, 3000, &[5; 6000], ExtendedColorType::L8)),
    ]
}

/// Two checkpoints of a small network: one to go on from, inside an epoch, and the best.
fn checkpoints() -> Vec<(&'static str, Vec<u8>)> {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(
        r#"{"dataset":"d","model":{"mlp":{"hidden":[3]}},"image_size":8,"epochs":2,"batch_size":5,"lr":0.01,"dropout":0.1,
            "optimizer":{"sgd":{"momentum":0.9}},"early_stop":{"patience":2,"metric":"val_loss"},"checkpoint_steps":2,"seed":5}"#,
    );
    let told = bench.run("seeds", &order);
    let read = |name: &str| fs::read(told.folder.join(CHECKPOINT_DIR).join(name)).unwrap();
    let last = told.checkpoints(CheckpointKind::Last);
    let best = told.checkpoints(CheckpointKind::Best);
    vec![("last", read(&last.last().unwrap().file)), ("best", read(&best.last().unwrap().file))]
}

#[test]
fn the_binary_inputs_are_there() {
    let kept = |target: &str, made: Vec<(&'static str, Vec<u8>)>| {
        for (name, bytes) in made {
            let path = corpus().join(target).join(name);
            if std::env::var_os("UPDATE").is_some() && !path.exists() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, bytes).unwrap();
            }
            assert!(path.is_file(), "{} is missing: UPDATE=1 writes it", path.display());
            assert!(fs::metadata(&path).unwrap().len() < 64 << 10, "{} is large", path.display());
        }
    };
    kept("image", images());
    kept("checkpoint", checkpoints());
}

#[test]
fn nothing_breaks_what_reads_files() {
    let folder = tempfile::tempdir().unwrap();
    for target in &TARGETS {
        let (until, out) = (Until::Inputs(target.share), folder.path().to_owned());
        let outcome = run(target, &Settings { seed: 1, until, corpus: corpus(), out }).unwrap();
        assert_eq!(outcome.found, None, "{}: run the example `fuzz` to keep the input", target.name);
        assert!(outcome.kinds > 10, "{}: {outcome:?} shows little", target.name);
    }
}
