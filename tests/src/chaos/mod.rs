//! Runs a sweep while something is done to the lab every so often ([`hurts`] lists what), and compares what comes out with a
//! quiet run: the same weights bit for bit, the same report.

pub mod disk;
pub mod hurts;
pub mod noop;
pub mod proxy;
mod torment;
mod wal;

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::Lab;
use crate::random::Random;
use hurts::{Counts, Hurt};
use torment::Torment;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The report without what depends on time and on ids of this run.
    pub result: Value,
    /// The audit.
    pub audit: Value,
    /// What was done how often.
    pub hurts: Counts,
    /// How often an admin had to accept that the end of the journal was lost.
    pub rollbacks: u32,
    /// How long it took.
    pub seconds: f64,
}

/// What to do, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Mean time between two things; `None` is a quiet run.
    pub every: Option<Duration>,
    /// What is done; of these, whatever the lab allows.
    pub hurts: &'static [Hurt],
    /// After so many kills nothing more is done; `None`: to the end of the sweep.
    pub cycles: Option<u32>,
    /// Seed of the choices.
    pub seed: u64,
    /// Longest time for the whole sweep.
    pub limit: Duration,
}

impl Plan {
    /// Nothing is done.
    pub fn quiet(limit: Duration) -> Self {
        Self { every: None, hurts: &[], cycles: None, seed: 0, limit }
    }

    /// Processes are killed and stopped to the end of the sweep.
    pub fn kills(every: Duration, seed: u64, limit: Duration) -> Self {
        Self { every: Some(every), hurts: Hurt::PROCESSES, cycles: None, seed, limit }
    }

    /// Everything is done, until a program was killed so many times.
    pub fn everything(every: Duration, seed: u64, limit: Duration, cycles: Option<u32>) -> Self {
        Self { every: Some(every), hurts: Hurt::ALL, cycles, seed, limit }
    }

    /// How long a sweep has to last for all of its cycles: what is done takes its time, too, and not all of it kills.
    pub fn least(&self) -> Duration {
        self.every.unwrap_or_default() * self.cycles.unwrap_or_default() * 3
    }
}

/// Submits `spec` to the lab and does what is planned until the sweep is over.
///
/// # Errors
/// When the sweep does not end in time, a command fails, or something is wrong in the store at the end.
pub fn run(lab: &mut Lab, spec: &Path, plan: Plan) -> Result<Outcome> {
    let start = Instant::now();
    lab.wait_for_agent()?;
    let submitted = lab.json(&["submit", spec.to_str().context("a path of text")?])?;
    let sweep = find(&submitted, "name").context("submit prints the sweep's name")?;

    // `watch` ends with the sweep and survives every restart of the coordinator.
    let (sender, done) = channel();
    let mut watch = lab.command(&["watch", &sweep, "--quiet"]).spawn().context("sweepctl watch")?;
    std::thread::spawn(move || sender.send(watch.wait()));

    // When, and what: drawn from two streams, so that nothing that is done changes what comes later.
    let mut random = Random(!plan.seed);
    let mut torment = Torment::new(lab, &sweep, plan.seed, plan.hurts)?;
    loop {
        let is_enough = plan.cycles.is_some_and(|cycles| torment.counts().kills() >= cycles);
        let pause = match plan.every.filter(|_| !is_enough) {
            Some(every) => every.mul_f64(0.5 + random.below(1000) as f64 / 1000.0),
            None => {
                torment.calm();
                plan.limit
            }
        };
        match done.recv_timeout(pause) {
            Ok(status) => {
                let status = status.context("sweepctl watch")?;
                ensure!(status.success(), "sweepctl watch: {status}\n{}", torment.lab().logs());
                break;
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the watcher is gone"),
            Err(RecvTimeoutError::Timeout) if start.elapsed() > plan.limit => {
                let state = torment.lab().text(&["show", &sweep]).unwrap_or_default();
                let (limit, seed, counts) = (plan.limit, plan.seed, torment.counts());
                bail!("not over after {limit:?} (seed {seed}, {counts})\n{state}{}", torment.lab().logs());
            }
            Err(RecvTimeoutError::Timeout) => torment.hurt()?,
        }
    }
    torment.finish()?;
    torment.look_at_store()?;
    let (hurts, rollbacks) = torment.done();
    let report = lab.json(&["report", &sweep])?;
    let audit = lab.json(&["audit", &sweep])?;
    Ok(Outcome { result: comparable(report), audit, hurts, rollbacks, seconds: start.elapsed().as_secs_f64() })
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
