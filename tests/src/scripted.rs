//! Trainers that follow a script inside the agent's process: so many epochs of so much (tokio) time,
//! a curve that is a function of recipe, seed and epoch, optional checkpoints, optional crashes. The
//! simulation runs them in simulated time, the benchmark in no time at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Wall};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use sweep_agent::launcher::{Disposal, Exit, ExitKind, Found, Launcher, News, Signal, Source, Trainer};
use sweep_core::attempt::{
    Body, CheckpointKind, CheckpointLine, Done, EpochMetrics, FailureClass, Line, StopCause, Stopped,
};
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_core::num::Num;
use sweep_core::recipe::Recipe;
use sweep_proto::convert::PlacedOrder;
use tokio::time::{Instant, sleep_until};

use crate::random::Random;

/// How scripted trainers behave.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Epochs of every trial.
    pub epochs: u32,
    /// Time of an epoch; zero means that everything is there at once.
    pub epoch: Duration,
    /// Whether a checkpoint follows each epoch.
    pub checkpoints: bool,
    /// Of 100 epochs, how many end in a crash (chosen by lease and epoch).
    pub crashes: u64,
}

impl Script {
    /// One epoch, no time: what a dispatch benchmark wants.
    pub const NOOP: Self = Self { epochs: 1, epoch: Duration::ZERO, checkpoints: false, crashes: 0 };
}

/// When things happened, for the benchmark: wall-clock times of starts, and how long a slot was free.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The first start.
    pub first_start: Option<Wall>,
    /// Time between a trainer's end and the next start on its slot.
    pub gaps: Vec<Duration>,
    ended: BTreeMap<u32, Wall>,
    slots: BTreeMap<Lease, u32>,
}

type Disk = BTreeMap<(Lease, String), Vec<u8>>;

/// Starts scripted trainers. Clones share their files, as restarts of an agent on one host would.
#[derive(Clone, Debug)]
pub struct Scripted {
    script: Script,
    timeline: Option<Arc<Mutex<Timeline>>>,
    disk: Arc<Mutex<Disk>>,
}

impl Scripted {
    /// Nothing is timed.
    pub fn new(script: Script) -> Self {
        Self { script, timeline: None, disk: Arc::default() }
    }

    /// Notes starts and gaps in `timeline`.
    pub fn timed(script: Script, timeline: Arc<Mutex<Timeline>>) -> Self {
        Self { timeline: Some(timeline), ..Self::new(script) }
    }
}

impl Launcher for Scripted {
    fn found(&self) -> Vec<Found> {
        Vec::new()
    }

    fn start(&self, placed: PlacedOrder) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        if let Some(timeline) = &self.timeline {
            let mut timeline = timeline.lock().expect("no thread panics while it notes a time");
            let now = Wall::now();
            timeline.first_start.get_or_insert(now);
            if let Some(ended) = timeline.ended.remove(&placed.slot) {
                timeline.gaps.push(now - ended);
            }
            timeline.slots.insert(placed.lease, placed.slot);
        }
        let done = placed.order.resume.as_ref().map_or(0, |checkpoint| checkpoint.epoch);
        let trainer: Box<dyn Trainer> = Box::new(ScriptedTrainer {
            lease: placed.lease,
            recipe: placed.order.recipe,
            script: self.script,
            timeline: self.timeline.clone(),
            disk: self.disk.clone(),
            first: done,
            done,
            next: Instant::now() + self.script.epoch,
            told: None,
            gone: false,
        });
        ready(Ok(trainer)).boxed()
    }

    fn attach(&self, lease: Lease) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        let (class, reason) = (FailureClass::Host, "nothing_to_attach".to_owned());
        ready(Err(Failure { class, reason, message: format!("no attempt {lease} survived") })).boxed()
    }

    fn checkpoint(&self, lease: Lease, file: &str) -> Option<Source> {
        let disk = self.disk.lock().expect("no thread panics with the disk");
        disk.get(&(lease, file.to_owned())).map(|bytes| Source::Bytes(bytes.clone().into()))
    }

    fn dispose(&self, lease: Lease, _: Disposal) {
        let mut disk = self.disk.lock().expect("no thread panics with the disk");
        disk.retain(|(owner, _), _| *owner != lease);
    }
}

struct ScriptedTrainer {
    lease: Lease,
    recipe: Recipe,
    script: Script,
    timeline: Option<Arc<Mutex<Timeline>>>,
    disk: Arc<Mutex<Disk>>,
    first: u32,
    done: u32,
    next: Instant,
    told: Option<Signal>,
    gone: bool,
}

impl ScriptedTrainer {
    fn epoch(&mut self) -> Vec<Line> {
        self.done += 1;
        let (epoch, seq) = (self.done, u64::from(self.done - self.first));
        let line = |body| Line { work: 0, body };
        let mut lines = vec![line(Body::Epoch(curve(&self.recipe, epoch, seq)))];
        if self.script.checkpoints {
            let bytes = format!("{:?} after {epoch}", self.recipe).into_bytes();
            let (file, sha256) = (format!("last-{epoch}.safetensors"), crate::sha256(&bytes));
            let length = bytes.len() as u64;
            self.disk.lock().expect("no thread panics with the disk").insert((self.lease, file.clone()), bytes);
            let kind = CheckpointKind::Last;
            lines.push(line(Body::Checkpoint(CheckpointLine { kind, epoch, seq, file, bytes: length, sha256 })));
        }
        lines
    }

    fn written(&self) -> u64 {
        u64::from(self.done - self.first)
    }

    fn gone(&mut self, mut lines: Vec<Line>, last: Option<Body>, how: ExitKind) -> News {
        self.gone = true;
        lines.extend(last.map(|body| Line { work: 0, body }));
        if let Some(timeline) = &self.timeline {
            let mut timeline = timeline.lock().expect("no thread panics while it notes a time");
            if let Some(slot) = timeline.slots.remove(&self.lease) {
                timeline.ended.insert(slot, Wall::now());
            }
        }
        News::Gone { lines, exit: Exit { how, words: String::new() } }
    }

    fn crashes(&self) -> bool {
        let (trial, attempt) = (self.lease.trial.0.as_u128() as u64, u64::from(self.lease.attempt));
        Random(trial ^ (attempt << 32) ^ u64::from(self.done)).chance(self.script.crashes)
    }
}

impl Trainer for ScriptedTrainer {
    fn news(&mut self) -> BoxFuture<'_, News> {
        async move {
            let mut lines = Vec::new();
            loop {
                let final_seq = self.written();
                match self.told {
                    Some(Signal::Kill) => return self.gone(lines, None, ExitKind::Signal(9)),
                    Some(Signal::Stop) => {
                        let last = Body::Stopped(Stopped { final_seq, why: StopCause::Asked });
                        return self.gone(lines, Some(last), ExitKind::Code(0));
                    }
                    None => {}
                }
                if self.done >= self.script.epochs {
                    let weights = format!("{:016x}", Random(self.recipe.seed ^ self.recipe.lr.to_bits()).bits());
                    let last = Body::Done(Done { final_seq, early: false, weights, test: None });
                    return self.gone(lines, Some(last), ExitKind::Code(0));
                }
                if !self.script.epoch.is_zero() {
                    sleep_until(self.next).await;
                    self.next += self.script.epoch;
                    if self.crashes() {
                        return self.gone(lines, None, ExitKind::Signal(11));
                    }
                    return News::Lines(self.epoch());
                }
                lines.append(&mut self.epoch());
            }
        }
        .boxed()
    }

    fn signal(&mut self, signal: Signal) {
        self.told = Some(signal);
        self.next = Instant::now();
    }

    fn is_released(&mut self) -> bool {
        self.gone
    }
}

/// The numbers of an epoch: a function of recipe, seed and epoch, so that every attempt repeats them.
fn curve(recipe: &Recipe, epoch: u32, seq: u64) -> EpochMetrics {
    let noise = Random(recipe.seed ^ recipe.lr.to_bits() ^ u64::from(epoch)).below(1000) as f64 / 20_000.0;
    let accuracy = 1.0 - 0.9 / f64::from(epoch) + noise;
    EpochMetrics {
        seq,
        epoch,
        train_loss: Num(1.0 - accuracy),
        train_accuracy: Num(accuracy),
        val_loss: Num(1.1 - accuracy),
        val_accuracy: Num(accuracy),
        lr: Num(recipe.lr),
        images_per_s: Num(0.0),
        seconds: Num(0.0),
        top5: None,
        cost: None,
    }
}
