//! Everything that can end a trial early, with its failure class and the stable reason word that
//! goes into the `failed` line. Messages say what was attempted, on what, and what to do.

use std::io;
use std::path::PathBuf;

use sweep_core::attempt::FailureClass;
use sweep_core::recipe::OutOfRange;
use tch::TchError;

use crate::memory::Shortage;
use crate::model::Misfit;
use crate::model::script::ScriptError;

/// Why a trial cannot go on (or, for [`TrainError::Stopped`], was asked not to).
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Not a failure: SIGTERM, or no agent.
    #[error("asked to stop")]
    Stopped,
    /// The order is not one this trainer can carry out.
    #[error("order.json: {0}")]
    Order(#[source] OrderError),
    /// A field of the recipe is out of bounds.
    #[error("{}", list(.0))]
    OutOfRange(Vec<OutOfRange>),
    /// More images a step than there are.
    #[error(
        "batch_size = {batch_size}: the data set has {train_images} training images; make the batch smaller or the data set larger"
    )]
    BatchTooLarge {
        /// Of the recipe.
        batch_size: u32,
        /// After the split, without unreadable ones.
        train_images: usize,
    },
    /// No such data set in the data roots.
    #[error("dataset {name:?} is not in the data roots of this host ({roots:?})")]
    DatasetUnknown {
        /// As written in the recipe.
        name: String,
        /// Where it was looked up.
        roots: Vec<PathBuf>,
    },
    /// A path that leaves the data roots, or is neither a file nor a folder.
    #[error("{path:?} {why}")]
    PathNotRegular {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No images where there must be some.
    #[error("{folder:?} {why}")]
    DatasetEmpty {
        /// The class folder or data set folder.
        folder: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// The label file and the images do not agree, or folders of classes do not.
    #[error("{path:?}: {what}")]
    LabelsMismatch {
        /// The label file or folder.
        path: PathBuf,
        /// The first disagreement.
        what: LabelTrouble,
    },
    /// A line of a CSV file of labels is wrong.
    #[error("{}:{line}: {what}", path.display())]
    LabelLine {
        /// The CSV file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong with it, and what to do.
        what: LineTrouble,
    },
    /// Images that cannot be decoded, more than the recipe lets pass.
    #[error("{bad} unreadable image(s), data.skip_bad = {allowed} allows that many; first: {first}")]
    BadImages {
        /// How many.
        bad: usize,
        /// `data.skip_bad`.
        allowed: u32,
        /// The first few with their causes.
        first: String,
    },
    /// A folder of the data set could not be read.
    #[error("cannot read {path:?}: {source}")]
    DataRead {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The cache of decoded images could not be read or written.
    #[error("cannot {what} the image cache {path:?}: {source}")]
    Cache {
        /// read, write, lock ...
        what: &'static str,
        /// The cache file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A checkpoint could not be written.
    #[error("cannot write the checkpoint {path:?}: {source}")]
    CheckpointWrite {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No room for longer than the trainer is willing to wait.
    #[error("no room on the disk of {path:?} for {waited_s} s: free some space and retry")]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
        /// How long the trainer waited.
        waited_s: u64,
    },
    /// A checkpoint to resume from cannot be used.
    #[error("cannot resume from {path:?}: {what}")]
    WeightsInvalid {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong.
        what: String,
    },
    /// The user's own module cannot be used.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// No such file of initial weights in the data roots.
    #[error("init.weights {name:?} is not in the data roots of this host ({roots:?})")]
    InitUnknown {
        /// As written in the recipe.
        name: String,
        /// Where it was looked up.
        roots: Vec<PathBuf>,
    },
    /// A file of initial weights that does not fit, or cannot be read.
    #[error("init.weights {path:?}: {what}")]
    InitInvalid {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong.
        what: String,
    },
    /// Weights to freeze that the network does not have, or all of them.
    #[error("{0}")]
    FreezeInvalid(#[source] Misfit),
    /// The attempt folder itself cannot be written.
    #[error("cannot write events: {0}")]
    Emit(#[source] io::Error),
    /// The copy of the data set is not the one that the trial was granted for.
    #[error(
        "the copy of the data set {name:?} has the fingerprint {found}, the sweep trains on {expected}: restore it, or submit the sweep again (--run LABEL)"
    )]
    DatasetChanged {
        /// As the recipe names it.
        name: String,
        /// What the agent had said.
        expected: String,
        /// What is there now.
        found: String,
    },
    /// A device that this host or build does not have.
    #[error("device {device:?}: {why}")]
    DeviceUnavailable {
        /// As the order names it.
        device: String,
        /// What is missing.
        why: &'static str,
    },
    /// Threads for decoding could not be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The loss is no longer finite.
    #[error("the loss is no longer a finite number in epoch {epoch}: try a smaller learning rate")]
    Diverged {
        /// The epoch.
        epoch: u32,
    },
    /// libtorch, or a layer, asked for more memory than there was.
    #[error("out of memory, {0}: make batch_size or image_size smaller, or give the trial a larger device")]
    OutOfMemory(Shortage),
    /// libtorch reported an error.
    #[error("libtorch: {}", first_line(&.0.to_string()))]
    Torch(#[from] TchError),
    /// A panic, caught at the top of the trial.
    #[error("unexpected: {}", first_line(.0))]
    Panic(String),
}

/// What is wrong with an order.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Not readable.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Not an order.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Another version of the protocol.
    #[error("protocol {theirs}, this trainer speaks {ours}: use agent and trainer of one release")]
    Version {
        /// Of the order.
        theirs: u64,
        /// [`sweep_core::attempt::PROTOCOL`].
        ours: u32,
    },
    /// Not exactly one trial.
    #[error("{0} work items, this trainer takes exactly one")]
    Work(usize),
    /// No threads.
    #[error("threads = 0")]
    NoThreads,
}

/// A disagreement between labels and images.
#[derive(Debug, thiserror::Error)]
pub enum LabelTrouble {
    /// A line that is not `file<TAB>class...`.
    #[error("line {0} is not <file><TAB><class>")]
    Line(usize),
    /// An image without a label.
    #[error("image {0:?} has no label")]
    Unlabelled(PathBuf),
    /// A class that the training images do not have.
    #[error("class {0:?} has no training images")]
    UnknownClass(String),
    /// A listed class without a folder.
    #[error("class {0:?} is listed, but has no folder")]
    MissingClass(String),
    /// A name that is not UTF-8.
    #[error("{0:?} is not UTF-8")]
    NotUtf8(PathBuf),
    /// No CSV file has the column.
    #[error("no CSV file with {}{}", if .name == "path" { "the column `path`".to_owned() } else { format!("the columns `path` and `{name}`") }, among(.have))]
    NoColumn {
        /// The column that is wanted.
        name: String,
        /// The columns that there are.
        have: Vec<String>,
    },
    /// More than one CSV file has the column.
    #[error("several CSV files have a column `{0}`: rename it in all but one, or move the others away")]
    SeveralLists(String),
}

/// What is wrong with a line of a CSV file.
#[derive(Debug, thiserror::Error)]
pub enum LineTrouble {
    /// Not text.
    #[error("not UTF-8: save the file as UTF-8")]
    NotUtf8,
    /// Something the reader cannot go on after.
    #[error("not CSV")]
    NotCsv,
    /// Not as many fields as the header has.
    #[error("{found} field(s), the header has {expected}: put fields that hold a comma in double quotes")]
    Fields {
        /// In this row.
        found: usize,
        /// In the header.
        expected: usize,
    },
    /// Nothing where there must be something.
    #[error("the {0} is empty: fill it in or remove the line")]
    Empty(&'static str),
    /// A path that leaves the data set.
    #[error("{0:?} leaves the data set: paths are relative to its folder and stay inside it")]
    Escapes(String),
    /// A path without a file.
    #[error("there is no file {0:?}: put it there or remove the line")]
    Missing(PathBuf),
    /// A path of something else.
    #[error("{0:?} is not a regular file: remove the line")]
    NotAFile(PathBuf),
    /// A path for the second time.
    #[error("the same path as in line {0}: remove one of the lines")]
    Twice(u64),
    /// A split that is not known.
    #[error("split {0:?} is not one of train, val, test")]
    Split(String),
    /// A label that no training image has.
    #[error("no training image has the label {0:?}: correct it or remove the line")]
    UnknownClass(String),
}

fn among(have: &[String]) -> String {
    if have.is_empty() { String::new() } else { format!("; the columns are {}", have.join(", ")) }
}

fn list(wrong: &[OutOfRange]) -> String {
    let words: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    words.join("; ")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

impl TrainError {
    /// The same, with what libtorch said about memory read out of its text.
    pub fn explained(self) -> Self {
        let shortage = match &self {
            Self::Torch(error) => Shortage::read(&error.to_string()),
            Self::Panic(text) => Shortage::read(text),
            _ => None,
        };
        shortage.map_or(self, Self::OutOfMemory)
    }

    /// The retry class.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Order(_) | Self::OutOfRange(_) | Self::BatchTooLarge { .. } | Self::FreezeInvalid(_) => {
                FailureClass::Recipe
            }
            Self::DatasetUnknown { .. }
            | Self::InitUnknown { .. }
            | Self::InitInvalid { .. }
            | Self::Script(_)
            | Self::PathNotRegular { .. }
            | Self::DatasetEmpty { .. }
            | Self::LabelsMismatch { .. }
            | Self::LabelLine { .. }
            | Self::BadImages { .. } => FailureClass::Data,
            Self::DataRead { .. }
            | Self::Cache { .. }
            | Self::CheckpointWrite { .. }
            | Self::DiskFull { .. }
            | Self::WeightsInvalid { .. }
            | Self::DatasetChanged { .. }
            | Self::Emit(_)
            | Self::Threads(_) => FailureClass::Host,
            Self::DeviceUnavailable { .. } => FailureClass::Device,
            Self::Diverged { .. } => FailureClass::Diverged,
            Self::OutOfMemory(_) => FailureClass::OutOfMemory,
            Self::Torch(error) => torch_trouble(&error.to_string()).0,
            Self::Panic(text) => torch_trouble(text).0,
            Self::Stopped => FailureClass::Crash,
        }
    }

    /// The stable word for scripts (`failures.md` names most of them).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Order(OrderError::Version { .. }) => "version_skew",
            Self::Order(_) => "order_invalid",
            Self::OutOfRange(_) | Self::BatchTooLarge { .. } => "value_out_of_range",
            Self::DatasetUnknown { .. } => "dataset_unknown",
            Self::PathNotRegular { .. } => "path_not_regular",
            Self::DatasetEmpty { .. } => "dataset_empty",
            Self::LabelLine { what: LineTrouble::Escapes(_) | LineTrouble::NotAFile(_), .. } => "path_not_regular",
            Self::LabelsMismatch { .. } | Self::LabelLine { .. } => "labels_mismatch",
            Self::BadImages { .. } => "bad_image",
            Self::DataRead { .. } => "data_unreadable",
            Self::Cache { .. } => "cache_unusable",
            Self::CheckpointWrite { .. } => "checkpoint_unwritable",
            Self::DiskFull { .. } => "disk_full",
            Self::DatasetChanged { .. } => "dataset_changed",
            Self::WeightsInvalid { .. } => "weights_invalid",
            Self::InitUnknown { .. } => "init_unknown",
            Self::InitInvalid { .. } => "init_invalid",
            Self::Script(error) => error.reason(),
            Self::FreezeInvalid(_) => "freeze_invalid",
            Self::Emit(_) => "events_unwritable",
            Self::Threads(_) => "threads_unavailable",
            Self::DeviceUnavailable { .. } => "device_unavailable",
            Self::Diverged { .. } => "nan_loss",
            Self::OutOfMemory(_) => "out_of_memory",
            Self::Torch(error) => torch_trouble(&error.to_string()).1,
            Self::Panic(text) => torch_trouble(text).1,
            Self::Stopped => "stopped",
        }
    }
}

/// libtorch's errors reach Rust as text only, so this place and [`Shortage`] have to read it. The
/// phrases are those of the CUDA/cuDNN/cuBLAS checks.
fn torch_trouble(text: &str) -> (FailureClass, &'static str) {
    const DEVICE: [&str; 4] = ["CUDA error", "cuDNN error", "CUBLAS_STATUS", "CUDA driver"];
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if Shortage::read(text).is_some() {
        (FailureClass::OutOfMemory, "out_of_memory")
    } else if has(&DEVICE) {
        (FailureClass::Device, "device_error")
    } else {
        (FailureClass::Crash, "unexpected")
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
