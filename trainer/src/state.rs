//! Everything that training changes, and that a checkpoint therefore holds: network, average,
//! optimizer, position, and the best state when early stopping will want it back. One batch at a
//! time; when batches come and what is said about them is left to `trial`.

use sweep_core::attempt::CheckpointKind;
use sweep_core::recipe::schedule::Moment;
use sweep_core::recipe::{Numerics, Recipe, Schedule, Watched};
use tch::{Device, Reduction, Tensor};

use crate::average::Average;
use crate::checkpoint::{Mark, Position, Tensors};
use crate::data::batches::Batch;
use crate::error::TrainError;
use crate::init::Files;
use crate::metric::{Mean, Meter};
use crate::model::{Misfit, Mode, Model};
use crate::numerics::forward;
use crate::optim::{Optimizer, clip};
use crate::seed::{Purpose, stream};
use crate::steps::Steps;

/// The state of one trial.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) position: Position,
    pub(crate) numerics: Numerics,
    /// SHA-256 of the file of initial weights.
    pub(crate) init: Option<String>,
    /// SHA-256 of the file with the network, if it is a module of the user's own.
    pub(crate) script: Option<String>,
    model: Model,
    average: Option<Average>,
    optimizer: Optimizer,
    /// The watched best state, in the order of the model's tensors; kept only for early stopping.
    best: Option<Vec<Tensor>>,
    /// Gradients of the batches since the last step.
    gathered: Option<Vec<Tensor>>,
    /// Measurements of the epoch after the position.
    meter: Meter,
}

impl State {
    /// A trial at its beginning.
    pub(crate) fn new(
        recipe: &Recipe,
        numerics: Numerics,
        classes: u32,
        device: Device,
        files: &Files,
    ) -> Result<Self, TrainError> {
        let make = || files.make(recipe, classes, device);
        let model = make()?;
        let average = if recipe.ema.decay > 0.0 { Some(Average::new(recipe.ema.decay, make()?)) } else { None };
        Ok(Self {
            init: files.initial.as_ref().map(|initial| initial.sha256.clone()),
            script: files.script.as_ref().map(|script| script.sha256.clone()),
            position: Position::default(),
            numerics,
            average,
            optimizer: Optimizer::new(&recipe.optimizer, &model),
            best: None,
            gathered: None,
            meter: Meter::new(classes as usize, device),
            model,
        })
    }

    /// Goes on at `position` with the tensors of its `last` checkpoint.
    pub(crate) fn load(&mut self, position: Position, tensors: &Tensors) -> Result<(), Misfit> {
        self.model.load(|name| tensors.get(name))?;
        if let Some(average) = &mut self.average {
            average.model.load(|name| tensors.get(&format!("average.{name}")))?;
        }
        let slot = |name: &str, slot: &str| tensors.get(&format!("optimizer.{name}.{slot}"));
        self.optimizer.load(position.step, slot)?;
        self.best = match position.watched {
            None => None,
            Some(_) if is_best(&position) => Some(self.shown().snapshot()),
            Some(_) => {
                let find = |name: &str, like: &Tensor| {
                    let name = format!("best.{name}");
                    (tensors.get(&name).map(|tensor| tensor.to_device(like.device()))).ok_or(Misfit::Missing(name))
                };
                let named = self.model.tensors().iter();
                Some(named.map(|named| find(&named.name, &named.tensor)).collect::<Result<_, _>>()?)
            }
        };
        if position.batch > 0 && !self.meter.load(|sum| tensors.get(&format!("meter.{sum}"))) {
            return Err(Misfit::Missing("meter.*".to_owned()));
        }
        self.position = position;
        Ok(())
    }

    /// The network that is validated, kept as the best and handed over at the end: the average, if
    /// there is one.
    pub(crate) fn shown(&self) -> &Model {
        self.average.as_ref().map_or(&self.model, |average| &average.model)
    }

    /// Logits for validation.
    pub(crate) fn infer(&self, images: &Tensor) -> Tensor {
        forward(self.numerics, self.shown(), images, &mut Mode::Eval)
    }

    /// Steps of the optimizer so far.
    pub(crate) fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Where the first step of the epoch after the position stands.
    pub(crate) fn moment(&self, steps: Steps) -> Moment {
        let (epoch, steps_per_epoch) = (self.position.epoch, steps.steps());
        Moment { epoch, step: u64::from(epoch) * steps_per_epoch, steps_per_epoch }
    }

    /// Trains on the batch after the position. Returns its loss, and whether a step ended with it.
    pub(crate) fn learn(&mut self, recipe: &Recipe, steps: Steps, batch: &Batch) -> Result<(Tensor, bool), TrainError> {
        let (at, seen) = (self.position.batch, self.seen(steps));
        let mut random = stream(recipe.seed, Purpose::Dropout, &[seen]);
        let mut mode = Mode::Train { dropout: recipe.dropout_rate(), random: &mut random };
        let logits = forward(self.numerics, &self.model, &batch.images, &mut mode);
        let loss = batch.loss(|labels| cross_entropy(&logits, labels, recipe.label_smoothing));
        let share = steps.share(at);
        let part = if share < 1.0 { &loss * share } else { loss.shallow_clone() };
        let weights: Vec<&Tensor> = self.model.weights().map(|named| &named.tensor).collect();
        let mut gradients = Tensor::f_run_backward(&[&part], &weights, false, false)?;
        if let Some(before) = self.gathered.take() {
            let _guard = tch::no_grad_guard();
            for (gradient, before) in gradients.iter_mut().zip(before) {
                *gradient += before;
            }
        }
        let ends = steps.ends(at);
        if ends {
            if recipe.clip_norm > 0.0 {
                clip(&mut gradients, recipe.clip_norm);
            }
            let moment = Moment { step: self.optimizer.steps(), ..self.moment(steps) };
            let pace = recipe.pace(&moment, self.position.plateau.as_ref());
            self.optimizer.step(gradients, pace);
            if let Some(average) = &mut self.average {
                average.follow(&self.model, self.optimizer.steps() == 1);
            }
        } else {
            self.gathered = Some(gradients);
        }
        self.meter.add(&loss, &logits, &batch.labels);
        self.position.batch += 1;
        self.position.step = self.optimizer.steps();
        Ok((loss, ends))
    }

    /// The epoch after the position is done. Not before its validation: until then it can be kept with what was measured.
    pub(crate) fn end_epoch(&mut self) {
        (self.position.epoch, self.position.batch) = (self.position.epoch + 1, 0);
        self.meter.clear();
    }

    /// The means of the epoch so far.
    pub(crate) fn mean(&self) -> Mean {
        self.meter.mean()
    }

    /// Whether the losses of the epoch so far are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.mean().is_finite()
    }

    /// Whether no batch waits for the others of its step.
    pub(crate) fn is_between_steps(&self) -> bool {
        self.gathered.is_none()
    }

    /// Epochs done, and batches of the one after those.
    pub(crate) fn place(&self) -> (u32, u64) {
        (self.position.epoch, self.position.batch)
    }

    /// Training batches so far, in the whole trial.
    fn seen(&self, steps: Steps) -> u64 {
        u64::from(self.position.epoch) * steps.batches() + self.position.batch
    }

    /// Brings the counts of batches up to date, which nothing but a look at the state needs.
    pub(crate) fn count_batches(&mut self, steps: Steps) {
        let seen = self.seen(steps);
        self.model.set_batches(seen);
        if let Some(average) = &mut self.average {
            average.model.set_batches(seen);
        }
    }

    /// Notes the epoch's validation; returns whether its accuracy is the best so far. Of equal
    /// epochs the earlier one stays.
    pub(crate) fn note(&mut self, recipe: &Recipe, val: &Mean) -> bool {
        let epoch = self.position.epoch;
        let mark = |value: f64| Mark { epoch, value: value.into() };
        let is_best = (self.position.best).is_none_or(|best| val.accuracy > best.value.0);
        if is_best {
            self.position.best = Some(mark(val.accuracy));
        }
        if let Schedule::Plateau(rule) = &recipe.schedule {
            self.position.plateau = Some(rule.observe(self.position.plateau, recipe.lr, val.loss, val.accuracy));
        }
        if let Some(rule) = &recipe.early_stop {
            let (value, better) = match rule.metric {
                Watched::ValAccuracy => (val.accuracy, 1.0),
                Watched::ValLoss => (val.loss, -1.0),
            };
            let gain = |old: Mark| (value - old.value.0) * better;
            if (self.position.watched).is_none_or(|old| gain(old) > rule.min_delta) {
                self.position.watched = Some(mark(value));
                self.best = Some(self.shown().snapshot());
            }
        }
        is_best
    }

    /// What a checkpoint of this kind holds.
    pub(crate) fn tensors(&self, kind: CheckpointKind) -> Vec<(String, Tensor)> {
        if kind == CheckpointKind::Best {
            return prefixed("", self.shown()).collect();
        }
        let mut tensors: Vec<(String, Tensor)> = prefixed("", &self.model).collect();
        if let Some(average) = &self.average {
            tensors.extend(prefixed("average.", &average.model));
        }
        for (name, slot, tensor) in self.optimizer.state() {
            tensors.push((format!("optimizer.{name}.{slot}"), tensor.shallow_clone()));
        }
        if let (Some(best), false) = (&self.best, is_best(&self.position)) {
            tensors
                .extend(prefixed("best.", &self.model).zip(best).map(|((name, _), best)| (name, best.shallow_clone())));
        }
        if self.position.batch > 0 {
            tensors.extend(self.meter.state().into_iter().map(|(sum, tensor)| (format!("meter.{sum}"), tensor)));
        }
        tensors
    }

    /// The network at the end: the best state, if early stopping is on.
    pub(crate) fn finish(&mut self) -> &Model {
        if let Some(best) = self.best.take() {
            self.restore(&best);
        }
        self.shown()
    }

    /// Looks at the network that [`State::finish`] would give out now, and its epoch; what comes after can
    /// still be saved.
    pub(crate) fn as_finished<Seen>(&mut self, look: impl FnOnce(&Self, u32) -> Seen) -> Seen {
        let earlier = self.position.watched.filter(|mark| mark.epoch != self.position.epoch);
        let (Some(mark), Some(best)) = (earlier, self.best.take_if(|_| earlier.is_some())) else {
            return look(self, self.position.epoch);
        };
        let newest = self.shown().snapshot();
        self.restore(&best);
        let seen = look(self, mark.epoch);
        self.restore(&newest);
        self.best = Some(best);
        seen
    }

    /// Puts the network that is shown back into an earlier state of it.
    fn restore(&mut self, snapshot: &[Tensor]) {
        let model = self.average.as_mut().map_or(&mut self.model, |average| &mut average.model);
        let mut states = snapshot.iter();
        let fits = model.load(|_| states.next());
        fits.expect("a snapshot has the tensors of its model, in order");
    }
}

fn prefixed(prefix: &str, model: &Model) -> impl Iterator<Item = (String, Tensor)> {
    model.tensors().iter().map(move |named| (format!("{prefix}{}", named.name), named.tensor.shallow_clone()))
}

/// Whether the state at `position` is the one that early stopping would restore.
fn is_best(position: &Position) -> bool {
    position.batch == 0 && position.watched.is_some_and(|mark| mark.epoch == position.epoch)
}

/// Mean cross entropy, nats. With `smoothing` that share of each target is spread evenly over all
/// classes (Szegedy et al. 2016, arXiv:1512.00567).
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    logits.cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, smoothing)
}
