//! The attempt folder as the agent sees it: the real program, its lock, lines, signals and exit codes.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use common::process::{PROGRAM, attempt, end, lines, signal, start, wait_for};
use common::{Bench, with_val};
use sweep_core::attempt::{
    ALIVE_FILE, Body, CHECKPOINT_DIR, EVENTS_FILE, FailureClass, ORDER_FILE, PROGRESS_FILE, PROTOCOL, StopCause,
    WAIT_FILE,
};

const QUICK: &str = r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":2,"batch_size":8}"#;
/// More epochs than any test waits for.
const LONG: &str = r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":100000,"batch_size":8}"#;

fn epochs(folder: &Path) -> usize {
    let is_epoch = |line: &&Body| matches!(line, Body::Epoch(_));
    lines(folder).iter().filter(is_epoch).count()
}

/// 24 images make 3 steps of an epoch.
#[test]
fn a_probe_does_a_few_steps_and_keeps_nothing() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let mut order = bench.order(QUICK);
    order.work[0].probe_steps = Some(20);
    let folder = attempt(&bench, "a", &order);
    assert_eq!(end(&mut start(&folder)).code(), Some(0));
    let told = lines(&folder);
    let parts: Vec<_> = told
        .iter()
        .filter_map(|line| match line {
            Body::Epoch(epoch) => epoch.cost.as_ref().unwrap().part,
            _ => None,
        })
        .collect();
    let steps: Vec<_> =
        parts.iter().map(|part| (part.steps, part.of_steps, part.val_images, part.of_val_images)).collect();
    assert_eq!(steps, [(2, 3, 9, 9), (3, 3, 9, 9)]);
    assert!(
        parts.iter().all(|part| part.seconds.0 > 0.0 && part.val_seconds.0 > 0.0 && part.epoch_seconds().is_some())
    );
    assert!(!told.iter().any(|line| matches!(line, Body::Checkpoint(_))), "{told:?}");
    let Some(Body::Done(done)) = told.last() else { panic!("{:?}", told.last()) };
    assert_eq!((done.final_seq, done.test.is_none()), (2, true));
}

#[test]
fn an_attempt_is_told_from_started_to_done() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let folder = attempt(&bench, "a", &bench.order(QUICK));
    assert_eq!(end(&mut start(&folder)).code(), Some(0));
    let told = lines(&folder);
    let Body::Started(started) = &told[0] else { panic!("{:?}", told[0]) };
    assert_eq!(started.protocol, PROTOCOL);
    assert_eq!((started.train_images, started.val_images, started.classes), (24, 9, 3));
    assert_eq!(started.data.len(), 64);
    assert!(told[..told.len() - 1].iter().all(|line| !line.is_final()));
    let Some(Body::Done(done)) = told.last() else { panic!("{:?}", told.last()) };
    assert_eq!((done.final_seq, done.early), (2, false));
    let mut seq = 0;
    for line in &told {
        match line {
            Body::Epoch(metrics) => {
                seq += 1;
                assert_eq!((metrics.seq, u64::from(metrics.epoch)), (seq, seq));
                assert!(metrics.seconds.0 > 0.0 && metrics.images_per_s.0 > 0.0);
                assert_eq!(metrics.top5, None, "three classes");
                let cost = metrics.cost.as_deref().unwrap();
                let step_s = cost.step_ms.0 / 1e3;
                assert!(step_s > 0.0 && step_s < metrics.seconds.0, "{cost:?}");
                assert!(cost.data_wait.0 > 0.0 && cost.data_wait.0 < 1.0, "{cost:?}");
                assert!(cost.peak_memory.unwrap() > 50 << 20, "libtorch alone is larger: {cost:?}");
            }
            Body::Checkpoint(line) => {
                assert_eq!(line.seq, seq, "contains the epochs before it");
                let path = folder.join(CHECKPOINT_DIR).join(&line.file);
                assert_eq!(fs::metadata(&path).unwrap().len(), line.bytes);
            }
            _ => {}
        }
    }
    // What was begun is not begun again, and not changed.
    let before = fs::read(folder.join(EVENTS_FILE)).unwrap();
    assert_eq!(end(&mut start(&folder)).code(), Some(3));
    assert_eq!(fs::read(folder.join(EVENTS_FILE)).unwrap(), before);
}

#[test]
fn sigterm_ends_a_trial_as_stopped_and_the_next_attempt_goes_on() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let folder = attempt(&bench, "a", &bench.order(LONG));
    let mut child = start(&folder);
    wait_for("the second epoch", || epochs(&folder) >= 2);
    // Alive means that the lock is held; a second trainer is turned away.
    let alive = File::open(folder.join(ALIVE_FILE)).unwrap();
    assert!(alive.try_lock().is_err());
    assert_eq!(end(&mut start(&folder)).code(), Some(3));
    signal(&child, "TERM");
    assert_eq!(end(&mut child).code(), Some(0));
    assert!(alive.try_lock().is_ok());
    let told = lines(&folder);
    let Some(Body::Stopped(stopped)) = told.last() else { panic!("{:?}", told.last()) };
    assert_eq!(stopped.why, StopCause::Asked);
    assert_eq!(stopped.final_seq as usize, epochs(&folder));
}

/// The weights of a trial that waited are those of one that did not, and it trains nothing while it waits.
#[test]
fn a_trainer_waits_at_a_rung_until_it_may_go_on_or_has_to_leave() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(&QUICK.replace("\"epochs\":2", "\"epochs\":4"));
    let straight = attempt(&bench, "straight", &order);
    assert_eq!(end(&mut start(&straight)).code(), Some(0));
    let folder = attempt(&bench, "waits", &order);
    fs::write(folder.join(WAIT_FILE), "1").unwrap();
    let mut child = start(&folder);
    // Who waits shows that it does not hang: twice, since the first may be of the time before.
    let shows_life = || {
        for _ in 0..2 {
            let shown = || fs::read(folder.join(PROGRESS_FILE)).ok();
            let before = shown();
            wait_for("a sign of life", || shown() != before);
        }
    };
    let kept = |epoch: u32| {
        let is =
            |body: &Body| matches!(body, Body::Checkpoint(line) if line.file == format!("last-{epoch}.safetensors"));
        lines(&folder).iter().any(is)
    };
    wait_for("the checkpoint of the rung", || kept(1));
    // The word may come again; a later epoch is what it goes on for.
    fs::write(folder.join(WAIT_FILE), "1").unwrap();
    shows_life();
    assert_eq!((epochs(&folder), child.try_wait().unwrap()), (1, None), "it waits");
    fs::write(folder.join("wait.tmp"), "3").unwrap();
    fs::rename(folder.join("wait.tmp"), folder.join(WAIT_FILE)).unwrap();
    wait_for("the checkpoint of the next rung", || kept(3));
    shows_life();
    assert_eq!((epochs(&folder), child.try_wait().unwrap()), (3, None));
    fs::remove_file(folder.join(WAIT_FILE)).unwrap();
    assert_eq!(end(&mut child).code(), Some(0));
    let done = |folder: &Path| match lines(folder).pop() {
        Some(Body::Done(done)) => done.weights,
        other => panic!("{other:?}"),
    };
    assert_eq!(done(&folder), done(&straight));
    // Not promoted: it leaves with what it has.
    let folder = attempt(&bench, "leaves", &order);
    fs::write(folder.join(WAIT_FILE), "2").unwrap();
    let mut child = start(&folder);
    wait_for("the rung", || folder.join(CHECKPOINT_DIR).join("last-2.safetensors").exists());
    signal(&child, "TERM");
    assert_eq!(end(&mut child).code(), Some(0));
    assert_eq!(epochs(&folder), 2);
    assert!(matches!(lines(&folder).pop(), Some(Body::Stopped(stopped)) if stopped.final_seq == 2));
}

#[test]
fn a_killed_trainer_leaves_a_free_lock_no_final_line_and_whole_checkpoints() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let folder = attempt(&bench, "a", &bench.order(LONG));
    let mut child = start(&folder);
    wait_for("the third epoch", || epochs(&folder) >= 3);
    child.kill().unwrap();
    end(&mut child);
    assert!(File::open(folder.join(ALIVE_FILE)).unwrap().try_lock().is_ok());
    let told = lines(&folder);
    assert!(told.iter().all(|line| !line.is_final()));
    let newest = told.iter().rev().find_map(|line| match line {
        Body::Checkpoint(line) => Some(line.clone()),
        _ => None,
    });
    let newest = newest.unwrap();
    let path = folder.join(CHECKPOINT_DIR).join(&newest.file);
    sweep_trainer::checkpoint::load(&path).unwrap();
}

#[test]
fn a_trainer_without_an_agent_leaves_after_the_limit() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let mut order = bench.order(LONG);
    order.orphan_limit_s = 0;
    let lock = File::create(&order.agent_lock).unwrap();
    lock.lock().unwrap();
    let folder = attempt(&bench, "a", &order);
    let mut child = start(&folder);
    wait_for("the second epoch", || epochs(&folder) >= 2);
    assert!(child.try_wait().unwrap().is_none(), "runs while the agent lives");
    drop(lock);
    assert_eq!(end(&mut child).code(), Some(0));
    let told = lines(&folder);
    let Some(Body::Stopped(stopped)) = told.last() else { panic!("{:?}", told.last()) };
    assert_eq!(stopped.why, StopCause::Orphaned);
}

fn check_refusal(name: &str, order: &str, code: i32, class: FailureClass, reason: &str) {
    let bench = Bench::new();
    with_val(&bench, "d");
    let folder = bench.path(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(ORDER_FILE), order).unwrap();
    assert_eq!(end(&mut start(&folder)).code(), Some(code), "{name}");
    let told = lines(&folder);
    let [Body::Failed(failed)] = told.as_slice() else { panic!("{name}: {told:?}") };
    assert_eq!((failed.class, failed.reason.as_str()), (class, reason), "{name}");
    assert_eq!(failed.final_seq, 0);
}

#[test]
fn orders_that_cannot_be_carried_out_fail_with_one_line() {
    let bench = Bench::new();
    let good = serde_json::to_string(&bench.order(QUICK)).unwrap();
    let recipe = FailureClass::Recipe;
    let skewed = r#"{"protocol":99,"anything":[]}"#;
    check_refusal("version", skewed, 10, recipe, "version_skew");
    check_refusal("syntax", "{", 10, recipe, "order_invalid");
    check_refusal("empty", "", 10, recipe, "order_invalid");
    let stranger = good.replacen("\"threads\"", "\"unknown\":1,\"threads\"", 1);
    check_refusal("stranger", &stranger, 10, recipe, "order_invalid");
    let mut order = bench.order(QUICK);
    order.work.clear();
    let nothing = serde_json::to_string(&order).unwrap();
    check_refusal("nothing", &nothing, 10, recipe, "order_invalid");
    let gpu = good.replace("\"device\":\"cpu\"", "\"device\":\"tpu\"");
    check_refusal("device", &gpu, 14, FailureClass::Device, "device_unavailable");
    check_refusal("no-data", &good.replace("\"d\"", "\"e\""), 11, FailureClass::Data, "dataset_unknown");
}

#[test]
fn a_diverged_trial_says_so_and_keeps_no_checkpoint_of_it() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let recipe = QUICK.replace("\"epochs\":2", "\"epochs\":50,\"lr\":1e25,\"optimizer\":\"sgd\"");
    let told = bench.run("a", &bench.order(&recipe));
    let (class, reason, _) = told.failed();
    assert_eq!((class, reason), (FailureClass::Diverged, "nan_loss"));
    let epochs = told.epochs();
    let last = epochs.last().unwrap();
    assert!(last.train_loss.0.is_nan() && last.val_accuracy.0.is_nan());
    let kept = told.lines.iter().filter_map(|line| match line {
        Body::Checkpoint(line) => Some(line.epoch),
        _ => None,
    });
    assert!(kept.into_iter().all(|epoch| epoch < last.epoch));
    // The same to the bit as well, although it may be noticed at another step.
    let again = bench.run("again", &bench.order(&recipe));
    assert_eq!(again.epochs(), epochs);
}

#[test]
fn only_the_newest_checkpoints_of_a_kind_stay() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let recipe = QUICK.replace("\"epochs\":2", "\"epochs\":6");
    let told = bench.run("a", &bench.order(&recipe));
    let mut files: Vec<_> = fs::read_dir(told.folder.join(CHECKPOINT_DIR))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("last"))
        .collect();
    files.sort();
    assert_eq!(files, ["last-5.safetensors", "last-6.safetensors"]);
}

#[test]
fn version_and_inspect_speak_to_scripts() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let run = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, version) = run(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(version.contains("protocol 1") && version.contains("libtorch 2.11.0"), "{version}");
    let good = bench.data().join("d");
    let (code, text) = run(&["inspect", good.to_str().unwrap(), "/nowhere/x"]);
    assert_eq!(code, Some(0));
    let found: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found[0]["layout"], "folder");
    assert_eq!(found[0]["classes"].as_array().unwrap().len(), 3);
    assert_eq!((&found[0]["train_images"], &found[0]["val_images"]), (&24.into(), &9.into()));
    assert_eq!(found[1]["error"]["reason"], "dataset_unknown");
    assert_eq!(run(&["--nonsense"]).0, Some(2));
    assert_eq!(run(&[]).0, Some(2));
}
