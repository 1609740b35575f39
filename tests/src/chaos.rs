//! Runs a sweep while killing a random process every so often, or stopping one for a while, and compares what comes out with a
//! quiet run: the same weights bit for bit, the same report.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::Lab;
use crate::random::Random;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The report without what depends on time and on ids of this run.
    pub result: Value,
    /// The audit.
    pub audit: Value,
    /// Kills of coordinator, agent and trainers.
    pub kills: [u32; 3],
    /// How often one of them was stopped (SIGSTOP) and went on a while later.
    pub stops: u32,
    /// How long it took.
    pub seconds: f64,
}

/// How to kill.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Mean time between kills; `None` is a quiet run.
    pub every: Option<Duration>,
    /// Seed of the choices.
    pub seed: u64,
    /// Longest time for the whole sweep.
    pub limit: Duration,
}

/// Submits `spec` to the lab and kills until the sweep is over.
///
/// # Errors
/// When the sweep does not end in time, or a command fails.
pub fn run(lab: &mut Lab, spec: &Path, plan: Plan) -> Result<Outcome> {
    let start = Instant::now();
    lab.wait_for_agent()?;
    let submitted = lab.json(&["submit", spec.to_str().context("a path of text")?])?;
    let sweep = find(&submitted, "name").context("submit prints the sweep's name")?;

    // `watch` ends with the sweep and survives every restart of the coordinator.
    let (sender, done) = channel();
    let mut watch = lab.command(&["watch", &sweep, "--quiet"]).spawn().context("sweepctl watch")?;
    std::thread::spawn(move || sender.send(watch.wait()));

    let mut random = Random(plan.seed);
    let mut hurts = [0; 4];
    loop {
        let pause = match plan.every {
            Some(every) => every.mul_f64(0.5 + random.below(1000) as f64 / 1000.0),
            None => plan.limit,
        };
        match done.recv_timeout(pause) {
            Ok(status) => {
                let status = status.context("sweepctl watch")?;
                ensure!(status.success(), "sweepctl watch: {status}\n{}", lab.logs());
                break;
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the watcher is gone"),
            Err(RecvTimeoutError::Timeout) if start.elapsed() > plan.limit => {
                let state = lab.text(&["show", &sweep]).unwrap_or_default();
                bail!(
                    "not over after {:?} (seed {}, kills and stops {hurts:?})\n{state}{}",
                    plan.limit,
                    plan.seed,
                    lab.logs()
                );
            }
            Err(RecvTimeoutError::Timeout) => hurt(lab, &mut random, &mut hurts)?,
        }
    }
    let [coordinator, agent, trainer, stops] = hurts;
    let kills = [coordinator, agent, trainer];
    let report = lab.json(&["report", &sweep])?;
    let audit = lab.json(&["audit", &sweep])?;
    Ok(Outcome { result: comparable(report), audit, kills, stops, seconds: start.elapsed().as_secs_f64() })
}

/// Kills coordinator, agent or a trainer, or stops one of them for a while.
fn hurt(lab: &mut Lab, random: &mut Random, hurts: &mut [u32; 4]) -> Result<()> {
    // A short run has some of each: what was not done yet comes first.
    let mut kinds: Vec<usize> = (0..4).filter(|kind| hurts[*kind] == 0).collect();
    if kinds.is_empty() {
        kinds = vec![0, 1, 2, 3];
    }
    let kind = kinds[random.below(kinds.len() as u64) as usize];
    let is_done = match kind {
        0 => {
            lab.kill_coordinator();
            lab.start_coordinator()?;
            true
        }
        1 => {
            lab.kill_agent();
            lab.start_agent()?;
            true
        }
        2 => {
            let trainers = lab.trainers();
            let found = trainers.get(random.below(trainers.len().max(1) as u64) as usize);
            found.inspect(|pid| lab.kill_process(**pid)).is_some()
        }
        _ => stop(lab, random),
    };
    hurts[kind] += u32::from(is_done);
    Ok(())
}

/// Stops one of the processes for up to a second.
fn stop(lab: &Lab, random: &mut Random) -> bool {
    let all: Vec<u32> = lab.coordinator_pid().into_iter().chain(lab.agent_pid()).chain(lab.trainers()).collect();
    let Some(pid) = all.get(random.below(all.len().max(1) as u64) as usize) else { return false };
    let Some(pid) = Pid::from_raw(pid.cast_signed()) else { return false };
    let stopped = kill_process(pid, Signal::STOP).is_ok();
    // This is for how long it stands still; nothing is waited for.
    std::thread::sleep(Duration::from_millis(50 + random.below(950)));
    // A trainer may have been killed meanwhile by its agent.
    kill_process(pid, Signal::CONT).ok();
    stopped
}

/// A report without what a kill changes: cost, where it ran, and what counts inside an attempt.
pub fn comparable(mut report: Value) -> Value {
    strip(&mut report);
    report
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(table) => {
            for changed in ["cost", "pareto", "provenance", "seq"] {
                table.remove(changed);
            }
            table.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The first text under `key`, however deep.
pub fn find(value: &Value, key: &str) -> Option<String> {
    match value {
        Value::Object(table) => match table.get(key).and_then(Value::as_str) {
            Some(text) => Some(text.to_owned()),
            None => table.values().find_map(|value| find(value, key)),
        },
        Value::Array(items) => items.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

/// A sweep file that leaves neither precision nor layout to a probe: two runs of it give the same bits.
///
/// # Errors
/// When it is not TOML.
pub fn decided(spec: &str) -> Result<String> {
    let mut spec: toml::Table = spec.parse()?;
    for (field, plain) in [("precision", "fp32"), ("layout", "contiguous")] {
        spec.entry(field).or_insert_with(|| plain.into());
    }
    Ok(toml::to_string(&spec)?)
}
