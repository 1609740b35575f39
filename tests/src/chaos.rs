//! Runs a sweep while killing a random process every so often, and compares what comes out with a
//! quiet run: the same weights bit for bit, the same report.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
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
    let mut kills = [0; 3];
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
                bail!("not over after {:?} (seed {}, kills {kills:?})\n{state}{}", plan.limit, plan.seed, lab.logs());
            }
            Err(RecvTimeoutError::Timeout) => kill(lab, &mut random, &mut kills)?,
        }
    }
    let report = lab.json(&["report", &sweep])?;
    let audit = lab.json(&["audit", &sweep])?;
    Ok(Outcome { result: comparable(report), audit, kills, seconds: start.elapsed().as_secs_f64() })
}

fn kill(lab: &mut Lab, random: &mut Random, kills: &mut [u32; 3]) -> Result<()> {
    let trainers = lab.trainers();
    // A run with a few kills has some of each: what was not killed yet comes first.
    let mut kinds: Vec<usize> = (0..3).filter(|kind| kills[*kind] == 0).collect();
    if kinds.is_empty() {
        kinds = vec![0, 1, 2];
    }
    match kinds[random.below(kinds.len() as u64) as usize] {
        0 => {
            lab.kill_coordinator();
            lab.start_coordinator()?;
            kills[0] += 1;
        }
        1 => {
            lab.kill_agent();
            lab.start_agent()?;
            kills[1] += 1;
        }
        _ => {
            if let Some(pid) = trainers.get(random.below(trainers.len().max(1) as u64) as usize) {
                lab.kill_process(*pid);
                kills[2] += 1;
            }
        }
    }
    Ok(())
}

/// The report without cost, where it ran, and what counts inside an attempt: that is what a kill changes.
/// A report without what depends on time and on ids of its run.
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
