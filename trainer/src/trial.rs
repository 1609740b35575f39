//! The state of one trial between epochs: network, optimizer, position, and the best state when
//! early stopping will want it back. When epochs run and what is said about them is left to `run`.

use std::path::{Path, PathBuf};

use sweep_core::attempt::{CheckpointKind, CheckpointLine, Resume};
use sweep_core::recipe::schedule::{Moment, Pace};
use sweep_core::recipe::{Recipe, Schedule, Watched};
use tch::{Device, Reduction, Tensor};

use crate::augment::mix::Mixer;
use crate::augment::{Normalise, Pipeline};
use crate::checkpoint::{self, FORMAT, Header, Mark, Position, Store};
use crate::cost;
use crate::data::Dataset;
use crate::data::batches::{Batch, Batches};
use crate::error::TrainError;
use crate::link::Stop;
use crate::metric::{Mean, Meter};
use crate::model::{Misfit, Mode, Model};
use crate::optim::Optimizer;
use crate::seed::{Purpose, stream};

/// Validation takes at least so many images at a time: small batches only cost time there.
const VAL_BATCH: u32 = 32;

/// One trial.
#[derive(Debug)]
pub struct Trial<'a> {
    recipe: &'a Recipe,
    dataset: &'a Dataset,
    pipeline: Pipeline,
    mixer: Mixer,
    device: Device,
    helper: bool,
    model: Model,
    optimizer: Optimizer,
    store: Store,
    position: Position,
    /// The watched best state, in the order of the model's tensors; kept only for early stopping.
    best: Option<Vec<Tensor>>,
}

impl<'a> Trial<'a> {
    /// A trial at its beginning, with checkpoints in `folder`.
    pub fn new(
        recipe: &'a Recipe,
        dataset: &'a Dataset,
        device: Device,
        helper: bool,
        folder: &Path,
    ) -> Result<Self, TrainError> {
        let classes = dataset.classes.len() as u32;
        let model = Model::new(&recipe.model, classes, recipe.image_size, recipe.seed, device);
        Ok(Self {
            pipeline: Pipeline::new(recipe),
            mixer: Mixer::new(recipe),
            optimizer: Optimizer::new(&recipe.optimizer, &model),
            store: Store::new(folder.to_path_buf())?,
            position: Position::default(),
            best: None,
            recipe,
            dataset,
            device,
            helper,
            model,
        })
    }

    /// Goes on where a checkpoint of the same recipe on the same data stands.
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
        if header.recipe != *self.recipe {
            return Err(invalid("it belongs to another recipe".to_owned()));
        }
        if header.data != self.dataset.digest {
            return Err(invalid("the data set has changed since it was written".to_owned()));
        }
        self.model.load(|name| tensors.get(name)).map_err(misfit)?;
        self.optimizer
            .load(header.position.step, |name, slot| tensors.get(&format!("optimizer.{name}.{slot}")))
            .map_err(misfit)?;
        self.position = header.position;
        self.best = match self.position.watched {
            None => None,
            Some(mark) if mark.epoch == self.position.epoch => Some(self.model.snapshot()),
            Some(_) => {
                let find = |name: &str| {
                    let name = format!("best.{name}");
                    (tensors.get(&name).map(|tensor| tensor.to_device(self.device))).ok_or(Misfit::Missing(name))
                };
                let names = self.model.tensors().iter().map(|named| &named.name);
                let best: Result<Vec<_>, _> = names.map(|name| find(name)).collect();
                Some(best.map_err(misfit)?)
            }
        };
        Ok(())
    }

    /// Epochs done.
    pub fn epoch(&self) -> u32 {
        self.position.epoch
    }

    /// Number of trained values.
    pub fn parameters(&self) -> u64 {
        self.model.parameters()
    }

    /// Training images that an epoch goes through, copies included.
    pub fn images_per_epoch(&self) -> usize {
        self.dataset.train.len() * self.pipeline.copies()
    }

    /// Whether no epoch is left, or patience has run out.
    pub fn is_over(&self) -> bool {
        self.position.epoch >= self.recipe.epochs || self.patience_is_out()
    }

    /// Whether patience ran out before the last epoch.
    pub fn ended_early(&self) -> bool {
        self.position.epoch < self.recipe.epochs
    }

    fn patience_is_out(&self) -> bool {
        match (&self.recipe.early_stop, &self.position.watched) {
            (Some(rule), Some(mark)) => self.position.epoch - mark.epoch >= rule.patience,
            _ => false,
        }
    }

    fn batches(&self) -> Batches<'_> {
        Batches {
            dataset: self.dataset,
            pipeline: &self.pipeline,
            mixer: &self.mixer,
            normalise: Normalise::new(self.recipe.data.mean, self.recipe.data.std),
            seed: self.recipe.seed,
            device: self.device,
            helper: self.helper,
        }
    }

    /// Rate and momentum of the next step.
    pub fn pace(&self) -> Pace {
        self.recipe.pace(&self.moment(self.optimizer.steps()), self.position.plateau.as_ref())
    }

    fn moment(&self, step: u64) -> Moment {
        let steps_per_epoch = self.images_per_epoch().div_ceil(self.recipe.batch_size as usize) as u64;
        Moment { epoch: self.position.epoch, step, steps_per_epoch }
    }

    /// One pass over the training images. After each step calls `look` with the number
    /// of steps so far and the loss; it returns whether to go on. A pass with a loss that is not
    /// finite is worth [`Mean::NONE`], wherever it was noticed. `pace` follows the steps.
    pub fn train_epoch(
        &mut self,
        stop: &Stop,
        pace: &mut cost::Pace,
        mut look: impl FnMut(u64, &Tensor) -> Result<bool, TrainError>,
    ) -> Result<Mean, TrainError> {
        let epoch = self.position.epoch + 1;
        let (recipe, device) = (self.recipe, self.device);
        let (moment, plateau) = (self.moment(0), self.position.plateau);
        let batches = Batches { dataset: self.dataset, pipeline: &self.pipeline, mixer: &self.mixer, ..self.batches() };
        let (model, optimizer) = (&self.model, &mut self.optimizer);
        let weights: Vec<&Tensor> = model.weights().map(|named| &named.tensor).collect();
        let mut meter = Meter::new(self.dataset.classes.len(), device);
        let mut diverged = false;
        let step = |batch: Batch| {
            stop.check()?;
            pace.batch();
            let mut random = stream(recipe.seed, Purpose::Dropout, &[optimizer.steps()]);
            let mut mode = Mode::Train { dropout: recipe.dropout, random: &mut random };
            let logits = model.forward(&batch.images, &mut mode);
            let loss = batch.loss(|labels| cross_entropy(&logits, labels));
            let gradients = Tensor::f_run_backward(&[&loss], &weights, false, false)?;
            let moment = Moment { step: optimizer.steps(), ..moment };
            optimizer.step(gradients, recipe.pace(&moment, plateau.as_ref()));
            meter.add(&loss, &logits, &batch.labels);
            diverged = !look(optimizer.steps(), &loss)?;
            pace.step();
            if diverged { Err(Halt::Diverged) } else { Ok(()) }
        };
        let size = recipe.batch_size as usize;
        match batches.train(epoch, size, step) {
            Ok(()) => {}
            Err(Halt::Diverged) => return Ok(Mean::NONE),
            Err(Halt::Error(error)) => return Err(error),
        }
        self.position.epoch = epoch;
        self.position.step = self.optimizer.steps();
        let mean = meter.mean();
        Ok(if mean.is_finite() { mean } else { Mean::NONE })
    }

    /// One pass over the validation images.
    pub fn evaluate(&self, stop: &Stop) -> Result<Mean, TrainError> {
        let _guard = tch::no_grad_guard();
        let mut meter = Meter::new(self.dataset.classes.len(), self.device);
        let size = self.recipe.batch_size.max(VAL_BATCH) as usize;
        self.batches().val(size, |Batch { images, labels, .. }| {
            stop.check()?;
            let logits = self.model.forward(&images, &mut Mode::Eval);
            meter.add(&cross_entropy(&logits, &labels), &logits, &labels);
            Ok::<_, TrainError>(())
        })?;
        Ok(meter.mean())
    }

    /// Notes the epoch's validation; returns whether its accuracy is the best so far. Of equal
    /// epochs the earlier one stays.
    pub fn note(&mut self, val: &Mean) -> bool {
        let epoch = self.position.epoch;
        let mark = |value: f64| Mark { epoch, value: value.into() };
        let is_best = (self.position.best).is_none_or(|best| val.accuracy > best.value.0);
        if is_best {
            self.position.best = Some(mark(val.accuracy));
        }
        if let Schedule::Plateau(rule) = &self.recipe.schedule {
            let before = self.position.plateau;
            self.position.plateau = Some(rule.observe(before, self.recipe.lr, val.loss, val.accuracy));
        }
        if let Some(rule) = &self.recipe.early_stop {
            let (value, better) = match rule.metric {
                Watched::ValAccuracy => (val.accuracy, 1.0),
                Watched::ValLoss => (val.loss, -1.0),
            };
            let gain = |old: Mark| (value - old.value.0) * better;
            if (self.position.watched).is_none_or(|old| gain(old) > rule.min_delta) {
                self.position.watched = Some(mark(value));
                self.model.set_batches(self.position.step);
                self.best = Some(self.model.snapshot());
            }
        }
        is_best
    }

    /// Writes a checkpoint of the state after the last epoch.
    pub fn save(&mut self, kind: CheckpointKind, seq: u64, stop: &Stop) -> Result<CheckpointLine, TrainError> {
        self.model.set_batches(self.position.step);
        let header = Header {
            format: FORMAT,
            recipe: self.recipe.clone(),
            classes: self.dataset.classes.clone(),
            data: self.dataset.digest.clone(),
            position: self.position.clone(),
        };
        let model = self.model.tensors();
        let mut tensors: Vec<(String, &Tensor)> =
            model.iter().map(|named| (named.name.clone(), &named.tensor)).collect();
        if kind == CheckpointKind::Last {
            for (name, slot, tensor) in self.optimizer.state() {
                tensors.push((format!("optimizer.{name}.{slot}"), tensor));
            }
            let earlier = (self.position.watched).is_some_and(|m| m.epoch != self.position.epoch);
            if let (Some(best), true) = (&self.best, earlier) {
                let names = model.iter().map(|named| format!("best.{}", named.name));
                tensors.extend(names.zip(best));
            }
        }
        self.store.write(kind, seq, &header, &tensors, stop)
    }

    /// Restores the best state if early stopping is on, and returns the digest of the final weights.
    pub fn finish(&mut self) -> Result<String, TrainError> {
        self.model.set_batches(self.position.step);
        if let Some(best) = self.best.take() {
            let mut states = best.iter();
            let fits = self.model.load(|_| states.next());
            fits.expect("a snapshot has the tensors of its model, in order");
        }
        let tensors = (self.model.tensors().iter()).map(|named| (named.name.as_str(), &named.tensor));
        Ok(checkpoint::digest(tensors))
    }
}

/// Why an epoch ended before its last batch.
enum Halt {
    Diverged,
    Error(TrainError),
}

impl<E: Into<TrainError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Mean cross entropy, nats.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)
}
