//! `verify-resume`: one trial of a file trained straight through, and again with `kill -9` at random
//! moments, each time going on from the last checkpoint as an agent would. Every number and the final
//! weights must have the same bits. Needs no coordinator; training is left to `sweep-trainer`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use sweep_core::attempt::{
    Body, CHECKPOINT_DIR, CheckpointKind, Done, EVENTS_FILE, EpochMetrics, LOG_FILE, Line, ORDER_FILE, OrderFile,
    PROTOCOL, Resume, Work,
};
use sweep_core::environment;
use sweep_core::id::Lease;
use sweep_core::plan::RecipeError;
use sweep_core::recipe::Recipe;

use super::program;
use crate::cli::{Format, VerifyResume};
use crate::fault::{Fault, count};
use crate::output::{Out, safe};
use crate::sweep_file;

/// How often a trainer's lines are looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Nobody waits for a trainer that is killed here.
const ORPHAN_LIMIT_S: u64 = 7 * 24 * 3600;

/// Why two runs could not be compared, or that they differ.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Verdict {
    /// A place in a plan that it does not have.
    #[error("there is no trial {index}: the plan has {trials}, counted from 0")]
    NoSuchTrial {
        /// What was asked for.
        index: u32,
        /// How many there are.
        trials: u32,
    },
    /// A trial's recipe cannot be put together.
    #[error("the plan is not sound")]
    Unplanned(#[from] RecipeError),
    /// The trainer could not train.
    #[error("the trainer did not come to its end: {why}")]
    TrainerFailed {
        /// What it said.
        why: String,
    },
    /// A resumed run differs from one that was left alone.
    #[error("a run that was killed and resumed does not end where the straight one does")]
    NotTheSame,
}

/// What one process said before its end.
struct Told {
    epochs: Vec<EpochMetrics>,
    last: Option<Resume>,
    done: Option<Done>,
    /// Why it could not go on.
    failed: Option<String>,
}

/// Everything that is the same for all processes.
struct Bench<'a> {
    trainer: PathBuf,
    args: &'a VerifyResume,
    recipe: Recipe,
    lease: Lease,
    folder: PathBuf,
}

/// Trains twice and compares.
pub(crate) fn run(out: &Out, args: &VerifyResume) -> Result<(), Fault> {
    let file = sweep_file::load(out, &args.file)?;
    let trials = file.plan.len();
    if args.trial >= trials {
        return Err(Verdict::NoSuchTrial { index: args.trial, trials }.into());
    }
    let recipe = file.plan.recipe(args.trial).map_err(Verdict::Unplanned)?;
    let trial = file.plan.trial_id(file.id(""), args.trial);
    let work = tempfile::Builder::new().prefix("sweep-verify-").tempdir().map_err(Fault::Process)?;
    let bench = Bench {
        trainer: program("sweep-trainer")?,
        args,
        recipe,
        lease: Lease { trial, attempt: 1 },
        folder: work.path().to_owned(),
    };
    out.note(format!("trial {}: {}", args.trial, settings(&file.plan, args.trial)));
    let began = Instant::now();
    let (straight, _) = bench.attempt("straight", None, None)?;
    let whole = complete(straight)?;
    out.note(format!("straight: {} in {:.1} s", count(whole.0.len(), "epoch"), began.elapsed().as_secs_f64()));
    // Without the start, which may take longer than a short training: it would be over before its kills.
    let training = whole.0.iter().map(|epoch| epoch.seconds.0).sum::<f64>();

    let (mut epochs, mut resume, mut kills) = (Vec::new(), None, Vec::new());
    let mut random = args.seed;
    let done = loop {
        let left = args.kills.saturating_sub(kills.len() as u32);
        let seconds = (left > 0).then(|| training * unit(&mut random) / f64::from(args.kills));
        let moment = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        let name = format!("killed-{}", kills.len());
        let (told, killed) = bench.attempt(&name, resume.clone(), moment)?;
        epochs.extend(told.epochs.iter().cloned());
        if killed {
            let at = told.epochs.last().map_or(0, |epoch| epoch.epoch);
            let at = at.max(resume.as_ref().map_or(0, |resume: &Resume| resume.epoch)) + 1;
            out.note(format!("killed in epoch {at}"));
            kills.push(at);
            resume = told.last.or(resume);
            continue;
        }
        break complete(told)?.1;
    };
    let differing = differing(&whole.0, &epochs);
    let weights = &done.weights;
    let same = differing.is_empty() && *weights == whole.1.weights && done.test == whole.1.test;
    if out.format == Format::Json {
        out.json(&json!({
            "same": same, "epochs": whole.0.len(), "killed_in_epochs": kills, "differing_epochs": differing,
            "weights": [whole.1.weights, weights], "test": [whole.1.test, done.test],
        }))?;
    } else {
        let killed = count(kills.len(), "kill");
        let verdict = match same {
            true => format!("the same bits after {killed}: {}, weights {weights}\n", count(whole.0.len(), "epoch")),
            false => {
                let (first, test) = (&whole.1.weights, [&whole.1.test, &done.test]);
                format!(
                    "DIFFERENT after {killed}: epochs {differing:?}, weights {first} and {weights}, test {test:?}\n"
                )
            }
        };
        out.print(verdict)?;
    }
    if same { Ok(()) } else { Err(Verdict::NotTheSame.into()) }
}

fn settings(plan: &sweep_core::plan::Plan, index: u32) -> String {
    let trial = plan.trial(index);
    let labels = plan.labels(trial.point).into_iter().map(|(path, label)| format!("{path}={label}"));
    let seed = format!("seed={}", plan.seeds[trial.seed as usize]);
    safe(&labels.chain([seed]).collect::<Vec<_>>().join(" ")).into_owned()
}

/// The epochs and the final line of a process that came to its end.
fn complete(told: Told) -> Result<(Vec<EpochMetrics>, Done), Fault> {
    match told.done {
        Some(done) => Ok((told.epochs, done)),
        None => {
            let why = told.failed.unwrap_or_else(|| "it left no final line".to_owned());
            Err(Verdict::TrainerFailed { why }.into())
        }
    }
}

/// Epochs whose numbers differ from those of the straight run. Times are no results.
fn differing(whole: &[EpochMetrics], pieces: &[EpochMetrics]) -> Vec<u32> {
    let bits = |epoch: &EpochMetrics| {
        let EpochMetrics { epoch, train_loss, train_accuracy, val_loss, val_accuracy, lr, top5, .. } = epoch;
        let top5 = top5.map(|top5| [top5.train, top5.val].map(|number| number.0.to_bits()));
        (*epoch, [train_loss, train_accuracy, val_loss, val_accuracy, lr].map(|number| number.0.to_bits()), top5)
    };
    let wrong = |piece: &&EpochMetrics| !whole.iter().any(|epoch| bits(epoch) == bits(piece));
    let missing = |epoch: &&EpochMetrics| !pieces.iter().any(|piece| piece.epoch == epoch.epoch);
    let mut epochs: Vec<u32> =
        (pieces.iter().filter(wrong)).chain(whole.iter().filter(missing)).map(|epoch| epoch.epoch).collect();
    epochs.sort_unstable();
    epochs.dedup();
    epochs
}

impl Bench<'_> {
    /// Runs one process, to its end or until `moment` after it began to train. True if it was killed.
    fn attempt(&self, name: &str, resume: Option<Resume>, moment: Option<Duration>) -> Result<(Told, bool), Fault> {
        let folder = self.folder.join(name);
        let disk = |what: &'static str| {
            let path = folder.clone();
            move |source: io::Error| Fault::Disk { what, path, source }
        };
        fs::create_dir_all(&folder).map_err(disk("make the folder"))?;
        let mut roots = Vec::new();
        for root in &self.args.data {
            roots.push(fs::canonicalize(root).map_err(|source| Fault::Disk {
                what: "find",
                path: root.clone(),
                source,
            })?);
        }
        let order = OrderFile {
            protocol: PROTOCOL,
            work: vec![Work { resume, ..Work::new(self.lease, self.recipe.clone()) }],
            device: self.args.device.clone(),
            threads: self.args.threads,
            data_roots: roots,
            cache_dir: self.folder.join("cache"),
            agent_lock: self.folder.join("agent.lock"),
            orphan_limit_s: ORPHAN_LIMIT_S,
            allow_torchscript: true,
        };
        let text = serde_json::to_vec(&order).expect("an order is plain JSON");
        fs::write(folder.join(ORDER_FILE), text).map_err(disk("write the order in"))?;
        let log = File::create(folder.join(LOG_FILE)).map_err(disk("write the log in"))?;
        let mut command = Command::new(&self.trainer);
        command.arg(&folder).envs(environment::of_trainer(self.args.threads));
        for (name, value) in environment::of_tf32(self.recipe.tf32) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut trainer = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(Fault::Process)?)
            .stderr(log)
            .spawn()
            .map_err(|source| Fault::Program { path: self.trainer.clone(), source })?;
        let killed = match moment {
            Some(moment) => kill_after(&mut trainer, &folder, moment),
            None => Ok(false),
        };
        trainer.wait().map_err(Fault::Process)?;
        Ok((read(&folder), killed.map_err(Fault::Process)?))
    }
}

/// Kills the trainer `moment` after its first line, unless it ends before.
fn kill_after(trainer: &mut Child, folder: &Path, moment: Duration) -> io::Result<bool> {
    let mut due = None;
    loop {
        if trainer.try_wait()?.is_some() {
            return Ok(false);
        }
        if due.is_none() && fs::metadata(folder.join(EVENTS_FILE)).is_ok_and(|events| events.len() > 0) {
            due = Some(Instant::now() + moment);
        }
        if due.is_some_and(|due| Instant::now() >= due) {
            trainer.kill()?;
            return Ok(true);
        }
        std::thread::sleep(LOOK);
    }
}

/// What a folder tells; a line cut short by a kill is none.
fn read(folder: &Path) -> Told {
    let text = fs::read_to_string(folder.join(EVENTS_FILE)).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let mut told = Told { epochs: Vec::new(), last: None, done: None, failed: None };
    let mut best = None;
    for line in lines {
        match line.body {
            Body::Epoch(epoch) => told.epochs.push(epoch),
            Body::Checkpoint(line) => {
                let file = folder.join(CHECKPOINT_DIR).join(&line.file);
                match line.kind {
                    CheckpointKind::Best => best = Some(file),
                    CheckpointKind::Last => {
                        told.last = Some(Resume { file, epoch: line.epoch, best: best.clone() });
                    }
                }
            }
            Body::Done(done) => told.done = Some(done),
            Body::Failed(failed) => told.failed = Some(format!("{}: {}", failed.reason, failed.message)),
            Body::Stopped(_) => told.failed = Some("it was stopped from outside".to_owned()),
            Body::Chosen(_) | Body::Started(_) | Body::Step(_) => {}
        }
    }
    told
}

/// A number from 0 to below 1 (splitmix64).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::attempt::Top5;
    use sweep_core::cost::EpochCost;
    use sweep_core::num::Num;

    fn epoch(epoch: u32, loss: f64) -> EpochMetrics {
        let number = Num(loss);
        let [train_accuracy, val_loss, val_accuracy, lr, images_per_s, seconds] = [Num(0.5); 6];
        let seq = u64::from(epoch);
        EpochMetrics {
            seq,
            epoch,
            train_loss: number,
            train_accuracy,
            val_loss,
            val_accuracy,
            lr,
            images_per_s,
            seconds,
            top5: Some(Top5 { train: number, val: number }),
            cost: None,
        }
    }

    #[test]
    fn one_bit_is_a_difference_and_times_are_none() {
        let whole = [epoch(1, 1.0), epoch(2, 0.5)];
        let mut again = vec![epoch(1, 1.0), epoch(1, 1.0), epoch(2, 0.5)];
        again[1].seconds = Num(9.0);
        assert_eq!(differing(&whole, &again), [] as [u32; 0]);
        again[2].train_loss = Num(f64::from_bits(0.5f64.to_bits() + 1));
        assert_eq!(differing(&whole, &again), [2]);
        assert_eq!(differing(&whole, &again[..2]), [2], "missing");
        again[2] = epoch(2, 0.5);
        again[2].cost = Some(Box::new(EpochCost {
            step_ms: Num(1.0),
            data_wait: Num(0.0),
            peak_memory: None,
            own_memory: None,
            device_memory: None,
            steps: None,
            part: None,
            numerics: None,
            energy: None,
        }));
        assert_eq!(differing(&whole, &again), [] as [u32; 0]);
        again[2].top5 = None;
        assert_eq!(differing(&whole, &again), [2]);
    }
}
