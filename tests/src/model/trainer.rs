//! A trainer of the simulation: what it writes is a function of its recipe, through a state that only a checkpoint carries from one
//! attempt to the next. It dies anywhere, also in the middle of a line.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sweep_agent::launcher::ExitKind;
use sweep_core::attempt::{
    Body, CheckpointKind, CheckpointLine, Done, EpochMetrics, Failed, FailureClass, Line, PROTOCOL, Started,
    StepMetrics, StopCause, Stopped,
};
use sweep_core::id::Lease;
use sweep_core::num::Num;
use sweep_core::orders::Order;
use sweep_core::recipe::{Numerics, Recipe};
use tokio::time::sleep;

use super::host::Host;
use crate::random::Random;

/// The numbers of a recipe.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    key: u64,
    states: Vec<u64>,
    lr: f64,
}

impl Curve {
    /// From the beginning.
    pub(super) fn new(recipe: &Recipe) -> Self {
        let text = serde_json::to_string(recipe).unwrap_or_default();
        let key = u64::from_str_radix(&crate::sha256(text.as_bytes())[..16], 16).unwrap_or_default();
        Self { key, states: vec![key], lr: recipe.lr }
    }

    /// The state after an epoch.
    pub(super) fn state(&mut self, epoch: u32) -> u64 {
        while self.states.len() <= epoch as usize {
            let last = self.states[self.states.len() - 1];
            self.states.push(step(self.key, last));
        }
        self.states[epoch as usize]
    }

    /// The numbers of an epoch, as line 0.
    pub(super) fn metrics(&mut self, epoch: u32) -> EpochMetrics {
        metrics(self.state(epoch), epoch, self.lr)
    }

    /// The best and the newest checkpoint after so many epochs: the epoch, and the hash of the bytes.
    pub(super) fn checkpoints(&mut self, epochs: u32) -> [(u32, String); 2] {
        let (mut at, mut best) = (0, f64::NEG_INFINITY);
        for epoch in 1..=epochs {
            let accuracy = self.metrics(epoch).val_accuracy.0;
            if accuracy > best {
                (at, best) = (epoch, accuracy);
            }
        }
        [at, epochs].map(|epoch| (epoch, crate::sha256(&checkpoint(self.state(epoch), epoch, best))))
    }

    /// The hash of the final weights.
    pub(super) fn weights(&mut self, epochs: u32) -> String {
        weights(self.state(epochs))
    }
}

fn step(key: u64, state: u64) -> u64 {
    Random(key ^ state.rotate_left(17)).bits()
}

fn weights(state: u64) -> String {
    format!("{state:016x}")
}

fn metrics(state: u64, epoch: u32, lr: f64) -> EpochMetrics {
    let mut random = Random(state);
    let accuracy = (1.0 - 0.9 / f64::from(epoch.max(1))) * 0.9 + random.below(1000) as f64 / 10_000.0;
    // Losses that are no numbers are ordinary, with whatever bits they have.
    let odd = match random.below(12) {
        0 => f64::NAN,
        1 => f64::from_bits(0x7ff8_0000_0000_0000 | random.below(1 << 40)),
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        _ => 1.0 - accuracy,
    };
    EpochMetrics {
        train_loss: Num(odd),
        val_accuracy: Num(accuracy),
        lr: Num(lr),
        ..EpochMetrics::uniform(0, epoch, Num(accuracy))
    }
}

/// What goes wrong inside of trainers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// Epochs of a thousand that end in a crash or a failure.
    pub(super) crashes: u64,
    /// Checkpoints of a thousand that are damaged on disk.
    pub(super) damaged: u64,
    /// Mean time of an epoch.
    pub(super) epoch: Duration,
    /// A trainer whose agent has been gone for so long leaves.
    pub(super) orphan: Duration,
}

/// The checkpoint's bytes.
fn checkpoint(state: u64, epoch: u32, best: f64) -> Bytes {
    format!("{state} {epoch} {}", best.to_bits()).into()
}

fn read(bytes: &[u8]) -> Option<(u64, u32, f64)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parts = text.split(' ').map(str::parse::<u64>);
    let (state, epoch, best) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some((state, u32::try_from(epoch).ok()?, f64::from_bits(best)))
}

/// The whole life of a trainer process.
pub(super) async fn train(host: Host, lease: Lease, order: Order, resume: Option<Bytes>, rules: Rules) {
    let how = life(&host, lease, order, resume, rules).await;
    host.ended(lease, how);
}

async fn life(host: &Host, lease: Lease, order: Order, resume: Option<Bytes>, rules: Rules) -> ExitKind {
    let recipe = &order.recipe;
    let mut random = Random(lease.trial.0.as_u128() as u64 ^ (u64::from(lease.attempt) << 40) ^ host.seed());
    let key = Curve::new(recipe).key;
    let (mut state, first, mut best) = match &resume {
        None => (key, 0, f64::NEG_INFINITY),
        Some(bytes) => match read(bytes) {
            Some(found) => found,
            None => return ExitKind::Code(3),
        },
    };
    sleep(Duration::from_millis(random.below(400))).await;
    if order.alike.is_some() && order.numerics.is_none() {
        write(host, lease, Body::Chosen(Numerics::PLAIN)).await;
    }
    let (hardware, data) = (Some("pretend".into()), "data".to_owned());
    let (protocol, build, engine) = (PROTOCOL, "model".to_owned(), None);
    let started =
        Started { protocol, build, engine, hardware, train_images: 9, val_images: 3, classes: 3, parameters: 7, data };
    write(host, lease, Body::Started(started)).await;
    let mut seq = 0;
    for epoch in first + 1..=recipe.epochs {
        let time = rules.epoch.mul_f64(0.3 + random.below(1400) as f64 / 1000.0);
        if let Some(why) = host.wait(lease, time, rules.orphan).await {
            if why == StopCause::Asked && random.chance(5) {
                // It does not listen, and has to be killed.
                std::future::pending::<()>().await;
            }
            write(host, lease, Body::Stopped(Stopped { final_seq: seq, why })).await;
            return ExitKind::Code(0);
        }
        if random.below(1000) < rules.crashes {
            let (class, reason) = match random.below(4) {
                0 => return ExitKind::Signal(11),
                1 => return ExitKind::Code(101),
                2 => (FailureClass::Device, "device_lost"),
                _ => (FailureClass::Crash, "panicked"),
            };
            let failed = Failed { final_seq: seq, class, reason: reason.into(), message: "by design".into() };
            write(host, lease, Body::Failed(failed)).await;
            return ExitKind::Code(1);
        }
        write(host, lease, Body::Step(StepMetrics { step: u64::from(epoch), loss: Num(0.5) })).await;
        state = step(key, state);
        seq += 1;
        let numbers = EpochMetrics { seq, ..metrics(state, epoch, recipe.lr) };
        let accuracy = numbers.val_accuracy.0;
        write(host, lease, Body::Epoch(numbers)).await;
        let improved = accuracy > best;
        best = best.max(accuracy);
        let kinds: &[CheckpointKind] =
            if improved { &[CheckpointKind::Best, CheckpointKind::Last] } else { &[CheckpointKind::Last] };
        let bytes = checkpoint(state, epoch, best);
        for kind in kinds {
            let file = match kind {
                CheckpointKind::Best => format!("best-{epoch}.safetensors"),
                CheckpointKind::Last => format!("last-{epoch}.safetensors"),
            };
            let line = CheckpointLine {
                kind: *kind,
                epoch,
                seq,
                file: file.clone(),
                bytes: bytes.len() as u64,
                sha256: crate::sha256(&bytes),
            };
            let damaged = random.below(1000) < rules.damaged;
            host.save(lease, file, if damaged { bytes.slice(1..) } else { bytes.clone() });
            write(host, lease, Body::Checkpoint(line)).await;
        }
        if epoch < recipe.epochs
            && let Some(why) = host.wait_after(lease, epoch, rules.orphan).await
        {
            write(host, lease, Body::Stopped(Stopped { final_seq: seq, why })).await;
            return ExitKind::Code(0);
        }
    }
    let done = Done { final_seq: seq, early: false, weights: weights(state), test: None };
    write(host, lease, Body::Done(done)).await;
    ExitKind::Code(0)
}

/// Appends a line in two pieces: whoever kills in between leaves a torn one.
async fn write(host: &Host, lease: Lease, body: Body) {
    let mut text = serde_json::to_vec(&Line { work: 0, body }).unwrap_or_default();
    text.push(b'\n');
    let (begin, rest) = text.split_at(text.len() / 2);
    host.append(lease, begin);
    sleep(Duration::from_micros(300)).await;
    host.append(lease, rest);
}

/// Files of an attempt.
pub(super) type Files = BTreeMap<String, Bytes>;
