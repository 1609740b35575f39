//! Confusions in the headers of checkpoints, and the test images: looked at once, at the very end, by the
//! weights that are given out, and never decided from.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::fs;
use std::path::Path;

use common::{Bench, Told, folder_of_images, pixels, with_val, write_jpeg};
use sweep_core::attempt::{Body, CHECKPOINT_DIR, CheckpointKind, EpochMetrics};
use sweep_core::evaluation::{Evaluations, Score};
use sweep_trainer::checkpoint;

const PATIENT: &str = r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":6,"batch_size":7,"lr":0.02,
    "dropout":0.2,"early_stop":{"patience":2,"metric":"val_loss"},"seed":8}"#;
const PLAIN: &str =
    r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":3,"batch_size":7,"lr":0.01,"seed":3}"#;

/// The same images as `with_val` has for validation.
fn with_test(bench: &Bench) {
    with_val(bench, "d");
    folder_of_images(&bench.data().join("d/test"), 3, 3);
}

fn headers(told: &Told, kind: CheckpointKind) -> Vec<(u32, Evaluations)> {
    let open = |file: &str| checkpoint::load(&told.folder.join(CHECKPOINT_DIR).join(file)).unwrap().0.evaluations;
    // Older files are gone by now.
    let lines = told.checkpoints(kind);
    lines[lines.len().saturating_sub(2)..].iter().map(|line| (line.epoch, open(&line.file))).collect()
}

fn test_score(told: &Told) -> Option<Score> {
    match &told.last {
        Body::Done(done) => done.test.as_deref().cloned(),
        other => panic!("not done: {other:?}"),
    }
}

fn fits(score: &Score, epoch: &EpochMetrics) {
    assert_eq!((score.epoch, score.loss, score.accuracy), (epoch.epoch, epoch.val_loss, epoch.val_accuracy));
}

#[test]
fn every_checkpoint_says_which_class_is_taken_for_which() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let told = bench.run("a", &bench.order(PLAIN));
    let epochs = told.epochs();
    let mut best = &epochs[0];
    for epoch in &epochs {
        best = if epoch.val_accuracy.0 > best.val_accuracy.0 { epoch } else { best };
    }
    let lasts = headers(&told, CheckpointKind::Last);
    assert_eq!(lasts.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [2, 3]);
    for (epoch, evaluations) in &lasts {
        let last = evaluations.last.as_ref().unwrap();
        fits(&last.score, &epochs[*epoch as usize - 1]);
        let scores = last.confusion.per_class(3);
        assert!(scores.iter().all(|score| score.images == 3), "{scores:?}");
        let right = scores.iter().map(|score| score.right).sum::<u64>() as f64;
        assert_eq!(right / 9.0, last.score.accuracy.0);
        assert_eq!((last.score.top5, &evaluations.test), (None, &None));
    }
    fits(&lasts[1].1.best.as_ref().unwrap().score, best);
    let bests = headers(&told, CheckpointKind::Best);
    assert_eq!(bests.last().unwrap().1.last, lasts[1].1.best, "taken after the best epoch");
    assert_eq!(test_score(&told), None);
}

#[test]
fn test_images_change_nothing_but_the_test() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let without = bench.run("without", &bench.order(PATIENT));
    folder_of_images(&bench.data().join("d/test"), 3, 3);
    let with = bench.run("with", &bench.order(PATIENT));
    assert_eq!((with.epochs(), with.weights()), (without.epochs(), without.weights()));
    let digest = |told: &Told| match &told.lines[0] {
        Body::Started(started) => (started.data.clone(), started.train_images, started.val_images),
        other => panic!("{other:?}"),
    };
    assert_eq!(digest(&with), digest(&without));

    // Early stopping went back to an earlier state: that is the one that is tested. The test images
    // are the validation images, so its numbers are those of its epoch.
    let epochs = with.epochs();
    let watched = epochs.iter().min_by(|a, b| a.val_loss.0.total_cmp(&b.val_loss.0)).unwrap();
    assert!(watched.epoch < epochs.len() as u32);
    let score = test_score(&with).unwrap();
    fits(&score, watched);
    assert_eq!(score.images, 9);
    let lasts = headers(&with, CheckpointKind::Last);
    assert_eq!(lasts[0].1.test, None, "not before the end");
    assert_eq!(lasts[1].1.test.as_ref().unwrap().score, score);
    assert!(headers(&with, CheckpointKind::Best).iter().all(|(_, evaluations)| evaluations.test.is_none()));
}

#[test]
fn without_patience_the_last_state_is_tested() {
    let bench = Bench::new();
    with_test(&bench);
    let told = bench.run("a", &bench.order(PLAIN));
    fits(&test_score(&told).unwrap(), &told.epochs()[2]);
}

#[test]
fn an_attempt_after_the_test_does_not_look_again() {
    let bench = Bench::new();
    with_test(&bench);
    let mut order = bench.order(PLAIN);
    let whole = bench.run("whole", &order);
    let score = test_score(&whole).unwrap();
    // Other test images: whoever looked again would see it.
    fs::remove_dir_all(bench.data().join("d/test")).unwrap();
    upside_down(&bench.data().join("d/test"));
    order.work[0].resume = Some(whole.resume());
    let again = bench.run("again", &order);
    assert_eq!((test_score(&again), again.weights()), (Some(score.clone()), whole.weights()));
    assert!(again.checkpoints(CheckpointKind::Last).is_empty(), "nothing was left to do");
    let fresh = bench.run("fresh", &bench.order(PLAIN));
    assert_ne!(test_score(&fresh).unwrap(), score, "a first look does see it");
}

#[test]
fn a_checkpoint_of_the_end_without_a_test_is_tested_once() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let mut order = bench.order(PLAIN);
    let before = bench.run("before", &order);
    folder_of_images(&bench.data().join("d/test"), 3, 3);
    order.work[0].resume = Some(before.resume());
    let after = bench.run("after", &order);
    fits(&test_score(&after).unwrap(), &before.epochs()[2]);
    assert_eq!(headers(&after, CheckpointKind::Last)[0].1.test.as_ref().unwrap().score, test_score(&after).unwrap());
}

#[test]
fn unlabelled_test_images_are_passed_over() {
    let bench = Bench::new();
    with_val(&bench, "d");
    write_jpeg(&bench.data().join("d/test/images/0.jpg"), 36, 36, &pixels(0, 0, 36, 36));
    assert_eq!(test_score(&bench.run("a", &bench.order(PLAIN))), None);
}

#[test]
fn a_stopped_trial_has_not_seen_the_test_images() {
    let bench = Bench::new();
    with_test(&bench);
    let told = bench.run_with("a", &bench.order(PLAIN), |line, stop| {
        if matches!(line, Body::Epoch(epoch) if epoch.epoch == 2) {
            stop.ask();
        }
    });
    assert!(matches!(told.last, Body::Stopped(_)));
    assert!(headers(&told, CheckpointKind::Last).iter().all(|(_, evaluations)| evaluations.test.is_none()));
}

/// Images of the next class under each class's name.
fn upside_down(place: &Path) {
    for class in 0..3 {
        for number in 0..3 {
            let path = place.join(format!("class{class}/{number}.jpg"));
            write_jpeg(&path, 36, 36, &pixels(class + 1, number, 36, 36));
        }
    }
}
