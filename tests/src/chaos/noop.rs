//! Sweeps of trials that train nothing: as many as wanted, and as long as the things that are to be done take.

use std::path::PathBuf;
use std::time::Duration;

use crate::process::Setup;

/// Agents, in one process.
const AGENTS: u32 = 2;
/// Slots of each.
const SLOTS: u32 = 6;
/// Epochs of a trial, each with a checkpoint.
const EPOCHS: u32 = 4;
/// Megabytes for the coordinator.
const DISK: u32 = 192;

/// A sweep file with so many trials, an even number. No two of them have the same checkpoints.
pub fn spec(trials: u32) -> String {
    let rates: Vec<String> = (1..=trials.div_ceil(2)).map(|number| format!("{number}e-5")).collect();
    let head = format!("name = \"noop\"\ndataset = \"none\"\nmodel = \"cifar-cnn\"\nepochs = {EPOCHS}\nseeds = 2");
    format!("{head}\nmax_retries = 20\n[grid]\nlr = [{}]\n", rates.join(", "))
}

/// A lab for them, in which everything can be done.
pub fn setup(bin: PathBuf, dir: PathBuf, epoch: Duration) -> Setup {
    let mut setup = Setup::new(bin, dir);
    setup.trainer = "sweep-noop-trainer".into();
    setup.slots = SLOTS;
    setup.agent_args = vec!["--pretend".into(), AGENTS.to_string()];
    let epoch = epoch.as_millis().to_string();
    let env = [("SWEEP_NOOP_EPOCHS", "recipe"), ("SWEEP_NOOP_EPOCH_MS", &epoch), ("SWEEP_NOOP_CHECKPOINT", "1")];
    setup.env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    (setup.has_proxy, setup.disk) = (true, Some(DISK));
    setup
}

/// How long an epoch has to be for the sweep to last at least so long.
pub fn epoch(trials: u32, least: Duration) -> Duration {
    least * (AGENTS * SLOTS) / (trials * EPOCHS).max(1)
}
