//! How long it takes until work goes on after a `kill -9`: real processes, a trainer that reports an epoch each 100 ms.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{Lab, Setup, wait_for};

/// What the killed ones have to do.
const SPEC: &str = "name = \"faults\"\ndataset = \"none\"\nepochs = 10000\n";

/// What was measured, each time anew.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// From the start of another agent to the first epoch that it reported; the same trainer goes on.
    pub agent: Vec<Duration>,
    /// From the start of another coordinator to the first epoch that it took.
    pub coordinator: Vec<Duration>,
    /// From the kill of a trainer to the first epoch of the next attempt, its start and download included.
    pub trainer: Vec<Duration>,
    /// Epochs that were done again after a trainer was killed, at most; each has a checkpoint.
    pub repeated: u64,
}

/// Kills each of them so often.
///
/// # Errors
/// When work does not go on, or another trainer does it than should.
pub fn run(bin: &Path, dir: &Path, rounds: u32) -> Result<Faults> {
    let mut setup = Setup::new(bin.to_owned(), dir.to_owned());
    setup.trainer = "sweep-noop-trainer".into();
    setup.slots = 1;
    setup.agent_args = vec!["--pretend".into(), "1".into()];
    let env = [("SWEEP_NOOP_EPOCHS", "recipe"), ("SWEEP_NOOP_EPOCH_MS", "100"), ("SWEEP_NOOP_CHECKPOINT", "1")];
    setup.env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut lab = Lab::start(setup)?;
    lab.wait_for_agent()?;
    let spec = dir.join("faults.toml");
    std::fs::write(&spec, SPEC)?;
    lab.text(&["submit", &spec.display().to_string()])?;
    let mut faults = Faults::default();
    for _ in 0..rounds {
        let (trainer, epoch) = working(&lab, 0)?;
        lab.kill_agent();
        let start = Instant::now();
        lab.start_agent()?;
        ensure!(working(&lab, epoch)?.0 == trainer, "another trainer goes on");
        faults.agent.push(start.elapsed());

        let (trainer, epoch) = working(&lab, 0)?;
        lab.kill_coordinator();
        let start = Instant::now();
        lab.start_coordinator()?;
        ensure!(working(&lab, epoch)?.0 == trainer, "another trainer goes on");
        faults.coordinator.push(start.elapsed());

        let (trainer, epoch) = working(&lab, 0)?;
        let start = Instant::now();
        lab.kill_process(trainer);
        let again = wait_for("another trainer", || lab.trainers().into_iter().find(|pid| *pid != trainer))?;
        ensure!(working(&lab, epoch)?.0 == again, "another trainer goes on");
        faults.trainer.push(start.elapsed());
    }
    let audit: Value = serde_json::from_slice(&lab.ctl(&["audit", "faults", "--json"])?.stdout)?;
    let (epoch, reports) = (shown(&lab)?, audit["epochs"].as_u64().context("epochs of the audit")?);
    faults.repeated = reports.saturating_sub(epoch).div_ceil(u64::from(rounds.max(1)));
    for times in [&mut faults.agent, &mut faults.coordinator, &mut faults.trainer] {
        times.sort();
    }
    Ok(faults)
}

/// The trainer, once it has reported an epoch later than this one; and which.
fn working(lab: &Lab, later_than: u64) -> Result<(u32, u64)> {
    wait_for("an epoch", || {
        let epoch = shown(lab).ok().filter(|epoch| *epoch > later_than)?;
        Some((*lab.trainers().first()?, epoch))
    })
}

/// The newest epoch that the coordinator has.
fn shown(lab: &Lab) -> Result<u64> {
    let shown = lab.json(&["show", "faults", "--trials"])?;
    shown["trials"][0]["epoch"].as_u64().context("the epoch of a trial")
}
