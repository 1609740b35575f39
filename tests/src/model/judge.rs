//! What a run is judged by, beside the oracle: nothing is promised to an agent that is not in the journal at that moment; every
//! number in the journal is the one that its recipe gives; every trial ends with the weights of an undisturbed run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sweep_coordinator::journal::memory::MemoryStore;
use sweep_core::attempt::{CheckpointKind, EpochMetrics};
use sweep_core::audit::{Audit, Auditor};
use sweep_core::command::{Effect, EffectKind, EffectResult};
use sweep_core::event::{Event, LossCause};
use sweep_core::id::{AgentId, Lease, SweepId, TrialId};
use sweep_core::plan::Plan;
use sweep_core::recipe::Recipe;
use sweep_core::retry::{BEST_MISSING, CHECKPOINT_MISSING};
use sweep_core::state::State;
use sweep_core::time::Timestamp;
use sweep_proto::v1;
use tokio::time::Instant;
use tonic::codegen::Bytes;

use super::trainer::Curve;

/// A lease lasts 60 s after its agent was heard; the answer to a heartbeat may come 10 s after it, and clocks may run fast.
const PATIENCE: Duration = Duration::from_secs(45);

/// What is decided in one commit may be answered in any order.
const AT_ONCE: Duration = Duration::from_millis(100);

/// See the module. Clones share it.
#[derive(Clone)]
pub(super) struct Judge(Arc<Mutex<Inner>>);

struct Inner {
    store: MemoryStore,
    rows: usize,
    seen: Seen,
    wrong: Vec<String>,
}

/// What is in the journal.
#[derive(Default)]
struct Seen {
    sweeps: BTreeSet<SweepId>,
    epochs: BTreeMap<Lease, u64>,
    /// The newest epoch of each kind.
    checkpoints: BTreeMap<(Lease, CheckpointKind), u32>,
    /// And when that was seen.
    ended: BTreeMap<Lease, Instant>,
    holders: BTreeMap<Lease, AgentId>,
    /// When an agent was last answered.
    heard: BTreeMap<AgentId, Instant>,
    /// The checkpoint that each trial would go on from.
    newest: BTreeMap<TrialId, String>,
    /// Every checkpoint that the journal names.
    named: BTreeSet<String>,
    /// Deleted by the simulation, whoever refers to them.
    lost: BTreeSet<String>,
    /// Attempts that are on the hosts of these agents. After the end of the journal was lost, another may be given the same lease.
    there: BTreeSet<(AgentId, Lease)>,
    wrong: Vec<String>,
}

impl Seen {
    fn end(&mut self, lease: Lease) {
        self.ended.entry(lease).or_insert_with(Instant::now);
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::SweepSubmitted { sweep, .. } => drop(self.sweeps.insert(*sweep)),
            Event::EpochReported { lease, metrics } => drop(self.epochs.insert(*lease, metrics.seq)),
            Event::CheckpointKept { lease, checkpoint } => {
                self.checkpoints.insert((*lease, checkpoint.kind), checkpoint.epoch);
                self.named.insert(checkpoint.sha256.clone());
                if checkpoint.kind == CheckpointKind::Last {
                    self.newest.insert(lease.trial, checkpoint.sha256.clone());
                }
            }
            Event::LeaseGranted { lease, agent, .. } => drop(self.holders.insert(*lease, *agent)),
            Event::TrialCompleted { lease, .. } => self.end(*lease),
            Event::AttemptFailed { lease, failure, .. } => {
                self.end(*lease);
                if failure.reason == CHECKPOINT_MISSING
                    && let Some(newest) = self.newest.remove(&lease.trial)
                    && failure.message.ends_with(&newest)
                    && !self.lost.contains(&newest)
                {
                    self.wrong.push(format!("{lease} would go on from {newest}, which was cleaned away"));
                }
                let best = failure.message.rsplit(' ').next().filter(|_| failure.reason == BEST_MISSING);
                if let Some(best) = best.filter(|best| !self.lost.contains(*best)) {
                    self.wrong.push(format!("{lease} lacks its best {best}, which was cleaned away"));
                }
            }
            Event::LeaseLost { lease, cause } => {
                self.end(*lease);
                let holder = self.holders.get(lease);
                if *cause == LossCause::Forgotten && holder.is_some_and(|agent| self.there.contains(&(*agent, *lease)))
                {
                    self.wrong.push(format!("{lease} was taken for forgotten, and is on its host"));
                }
                let heard = holder.and_then(|agent| self.heard.get(agent));
                if let (LossCause::Expired, Some(heard)) = (cause, heard)
                    && heard.elapsed() < PATIENCE
                {
                    self.wrong.push(format!("{lease} was taken back {:?} after its agent was heard", heard.elapsed()));
                }
            }
            _ => {}
        }
    }
}

impl Judge {
    /// Of the journal in this store.
    pub(super) fn new(store: MemoryStore) -> Self {
        let (seen, wrong) = (Seen::default(), Vec::new());
        Self(Arc::new(Mutex::new(Inner { store, rows: 0, seen, wrong })))
    }

    /// Something that must not be.
    pub(super) fn object(&self, what: String) {
        self.0.lock().expect("nobody panics while judging").wrong.push(what);
    }

    /// An attempt is on the host of an agent, or is no more.
    pub(super) fn is_there(&self, agent: AgentId, lease: Lease, is: bool) {
        let there = &mut self.0.lock().expect("nobody panics while judging").seen.there;
        if is {
            there.insert((agent, lease))
        } else {
            there.remove(&(agent, lease))
        };
    }

    /// The simulation has deleted a checkpoint, whoever refers to it.
    pub(super) fn lost(&self, sha256: &str) {
        self.0.lock().expect("nobody panics while judging").seen.lost.insert(sha256.to_owned());
    }

    /// The journal has lost its end: what counts is what is left of it, and what was cleaned away since then is lost, too.
    pub(super) fn rolled_back(&self, stored: &BTreeSet<String>) {
        let mut inner = self.0.lock().expect("nobody panics while judging");
        let before = std::mem::take(&mut inner.seen);
        inner.rows = 0;
        (inner.seen.lost, inner.seen.wrong) = (before.lost, before.wrong);
        inner.catch_up();
        // Only now: what is left is read again as if nobody had been heard, so that nothing in it is judged twice.
        (inner.seen.heard, inner.seen.there) = (before.heard, before.there);
        let gone: Vec<String> = inner.seen.named.difference(stored).cloned().collect();
        inner.seen.lost.extend(gone);
    }

    /// The coordinator has given an answer: what it says must be durable.
    pub(super) fn answered(&self, path: &str, request: &[Bytes], response: &[Bytes]) {
        let mut inner = self.0.lock().expect("nobody panics while judging");
        inner.catch_up();
        // A refusal has no message: whoever is refused was not heard.
        if let Some(agent) = caller(path, request).filter(|_| !response.is_empty()) {
            inner.seen.heard.insert(agent, Instant::now());
        }
        let wrong = std::mem::take(&mut inner.seen.wrong);
        inner.wrong.extend(wrong);
        let said = match path {
            "/sweep.v1.Agents/Report" => inner.report(request, response),
            "/sweep.v1.Sweeps/Submit" => inner.submit(response),
            _ => None,
        };
        inner.wrong.extend(said.into_iter().flatten());
    }

    /// Checkpoints that the simulation has taken away.
    pub(super) fn taken(&self) -> BTreeSet<String> {
        self.0.lock().expect("nobody panics while judging").seen.lost.clone()
    }

    /// Which of these checkpoints nobody has taken away, and are gone.
    pub(super) fn gone(&self, kept: &BTreeSet<String>, stored: &BTreeSet<String>) -> Vec<String> {
        let inner = self.0.lock().expect("nobody panics while judging");
        let gone = kept.iter().filter(|kept| !stored.contains(*kept) && !inner.seen.lost.contains(*kept));
        gone.map(|gone| format!("the checkpoint {gone} of a trial that is completed is not in the store")).collect()
    }

    /// What was wrong so far.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics while judging").wrong.clone()
    }
}

impl Inner {
    fn catch_up(&mut self) {
        let rows = self.store.since(self.rows);
        self.rows += rows.len();
        for row in rows {
            match row.decode() {
                Ok(events) => events.iter().for_each(|event| self.seen.note(event)),
                Err(error) => self.wrong.push(format!("the journal cannot be read: {error}")),
            }
        }
    }

    fn submit(&mut self, response: &[Bytes]) -> Option<Vec<String>> {
        let reply: v1::SubmitReply = message(response)?;
        let sweep = sweep_proto::convert::id(&reply.sweep_id, "sweep_id").ok()?;
        (!self.seen.sweeps.contains(&sweep)).then(|| vec![format!("sweep {sweep} was accepted and is not durable")])
    }

    fn report(&mut self, request: &[Bytes], response: &[Bytes]) -> Option<Vec<String>> {
        let (request, reply): (v1::ReportRequest, v1::ReportReply) = (message(request)?, message(response)?);
        let mut wrong = Vec::new();
        for (effect, result) in request.effects.iter().zip(reply.results) {
            let (Ok(effect), Ok(result)) = (Effect::try_from(effect), EffectResult::try_from(result)) else { continue };
            let EffectResult::Accepted { acked_seq } = result else { continue };
            let lease = effect.lease;
            let durable = match &effect.what {
                // An older one is known.
                EffectKind::Checkpoint(checkpoint) => (self.seen.checkpoints.get(&(lease, checkpoint.kind)))
                    .is_some_and(|epoch| *epoch >= checkpoint.epoch),
                EffectKind::Ended { .. } => self.seen.ended.contains_key(&lease),
                EffectKind::Chosen(_) | EffectKind::Started(_) | EffectKind::Metrics(_) => true,
            };
            if self.seen.ended.get(&lease).is_some_and(|ended| ended.elapsed() > AT_ONCE) {
                wrong.push(format!("{lease}: {:?} was accepted after its end", effect.what));
            }
            let epochs = self.seen.epochs.get(&lease).copied().unwrap_or(0);
            if !durable || epochs < acked_seq {
                wrong.push(format!("{lease}: {:?} was acknowledged and is not durable", effect.what));
            }
        }
        Some(wrong)
    }
}

/// The agent that calls, if one does.
fn caller(path: &str, request: &[Bytes]) -> Option<AgentId> {
    let bytes = match path {
        "/sweep.v1.Agents/Poll" => message::<v1::PollRequest>(request)?.agent_id,
        "/sweep.v1.Agents/Report" => message::<v1::ReportRequest>(request)?.agent_id,
        _ => return None,
    };
    sweep_proto::convert::id(&bytes, "agent_id").ok()
}

/// The message behind its five bytes of frame.
fn message<M: prost::Message + Default>(data: &[Bytes]) -> Option<M> {
    let all: Vec<u8> = data.iter().flatten().copied().collect();
    M::decode(all.get(5..)?).ok()
}

/// What a whole journal says.
pub(super) struct Reading {
    pub(super) wrong: Vec<String>,
    pub(super) audit: Audit,
    pub(super) text: String,
    /// The checkpoints of trials that are completed.
    pub(super) kept: BTreeSet<String>,
}

/// Reads the whole journal. Of what was `taken` away a trial may lack the best.
pub(super) fn verdict(events: &[Event], taken: &BTreeSet<String>) -> Reading {
    let mut auditor = Auditor::new();
    let mut state = State::default();
    let (mut wrong, mut is_whole) = (Vec::new(), true);
    let (mut text, mut kept) = (String::new(), BTreeSet::new());
    let mut curves: BTreeMap<String, Curve> = BTreeMap::new();
    for event in events {
        auditor.read(event);
        is_whole &= !matches!(event, Event::RollbackSuspected(_));
        // A promotion that was acted on may have been lost with the end of the journal.
        wrong.extend(in_vain(&state, event).filter(|_| is_whole));
        state.apply(event, Timestamp(0));
        text.push_str(&serde_json::to_string(event).unwrap_or_default());
        text.push('\n');
        let lease = match event {
            Event::EpochReported { lease, .. } | Event::TrialCompleted { lease, .. } => *lease,
            _ => continue,
        };
        let Some(recipe) = recipe(&state, lease) else {
            wrong.push(format!("{lease} has no recipe"));
            continue;
        };
        let key = format!("{}", lease.trial);
        let curve = curves.entry(key).or_insert_with(|| Curve::new(&recipe));
        match event {
            Event::EpochReported { metrics, .. } => {
                let expected = EpochMetrics { seq: metrics.seq, ..curve.metrics(metrics.epoch) };
                if *metrics != expected {
                    wrong.push(format!("{lease}: the journal has {metrics:?}, the recipe gives {expected:?}"));
                }
            }
            Event::TrialCompleted { weights, .. } => {
                if *weights != curve.weights(recipe.epochs) {
                    wrong.push(format!("{lease} ended with other weights than an undisturbed run"));
                }
                let (has, expected) = (checkpoints(&state, lease), curve.checkpoints(recipe.epochs).map(Some));
                let is_excused = has[0].is_none() && expected[0].as_ref().is_some_and(|(_, best)| taken.contains(best));
                if has[1] != expected[1] || has[0] != expected[0] && !is_excused {
                    wrong.push(format!("{lease} ended with the checkpoints {has:?} and not {expected:?}"));
                }
                kept.extend(has.into_iter().flatten().map(|(_, sha256)| sha256));
            }
            _ => {}
        }
    }
    let audit = auditor.all();
    wrong.extend(audit.violations.iter().map(|violation| format!("{violation:?}")));
    Reading { wrong, audit, text, kept }
}

/// The best and the newest checkpoint of a trial: the epoch, and the blob.
fn checkpoints(state: &State, lease: Lease) -> [Option<(u32, String)>; 2] {
    let progress = state.find(lease.trial).and_then(|at| state.trial(at).progress.as_deref());
    let best = progress.and_then(|progress| progress.best_checkpoint.as_ref());
    let last = progress.and_then(|progress| progress.last_checkpoint.as_deref()).map(|kept| &kept.checkpoint);
    [best, last].map(|one| one.map(|one| (one.epoch, one.sha256.clone())))
}

/// An epoch that nobody may ever ask for: past a rung, before it is decided that the trial goes on.
fn in_vain(state: &State, event: &Event) -> Option<String> {
    let Event::EpochReported { lease, metrics } = event else { return None };
    let at = state.find(lease.trial)?;
    let sweep = state.sweep_of(at);
    let limit = sweep.racing.as_deref()?.race.limit(sweep.plan.trial(at.index).point)?;
    (metrics.epoch > limit).then(|| format!("{lease} trained epoch {} and was to wait after {limit}", metrics.epoch))
}

fn recipe(state: &State, lease: Lease) -> Option<Recipe> {
    let at = state.find(lease.trial)?;
    let plan: &Plan = &state.sweep_of(at).plan;
    plan.recipe(at.index).ok()
}
