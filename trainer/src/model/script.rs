//! `model = "torchscript"`: a module of the user's own, run by libtorch. What must be saved to go on
//! is in its parameters, because `deploy/to_torchscript.py` makes parameters without gradient of its buffers; numbers
//! that it draws (dropout) come from libtorch's generator, which is set before each step.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sweep_core::recipe;
use tch::{CModule, Device, IValue, Kind, TchError, Tensor, jit};

use super::{Mode, Model, Named, Network, Role};
use crate::data::cache::hex;
use crate::data::listing::{LEADS_OUT, inside};

/// What `to_torchscript.py` puts before the names of the module's own tensors.
const PREFIX: &str = "net.";
/// What its `sweep_format()` answers.
const FORMAT: i64 = 1;
/// Images of the first try.
const TRIED: i64 = 2;

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Not on this host.
    #[error("model torchscript is not allowed on this host: its admin allows it with sweep-agent --allow-torchscript")]
    NotAllowed,
    /// No such file.
    #[error("model.torchscript.file {name:?} is not in the data roots of this host ({roots:?})")]
    Unknown {
        /// As written in the recipe.
        name: String,
        /// Where it was looked up.
        roots: Vec<PathBuf>,
    },
    /// It lies elsewhere, or is no file.
    #[error("model.torchscript.file {path:?} {why}")]
    Place {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// It does not do.
    #[error("model.torchscript.file {path:?}: {what}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong.
        what: String,
    },
}

impl ScriptError {
    /// A stable word for scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed => "torchscript_not_allowed",
            Self::Unknown { .. } => "torchscript_unknown",
            Self::Place { .. } => "path_not_regular",
            Self::Invalid { .. } => "torchscript_invalid",
        }
    }
}

/// A file with a module, read once.
#[derive(Debug)]
pub struct Script {
    path: PathBuf,
    bytes: Vec<u8>,
    /// SHA-256 of the file.
    pub sha256: String,
}

impl Script {
    /// Reads the file that a recipe names, if its model is one.
    ///
    /// # Errors
    /// When this host does not allow it, or there is no such file below `roots`.
    pub fn open(model: &recipe::Model, roots: &[PathBuf], allowed: bool) -> Result<Option<Self>, ScriptError> {
        let recipe::Model::Torchscript(options) = model else { return Ok(None) };
        if !allowed {
            return Err(ScriptError::NotAllowed);
        }
        let unknown = || ScriptError::Unknown { name: options.file.clone(), roots: roots.to_vec() };
        // Joining an absolute path gives that path.
        let mut places = roots.iter().map(|root| root.join(Path::new(&options.file)));
        let found = places.find(|place| place.symlink_metadata().is_ok()).ok_or_else(unknown)?;
        let path = found.canonicalize().map_err(|_| unknown())?;
        if !inside(&path, roots) {
            return Err(ScriptError::Place { path: found, why: LEADS_OUT });
        }
        if !path.is_file() {
            return Err(ScriptError::Place { path: found, why: "is not a file" });
        }
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Self { sha256: hex(&Sha256::digest(&bytes)), path, bytes })),
            Err(error) => Err(ScriptError::Invalid { path, what: error.to_string() }),
        }
    }

    /// The module with the parameters of its file, after a first try on images of zeros.
    ///
    /// # Errors
    /// When it is no module that `to_torchscript.py` wrote, or does not give `[n, classes]` logits of `[n, 3, size, size]` images.
    pub fn model(&self, classes: u32, image_size: u32, device: Device) -> Result<Model, ScriptError> {
        let invalid = |what: String| ScriptError::Invalid { path: self.path.clone(), what };
        let torch = |error: TchError| invalid(first_line(&error));
        // What the optimiser of libtorch makes of a module depends on how often it ran before.
        jit::f_set_graph_executor_optimize(false).map_err(torch)?;
        jit::f_set_profiling_mode(false).map_err(torch)?;
        let mut module = CModule::load_data_on_device(&mut self.bytes.as_slice(), device).map_err(torch)?;
        match module.method_is::<IValue>("sweep_format", &[]) {
            Ok(IValue::Int(FORMAT)) => {}
            _ => return Err(invalid("was not written by deploy/to_torchscript.py".to_owned())),
        }
        let tensors = module.named_parameters().map_err(torch)?.into_iter().map(|(name, tensor)| {
            let role = if tensor.requires_grad() { Role::Weight } else { Role::Running };
            Named { name: name.strip_prefix(PREFIX).unwrap_or(&name).to_owned(), tensor, role }
        });
        let tensors = tensors.collect();
        module.f_set_eval().map_err(torch)?;
        let (n, side) = (TRIED, i64::from(image_size));
        let tried = tch::no_grad(|| module.forward_ts(&[Tensor::zeros([n, 3, side, side], (Kind::Float, device))]));
        let (found, wanted) = (tried.map_err(torch)?.size(), [n, i64::from(classes)]);
        if found != wanted {
            return Err(invalid(format!("gives {found:?} for [{n}, 3, {side}, {side}] images, {wanted:?} is needed")));
        }
        Ok(Model { net: Box::new(Scripted(RefCell::new(module))), tensors })
    }
}

/// The line of libtorch's message that says what is wrong.
fn first_line(error: &TchError) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take(2).collect::<Vec<_>>().join(" ")
}

#[derive(Debug)]
struct Scripted(RefCell<CModule>);

impl Network for Scripted {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let mut module = self.0.borrow_mut();
        match mode {
            Mode::Train { random, .. } => {
                tch::manual_seed(random.bits() as i64);
                module.set_train();
            }
            Mode::Eval => module.set_eval(),
        }
        // A failure inside the module ends the trial, as one of libtorch's own layers does.
        module.forward_ts(&[images]).unwrap_or_else(|error| panic!("the module failed: {error}"))
    }
}
