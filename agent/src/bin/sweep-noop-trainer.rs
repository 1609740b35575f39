//! A trainer that trains nothing: it follows the folder protocol with as little work as possible.
//! For benchmarks of everything but training, and for tests that need hundreds of cheap trials.
//!
//! `SWEEP_NOOP_EPOCHS=recipe` writes as many epochs as the recipe asks for (a number: so many;
//! unset: one), `SWEEP_NOOP_EPOCH_MS` sleeps in each, `SWEEP_NOOP_CHECKPOINT=1` writes small
//! checkpoints, goes on from them and waits where it is told to, `SWEEP_NOOP_SPEED` says how many images a second it pretends to do. The curve follows from learning rate, seed and epoch alone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use sweep_core::attempt::{
    ALIVE_FILE, Body, CHECKPOINT_DIR, CheckpointKind, CheckpointLine, Done, EVENTS_FILE, EpochMetrics, Line,
    ORDER_FILE, OrderFile, PROTOCOL, Started, StopCause, Stopped, WAIT_FILE,
};
use sweep_core::cost::EpochCost;
use sweep_core::num::Num;
use uuid::Uuid;

/// What it says it is.
const BUILD: &str = concat!("sweep-noop-trainer ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let folder = match arguments.split_first() {
        None => return ExitCode::from(2),
        Some((word, paths)) if word.as_os_str() == "inspect" => return inspect(paths),
        Some((word, [])) if word.as_os_str() == "--version" => {
            let told = writeln!(io::stdout().lock(), "{BUILD} (protocol {})", sweep_core::attempt::PROTOCOL);
            return if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Some((folder, _)) => folder.clone(),
    };
    match train(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Every folder is a data set that is good enough for it.
fn inspect(paths: &[PathBuf]) -> ExitCode {
    let mut out = io::stdout().lock();
    let told = paths.iter().try_for_each(|path| {
        let (layout, classes, fingerprint) = ("folder", ["a", "b"], "f1-00");
        let about = serde_json::json!({
            "path": path, "layout": layout, "classes": classes, "train_images": 1000, "val_images": 200, "fingerprint": fingerprint,
        });
        writeln!(out, "{about}")
    });
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a checkpoint of this trainer holds: the best epoch so far.
#[derive(Clone, Copy)]
struct Best {
    epoch: u32,
    accuracy: f64,
}

struct Run<'a> {
    folder: &'a Path,
    events: File,
    lr: f64,
    seed: u64,
    speed: Option<f64>,
}

fn train(folder: &Path) -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop))?;
    let mut append = File::options();
    append.append(true).create(true);
    let alive = append.open(folder.join(ALIVE_FILE))?;
    alive.try_lock()?;
    let events = append.open(folder.join(EVENTS_FILE))?;
    let order: OrderFile = serde_json::from_slice(&fs::read(folder.join(ORDER_FILE))?)?;
    let Some(work) = order.work.first() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let speed = std::env::var("SWEEP_NOOP_SPEED").ok().and_then(|text| text.parse().ok());
    let mut run = Run { folder, events, lr: work.recipe.lr, seed: work.recipe.seed, speed };
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let epochs = match std::env::var("SWEEP_NOOP_EPOCHS").as_deref() {
        Ok("recipe") => work.recipe.epochs,
        _ => number("SWEEP_NOOP_EPOCHS").unwrap_or(1) as u32,
    };
    let pause = number("SWEEP_NOOP_EPOCH_MS").map(Duration::from_millis);
    let checkpoints = number("SWEEP_NOOP_CHECKPOINT") == Some(1);
    let (from, mut best) = match &work.resume {
        Some(resume) => (resume.epoch, Some(read(&resume.file)?)),
        None => (0, None),
    };
    let mut out = Vec::new();
    if pause.is_some() || checkpoints {
        line(&mut out, Body::Started(started()));
    }
    let mut seq = 0;
    for epoch in from + 1..=epochs {
        if let Some(pause) = pause {
            run.write(&mut out)?;
            wait(pause, &stop);
        }
        if stop.load(Ordering::Relaxed) {
            let why = StopCause::Asked;
            line(&mut out, Body::Stopped(Stopped { final_seq: seq, why }));
            return run.write(&mut out);
        }
        seq += 1;
        let metrics = run.metrics(seq, epoch);
        let accuracy = metrics.val_accuracy.0;
        line(&mut out, Body::Epoch(metrics));
        let is_better = best.is_none_or(|best: Best| accuracy > best.accuracy);
        if is_better {
            best = Some(Best { epoch, accuracy });
        }
        if checkpoints && let Some(best) = best {
            run.write(&mut out)?;
            if is_better {
                let kept = run.keep(CheckpointKind::Best, epoch, seq, best)?;
                line(&mut out, Body::Checkpoint(kept));
            }
            let kept = run.keep(CheckpointKind::Last, epoch, seq, best)?;
            line(&mut out, Body::Checkpoint(kept));
            run.write(&mut out)?;
            run.forget(epoch, best.epoch);
            while epoch < epochs && run.waits_after(epoch) && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    let weights = Uuid::new_v5(&Uuid::NAMESPACE_OID, run.content(epochs, best).as_bytes()).simple().to_string();
    let done = Done { final_seq: seq, early: false, weights, test: None };
    line(&mut out, Body::Done(done));
    run.write(&mut out)?;
    if let Some(linger) = number("SWEEP_NOOP_LINGER_MS") {
        std::thread::sleep(Duration::from_millis(linger));
    }
    Ok(())
}

/// Sleeps in small pieces, so that a stop is noticed.
fn wait(pause: Duration, stop: &AtomicBool) {
    let mut left = pause;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        let piece = left.min(Duration::from_millis(10));
        std::thread::sleep(piece);
        left -= piece;
    }
}

fn line(out: &mut Vec<u8>, body: Body) {
    serde_json::to_writer(&mut *out, &Line { work: 0, body })
        .expect("a line has string keys only and memory does not fail");
    out.push(b'\n');
}

fn started() -> Started {
    Started {
        protocol: PROTOCOL,
        build: BUILD.into(),
        engine: None,
        hardware: None,
        train_images: 0,
        val_images: 0,
        classes: 0,
        parameters: 0,
        data: String::new(),
    }
}

/// A checkpoint is its content as text: epoch, best epoch, bits of the best accuracy.
fn read(file: &Path) -> io::Result<Best> {
    let text = fs::read_to_string(file)?;
    let mut words = text.split_whitespace().skip(1);
    let mut next = || words.next().and_then(|word| word.parse::<u64>().ok());
    match (next(), next()) {
        (Some(epoch), Some(bits)) => Ok(Best { epoch: epoch as u32, accuracy: f64::from_bits(bits) }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Run<'_> {
    fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.events.write_all(out)?;
        out.clear();
        Ok(())
    }

    /// Whether the agent says that no later epoch is to be trained yet.
    fn waits_after(&self, epoch: u32) -> bool {
        let word = fs::read_to_string(self.folder.join(WAIT_FILE)).ok();
        word.and_then(|word| word.trim().parse().ok()).is_some_and(|last: u32| epoch >= last)
    }

    /// A curve that rises towards a height that depends on the learning rate, with some noise.
    fn metrics(&self, seq: u64, epoch: u32) -> EpochMetrics {
        let mut mixed = self.seed ^ (u64::from(epoch) << 32) ^ self.lr.to_bits();
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let noise = (mixed >> 40) as f64 / (1u64 << 24) as f64;
        let height = 0.9 - 0.1 * (self.lr.max(1e-12).log10() + 2.0).abs();
        let progress = f64::from(epoch) / f64::from(epoch + 3);
        let accuracy = (height * progress + 0.02 * noise).clamp(0.0, 1.0);
        EpochMetrics {
            seq,
            epoch,
            train_loss: Num(2.0 * (1.0 - accuracy)),
            train_accuracy: Num(accuracy),
            val_loss: Num(2.1 * (1.0 - accuracy)),
            val_accuracy: Num(accuracy),
            lr: Num(self.lr),
            images_per_s: Num(self.speed.unwrap_or_default()),
            seconds: Num(0.0),
            top5: None,
            cost: self.speed.map(|_| Box::new(EpochCost::default())),
        }
    }

    fn content(&self, epoch: u32, best: Option<Best>) -> String {
        let (best_epoch, bits) = best.map_or((0, 0), |best| (best.epoch, best.accuracy.to_bits()));
        let (lr, seed) = (self.lr, self.seed);
        format!("{epoch} {best_epoch} {bits} lr={lr} seed={seed}\n")
    }

    fn keep(&self, kind: CheckpointKind, epoch: u32, seq: u64, best: Best) -> io::Result<CheckpointLine> {
        let file = name(kind, epoch);
        let content = self.content(epoch, Some(best));
        let path = self.folder.join(CHECKPOINT_DIR).join(&file);
        let beside = path.with_extension("tmp");
        fs::create_dir_all(self.folder.join(CHECKPOINT_DIR))?;
        fs::write(&beside, &content)?;
        fs::rename(&beside, path)?;
        Ok(CheckpointLine {
            kind,
            epoch,
            seq,
            file,
            bytes: content.len() as u64,
            sha256: format!("{:x}", Sha256::digest(&content)),
        })
    }

    /// Removes the checkpoints that newer ones have replaced.
    fn forget(&self, epoch: u32, best: u32) {
        let folder = self.folder.join(CHECKPOINT_DIR);
        fs::remove_file(folder.join(name(CheckpointKind::Last, epoch - 1))).ok();
        if best == epoch {
            for older in 1..epoch {
                fs::remove_file(folder.join(name(CheckpointKind::Best, older))).ok();
            }
        }
    }
}

fn name(kind: CheckpointKind, epoch: u32) -> String {
    match kind {
        CheckpointKind::Last => format!("last-{epoch}.safetensors"),
        CheckpointKind::Best => format!("best-{epoch}.safetensors"),
    }
}
