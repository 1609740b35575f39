//! A trial that has to leave in the middle of an epoch (SIGTERM) keeps every step it has done, whatever `checkpoint_steps` says, and
//! goes on from there to the bits of one that nobody disturbed.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::process::{attempt, end, lines, signal, start, wait_for};
use common::{Bench, Told, folder_of_images, with_val};
use sweep_core::attempt::{Body, CHECKPOINT_DIR, CheckpointKind, EpochMetrics, Resume, StopCause};
use sweep_trainer::checkpoint::{self, Position};

const PLAIN: &str = r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":2,"batch_size":7,"lr":0.003,
    "dropout":0.3,"augmentation":["flip","crop"],"seed":5}"#;
/// 6 batches and 3 steps an epoch.
const ACCUMULATED: &str = r#"{"dataset":"d","model":"resnet18","image_size":32,"epochs":2,"batch_size":4,"accumulate":2,
    "lr":0.001,"ema":{"decay":0.5},"early_stop":{"patience":5,"metric":"val_loss"},"schedule":"cosine","seed":4}"#;

/// Where a checkpoint stands.
fn position(resume: &Resume) -> Position {
    checkpoint::load(&resume.file).unwrap().0.position
}

/// The epochs of several attempts, one after the other.
fn curve<'t>(told: impl IntoIterator<Item = &'t Told>) -> Vec<EpochMetrics> {
    let mut epochs: Vec<_> = told.into_iter().flat_map(Told::epochs).collect();
    epochs.iter_mut().for_each(|epoch| epoch.seq = 0);
    epochs
}

/// Hashes of the checkpoints of whole epochs.
fn whole<'t>(told: impl IntoIterator<Item = &'t Told>, kind: CheckpointKind) -> Vec<String> {
    let lines = told.into_iter().flat_map(|told| told.checkpoints(kind));
    lines.filter(|line| line.file.matches('-').count() == 1).map(|line| line.sha256.clone()).collect()
}

/// The first step of an attempt always has its line.
fn leaves_after_each_step(recipe: &str, steps: u64) {
    let bench = Bench::new();
    with_val(&bench, "d");
    let mut order = bench.order(recipe);
    assert_eq!(order.work[0].recipe.checkpoint_steps, 0);
    let straight = bench.run("straight", &order);
    let mut told = Vec::new();
    for step in 1..=steps {
        let piece = bench.run_with(&format!("piece{step}"), &order, |line, stop| {
            if matches!(line, Body::Step(_)) {
                stop.ask();
            }
        });
        let Body::Stopped(stopped) = &piece.last else { panic!("{step}: {:?}", piece.last) };
        assert_eq!((stopped.why, stopped.final_seq as usize), (StopCause::Asked, piece.epochs().len()));
        let resume = piece.resume();
        assert_eq!(position(&resume).step, step, "{resume:?}");
        order.work[0].resume = Some(resume);
        told.push(piece);
    }
    // Every step is done; the last epoch lacks its validation only.
    let rest = bench.run("rest", &order);
    assert!(!rest.lines.iter().any(|line| matches!(line, Body::Step(_))), "{:?}", rest.lines);
    told.push(rest);
    assert_eq!(told.last().unwrap().weights(), straight.weights());
    assert_eq!(curve(&told), curve([&straight]));
    for kind in [CheckpointKind::Last, CheckpointKind::Best] {
        assert_eq!(whole(&told, kind), whole([&straight], kind), "{kind:?}");
    }
}

#[test]
fn a_trial_that_leaves_after_each_of_its_steps_ends_with_the_same_bits() {
    leaves_after_each_step(PLAIN, 8);
}

#[test]
fn averages_shared_steps_and_the_best_state_come_along() {
    leaves_after_each_step(ACCUMULATED, 6);
}

/// Two signals, as when an agent that was started again asks a second time.
#[test]
fn sigterm_in_the_middle_of_an_epoch_loses_no_step() {
    let bench = Bench::new();
    folder_of_images(&bench.data().join("d/train"), 3, 400);
    folder_of_images(&bench.data().join("d/val"), 3, 3);
    let recipe = ACCUMULATED.replace("resnet18", "cifar-cnn").replace("\"batch_size\":4", "\"batch_size\":2");
    let mut order = bench.order(&recipe);
    let steps = |folder: &Path| -> Vec<u64> {
        let all = lines(folder).into_iter();
        all.filter_map(|line| match line {
            Body::Step(step) => Some(step.step),
            _ => None,
        })
        .collect()
    };
    let first = attempt(&bench, "first", &order);
    let mut child = start(&first);
    wait_for("the first step", || !steps(&first).is_empty());
    let asked = Instant::now();
    signal(&child, "TERM");
    signal(&child, "TERM");
    assert_eq!(end(&mut child).code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "the time that an agent gives it: {:?}", asked.elapsed());
    let told = lines(&first);
    let [.., Body::Checkpoint(line), Body::Stopped(stopped)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((line.kind, line.epoch, line.seq, stopped.final_seq), (CheckpointKind::Last, 0, 0, 0));
    let resume = Resume { file: first.join(CHECKPOINT_DIR).join(&line.file), epoch: 0, best: None };
    let Position { epoch: 0, batch, step, .. } = position(&resume) else { panic!("{line:?}") };
    assert!(batch > 0 && batch < 600 && batch == 2 * step, "in the middle, after a whole step: {batch}, {step}");
    assert!(steps(&first).iter().all(|told| *told <= step));
    let log = fs::read_to_string(first.join("log.txt")).unwrap();
    let place = format!("after batch {batch} of 600 in epoch 1");
    assert!(log.contains(&format!("leaves with a checkpoint {place}")), "{log}");

    order.work[0].resume = Some(resume);
    let second = attempt(&bench, "second", &order);
    assert_eq!(end(&mut start(&second)).code(), Some(0));
    assert_eq!(steps(&second)[0], step + 1, "nothing is done again");
    assert!(fs::read_to_string(second.join("log.txt")).unwrap().contains(&format!("goes on {place}")));
    order.work[0].resume = None;
    let straight = bench.run("straight", &order);
    let Some(Body::Done(done)) = lines(&second).pop() else { panic!("{:?}", lines(&second).pop()) };
    assert_eq!(done.weights, straight.weights());
}

#[test]
fn where_nothing_is_to_be_kept_nothing_is_written() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let leaves = |name: &str, probe: bool, at: fn(&Body) -> bool| {
        let mut order = bench.order(PLAIN);
        order.work[0].probe_steps = probe.then_some(20);
        let told = bench.run_with(name, &order, |line, stop| {
            if at(line) {
                stop.ask();
            }
        });
        assert!(matches!(told.last, Body::Stopped(_)), "{:?}", told.last);
        let names = fs::read_dir(told.folder.join(CHECKPOINT_DIR)).unwrap().map(|item| item.unwrap().file_name());
        (told.checkpoints(CheckpointKind::Last).len(), names.count())
    };
    assert_eq!(leaves("before the first step", false, |line| matches!(line, Body::Started(_))), (0, 0));
    assert_eq!(leaves("a probe", true, |line| matches!(line, Body::Step(_))), (0, 0));
    // After a whole epoch its own checkpoint is enough, and nothing of the next is begun.
    let kept = |line: &Body| matches!(line, Body::Checkpoint(line) if line.kind == CheckpointKind::Last);
    assert_eq!(leaves("between epochs", false, kept), (1, 2));
}

#[test]
fn a_trial_that_cannot_write_its_checkpoint_leaves_all_the_same() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let folder = bench.path("a");
    let told = bench.run_with("a", &bench.order(PLAIN), |line, stop| match line {
        // A file where the folder was: nobody can write into it, whoever he is.
        Body::Started(_) => {
            fs::remove_dir(folder.join(CHECKPOINT_DIR)).unwrap();
            fs::write(folder.join(CHECKPOINT_DIR), "").unwrap();
        }
        Body::Step(_) => stop.ask(),
        _ => {}
    });
    let Body::Stopped(stopped) = &told.last else { panic!("a stop, not a failure of the host: {:?}", told.last) };
    assert_eq!((stopped.final_seq, told.checkpoints(CheckpointKind::Last).len()), (0, 0));
}

#[test]
fn who_leaves_while_test_images_are_looked_at_keeps_the_last_epoch() {
    let bench = Bench::new();
    with_val(&bench, "d");
    folder_of_images(&bench.data().join("d/test"), 3, 3);
    let mut order = bench.order(PLAIN);
    let straight = bench.run("straight", &order);
    let told = bench.run_with("leaves", &order, |line, stop| {
        if matches!(line, Body::Epoch(metrics) if metrics.epoch == 2) {
            stop.ask();
        }
    });
    assert!(matches!(&told.last, Body::Stopped(stopped) if stopped.final_seq == 2), "{:?}", told.last);
    let resume = told.resume();
    assert_eq!((resume.epoch, position(&resume).batch), (2, 0));
    order.work[0].resume = Some(resume);
    let rest = bench.run("rest", &order);
    assert_eq!((rest.epochs(), rest.weights()), (vec![], straight.weights()));
    let test = |told: &Told| match &told.last {
        Body::Done(done) => done.test.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(test(&rest), test(&straight));
}
