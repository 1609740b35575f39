//! The training loop: an ordinary function over ordinary values, callable without a process. How
//! images, networks, updates and files work is left to their modules.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use sweep_core::attempt::{
    Body, CHECKPOINT_DIR, CheckpointKind, Done, EpochMetrics, Failed, OrderFile, PROTOCOL, Started, StepMetrics,
    StopCause, Stopped, Top5, Work,
};
use sweep_core::cost::{EpochCost, Part};
use sweep_core::recipe::Numerics;

use crate::cost::Pace;
use crate::data;
use crate::device;
use crate::error::{OrderError, TrainError};
use crate::hardware;
use crate::init::{self, Files};
use crate::link::{self, Stop};
use crate::log::say;
use crate::metric::Mean;
use crate::model::script::Script;
use crate::pass::{Enough, Look};
use crate::probe::{self, Place};
use crate::trial::Trial;

/// Step lines are at least so far apart.
const STEP_LINES: Duration = Duration::from_millis(500);

/// What a probe does before it looks at the clock: the first steps make ready what all others use.
const WARM: Enough = Enough { steps: 2, least: Duration::ZERO, most: Duration::from_secs(60), val_batches: 1 };
/// How long it looks; the steps are the order's.
const PROBE: Enough =
    Enough { steps: 0, least: Duration::from_secs(5), most: Duration::from_secs(60), val_batches: 16 };

/// Takes lines as they come; returns an error when they cannot be kept.
pub type Emit<'a> = dyn FnMut(Body) -> Result<(), TrainError> + 'a;

/// Trains the one trial of `order` in `folder` and returns its final line, which the caller emits
/// after all others. Everything unexpected becomes a `failed` line, panics included.
pub fn run(order: &OrderFile, folder: &Path, emit: &mut Emit<'_>, stop: &Stop) -> Body {
    let mut seq = 0;
    let trial = || train(order, folder, emit, stop, &mut seq);
    // A panic leaves nothing behind that is used again: the trial's values die with it.
    let result = catch_unwind(AssertUnwindSafe(trial))
        .unwrap_or_else(|payload| Err(TrainError::Panic(panic_text(payload.as_ref()))));
    match result {
        Ok(done) => Body::Done(done),
        Err(error) => last_line(&error.explained(), seq, stop),
    }
}

/// The final line for an error after `final_seq` epoch lines.
pub fn last_line(error: &TrainError, final_seq: u64, stop: &Stop) -> Body {
    match error {
        TrainError::Stopped => Body::Stopped(Stopped { final_seq, why: stop.cause().unwrap_or(StopCause::Asked) }),
        error => Body::Failed(Failed {
            final_seq,
            class: error.class(),
            reason: error.reason().to_owned(),
            message: error.to_string(),
        }),
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    (payload.downcast_ref::<String>().cloned())
        .or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Name and version, with the commit of a release that was built from a checkout: for provenance, and for whether results of
/// earlier sweeps stand for what it would train.
pub fn build_name() -> String {
    let commit = option_env!("SWEEP_COMMIT").map(|commit| format!("+{commit}")).unwrap_or_default();
    format!("sweep-trainer {}{commit}", env!("CARGO_PKG_VERSION"))
}

/// The version this build was linked against; torch-sys refuses any other.
pub fn libtorch_version() -> &'static str {
    option_env!("SWEEP_LIBTORCH_VERSION").unwrap_or("unknown")
}

fn check(order: &OrderFile) -> Result<&Work, TrainError> {
    let [work] = order.work.as_slice() else {
        return Err(TrainError::Order(OrderError::Work(order.work.len())));
    };
    if order.threads == 0 {
        return Err(TrainError::Order(OrderError::NoThreads));
    }
    let wrong = work.recipe.check();
    if !wrong.is_empty() {
        return Err(TrainError::OutOfRange(wrong));
    }
    Ok(work)
}

fn train(
    order: &OrderFile,
    folder: &Path,
    emit: &mut Emit<'_>,
    stop: &Stop,
    seq: &mut u64,
) -> Result<Done, TrainError> {
    let work = check(order)?;
    let recipe = &work.recipe;
    let device = device::parse(&order.device)?;
    device::use_threads(order.threads);
    let listing = data::list(recipe, &order.data_roots)?;
    let place = Place { cache_dir: &order.cache_dir, device_name: &order.device, device, threads: order.threads };
    let script = Script::open(&recipe.model, &order.data_roots, order.allow_torchscript)?;
    let mut files = Files { initial: None, script };
    // Before the images are decoded, which may take long: others wait for this word. A resumed trial goes on with
    // what its checkpoint names.
    let numerics = match &work.resume {
        None => {
            let numerics = probe::choose(work, &files, listing.classes.len() as u32, place, stop)?;
            if work.alike.is_some() {
                emit(Body::Chosen(numerics))?;
            }
            numerics
        }
        Some(_) => Numerics::PLAIN,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(order.threads as usize).build()?;
    let dataset = pool.install(|| data::prepare(listing, recipe, &order.cache_dir, stop))?;
    drop(pool);
    if let Some(expected) = work.fingerprint.as_ref().filter(|expected| **expected != dataset.fingerprint) {
        let (expected, found) = (expected.clone(), dataset.fingerprint);
        return Err(TrainError::DatasetChanged { name: recipe.dataset.clone(), expected, found });
    }

    let helper = order.threads > 1 || device.is_cuda();
    if work.resume.is_none() {
        files.initial = init::open(&recipe.init, &order.data_roots)?;
    }
    let checkpoints = folder.join(CHECKPOINT_DIR);
    let mut trial = Trial::new(recipe, &dataset, numerics, device, helper, &checkpoints, &files)?;
    drop(files);
    if let Some(resume) = &work.resume {
        trial.resume(resume)?;
    }
    emit(Body::Started(Started {
        protocol: PROTOCOL,
        build: build_name(),
        engine: Some(format!("libtorch {}", libtorch_version())),
        hardware: hardware::describe(device),
        train_images: dataset.train.len() as u64,
        val_images: dataset.val.len() as u64,
        classes: dataset.classes.len() as u32,
        parameters: trial.parameters(),
        data: dataset.digest.clone(),
    }))?;

    let trained = epochs(&mut trial, work, folder, emit, stop, seq);
    if matches!(trained, Err(TrainError::Stopped))
        && let Some(line) = trial.leave(*seq, stop)
    {
        emit(Body::Checkpoint(line))?;
    }
    trained?;
    // Only an attempt that found every epoch done, and the test images not looked at, has this left.
    if work.probe_steps.is_none() && trial.test(stop)? {
        emit(Body::Checkpoint(trial.save(CheckpointKind::Last, *seq, stop)?))?;
    }
    let test = trial.test_score().cloned().map(Box::new);
    if let Some(test) = &test {
        // Without the numbers: a report keeps them back until the point is named, and anyone reads a log.
        let (images, epoch) = (test.images, test.epoch);
        say(format_args!("{images} test images looked at once, with the weights of epoch {epoch}"));
    }
    Ok(Done { final_seq: *seq, early: trial.ended_early(), weights: trial.finish()?, test })
}

/// Trains the epochs that are left, and keeps each.
fn epochs(
    trial: &mut Trial<'_>,
    work: &Work,
    folder: &Path,
    emit: &mut Emit<'_>,
    stop: &Stop,
    seq: &mut u64,
) -> Result<(), TrainError> {
    let recipe = &work.recipe;
    let step_images = u64::from(recipe.batch_size) * u64::from(recipe.accumulate);
    let mut told = None::<Instant>;
    while !trial.is_over() {
        if let Some(steps) = work.probe_steps {
            trial.end_epochs(if trial.epoch() == 0 { WARM } else { Enough { steps: steps.into(), ..PROBE } });
        }
        let (began, steps) = (Instant::now(), trial.optimizer_steps());
        let epoch = trial.epoch() + 1;
        let lr = trial.lr();
        let mut pace = Pace::begin();
        let images = trial.images_ahead();
        let train = trial.train_epoch(*seq, stop, &mut pace, |look| {
            let (step, loss) = match look {
                Look::Step(step, loss) => (step, loss),
                Look::Kept(line) => return emit(Body::Checkpoint(line)).map(|()| true),
            };
            // Reading the loss waits for the device: only now and then.
            if told.is_some_and(|at| at.elapsed() < STEP_LINES) {
                return Ok(true);
            }
            told = Some(Instant::now());
            let loss = loss.double_value(&[]);
            let step = Body::Step(StepMetrics { step, loss: loss.into() });
            emit(step)?;
            Ok(loss.is_finite())
        })?;
        let training = began.elapsed().as_secs_f64();
        let val = if train.is_finite() { trial.evaluate(stop)? } else { Mean::NONE };
        let steps = trial.optimizer_steps() - steps;
        let (of_steps, val_images) = (trial.steps_per_epoch(), trial.val_images_looked_at() as u64);
        let part = work.probe_steps.map(|_| Part {
            steps,
            of_steps,
            seconds: training.into(),
            val_images,
            of_val_images: trial.val_images(),
            val_seconds: (began.elapsed().as_secs_f64() - training).into(),
        });
        let images = part.map_or(images, |part| (images as u64).min(part.steps * step_images) as usize);
        emit(Body::Epoch(EpochMetrics {
            seq: *seq + 1,
            epoch,
            train_loss: train.loss.into(),
            train_accuracy: train.accuracy.into(),
            val_loss: val.loss.into(),
            val_accuracy: val.accuracy.into(),
            lr: lr.into(),
            images_per_s: (images as f64 / training).into(),
            seconds: began.elapsed().as_secs_f64().into(),
            top5: train.top5.zip(val.top5).map(|(train, val)| Top5 { train: train.into(), val: val.into() }),
            cost: Some(Box::new(EpochCost {
                steps: Some(trial.optimizer_steps()),
                part,
                ..pace.cost(trial.numerics())
            })),
        }))?;
        // Not before: a line that found no room is not one of those that the last line counts.
        *seq += 1;
        say(format_args!(
            "epoch {epoch}/{}: train loss {:.4}, accuracy {:.2} %; validation loss {:.4}, accuracy {:.2} %; lr {lr:e}, {:.1} s",
            recipe.epochs,
            train.loss,
            train.accuracy * 100.0,
            val.loss,
            val.accuracy * 100.0,
            began.elapsed().as_secs_f64()
        ));
        if !train.is_finite() || !val.is_finite() {
            return Err(TrainError::Diverged { epoch });
        }
        let is_best = trial.note(&val);
        // Of a probe nothing is kept but what it took.
        if work.probe_steps.is_some() {
            continue;
        }
        // Best first: whoever resumes from this epoch's `last` may rely on an earlier `best`.
        if is_best {
            emit(Body::Checkpoint(trial.save(CheckpointKind::Best, *seq, stop)?))?;
        }
        // Before the checkpoint, so that an attempt that goes on from it does not look again. Who is asked to leave meanwhile keeps the
        // epoch all the same, and the next attempt looks.
        let tested = if trial.is_over() { trial.test(stop) } else { Ok(false) };
        if matches!(tested, Ok(_) | Err(TrainError::Stopped)) {
            emit(Body::Checkpoint(trial.save(CheckpointKind::Last, *seq, stop)?))?;
        }
        tested?;
        if !trial.is_over() {
            link::wait_after(epoch, folder, stop)?;
        }
    }
    Ok(())
}
