//! Batches with augmentation: what they may depend on, what copies add, what mixing does to the loss.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Bench, folder_of_images, with_val};
use sweep_core::recipe::{Augment, AugmentOn, Recipe};
use sweep_trainer::augment::mix::Mixer;
use sweep_trainer::augment::{Normalise, Pipeline, device};
use sweep_trainer::data::batches::{Batch, Batches};
use sweep_trainer::data::{self, Dataset};
use sweep_trainer::link::Stop;
use tch::{Device, Kind, Reduction, Tensor};

/// A recipe on the set `d` and its images.
fn open(bench: &Bench, fields: &str) -> (Recipe, Dataset) {
    let order = bench.order(&format!(r#"{{"dataset":"d","image_size":32,"batch_size":4,"seed":3,{fields}}}"#));
    let recipe = order.work[0].recipe.clone();
    assert_eq!(recipe.check(), []);
    let dataset = data::open(&recipe, &order.data_roots, &order.cache_dir, &Stop::default()).unwrap();
    (recipe, dataset)
}

/// Calls `look` with every training batch of an epoch, and returns the bits of all validation images.
fn pass(recipe: &Recipe, dataset: &Dataset, size: usize, helper: bool, mut look: impl FnMut(Batch)) -> Vec<Vec<u32>> {
    let (pipeline, mixer) = (Pipeline::new(recipe), Mixer::new(recipe));
    let resident = device::resident(recipe, dataset, Device::Cpu).unwrap();
    let batches = Batches {
        dataset,
        pipeline: &pipeline,
        mixer: &mixer,
        on: recipe.augment_on,
        resident: resident.as_ref(),
        normalise: Normalise::new(recipe.data.mean, recipe.data.std),
        seed: recipe.seed,
        device: Device::Cpu,
        helper,
    };
    let train = batches.train(2, size, |batch| {
        look(batch);
        Ok::<_, tch::TchError>(())
    });
    let mut val = Vec::new();
    let all = batches.plain(&dataset.val, size, |batch| {
        val.extend(images(&batch));
        Ok::<_, tch::TchError>(())
    });
    train.unwrap();
    all.unwrap();
    val
}

/// The bits of every image of a batch.
fn images(batch: &Batch) -> Vec<Vec<u32>> {
    let values = Vec::<f32>::try_from(batch.images.flatten(0, -1)).unwrap();
    values.chunks(3 * 32 * 32).map(|image| image.iter().map(|value| value.to_bits()).collect()).collect()
}

/// An image and its label.
type Labelled = (Vec<u32>, i64);

/// All training images of an epoch in their order, and all validation images.
fn epoch(recipe: &Recipe, dataset: &Dataset, size: usize, helper: bool) -> (Vec<Labelled>, Vec<Vec<u32>>) {
    let mut train = Vec::new();
    let val = pass(recipe, dataset, size, helper, |batch| {
        train.extend(images(&batch).into_iter().zip(Vec::<i64>::try_from(&batch.labels).unwrap()));
    });
    (train, val)
}

/// Every step on single images.
const EVERYTHING: &str = r#"[{"resize":{"side":36}},{"crop":{"padding":0.1}},"flip","vflip","rotation",
    {"scale":{"interpolation":"bilinear"}},{"color-jitter":{"brightness":0.4,"contrast":0.4,"saturation":0.4,"hue":0.1}},
    "gaussian-blur","grayscale","jpeg","rand-augment","trivial-augment","center-crop",
    {"resized-crop":{"scale_min":0.5}},{"erasing":{"noise":true}},"cutout"]"#;

#[test]
fn images_do_not_depend_on_the_batch_the_threads_or_the_run() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let (recipe, dataset) = open(&bench, &format!(r#""augmentation":{EVERYTHING},"copies":[[],["rotation"]]"#));
    let first = epoch(&recipe, &dataset, 4, false);
    assert_eq!(first.0.len(), 48);
    for (size, helper) in [(4, false), (4, true), (7, false), (48, true), (1, true)] {
        assert_eq!(epoch(&recipe, &dataset, size, helper), first, "batches of {size}, helper thread: {helper}");
    }
    // Opened again, decoded by another number of threads into another cache.
    let other = Bench::new();
    with_val(&other, "d");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let (_, again) =
        pool.install(|| open(&other, &format!(r#""augmentation":{EVERYTHING},"copies":[[],["rotation"]]"#)));
    assert_eq!(epoch(&recipe, &again, 4, true), first);

    let mut other_seed = recipe.clone();
    other_seed.seed = 4;
    assert_ne!(epoch(&other_seed, &dataset, 4, false).0, first.0);
    assert_eq!(epoch(&other_seed, &dataset, 4, false).1, first.1, "validation images are never changed");
}

/// Labels by image, without the order.
fn sorted(train: &[Labelled]) -> BTreeMap<&[u32], (usize, i64)> {
    let mut found = BTreeMap::new();
    for (image, label) in train {
        found.entry(image.as_slice()).or_insert((0, *label)).0 += 1;
    }
    found
}

#[test]
fn copies_multiply_training_images_after_the_split_and_only_those() {
    let bench = Bench::new();
    // No validation folder: one is split off.
    folder_of_images(&bench.data().join("d"), 3, 10);
    let (plain, dataset) = open(&bench, r#""augmentation":[]"#);
    let (originals, val) = epoch(&plain, &dataset, 5, false);
    assert_eq!((originals.len(), val.len()), (24, 6));

    // Study C's eightfold set: four mirrored versions, and all of them turned and scaled.
    let turns = r#""scale",{"rotation":{"degrees":[-15.0,15.0]}}"#;
    let (h, v) = (r#"{"flip":{"p":1.0}}"#, r#"{"vflip":{"p":1.0}}"#);
    let copies = format!("[[],[{h}],[{v}],[{h},{v}],[{turns}],[{h},{turns}],[{v},{turns}],[{h},{v},{turns}]]");
    let (eight, of_eight) = open(&bench, &format!(r#""copies":{copies},"fixed_copies":true"#));
    assert_eq!(of_eight.digest, dataset.digest, "the same images on the same sides");
    let (train, same_val) = epoch(&eight, &of_eight, 5, false);
    assert_eq!(train.len(), 8 * originals.len());
    assert_eq!(same_val, val, "no changed image in validation");
    let (versions, originals) = (sorted(&train), sorted(&originals));
    assert_eq!(versions.len(), train.len(), "all versions differ");
    for (image, (_, label)) in &originals {
        assert_eq!(versions.get(image), Some(&(1, *label)), "an original is one of its versions");
        let mirrored: Vec<u32> = image.chunks(32).flat_map(|row| row.iter().rev().copied()).collect();
        assert_eq!(versions.get(mirrored.as_slice()), Some(&(1, *label)));
    }
    assert!(val.iter().all(|image| !versions.contains_key(image.as_slice())), "no version of a validation image");
    // Made once: another epoch brings the same images. Fresh draws bring others.
    let shuffled = |recipe: &Recipe, number| {
        let (pipeline, mixer) = (Pipeline::new(recipe), Mixer::new(recipe));
        let normalise = Normalise::new(recipe.data.mean, recipe.data.std);
        let batches = Batches {
            dataset: &dataset,
            pipeline: &pipeline,
            mixer: &mixer,
            on: AugmentOn::Cpu,
            resident: None,
            normalise,
            seed: 3,
            device: Device::Cpu,
            helper: false,
        };
        let mut all = Vec::new();
        batches.train(number, 5, |batch| {
            all.extend(images(&batch));
            Ok::<_, tch::TchError>(())
        })?;
        all.sort();
        Ok::<_, tch::TchError>(all)
    };
    assert_eq!(shuffled(&eight, 1).unwrap(), shuffled(&eight, 2).unwrap());
    let fresh = Recipe { fixed_copies: false, ..eight };
    assert_ne!(shuffled(&fresh, 1).unwrap(), shuffled(&fresh, 2).unwrap());
}

#[test]
fn the_loss_of_a_mixed_batch_is_cross_entropy_against_soft_labels() {
    let bench = Bench::new();
    with_val(&bench, "d");
    for step in ["mixup", "cutmix"] {
        let (recipe, dataset) = open(&bench, &format!(r#""augmentation":["{step}"]"#));
        let mut batches = 0;
        pass(&recipe, &dataset, 6, false, |batch| {
            let logits = Tensor::arange(18, (Kind::Float, Device::Cpu)).view([6, 3]).sin() * 3.0;
            let (second, share) = batch.second.as_ref().expect("it was mixed");
            assert!((0.0..=0.5).contains(share), "accuracy counts against the larger share: {share}");
            let soft = batch.labels.one_hot(3).to_kind(Kind::Float) * (1.0 - share)
                + second.one_hot(3).to_kind(Kind::Float) * *share;
            let want =
                -(soft * logits.log_softmax(-1, Kind::Float)).sum_dim_intlist(-1, false, Kind::Float).mean(Kind::Float);
            let loss = |labels: &Tensor| logits.cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, 0.0);
            let found = batch.loss(loss);
            assert!((found.double_value(&[]) - want.double_value(&[])).abs() < 1e-6);
            batches += 1;
        });
        assert_eq!(batches, 4);
    }
}

/// Every step, in an order where each window and change of colours meets every other: the device's images are the host's, bit for bit.
const ON_DEVICE: &[&str] = &[
    r#""augmentation":[]"#,
    r#""augmentation":["flip","crop"]"#,
    r#""augmentation":["vflip",{"crop":{"pixels":9}},"center-crop","flip","cutout",{"erasing":{"value":-1.5}},"cutout"]"#,
    r#""augmentation":["flip",{"color-jitter":{"brightness":0.9,"contrast":0.6,"saturation":1.5,"hue":0.5}},"crop",
        {"grayscale":{"p":0.4}},"vflip",{"color-jitter":{"contrast":0.3}},"cutmix"]"#,
    r#""augmentation":["crop","mixup"]"#,
    r#""copies":[["flip"],[{"color-jitter":{"hue":0.2}},"crop"],[]],"augmentation":["vflip","cutout","mixup","cutmix"]"#,
    r#""augmentation":[{"rotation":{"degrees":[-180.0,180.0]}},"crop",{"rotation":{"degrees":[-40.0,40.0],"interpolation":"bilinear"}},"flip"]"#,
    r#""augmentation":[{"scale":{"range":[0.5,2.0]}},"vflip",{"scale":{"range":[0.5,2.0],"interpolation":"bilinear"}}]"#,
    r#""augmentation":[{"gaussian-blur":{"kernel":5,"sigma":[0.1,2.0]}},"flip",{"gaussian-blur":{"kernel":63,"sigma":[1.0,30.0]}}]"#,
    r#""augmentation":["jpeg","crop",{"jpeg":{"quality":[1,100]}}]"#,
    r#""augmentation":[{"rand-augment":{"n":6,"magnitude":20}},"flip"]"#,
    r#""augmentation":["flip","trivial-augment","trivial-augment","crop","trivial-augment"]"#,
    r#""augmentation":["flip",{"erasing":{"p":0.8,"noise":true}},{"erasing":{"p":0.8}},"cutout",{"erasing":{"p":0.8,"noise":true}}]"#,
    // Sizes in between: odd ones, too small for a block, larger than the image.
    r#""augmentation":[{"center-crop":{"size":23}},"jpeg",{"gaussian-blur":{"kernel":7}},{"rotation":{"degrees":[-20.0,20.0]}},{"center-crop":{"size":32}}]"#,
    r#""augmentation":[{"crop":{"size":5}},"trivial-augment","jpeg",{"center-crop":{"size":41}},{"rand-augment":{"n":3}},"center-crop"]"#,
    r#""augmentation":["resized-crop","flip"]"#,
    r#""augmentation":["flip","vflip",{"resized-crop":{"scale_min":0.3}},"crop"]"#,
    r#""augmentation":[{"resize":{"side":40}},"crop","flip","erasing"]"#,
    r#""augmentation":["flip",{"resize":{"side":36}},"center-crop"]"#,
    r#""augmentation":["flip",{"center-crop":{"size":27}},"resize"]"#,
    r#""copies":[["resized-crop"],["flip"],[{"center-crop":{"size":20}},"vflip","resize"]],"augmentation":["crop","cutmix"]"#,
    // So much smaller that sums of weighted bytes need more than 24 bits.
    r#""augmentation":[{"center-crop":{"size":300}},"resize","flip"]"#,
];

/// The number of each kind of step. A new one must be added here, and then to the lists above.
fn kind(step: &Augment) -> usize {
    match step {
        Augment::Flip(_) => 0,
        Augment::Vflip(_) => 1,
        Augment::Crop(_) => 2,
        Augment::CenterCrop(_) => 3,
        Augment::Resize(_) => 4,
        Augment::ResizedCrop(_) => 5,
        Augment::Rotation(_) => 6,
        Augment::Scale(_) => 7,
        Augment::ColorJitter(_) => 8,
        Augment::GaussianBlur(_) => 9,
        Augment::Grayscale(_) => 10,
        Augment::Jpeg(_) => 11,
        Augment::RandAugment(_) => 12,
        Augment::TrivialAugment(_) => 13,
        Augment::Erasing(_) => 14,
        Augment::Cutout(_) => 15,
        Augment::Mixup(_) => 16,
        Augment::Cutmix(_) => 17,
    }
}
const KINDS: usize = 18;

#[test]
fn the_device_makes_the_images_that_the_host_makes() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let mut kinds = BTreeSet::new();
    for fields in ON_DEVICE {
        let (host, dataset) = open(&bench, fields);
        kinds.extend(host.augmentation.0.iter().chain(host.copies.iter().flat_map(|copy| &copy.0)).map(kind));
        let mut batches = Vec::new();
        let val = pass(&host, &dataset, 5, false, |batch| batches.push(batch));
        for word in ["device", "resident"] {
            let (recipe, _) = open(&bench, &format!(r#""augment_on":"{word}",{fields}"#));
            let mut expected = batches.iter();
            let other = pass(&recipe, &dataset, 5, true, |batch| {
                let want = expected.next().unwrap();
                let apart = (&batch.images - &want.images).abs().max().double_value(&[]);
                assert!(apart == 0.0, "{word}, {fields}: {apart}");
                assert_eq!(batch.labels, want.labels);
                assert_eq!(batch.second, want.second);
            });
            assert_eq!(expected.next().map(|batch| batch.images.size()), None, "as many batches");
            assert_eq!(other, val);
        }
    }
    assert_eq!(kinds, (0..KINDS).collect(), "a kind of step is not compared");
}
