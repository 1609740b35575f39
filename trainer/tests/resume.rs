//! Bit-exact resume and reproduction: what a crash at any epoch must not change.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use common::{Bench, Told, with_val};
use sweep_core::attempt::{Body, CheckpointKind, OrderFile, StopCause};

const RECIPES: [(&str, &str); 10] = [
    (
        "adam",
        r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":4,"batch_size":7,"lr":0.003,
            "dropout":0.4,"augmentation":[{"flip":{}},{"crop":{}}],"optimizer":"adam",
            "schedule":"cosine","seed":5}"#,
    ),
    (
        "sgd",
        r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":4,"batch_size":7,"lr":0.01,
            "dropout":0.2,"augmentation":[{"resized-crop":{}},{"flip":{}}],
            "optimizer":{"sgd":{"momentum":0.9,"weight_decay":0.0005,"nesterov":true}},"seed":6}"#,
    ),
    (
        "resnet",
        r#"{"dataset":"d","model":"resnet18","image_size":32,"epochs":2,"batch_size":12,"lr":0.001,
            "dropout":0.3,"augmentation":[{"flip":{}},{"crop":{}}],"seed":7}"#,
    ),
    (
        "patience",
        r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":6,"batch_size":7,"lr":0.02,
            "dropout":0.2,"early_stop":{"patience":2,"metric":"val_loss"},"seed":8}"#,
    ),
    (
        "plateau",
        r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":6,"batch_size":7,"lr":0.02,"dropout":0.2,
            "optimizer":{"rmsprop":{"momentum":0.9,"centered":true}},
            "schedule":{"plateau":{"patience":0,"factor":0.5,"threshold":0.3}},"seed":9}"#,
    ),
    (
        "one-cycle",
        r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":4,"batch_size":7,"lr":0.02,"dropout":0.2,
            "optimizer":{"radam":{"weight_decay":0.01,"decoupled":true}},"schedule":"one-cycle","seed":10}"#,
    ),
    (
        "warmup",
        r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":4,"batch_size":7,"lr":0.02,"dropout":0.2,
            "optimizer":{"adamw":{"decay_norm_bias":false}},"warmup":{"steps":10},
            "schedule":{"multi-step":{"milestones":[2,3]}},"seed":11}"#,
    ),
    (
        "mixed",
        r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":3,"batch_size":7,"lr":0.003,
            "dropout":0.2,"copies":[[],["rotation","jpeg"]],"seed":9,
            "augmentation":["trivial-augment","crop","erasing",{"mixup":{"alpha":0.2}},"cutmix"]}"#,
    ),
    (
        "average",
        r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":5,"batch_size":5,"accumulate":2,"lr":0.003,
            "dropout":0.2,"clip_norm":1.0,"label_smoothing":0.1,"ema":{"decay":0.7},
            "early_stop":{"patience":2,"metric":"val_loss"},"seed":12}"#,
    ),
    (
        "bf16",
        r#"{"dataset":"d","model":"resnet18","image_size":32,"epochs":2,"batch_size":12,"lr":0.001,"dropout":0.3,
            "precision":"bf16","layout":"channels-last","seed":13}"#,
    ),
];

/// Runs `order` to its end, with a stop asked for after each epoch and a fresh start from the last
/// checkpoint, which goes through its file every time.
fn in_pieces(bench: &Bench, name: &str, order: &OrderFile) -> (Vec<Told>, Told) {
    let mut order = order.clone();
    let mut pieces = Vec::new();
    loop {
        let place = format!("{name}-piece{}", pieces.len());
        let told = bench.run_with(&place, &order, |line, stop| {
            if matches!(line, Body::Checkpoint(line) if line.kind == CheckpointKind::Last) {
                stop.ask();
            }
        });
        match &told.last {
            Body::Stopped(stopped) => {
                assert_eq!((stopped.final_seq, stopped.why), (1, StopCause::Asked));
                order.work[0].resume = Some(told.resume());
                pieces.push(told);
            }
            _ => return (pieces, told),
        }
    }
}

fn check_resume(which: usize) {
    let (name, recipe) = RECIPES[which];
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(recipe);
    let whole = bench.run(name, &order);
    let again = bench.run(&format!("{name}-again"), &order);
    assert_eq!(whole.weights(), again.weights(), "same seed, same bits");
    assert_eq!(whole.epochs(), again.epochs());

    let (pieces, end) = in_pieces(&bench, name, &order);
    assert!(!pieces.is_empty());
    assert_eq!(end.weights(), whole.weights(), "resumed at every epoch");
    let mut epochs: Vec<_> = pieces.iter().flat_map(Told::epochs).collect();
    epochs.extend(end.epochs());
    let mut expected = whole.epochs();
    for metrics in epochs.iter_mut().chain(&mut expected) {
        metrics.seq = 0;
    }
    assert_eq!(epochs, expected);
    let digests = |told: &[&Told], kind| -> Vec<String> {
        (told.iter().flat_map(|told| told.checkpoints(kind))).map(|line| line.sha256.clone()).collect()
    };
    let parts: Vec<_> = pieces.iter().chain([&end]).collect();
    for kind in [CheckpointKind::Last, CheckpointKind::Best] {
        assert_eq!(digests(&parts, kind), digests(&[&whole], kind), "{kind:?}");
    }
}

#[test]
fn adam_with_dropout_and_crops_resumes_to_the_bit() {
    check_resume(0);
}

#[test]
fn sgd_with_resized_crops_resumes_to_the_bit() {
    check_resume(1);
}

#[test]
fn mixed_batches_of_copies_resume_to_the_bit() {
    check_resume(7);
}

#[test]
fn images_changed_on_the_device_train_the_same_weights() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let run = |word: &str| {
        let order = bench.order(&RECIPES[0].1.replacen('{', &format!(r#"{{"augment_on":"{word}","#), 1));
        bench.run(word, &order)
    };
    let host = run("cpu");
    for word in ["device", "resident"] {
        let told = run(word);
        assert_eq!(told.weights(), host.weights(), "{word}");
        assert_eq!(told.epochs(), host.epochs(), "{word}");
    }
}

#[test]
fn resnet_resumes_to_the_bit() {
    check_resume(2);
}

#[test]
fn early_stopping_resumes_to_the_bit_and_restores_the_best_state() {
    check_resume(3);
    let bench = Bench::new();
    with_val(&bench, "d");
    let told = bench.run("patience", &bench.order(RECIPES[3].1));
    let epochs = told.epochs();
    let best = epochs.iter().min_by(|a, b| a.val_loss.0.total_cmp(&b.val_loss.0)).unwrap();
    let Body::Done(done) = &told.last else { panic!("{:?}", told.last) };
    assert!(done.early, "{epochs:?}");
    assert_eq!(epochs.len() as u32, best.epoch + 2);
    // A run that ends at the best epoch has the weights that the patient one went back to.
    let mut short = bench.order(RECIPES[3].1);
    short.work[0].recipe.epochs = best.epoch;
    assert_eq!(bench.run("short", &short).weights(), told.weights());
}

#[test]
fn reduce_on_plateau_resumes_to_the_bit_and_lowers_the_rate() {
    check_resume(4);
    let bench = Bench::new();
    with_val(&bench, "d");
    let rates: Vec<_> = bench.run("plateau", &bench.order(RECIPES[4].1)).epochs().iter().map(|e| e.lr.0).collect();
    assert_eq!(rates[0], 0.02);
    assert!(rates[5] < rates[0], "{rates:?}");
}

#[test]
fn one_cycle_moves_rate_and_momentum_and_resumes_to_the_bit() {
    check_resume(5);
}

#[test]
fn warm_up_and_milestones_resume_to_the_bit() {
    check_resume(6);
}

#[test]
fn averages_clipping_and_accumulation_resume_to_the_bit() {
    check_resume(8);
}

#[test]
fn bf16_in_channels_last_resumes_to_the_bit() {
    check_resume(9);
}

#[test]
fn optimizer_state_matters_for_resume() {
    // A resume that forgot the moments would go unnoticed if they made no difference.
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(RECIPES[0].1);
    let whole = bench.run("whole", &order);
    let mut order = order.clone();
    let first = bench.run_with("first", &order, |line, stop| {
        if matches!(line, Body::Checkpoint(line) if line.kind == CheckpointKind::Last) {
            stop.ask();
        }
    });
    let resume = first.resume();
    let (header, tensors) = sweep_trainer::checkpoint::load(&resume.file).unwrap();
    let folder = bench.path("forgetful");
    let mut store = sweep_trainer::checkpoint::Store::new(folder.clone()).unwrap();
    let zeroed: Vec<(String, tch::Tensor)> = tensors
        .into_iter()
        .map(|(name, tensor)| match name.starts_with("optimizer.") {
            true => (name, tensor.zeros_like()),
            false => (name, tensor),
        })
        .collect();
    let borrowed: Vec<_> = zeroed.iter().map(|(name, t)| (name.clone(), t)).collect();
    let line = store.write(CheckpointKind::Last, 1, &header, &borrowed, &Default::default()).unwrap();
    order.work[0].resume = Some(sweep_core::attempt::Resume { file: folder.join(line.file), epoch: 1, best: None });
    assert_ne!(bench.run("forgetful-run", &order).weights(), whole.weights());
}

#[test]
fn seeds_and_their_streams_are_apart() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(RECIPES[0].1);
    let first_loss = |name: &str, change: &dyn Fn(&mut sweep_core::recipe::Recipe)| {
        let mut order = order.clone();
        order.work[0].recipe.epochs = 1;
        order.work[0].recipe.batch_size = 24;
        change(&mut order.work[0].recipe);
        let told = bench.run(name, &order);
        told.epochs()[0].train_loss
    };
    let base = first_loss("base", &|_| {});
    assert_ne!(base, first_loss("seed", &|recipe| recipe.seed += 1));
    // The first step of a whole-set batch sees the initial weights: with neither augmentation nor
    // dropout its loss does not depend on them being switched on elsewhere.
    let plain = |recipe: &mut sweep_core::recipe::Recipe| {
        recipe.dropout = Some(0.0);
        recipe.augmentation.0.clear();
    };
    let without = first_loss("plain", &plain);
    assert_ne!(base, without);
    assert_eq!(without, first_loss("plain-again", &plain));
}

#[test]
fn a_checkpoint_of_another_trial_is_refused() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let mut order = bench.order(RECIPES[0].1);
    let told = bench.run("one", &order);
    order.work[0].recipe.lr = 0.5;
    order.work[0].resume = Some(told.resume());
    let other = bench.run("two", &order);
    assert_eq!(other.failed().1, "weights_invalid");
    assert!(other.failed().2.contains("another recipe"));
    order = bench.order(RECIPES[0].1);
    let mut resume = told.resume();
    let bytes = std::fs::read(&resume.file).unwrap();
    resume.file = bench.path("cut.safetensors");
    std::fs::write(&resume.file, &bytes[..bytes.len() / 2]).unwrap();
    order.work[0].resume = Some(resume);
    assert_eq!(bench.run("three", &order).failed().1, "weights_invalid");
}
