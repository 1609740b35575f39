//! Checkpoints: safetensors files, written under a temporary name, synced, renamed, and named in a
//! line only then.
//!
//! A `best` file holds the network's tensors under PyTorch's names and nothing else, so that it
//! loads with `strict=True`. A `last` file also holds what training needs to go on to the bit:
//! `optimizer.<weight>.<slot>`, with early stopping the best state so far as `best.<name>`, and inside
//! an epoch the sums of its measurements as `meter.<sum>`.
//! Both carry a [`Header`] as JSON under the metadata key `sweep`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, SafeTensorError, SafeTensors, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sweep_core::attempt::{CheckpointKind, CheckpointLine};
use sweep_core::evaluation::{Evaluations, HEADER_KEY};
use sweep_core::num::Num;
use sweep_core::recipe::plateau::PlateauState;
use sweep_core::recipe::{Numerics, Recipe};
use tch::{Kind, Tensor};

use crate::data::cache::hex;
use crate::error::TrainError;
use crate::link::Stop;
use crate::room::wait_for_room;

/// Version of [`Header`] and of the tensor names.
pub const FORMAT: u32 = 1;
/// Metadata key of the header.
const KEY: &str = HEADER_KEY;
/// Files of each kind that stay on disk: the newest may still be on its way to the agent's store
/// when the next one is written.
const KEPT: usize = 2;

/// Everything about a checkpoint that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// What was trained.
    pub recipe: Recipe,
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
    /// Digest of the data set, see [`crate::data::Dataset::digest`].
    pub data: String,
    /// SHA-256 of the file of initial weights, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// SHA-256 of the file with the network, if it is a module of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Where training stands.
    pub position: Position,
    /// What the trial computes with, wherever it goes on.
    #[serde(default = "plain", skip_serializing_if = "is_plain")]
    pub numerics: Numerics,
    /// What the network makes of the validation images, and at the end of the test images.
    #[serde(default, skip_serializing_if = "Evaluations::is_empty")]
    pub evaluations: Evaluations,
}

fn plain() -> Numerics {
    Numerics::PLAIN
}

fn is_plain(numerics: &Numerics) -> bool {
    *numerics == Numerics::PLAIN
}

/// Where training stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Epochs done.
    pub epoch: u32,
    /// Batches done of the epoch after those; a step ended with the last of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub batch: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// The epoch with the highest validation accuracy.
    pub best: Option<Mark>,
    /// What early stopping watches: its best epoch.
    pub watched: Option<Mark>,
    /// Where the schedule stands, if it depends on validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plateau: Option<PlateauState>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A value that an epoch reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The epoch.
    pub epoch: u32,
    /// The value.
    pub value: Num,
}

/// Tensors by name.
pub type Tensors = HashMap<String, Tensor>;

/// A tensor on its way into a file: copied to the host when it is its turn.
struct Outgoing<'a> {
    tensor: &'a Tensor,
    shape: Vec<usize>,
    dtype: Dtype,
}

impl<'a> Outgoing<'a> {
    fn new(tensor: &'a Tensor) -> Self {
        Self {
            tensor,
            shape: tensor.size().iter().map(|&side| side as usize).collect(),
            dtype: match tensor.kind() {
                Kind::Int64 => Dtype::I64,
                Kind::Double => Dtype::F64,
                _ => Dtype::F32,
            },
        }
    }
}

impl View for Outgoing<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(bytes(self.tensor))
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.dtype.bitsize() / 8
    }
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let host = tensor.detach().to_device(tch::Device::Cpu).contiguous();
    let count = host.numel();
    let mut bytes = vec![0; count * host.kind().elt_size_in_bytes()];
    host.copy_data_u8(&mut bytes, count);
    bytes
}

/// SHA-256 over names, shapes and bytes, in the order of the names.
pub fn digest<'a>(tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> String {
    let mut sorted: Vec<_> = tensors.collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut hash = Sha256::new();
    for (name, tensor) in sorted {
        let shape = tensor.size();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((shape.len() as u64).to_le_bytes());
        for side in shape {
            hash.update(side.to_le_bytes());
        }
        hash.update(bytes(tensor));
    }
    hex(&hash.finalize())
}

/// The checkpoint folder of one attempt.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    last: Vec<PathBuf>,
    best: Vec<PathBuf>,
}

impl Store {
    /// Creates `folder` if it is missing.
    pub fn new(folder: PathBuf) -> Result<Self, TrainError> {
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(Self { folder, last: Vec::new(), best: Vec::new() }),
            Err(source) => Err(TrainError::CheckpointWrite { path: folder, source }),
        }
    }

    /// Writes one checkpoint and removes those of its kind that are older than the one before it.
    /// `seq` is the newest epoch line it contains. Waits while the disk is full.
    pub fn write(
        &mut self,
        kind: CheckpointKind,
        seq: u64,
        header: &Header,
        tensors: &[(String, &Tensor)],
        stop: &Stop,
    ) -> Result<CheckpointLine, TrainError> {
        let word = match kind {
            CheckpointKind::Last => "last",
            CheckpointKind::Best => "best",
        };
        let Position { epoch, batch, .. } = header.position;
        let file = match batch {
            0 => format!("{word}-{epoch}.safetensors"),
            batch => format!("{word}-{epoch}-{batch}.safetensors"),
        };
        let path = self.folder.join(&file);
        let temporary = self.folder.join(format!("{file}.tmp"));
        let folder = &self.folder;
        let write = || {
            let written = save(&temporary, header, tensors)
                .and_then(|done| fs::rename(&temporary, &path).map(|()| done))
                .and_then(|done| File::open(folder)?.sync_all().map(|()| done));
            if written.is_err() {
                fs::remove_file(&temporary).ok();
            }
            written
        };
        let (bytes, sha256) =
            wait_for_room(&path, stop, write, |source| TrainError::CheckpointWrite { path: path.clone(), source })?;
        let kept = match kind {
            CheckpointKind::Last => &mut self.last,
            CheckpointKind::Best => &mut self.best,
        };
        kept.push(path);
        while kept.len() > KEPT {
            fs::remove_file(kept.remove(0)).ok();
        }
        Ok(CheckpointLine { kind, epoch, seq, file, bytes, sha256 })
    }
}

/// Writes and syncs `path`; returns its length and SHA-256 as read back.
fn save(path: &Path, header: &Header, tensors: &[(String, &Tensor)]) -> io::Result<(u64, String)> {
    let header = serde_json::to_string(header)?;
    // One key only: the order of several would change from run to run, and with it the hash.
    let metadata = HashMap::from([(KEY.to_owned(), header)]);
    let outgoing = tensors.iter().map(|(name, tensor)| (name.as_str(), Outgoing::new(tensor)));
    safetensors::serialize_to_file(outgoing, Some(metadata), path).map_err(|error| match error {
        SafeTensorError::IoError(error) => error,
        other => io::Error::other(other),
    })?;
    let mut file = File::open(path)?;
    file.sync_all()?;
    let (mut hash, mut bytes) = (Sha256::new(), 0u64);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex(&hash.finalize())));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Reads a checkpoint with all its tensors, on the host.
pub fn load(path: &Path) -> Result<(Header, Tensors), TrainError> {
    let invalid = |what: String| TrainError::WeightsInvalid { path: path.to_path_buf(), what };
    let file = fs::read(path).map_err(|error| invalid(error.to_string()))?;
    let parsed = |error: SafeTensorError| invalid(error.to_string());
    let (_, metadata) = SafeTensors::read_metadata(&file).map_err(parsed)?;
    let header = header(&metadata).map_err(|error| invalid(error.to_string()))?;
    let tensors = parse(&file).map_err(invalid)?;
    Ok((header, tensors))
}

/// The tensors of a safetensors file.
pub(crate) fn parse(file: &[u8]) -> Result<Tensors, String> {
    let mut tensors = Tensors::new();
    for (name, view) in SafeTensors::deserialize(file).map_err(|error| error.to_string())?.tensors() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::I64 => Kind::Int64,
            other => return Err(format!("tensor {name:?} has type {other:?}")),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|error| error.to_string())?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

#[derive(Debug, thiserror::Error)]
enum HeaderError {
    #[error("the metadata have no key {KEY:?}: this file was not written by a sweep trainer")]
    Missing,
    #[error("the metadata cannot be read: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("format {0}, this trainer reads format {FORMAT}")]
    Format(u32),
}

fn header(metadata: &Metadata) -> Result<Header, HeaderError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let text = (metadata.metadata().as_ref()).and_then(|map| map.get(KEY)).ok_or(HeaderError::Missing)?;
    let Version { format } = serde_json::from_str(text)?;
    if format != FORMAT {
        return Err(HeaderError::Format(format));
    }
    Ok(serde_json::from_str(text)?)
}
