//! Paired starts: trials of one seed that differ only in what changes no shape begin with identical weights and see the
//! same images in the same order. Each purpose has random numbers of its own.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use common::{Bench, with_val};
use sweep_core::attempt::CheckpointKind;
use sweep_core::recipe::{Numerics, Recipe};
use sweep_trainer::augment::mix::Mixer;
use sweep_trainer::augment::{Normalise, Pipeline};
use sweep_trainer::checkpoint;
use sweep_trainer::data;
use sweep_trainer::data::batches::Batches;
use sweep_trainer::init::Files;
use sweep_trainer::link::Stop;
use sweep_trainer::trial::Trial;
use tch::Device;

/// Every option that changes no shape, each with a value that is not the default.
const AXES: [&str; 23] = [
    r#""lr":0.5"#,
    r#""batch_size":5"#,
    r#""accumulate":2"#,
    r#""dropout":0.5"#,
    r#""optimizer":"sgd""#,
    r#""schedule":"one-cycle""#,
    r#""schedule":{"step":{"step_size":2}}"#,
    r#""schedule":{"multi-step":{"milestones":[2,4]}}"#,
    r#""schedule":"cosine""#,
    r#""schedule":{"cosine-restarts":{"t_0":2,"t_mult":2}}"#,
    r#""schedule":{"plateau":{"patience":0}}"#,
    r#""early_stop":{"patience":2}"#,
    r#""freeze":{"all_but_last":1}"#,
    r#""freeze":{"names":"conv1.*"}"#,
    r#""model":{"cifar-cnn":{"activation":"gelu"}}"#,
    r#""warmup":{"steps":5}"#,
    r#""clip_norm":1.0"#,
    r#""ema":{"decay":0.9}"#,
    r#""label_smoothing":0.1"#,
    r#""precision":"bf16""#,
    r#""layout":"channels-last""#,
    r#""epochs":7"#,
    r#""checkpoint_steps":3"#,
];

/// What a trial begins with.
#[derive(Debug, PartialEq)]
struct Start {
    /// Digest of the first weights.
    weights: String,
    /// The bits of all images of the second epoch, in their order, and their labels.
    images: Vec<u32>,
    labels: Vec<i64>,
}

fn start(bench: &Bench, number: usize, fields: &str) -> Start {
    let unless = |name: &str, field: &'static str| if fields.contains(name) { "" } else { field };
    let batch = unless(r#""batch_size""#, r#","batch_size":8"#);
    let model = unless(r#""model""#, r#","model":"cifar-cnn""#);
    let side = unless(r#""image_size""#, r#","image_size":16"#);
    let order = bench.order(&format!(r#"{{"dataset":"d"{batch}{model}{side}{fields}}}"#));
    let recipe: &Recipe = &order.work[0].recipe;
    assert_eq!(recipe.check(), [], "{fields}");
    let stop = Stop::default();
    let dataset = data::open(recipe, &order.data_roots, &order.cache_dir, &stop).unwrap();
    let folder = bench.path(&format!("start{number}"));
    let mut trial =
        Trial::new(recipe, &dataset, Numerics::PLAIN, Device::Cpu, false, &folder, &Files::default()).unwrap();
    let line = trial.save(CheckpointKind::Best, 0, &stop).unwrap();
    let (_, tensors) = checkpoint::load(&folder.join(line.file)).unwrap();

    let (pipeline, mixer) = (Pipeline::new(recipe), Mixer::new(recipe));
    let batches = Batches {
        dataset: &dataset,
        pipeline: &pipeline,
        mixer: &mixer,
        on: recipe.augment_on,
        resident: None,
        normalise: Normalise::new(recipe.data.mean, recipe.data.std),
        seed: recipe.seed,
        device: Device::Cpu,
        helper: false,
    };
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let all = batches.train(2, recipe.batch_size as usize, |batch| {
        let values = Vec::<f32>::try_from(batch.images.flatten(0, -1)).unwrap();
        images.extend(values.into_iter().map(f32::to_bits));
        labels.extend(Vec::<i64>::try_from(&batch.labels).unwrap());
        Ok::<_, tch::TchError>(())
    });
    all.unwrap();
    let weights = checkpoint::digest(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)));
    Start { weights, images, labels }
}

#[test]
fn what_changes_no_shape_changes_no_start() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let augmented = r#","augmentation":["flip","crop"]"#;
    let (plain, flipped) = (start(&bench, 0, ""), start(&bench, 1, augmented));
    assert_eq!(plain.labels.len(), 24);
    for (number, axis) in AXES.iter().enumerate() {
        assert_eq!(start(&bench, 2 + number, &format!(",{axis}")), plain, "{axis}");
        assert_eq!(start(&bench, 100 + number, &format!("{augmented},{axis}")), flipped, "{axis}");
    }
    // Augmentation is an axis too: other pixels, but of the same images in the same order.
    assert_eq!((&flipped.weights, &flipped.labels), (&plain.weights, &plain.labels));
    assert_ne!(flipped.images, plain.images);
    let other = start(&bench, 50, r#","augmentation":["jpeg"]"#);
    assert_eq!((&other.weights, &other.labels), (&plain.weights, &plain.labels));

    let seed = start(&bench, 51, r#","seed":1"#);
    assert_ne!(seed.weights, plain.weights);
    assert_ne!(seed.images, plain.images);
}

#[test]
fn residual_networks_with_other_functions_and_blurring_start_the_same() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let of = |number: usize, options: &str| {
        start(&bench, number, &format!(r#","image_size":32,"model":{{"resnet18":{options}}}"#))
    };
    let plain = of(0, "{}");
    for (number, options) in [r#"{"activation":"gelu"}"#, r#"{"blur_pool":true}"#].iter().enumerate() {
        assert_eq!(of(1 + number, options), plain, "{options}");
    }
    assert_ne!(of(3, r#"{"zero_init_residual":true}"#).weights, plain.weights, "this one is about the start");
}
