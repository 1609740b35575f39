//! The folder protocol between an agent and a trainer: file names, the order that goes in, the
//! lines that come out. Public and versioned: a program in any language that follows it can be a
//! trainer (`docs/protocol.md`). Types only; the agent and the trainer do the reading and writing.
//!
//! ```text
//! attempts/<trial>-<attempt>/
//!   order.json     what to train, complete before the trainer is started
//!   events.jsonl   one `Line` of JSON each, appended by the trainer; the agent tails it
//!   alive          locked (flock, exclusive) by the trainer for as long as it lives
//!   wait           the epoch after which the trainer waits, if it has to; changed by the agent at any time
//!   log.txt        stdout and stderr of the trainer
//!   ckpt/          last-<epoch>.safetensors, best-<epoch>.safetensors; written as tmp, fsynced, renamed
//! ```
//! Stop: SIGTERM to the process group; the trainer ends the step, writes a checkpoint, then `stopped`, and leaves.
//! How it ended is the last line; `alive` free and no final line means a crash.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cost::EpochCost;
use crate::evaluation::Score;
use crate::id::Lease;
use crate::num::Num;
use crate::recipe::{Numerics, Recipe};

/// Version of this protocol. A trainer refuses an order of another version.
pub const PROTOCOL: u32 = 1;
/// The order, inside the attempt folder.
pub const ORDER_FILE: &str = "order.json";
/// The trainer's lines, inside the attempt folder.
pub const EVENTS_FILE: &str = "events.jsonl";
/// The file whose lock says that the trainer lives.
pub const ALIVE_FILE: &str = "alive";
/// How often the trainer has got on so far, if it shows that: who shows nothing new for too long hangs.
pub const PROGRESS_FILE: &str = "progress";
/// The epoch after which the trainer waits to be told more, as a decimal number. Without it, it trains to its end.
pub const WAIT_FILE: &str = "wait";
/// stdout and stderr of the trainer.
pub const LOG_FILE: &str = "log.txt";
/// Folder of checkpoints inside the attempt folder.
pub const CHECKPOINT_DIR: &str = "ckpt";

/// What one trainer process has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderFile {
    /// [`PROTOCOL`] of the writer.
    pub protocol: u32,
    /// The trials to train; never empty, one entry today.
    pub work: Vec<Work>,
    /// `cpu` or `cuda:<index>` (the index counts inside `CUDA_VISIBLE_DEVICES`).
    pub device: String,
    /// Threads this process may use, at least 1.
    pub threads: u32,
    /// Folders in which data set names are looked up, in order. A data set path must lie in one of them.
    pub data_roots: Vec<PathBuf>,
    /// Folder for decoded images, shared by every trainer of this host.
    pub cache_dir: PathBuf,
    /// File that the agent keeps locked while it lives.
    pub agent_lock: PathBuf,
    /// A trainer that finds `agent_lock` free for so long checkpoints and leaves, seconds.
    pub orphan_limit_s: u64,
    /// Whether the admin of this host lets TorchScript files be run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_torchscript: bool,
}

/// One lease inside an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Which attempt of which trial.
    pub lease: Lease,
    /// What to train.
    pub recipe: Recipe,
    /// Where to go on, if an earlier attempt left a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// What the agent said of its copy of the data set when the trial was granted. A trainer that finds
    /// another fails with `dataset_changed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// What the sweep computes with, if the recipe leaves that open and it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics: Option<Numerics>,
    /// The name of the trials that have to compute alike: while it is not decided they share what the first of
    /// them on a host found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alike: Option<String>,
    /// A probe: of each epoch about so many steps are done, to see what they take, and nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_steps: Option<u32>,
}

impl Work {
    /// A trial from its beginning, with nothing decided beforehand.
    pub fn new(lease: Lease, recipe: Recipe) -> Self {
        Self { lease, recipe, resume: None, fingerprint: None, numerics: None, alike: None, probe_steps: None }
    }
}

/// A verified checkpoint to start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// The safetensors file, local to this host and readable.
    pub file: PathBuf,
    /// The last epoch it contains; training goes on with the next one.
    pub epoch: u32,
    /// The best checkpoint so far, if that is another file: needed to restore the best state at
    /// the end of a run with patience, and kept as the best until a better epoch comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<PathBuf>,
}

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Index into [`OrderFile::work`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub work: u32,
    /// What happened.
    #[serde(rename = "event")]
    pub body: Body,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// What a trainer says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// What this trial computes with, where its recipe leaves that open; before anything else.
    Chosen(Numerics),
    /// The order was understood and the data are there. Nothing but [`Body::Chosen`] comes before.
    Started(Started),
    /// An epoch ended. These are the numbers decisions are made from.
    Epoch(EpochMetrics),
    /// Something to look at, never to decide from.
    Step(StepMetrics),
    /// A checkpoint is complete on disk.
    Checkpoint(CheckpointLine),
    /// Final: trained to the end, or stopped early by its own recipe.
    Done(Done),
    /// Final: left because it was asked to, or because its agent was gone too long.
    Stopped(Stopped),
    /// Final: cannot go on.
    Failed(Failed),
}

impl Body {
    /// Whether no line may follow this one for its work item.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Stopped(_) | Self::Failed(_))
    }
}

/// Contents of [`Body::Started`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// [`PROTOCOL`] of the trainer.
    pub protocol: u32,
    /// Name and version of the trainer, for provenance.
    pub build: String,
    /// What computes in it, e.g. `libtorch 2.11.0+cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The processor or accelerator it computes on, and its driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Images to train on.
    pub train_images: u64,
    /// Images to validate on.
    pub val_images: u64,
    /// Number of classes.
    pub classes: u32,
    /// Number of trainable parameters.
    pub parameters: u64,
    /// Digest of the decoded data set: content and preparation.
    pub data: String,
}

/// The numbers of one epoch of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochMetrics {
    /// 1, 2, 3, ... without a gap inside one attempt.
    pub seq: u64,
    /// The epoch that ended, from 1.
    pub epoch: u32,
    /// Mean training loss over the epoch's images, cross entropy in nats.
    pub train_loss: Num,
    /// Share of training images classified right during the epoch, 0 to 1.
    pub train_accuracy: Num,
    /// Mean validation loss, cross entropy in nats.
    pub val_loss: Num,
    /// Share of validation images classified right, 0 to 1.
    pub val_accuracy: Num,
    /// Learning rate of the epoch's first step.
    pub lr: Num,
    /// Training throughput.
    pub images_per_s: Num,
    /// Wall time of the epoch with validation.
    pub seconds: Num,
    /// How often the class was among the five likeliest; absent with five classes or fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top5: Option<Top5>,
    /// What it took; absent from a trainer that does not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Box<EpochCost>>,
}

impl EpochMetrics {
    /// An epoch of which every number is `value`, for trainers that only pretend.
    pub fn uniform(seq: u64, epoch: u32, value: Num) -> Self {
        Self {
            seq,
            epoch,
            train_loss: value,
            train_accuracy: value,
            val_loss: value,
            val_accuracy: value,
            lr: value,
            images_per_s: value,
            seconds: value,
            top5: None,
            cost: None,
        }
    }
}

/// Shares of images whose class is among the five with the highest logits, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Top5 {
    /// Of the training images, during the epoch.
    pub train: Num,
    /// Of the validation images.
    pub val: Num,
}

/// A number inside an epoch, for curves only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepMetrics {
    /// Optimizer steps so far, from 1.
    pub step: u64,
    /// Training loss of that step.
    pub loss: Num,
}

/// Which checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// The newest: where a next attempt goes on.
    Last,
    /// The best validation accuracy so far.
    Best,
}

/// Contents of [`Body::Checkpoint`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    /// Newest or best.
    pub kind: CheckpointKind,
    /// The epoch it was taken after; others of the same epoch are from inside the next one.
    pub epoch: u32,
    /// Epoch lines with `seq` up to this one are contained in it.
    pub seq: u64,
    /// File name inside `ckpt/`.
    pub file: String,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

/// Contents of [`Body::Done`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// Number of epoch lines this attempt wrote; the end is accepted only when all of them are.
    pub final_seq: u64,
    /// Whether the recipe's patience ended it before the last epoch.
    pub early: bool,
    /// SHA-256 over names, shapes and bytes of the final weights: equal runs have equal hashes.
    pub weights: String,
    /// The test images, if the data set has any: looked at once, after everything else, and never decided
    /// from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Box<Score>>,
}

/// Contents of [`Body::Stopped`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// Number of epoch lines this attempt wrote.
    pub final_seq: u64,
    /// Why it left.
    pub why: StopCause,
}

/// Why a trainer left before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// SIGTERM.
    Asked,
    /// No agent for longer than the order's limit.
    Orphaned,
}

/// Contents of [`Body::Failed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Number of epoch lines this attempt wrote.
    pub final_seq: u64,
    /// What kind of failure: decides about a retry. Never derived from the message.
    pub class: FailureClass,
    /// A stable word for scripts, e.g. `bad_image`, `dataset_unknown`, `nan_loss`.
    pub reason: String,
    /// What happened and what to do, for people.
    pub message: String,
}

/// Kinds of failure and with them the retry rule, see `core::retry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The recipe cannot work. Never retried.
    Recipe,
    /// The data set cannot be used. Never retried.
    Data,
    /// The loss is no longer finite. An outcome, never retried.
    Diverged,
    /// Device or host memory is not enough.
    OutOfMemory,
    /// The accelerator failed. Not charged to the trial.
    Device,
    /// The host failed: disk full, cache unreadable, trainer missing. Not charged to the trial.
    Host,
    /// The trainer died without a word.
    Crash,
}

impl FailureClass {
    /// The word used in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipe => "recipe",
            Self::Data => "data",
            Self::Diverged => "diverged",
            Self::OutOfMemory => "out_of_memory",
            Self::Device => "device",
            Self::Host => "host",
            Self::Crash => "crash",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_line_of_the_first_release_reads_and_writes_the_same() {
        let old = r#"{"event":{"epoch":{"seq":1,"epoch":1,"train_loss":2.5,"train_accuracy":0.25,"val_loss":"nan","#
            .to_owned()
            + r#""val_accuracy":0.5,"lr":0.1,"images_per_s":812.5,"seconds":12.25}}}"#;
        let line: Line = serde_json::from_str(&old).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), old);
        let Body::Epoch(epoch) = line.body else { panic!("{line:?}") };
        assert_eq!((epoch.top5, epoch.cost), (None, None));
        let old = r#"{"event":{"done":{"final_seq":3,"early":true,"weights":"ab"}}}"#;
        let line: Line = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), old);
    }
}
