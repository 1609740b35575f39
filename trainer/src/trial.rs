//! One trial: its state with the data it learns from and the files it is kept in. When epochs run
//! and what is said about them is left to `run`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use sweep_core::attempt::{CheckpointKind, CheckpointLine, Resume};
use sweep_core::evaluation::{Evaluations, Score};
use sweep_core::recipe::{Numerics, Recipe};
use tch::Device;

use crate::augment::mix::Mixer;
use crate::augment::{Normalise, Pipeline, device};
use crate::checkpoint::{self, FORMAT, Header, Store};
use crate::cost;
use crate::data::batches::{Batch, Batches};
use crate::data::{Dataset, Item};
use crate::error::TrainError;
use crate::init::Files;
use crate::link::Stop;
use crate::log::say;
use crate::metric::{Mean, Meter};
use crate::model::Misfit;
use crate::pass::{Enough, Halt, Look};
use crate::state::State;
pub use crate::state::cross_entropy;
use crate::steps::Steps;

/// Validation takes at least so many images at a time: small batches only cost time there.
const VAL_BATCH: u32 = 32;

/// One trial.
#[derive(Debug)]
pub struct Trial<'a> {
    source: Source<'a>,
    state: State,
    evaluations: Evaluations,
    store: Store,
    /// Epochs and batches done where the newest `last` checkpoint stands.
    kept: (u32, u64),
    /// In a probe: where each epoch may end.
    enough: Option<Enough>,
}

/// What training does not change.
#[derive(Debug)]
struct Source<'a> {
    recipe: &'a Recipe,
    dataset: &'a Dataset,
    pipeline: Pipeline,
    mixer: Mixer,
    /// All images, when they lie on the device.
    resident: Option<device::Resident>,
    device: Device,
    helper: bool,
}

impl Source<'_> {
    fn batches(&self) -> Batches<'_> {
        Batches {
            dataset: self.dataset,
            pipeline: &self.pipeline,
            mixer: &self.mixer,
            on: self.recipe.augment_on,
            resident: self.resident.as_ref(),
            normalise: Normalise::new(self.recipe.data.mean, self.recipe.data.std),
            seed: self.recipe.seed,
            device: self.device,
            helper: self.helper,
        }
    }

    fn keep(
        &self,
        state: &State,
        store: &mut Store,
        kind: CheckpointKind,
        seq: u64,
        evaluations: &Evaluations,
        stop: &Stop,
    ) -> Result<CheckpointLine, TrainError> {
        let header = Header {
            format: FORMAT,
            recipe: self.recipe.clone(),
            classes: self.dataset.classes.clone(),
            data: self.dataset.digest.clone(),
            init: state.init.clone(),
            script: state.script.clone(),
            position: state.position.clone(),
            numerics: state.numerics,
            evaluations: evaluations.clone(),
        };
        let tensors = state.tensors(kind);
        let borrowed: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
        store.write(kind, seq, &header, &borrowed, stop)
    }

    /// One pass over `items` that trains nothing.
    fn look(&self, items: &[Item], state: &State, stop: &Stop) -> Result<Meter, TrainError> {
        let mut meter = Meter::new(self.dataset.classes.len(), self.device).with_pairs();
        self.dataset.check()?;
        let size = self.recipe.batch_size.max(VAL_BATCH) as usize;
        self.batches().plain(items, size, |Batch { images, labels, .. }| {
            let _guard = tch::no_grad_guard();
            stop.check()?;
            let logits = state.infer(&images);
            meter.add(&cross_entropy(&logits, &labels, 0.0), &logits, &labels);
            Ok::<_, TrainError>(())
        })?;
        Ok(meter)
    }

    fn images_per_epoch(&self) -> usize {
        self.dataset.train.len() * self.pipeline.copies()
    }

    fn steps(&self) -> Steps {
        Steps::new(self.recipe, self.images_per_epoch())
    }
}

impl<'a> Trial<'a> {
    /// A trial at its beginning, with checkpoints in `folder`.
    pub fn new(
        recipe: &'a Recipe,
        dataset: &'a Dataset,
        numerics: Numerics,
        device: Device,
        helper: bool,
        folder: &Path,
        files: &Files,
    ) -> Result<Self, TrainError> {
        let (pipeline, mixer) = (Pipeline::new(recipe), Mixer::new(recipe));
        let resident = device::resident(recipe, dataset, device)?;
        Ok(Self {
            state: State::new(recipe, numerics, dataset.classes.len() as u32, device, files)?,
            evaluations: Evaluations::default(),
            store: Store::new(folder.to_path_buf())?,
            kept: (0, 0),
            enough: None,
            source: Source { recipe, dataset, pipeline, mixer, resident, device, helper },
        })
    }

    /// Goes on where a checkpoint of the same recipe on the same data stands, or where one with fewer epochs came to its end.
    pub fn resume(&mut self, resume: &Resume) -> Result<(), TrainError> {
        let invalid = |what: String| TrainError::WeightsInvalid { path: PathBuf::from(&resume.file), what };
        let misfit = |what: Misfit| invalid(what.to_string());
        let (header, tensors) = checkpoint::load(&resume.file)?;
        if header.position.epoch != resume.epoch {
            return Err(invalid(format!(
                "it was taken after epoch {}, the order says {}",
                header.position.epoch, resume.epoch
            )));
        }
        let longer = self.source.recipe.goes_on_from(&header.recipe);
        if header.recipe != *self.source.recipe && !longer {
            return Err(invalid("it belongs to another recipe".to_owned()));
        }
        let end = (header.position.epoch, header.position.batch) == (header.recipe.epochs, 0);
        if longer && !end {
            return Err(invalid("a longer trial goes on from the end of a shorter one only".to_owned()));
        }
        if header.data != self.source.dataset.digest {
            return Err(invalid("the data set has changed since it was written".to_owned()));
        }
        if header.script != self.state.script {
            return Err(invalid("the file with the network has changed since it was written".to_owned()));
        }
        self.evaluations = header.evaluations;
        if longer {
            // The test images are for the last epoch, which is another one now.
            self.evaluations.test = None;
        }
        self.state.numerics = header.numerics;
        self.state.init.clone_from(&header.init);
        if Numerics::allowed(self.source.recipe).len() > 1 {
            say(format_args!("{} (as the checkpoint says)", header.numerics));
        }
        self.state.load(header.position, &tensors).map_err(misfit)?;
        self.kept = self.state.place();
        if let (_, 1..) = self.kept {
            say(format_args!("goes on {}", self.place()));
        }
        Ok(())
    }

    /// Where it stands in the middle of an epoch, in words.
    fn place(&self) -> String {
        let (epoch, batch) = self.state.place();
        format!("after batch {batch} of {} in epoch {}", self.source.steps().batches(), epoch + 1)
    }

    /// Epochs done.
    pub fn epoch(&self) -> u32 {
        self.state.position.epoch
    }

    /// Steps of the optimizer so far, those of earlier attempts included.
    pub fn optimizer_steps(&self) -> u64 {
        self.state.steps()
    }

    /// Steps of the optimizer in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.source.steps().steps()
    }

    /// Images for validation.
    pub fn val_images(&self) -> u64 {
        self.source.dataset.val.len() as u64
    }

    /// From now on epochs may end before their last batch.
    pub fn end_epochs(&mut self, enough: Enough) {
        self.enough = Some(enough);
    }

    /// What it computes with.
    pub fn numerics(&self) -> Numerics {
        self.state.numerics
    }

    /// Number of trained values.
    pub fn parameters(&self) -> u64 {
        self.state.shown().parameters()
    }

    /// Training images that are left of the epoch, copies included.
    pub fn images_ahead(&self) -> usize {
        let done = self.source.steps().images(self.state.position.batch);
        self.source.images_per_epoch() - done as usize
    }

    /// Whether no epoch is left, or patience has run out.
    pub fn is_over(&self) -> bool {
        !self.ended_early() || self.patience_is_out()
    }

    /// Whether patience ran out before the last epoch.
    pub fn ended_early(&self) -> bool {
        self.epoch() < self.source.recipe.epochs
    }

    fn patience_is_out(&self) -> bool {
        match (&self.source.recipe.early_stop, &self.state.position.watched) {
            (Some(rule), Some(mark)) => self.epoch() - mark.epoch >= rule.patience,
            _ => false,
        }
    }

    /// Rate of the first step of the epoch.
    pub fn lr(&self) -> f64 {
        let moment = self.state.moment(self.source.steps());
        self.source.recipe.pace(&moment, self.state.position.plateau.as_ref()).lr
    }

    /// The rest of the pass over the training images; the epoch ends with [`Trial::note`]. After each step calls `look`, which returns
    /// whether to go on. A pass with a loss that is not finite is worth [`Mean::NONE`], wherever it
    /// was noticed. `pace` follows the batches; `seq` is the number of epoch lines so far.
    pub fn train_epoch(
        &mut self,
        seq: u64,
        stop: &Stop,
        pace: &mut cost::Pace,
        mut look: impl FnMut(Look<'_>) -> Result<bool, TrainError>,
    ) -> Result<Mean, TrainError> {
        let Self { source, state, evaluations, store, kept, enough } = self;
        let (began, before) = (Instant::now(), state.steps());
        let (recipe, steps) = (source.recipe, source.steps());
        let (epoch, done) = (state.position.epoch + 1, state.position.batch as usize);
        let every = u64::from(recipe.checkpoint_steps);
        let learn = |batch: Batch| {
            let asked = stop.check();
            // A step that has begun is done first: a checkpoint has none half done.
            if state.is_between_steps() {
                asked?;
            }
            pace.batch();
            let (loss, stepped) = state.learn(recipe, steps, &batch)?;
            let step = state.steps();
            if stepped && !look(Look::Step(step, &loss))? {
                return Err(Halt::Diverged);
            }
            let due = stepped && every > 0 && step.is_multiple_of(every) && state.position.batch < steps.batches();
            if due && state.is_finite() {
                state.count_batches(steps);
                let line = source.keep(state, store, CheckpointKind::Last, seq, evaluations, stop)?;
                *kept = state.place();
                look(Look::Kept(line))?;
            }
            pace.step();
            match enough {
                Some(enough) if stepped && enough.is(step - before, began.elapsed()) => Err(Halt::Enough),
                _ => Ok(()),
            }
        };
        match source.batches().train_from(epoch, done, recipe.batch_size as usize, learn) {
            Ok(()) | Err(Halt::Enough) => {}
            Err(Halt::Diverged) => return Ok(Mean::NONE),
            Err(Halt::Error(error)) => return Err(error),
        }
        state.count_batches(steps);
        let mean = state.mean();
        Ok(if mean.is_finite() { mean } else { Mean::NONE })
    }

    /// One pass over the validation images after the pass of an epoch over the others; over the first of them in a probe.
    pub fn evaluate(&mut self, stop: &Stop) -> Result<Mean, TrainError> {
        let items = &self.source.dataset.val[..self.val_images_looked_at()];
        let meter = self.source.look(items, &self.state, stop)?;
        self.evaluations.last = Some(meter.evaluation(self.epoch() + 1));
        Ok(meter.mean())
    }

    /// How many images validation takes.
    pub fn val_images_looked_at(&self) -> usize {
        let all = self.source.dataset.val.len();
        let batch = self.source.recipe.batch_size.max(VAL_BATCH) as usize;
        self.enough.map_or(all, |enough| all.min(batch * enough.val_batches))
    }

    /// One pass over the test images by the weights that [`Trial::finish`] gives out, the first time it is
    /// called in the life of the trial: what a checkpoint remembers is not looked at again. Returns
    /// whether it looked.
    pub fn test(&mut self, stop: &Stop) -> Result<bool, TrainError> {
        let source = &self.source;
        if source.dataset.test.is_empty() || self.evaluations.test.is_some() {
            return Ok(false);
        }
        let look =
            |state: &State, epoch| source.look(&source.dataset.test, state, stop).map(|meter| meter.evaluation(epoch));
        self.evaluations.test = Some(self.state.as_finished(look)?);
        Ok(true)
    }

    /// What [`Trial::test`] found, now or in an earlier attempt.
    pub fn test_score(&self) -> Option<&Score> {
        self.evaluations.test.as_ref().map(|test| &test.score)
    }

    /// Ends the epoch with its validation; returns whether its accuracy is the best so far.
    pub fn note(&mut self, val: &Mean) -> bool {
        self.state.end_epoch();
        let is_best = self.state.note(self.source.recipe, val);
        if is_best {
            self.evaluations.best = self.evaluations.last.clone();
        }
        is_best
    }

    /// Writes a checkpoint of the state after the last epoch.
    pub fn save(&mut self, kind: CheckpointKind, seq: u64, stop: &Stop) -> Result<CheckpointLine, TrainError> {
        let line = self.source.keep(&self.state, &mut self.store, kind, seq, &self.evaluations, stop)?;
        if kind == CheckpointKind::Last {
            self.kept = self.state.place();
        }
        Ok(line)
    }

    /// Of a trial that has to leave in the middle of an epoch: writes a checkpoint of where it stands, if there is anything that the newest
    /// one lacks. One that cannot be written is left out, with a word about it: the next attempt goes on from the one before.
    pub fn leave(&mut self, seq: u64, stop: &Stop) -> Option<CheckpointLine> {
        let here = self.state.place();
        let is_whole = self.state.is_between_steps() && self.state.is_finite();
        if here.1 == 0 || here == self.kept || self.enough.is_some() || !is_whole {
            return None;
        }
        let place = self.place();
        self.state.count_batches(self.source.steps());
        match self.save(CheckpointKind::Last, seq, stop) {
            Ok(line) => {
                say(format_args!("leaves with a checkpoint {place}"));
                Some(line)
            }
            Err(error) => {
                say(format_args!("warning: leaves {place} without a checkpoint, the last one stays: {error}"));
                None
            }
        }
    }

    /// Restores the best state if early stopping is on, and returns the digest of the final weights.
    pub fn finish(&mut self) -> Result<String, TrainError> {
        let tensors = self.state.finish().tensors().iter();
        Ok(checkpoint::digest(tensors.map(|named| (named.name.as_str(), &named.tensor))))
    }
}
