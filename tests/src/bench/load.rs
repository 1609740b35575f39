//! What reports cost: many attempts report epochs at once, first at a pace, then at ten times of it, and every report is timed until the
//! coordinator has it on disk. And how long it takes until all agents are back after a coordinator was killed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use sweep_agent::rpc::{Links, calls, links};
use sweep_core::attempt::EpochMetrics;
use sweep_core::command::{Effect, EffectKind, EffectResult};
use sweep_core::id::{AgentId, Lease};
use sweep_core::num::Num;
use sweep_proto::v1;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{Coordinator, Pretend, settings, spec, submit};
use crate::scripted::Script;

/// Attempts of an agent, each of which reports in every call.
const SLOTS: u32 = 8;
/// A heartbeat each second: a lease is good for 60.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How much to report.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Agents.
    pub agents: u32,
    /// Epoch reports a second, of all of them.
    pub rows: u32,
    /// Epochs of an attempt in one call.
    pub batch: u32,
    /// For how long.
    pub time: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Load {
    /// Epoch reports a second that were on disk and answered.
    pub rows: f64,
    /// Times from a report to its answer, sorted.
    pub answers: Vec<Duration>,
    /// Times of heartbeats meanwhile, sorted.
    pub heartbeats: Vec<Duration>,
    /// Leases that were taken back.
    pub lost: u32,
    /// The coordinator's memory at most, MiB.
    pub peak_mib: f64,
}

/// An agent that reports, as the wire sees it.
struct Reporter {
    links: Links,
    agent: AgentId,
    leases: Vec<Lease>,
    epochs: u32,
}

/// Starts a coordinator whose agents hold a lease on every slot, and reports at each of these paces in turn.
///
/// # Errors
/// When something does not work.
pub async fn run(bin: &Path, dir: &Path, paces: &[Pace]) -> Result<Vec<Load>> {
    let agents = paces.first().context("no pace")?.agents;
    let (coordinator, _) = Coordinator::start(bin, dir).await?;
    let mut client = coordinator.client().await?;
    // Nobody has to choose what to compute with before the others may begin.
    let decided = format!("precision = \"fp32\"\nlayout = \"contiguous\"\n{}", spec("load", agents * SLOTS, 100_000));
    submit(&mut client, &decided).await?;
    let url = coordinator.url();
    let mut reporters = try_join_all((0..agents).map(|number| Reporter::start(&url, number))).await?;
    let mut loads = Vec::new();
    for pace in paces {
        let mut load = at(&mut reporters, *pace).await?;
        load.peak_mib = coordinator.memory().1;
        loads.push(load);
    }
    Ok(loads)
}

impl Reporter {
    async fn start(url: &str, number: u32) -> Result<Self> {
        let (links, facts) = (links(url)?, settings(number, SLOTS).facts);
        let agent = facts.agent;
        calls::hello(links.clone(), facts, Vec::new()).await?;
        let (start, mut revision) = (Instant::now(), 0);
        let leases = loop {
            let orders = calls::poll(links.clone(), agent, Vec::new(), revision, HEARTBEAT).await?;
            if orders.leases.len() == SLOTS as usize {
                break orders.leases;
            }
            ensure!(start.elapsed() < HEARTBEAT * 30, "{} leases for {SLOTS} slots", orders.leases.len());
            revision = orders.revision;
        };
        Ok(Self { links, agent, leases, epochs: 0 })
    }

    /// Reports so many further epochs of each attempt; how long the answer took.
    async fn report(&mut self, batch: u32) -> Result<Duration> {
        let metrics = |epoch| EpochMetrics::uniform(u64::from(epoch), epoch, Num(1.0 / f64::from(epoch)));
        let epochs: Vec<EpochMetrics> = (self.epochs + 1..=self.epochs + batch).map(metrics).collect();
        let effect = |lease: &Lease| Effect { lease: *lease, what: EffectKind::Metrics(epochs.clone()) };
        let effects: Vec<Effect> = self.leases.iter().map(effect).collect();
        let start = Instant::now();
        let (results, _) = calls::report(self.links.clone(), self.agent, effects, self.leases.clone()).await?;
        let took = start.elapsed();
        let are_kept = results.iter().all(|result| matches!(result, EffectResult::Accepted { .. }));
        ensure!(are_kept, "not accepted: {results:?}");
        self.epochs += batch;
        Ok(took)
    }
}

async fn at(reporters: &mut Vec<Reporter>, pace: Pace) -> Result<Load> {
    let over = Arc::new(AtomicBool::new(false));
    let (mut reporting, mut beating) = (JoinSet::new(), JoinSet::new());
    let calls_a_second = f64::from(pace.rows) / f64::from(pace.batch * SLOTS * pace.agents);
    for mut reporter in reporters.drain(..) {
        beating.spawn(beat(reporter.links.clone(), reporter.agent, reporter.leases.clone(), Arc::clone(&over)));
        reporting.spawn(async move {
            let (start, mut answers) = (Instant::now(), Vec::new());
            let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / calls_a_second));
            // Who is behind does not make up for it: more than it can take is offered, not piled up.
            tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while start.elapsed() < pace.time {
                tick.tick().await;
                answers.push(reporter.report(pace.batch).await?);
            }
            anyhow::Ok((reporter, answers, start.elapsed()))
        });
    }
    let (mut answers, mut rows) = (Vec::new(), 0.0);
    while let Some(done) = reporting.join_next().await {
        let (reporter, mut own, time) = done??;
        rows += (own.len() as u32 * pace.batch * SLOTS) as f64 / time.as_secs_f64();
        answers.append(&mut own);
        reporters.push(reporter);
    }
    over.store(true, Ordering::Relaxed);
    let (mut heartbeats, mut lost) = (Vec::new(), 0);
    while let Some(done) = beating.join_next().await {
        let (mut own, gone) = done??;
        heartbeats.append(&mut own);
        lost += gone;
    }
    answers.sort();
    heartbeats.sort();
    Ok(Load { rows, answers, heartbeats, lost, peak_mib: 0.0 })
}

/// Heartbeats beside the reports, on the same connection, until it is over; how long they took, and how many leases were gone.
async fn beat(links: Links, agent: AgentId, leases: Vec<Lease>, over: Arc<AtomicBool>) -> Result<(Vec<Duration>, u32)> {
    let (mut took, mut lost) = (Vec::new(), 0);
    let mut tick = tokio::time::interval(HEARTBEAT);
    while !over.load(Ordering::Relaxed) {
        tick.tick().await;
        let start = Instant::now();
        let orders = calls::poll(links.clone(), agent, leases.clone(), 0, Duration::ZERO).await?;
        took.push(start.elapsed());
        let gone = leases.iter().filter(|lease| !orders.leases.contains(lease)).count();
        lost = lost.max(gone as u32);
    }
    Ok((took, lost))
}

/// How long after a `kill -9` of the coordinator it answers, and how long until every agent has called it, each with a trial.
///
/// # Errors
/// When something does not work.
pub async fn reconnect(bin: &Path, dir: &Path, agents: u32) -> Result<(Duration, Duration)> {
    let (mut coordinator, _) = Coordinator::start(bin, dir).await?;
    let mut client = coordinator.client().await?;
    let script = Script { epochs: 100_000, epoch: Duration::from_secs(1), ..Script::NOOP };
    let _pretend = Pretend::start(&coordinator.url(), agents, 1, script)?;
    submit(&mut client, &spec("reconnect", agents, 100_000)).await?;
    let busy = |agent: &v1::AgentSummary| agent.slots.iter().all(|slot| !slot.trial_id.is_empty());
    all(&coordinator, agents, busy).await?;
    let start = Instant::now();
    let answers = coordinator.restart().await?;
    all(&coordinator, agents, |agent| agent.last_seen > 0 && busy(agent)).await?;
    Ok((answers, start.elapsed()))
}

/// Waits until this is so of all agents.
async fn all(coordinator: &Coordinator, agents: u32, is_so: impl Fn(&v1::AgentSummary) -> bool) -> Result<()> {
    let mut client = coordinator.client().await?;
    let start = Instant::now();
    loop {
        let known = client.list_agents(v1::ListAgentsRequest {}).await?.into_inner().agents;
        if known.iter().filter(|agent| is_so(agent)).count() == agents as usize {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(300), "{} agents only", known.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
