//! The file of initial weights: found inside the data roots, read once, known by its SHA-256. And the
//! network that is made with it.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sweep_core::recipe::{Init, Recipe};
use tch::Device;

use crate::checkpoint::{self, Tensors};
use crate::data::cache::hex;
use crate::data::listing::{LEADS_OUT, inside};
use crate::error::TrainError;
use crate::log::say;
use crate::model::script::Script;
use crate::model::{Misfit, Model};

/// Initial weights.
#[derive(Debug)]
pub struct Initial {
    /// Where they were read.
    pub path: PathBuf,
    /// By name.
    pub tensors: Tensors,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// The files that a network is made with, besides the recipe.
#[derive(Debug, Default)]
pub struct Files {
    /// Weights to start from.
    pub initial: Option<Initial>,
    /// The network itself, if it is a module of the user's own.
    pub script: Option<Script>,
}

impl Files {
    /// The network at the beginning of a trial.
    ///
    /// # Errors
    /// When a file does not fit.
    pub fn make(&self, recipe: &Recipe, classes: u32, device: Device) -> Result<Model, TrainError> {
        let mut model = match &self.script {
            Some(script) => script.model(classes, recipe.image_size, device)?,
            None => Model::new(&recipe.model, classes, recipe.image_size, Some(recipe.seed), device),
        };
        if let Some(Initial { path, tensors, .. }) = &self.initial {
            let misfit = |misfit: Misfit| TrainError::InitInvalid { path: path.clone(), what: misfit.to_string() };
            if let Some(layer) = model.start_from(|name| tensors.get(name)).map_err(misfit)? {
                say(format_args!("the class layer {layer} is drawn; the other weights come from {}", path.display()));
            }
        }
        model.freeze(&recipe.freeze).map_err(TrainError::FreezeInvalid)?;
        Ok(model)
    }
}

/// Reads the file that a recipe names, if it names one.
pub fn open(init: &Init, roots: &[PathBuf]) -> Result<Option<Initial>, TrainError> {
    if init.weights.is_empty() {
        return Ok(None);
    }
    let named = Path::new(&init.weights);
    let unknown = || TrainError::InitUnknown { name: init.weights.clone(), roots: roots.to_vec() };
    // Joining an absolute path gives that path.
    let mut places = roots.iter().map(|root| root.join(named));
    let found = places.find(|place| place.symlink_metadata().is_ok()).ok_or_else(unknown)?;
    let path = found.canonicalize().map_err(|_| unknown())?;
    let fail = |why| TrainError::PathNotRegular { path: found.clone(), why };
    if !inside(&path, roots) {
        return Err(fail(LEADS_OUT));
    }
    if !path.is_file() {
        return Err(fail("is not a file"));
    }
    let invalid = |what: String| TrainError::InitInvalid { path: path.clone(), what };
    let file = fs::read(&path).map_err(|error| invalid(error.to_string()))?;
    let tensors = checkpoint::parse(&file).map_err(invalid)?;
    let sha256 = hex(&Sha256::digest(&file));
    Ok(Some(Initial { path, tensors, sha256 }))
}
