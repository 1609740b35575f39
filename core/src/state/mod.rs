//! The state: the fold of the events and nothing else. [`State::apply`] is the only mutation; it is
//! total (an event that makes no sense changes nothing) and it keeps the indexes that make
//! decisions independent of the number of trials.

pub mod accounts;
pub mod agent;
pub mod breaker;
mod check;
pub mod devices;
mod growing;
mod hosts;
mod kept;
pub mod packing;
pub mod racing;
mod reused;
mod said;
mod storage;
pub mod sweep;
pub mod took;
pub mod trial;
mod turns;
pub mod usage;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::attempt::CheckpointKind;
use crate::event::{AgentFacts, Event};
use crate::id::{AgentId, Lease, SweepId, TrialId};
use crate::lineage::Lineage;
use crate::plan::Plan;
use crate::time::Timestamp;

use accounts::Accounts;
use agent::Agent;
use packing::{Lodger, Shapes};
use sweep::Sweep;
use trial::{Leased, Phase, Trial};

/// Where a trial is kept: index of its sweep, index in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TrialRef {
    /// Index into [`State::sweeps`].
    pub sweep: u32,
    /// Index into the sweep's plan.
    pub index: u32,
}

/// Everything the coordinator knows.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// Sweeps in order of submission.
    pub sweeps: Vec<Sweep>,
    /// Agents by id.
    pub agents: BTreeMap<AgentId, Agent>,
    by_id: BTreeMap<SweepId, u32>,
    names: BTreeMap<String, u32>,
    trials: BTreeMap<TrialId, TrialRef>,
    /// Projects and users: what they may have, what they use, which of their sweeps may start a trial.
    pub accounts: Accounts,
    /// Which history this is.
    pub lineage: Lineage,
    /// What trials need of a device.
    pub shapes: Shapes,
    backoff: BTreeSet<(Timestamp, TrialRef)>,
    /// Running trials that have kept a checkpoint in this attempt, by the time of the last one.
    fresh: BTreeSet<(Timestamp, TrialRef)>,
    /// Running trials that were asked to give way.
    leaving: BTreeSet<TrialRef>,
}

impl State {
    /// Folds one event in.
    pub fn apply(&mut self, event: &Event, now: Timestamp) {
        let stored = self.stored(event);
        self.fold(event, now);
        self.lineage.read(event, now);
        if let Some((at, before)) = stored {
            self.store(at, before);
        }
    }

    fn fold(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::SweepSubmitted { sweep, name, user, project, plan } => {
                self.submitted(*sweep, name, (project, user), plan, now);
            }
            Event::SweepExtended { sweep, user, growth } => self.extended(*sweep, user, growth, now),
            Event::AgentJoined(facts) => self.joined(facts, now),
            Event::LeaseGranted { lease, agent, slot, fingerprint, share, .. } => {
                self.granted(*lease, (*agent, *slot, *share), fingerprint.as_deref(), now);
            }
            Event::NumericsChosen { lease, numerics } => self.chosen(*lease, Some(*numerics)),
            Event::TrainerStarted { lease, origin } => self.started(*lease, origin),
            Event::EpochReported { lease, metrics } => {
                if metrics.seq == 1 {
                    self.chosen(*lease, None);
                }
                self.measure(*lease, metrics, now);
                self.live(*lease, |trial, leased| {
                    leased.acked_seq = metrics.seq;
                    trial.progress_mut().report(metrics);
                });
                self.raced(*lease, metrics, now);
                self.got_on(lease.trial);
            }
            Event::CheckpointKept { lease, checkpoint } => {
                self.tested(*lease, Some(true));
                self.live(*lease, |trial, leased| {
                    trial.progress_mut().keep(checkpoint, now - leased.since);
                    // Progress was made: an earlier failure is no longer part of a series.
                    (trial.own_failures, trial.failures) = (0, 0);
                });
                if checkpoint.kind == CheckpointKind::Last {
                    self.kept(*lease, now);
                }
            }
            Event::TrialCompleted { lease, early, weights, test, .. } => {
                self.chosen(*lease, None);
                self.tested(*lease, Some(true));
                if let Some(at) = self.end_lease(*lease, now) {
                    let progress = self.trial_mut(at).progress_mut();
                    progress.complete(weights, test.as_deref());
                    let spent = progress.spent;
                    self.sweeps[at.sweep as usize].spent += spent;
                    self.set_phase(at, Phase::Completed { early: *early }, now);
                }
            }
            Event::TrialReused { trial, origin, fingerprint, numerics, .. } => {
                self.reused(*trial, *origin, (fingerprint, *numerics), now);
            }
            Event::AttemptFailed { lease, failure, retry_at } => {
                let cancelled = self.is_cancelled(*lease);
                self.found(*lease, failure);
                if let Some(at) = self.end_lease(*lease, now) {
                    self.fail(at, failure);
                    let phase = match retry_at {
                        _ if cancelled => Phase::Cancelled,
                        Some(_) if self.rest(at) == Phase::Stopped => Phase::Stopped,
                        Some(until) => Phase::Backoff { until: *until },
                        None => Phase::Failed,
                    };
                    self.set_phase(at, phase, now);
                    self.went_wrong(at, failure.class, now);
                }
            }
            Event::LeaseLost { lease, .. } => {
                let cancelled = self.is_cancelled(*lease);
                if let Some(at) = self.end_lease(*lease, now) {
                    self.set_phase(at, if cancelled { Phase::Cancelled } else { self.rest(at) }, now);
                }
            }
            Event::RetryDue { trial } => {
                if let Some(at) = self.find(*trial)
                    && matches!(self.trial(at).phase, Phase::Backoff { .. })
                {
                    self.set_phase(at, self.rest(at), now);
                }
            }
            Event::SweepCancelled { sweep, .. } => self.cancel_sweep(*sweep, now),
            Event::TrialCancelled { trial, .. } => {
                if let Some(at) = self.find(*trial) {
                    self.cancel(at, now);
                }
            }
            Event::SweepSuspended { sweep, trials } => self.suspended(*sweep, trials),
            Event::SweepSet { .. } | Event::SweepMoved { .. } => self.changed(event, now),
            Event::SweepRetried { sweep, cancelled, .. } => self.retried(*sweep, *cancelled, now),
            Event::TrialPreempted { lease, sweep } => self.preempted(*lease, *sweep),
            Event::PointJudged { sweep, point, judgement } => self.judged(*sweep, *point, judgement, now),
            Event::PointProposed { sweep, point, settings, .. } => self.proposed(*sweep, *point, settings),
            Event::SearchEnded { sweep } => self.search_ended(*sweep, now),
            Event::TrialHalted { lease, .. } => self.live(*lease, |_, leased| leased.halted = true),
            Event::TrialEvicted { lease, .. } => self.live(*lease, |_, leased| leased.evicted = true),
            Event::SlotHeld { agent, slot, hold } => self.devices(*agent, |agent| agent.devices.hold(*slot, hold, now)),
            Event::HoldsLifted { agent, slot, kind, from, .. } => {
                self.devices(*agent, |agent| agent.devices.lift(&agent.facts, *slot, *kind, *from));
            }
            Event::DeviceBusy { agent, device, by } => {
                self.devices(*agent, |agent| agent.devices.used_by(device, by));
            }
            Event::GuestHours { agent, closed } => self.devices(*agent, |agent| agent.devices.closed = *closed),
            Event::SharesSet { setting, .. } => self.accounts.set(setting, now),
            Event::CoordinatorStarted { .. } | Event::RollbackSuspected(_) | Event::RollbackAccepted(_) => (),
        }
    }

    /// The sweep with this id.
    pub fn sweep(&self, id: SweepId) -> Option<&Sweep> {
        self.by_id.get(&id).map(|index| &self.sweeps[*index as usize])
    }

    /// The position of the sweep with this id.
    pub fn number(&self, id: SweepId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The sweep with this name.
    pub fn sweep_named(&self, name: &str) -> Option<&Sweep> {
        self.names.get(name).map(|index| &self.sweeps[*index as usize])
    }

    /// Where a trial is kept.
    pub fn find(&self, trial: TrialId) -> Option<TrialRef> {
        self.trials.get(&trial).copied()
    }

    /// The trials whose ids lie between two ids, both included: a prefix look-up.
    pub fn trials_between(&self, low: TrialId, high: TrialId) -> impl Iterator<Item = (TrialId, TrialRef)> + '_ {
        self.trials.range(low..=high).map(|(id, at)| (*id, *at))
    }

    /// A trial's state.
    pub fn trial(&self, at: TrialRef) -> &Trial {
        &self.sweeps[at.sweep as usize].trials[at.index as usize]
    }

    /// A trial's id.
    pub fn trial_id(&self, at: TrialRef) -> TrialId {
        self.sweeps[at.sweep as usize].ids[at.index as usize]
    }

    /// The sweep a trial belongs to.
    pub fn sweep_of(&self, at: TrialRef) -> &Sweep {
        &self.sweeps[at.sweep as usize]
    }

    /// The trial of a lease, if the lease is alive.
    pub fn leased(&self, lease: Lease) -> Option<(TrialRef, &Leased)> {
        let at = self.find(lease.trial)?;
        let trial = self.trial(at);
        (trial.attempt == lease.attempt).then(|| trial.leased()).flatten().map(|leased| (at, leased))
    }

    /// Sweeps that may start a trial, owner by owner.
    pub fn ready(&self) -> impl Iterator<Item = u32> + '_ {
        let members = self.accounts.open().map(|member| &self.accounts.members[member as usize]);
        members.flat_map(|member| member.ready.iter().map(|(_, _, sweep)| *sweep))
    }

    /// Running trials that were asked to give way.
    pub fn leaving(&self) -> impl Iterator<Item = TrialRef> + '_ {
        self.leaving.iter().copied()
    }

    /// Trials whose backoff ends at or before `now`.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = TrialId> + '_ {
        self.backoff.iter().take_while(move |(until, _)| *until <= now).map(|(_, at)| self.trial_id(*at))
    }

    /// Trials that wait for another try, by when.
    pub fn retries(&self) -> impl Iterator<Item = (Timestamp, TrialRef)> + '_ {
        self.backoff.iter().copied()
    }

    /// When the next backoff ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.backoff.first().map(|(until, _)| *until)
    }

    fn submitted(&mut self, id: SweepId, name: &str, owner: (&str, &str), plan: &Arc<Plan>, now: Timestamp) {
        if self.by_id.contains_key(&id) {
            return;
        }
        let number = self.sweeps.len() as u32;
        let member = self.accounts.member(owner.0, owner.1);
        let mut sweep = Sweep::new(id, name.to_owned(), owner, plan.clone(), now);
        sweep.member = member;
        sweep.shapes = self.shapes.of(&sweep.plan);
        for (index, trial) in (0u32..).zip(&sweep.ids) {
            self.trials.insert(*trial, TrialRef { sweep: number, index });
        }
        self.by_id.insert(id, number);
        self.names.insert(name.to_owned(), number);
        self.accounts.rank(member, sweep.rank(number), sweep.may_start());
        self.sweeps.push(sweep);
    }

    /// Leases on slots that still exist stay; the decision to take others back came before as its own event.
    fn joined(&mut self, facts: &AgentFacts, now: Timestamp) {
        let before = self.agents.remove(&facts.agent);
        let before = before.map(|agent| (agent.slots, agent.devices, agent.rooms, agent.facts.offer));
        let (held, mut devices, rooms, offer) = before.unwrap_or_default();
        devices.renumber(&offer, &facts.offer);
        let mut agent = Agent::new(facts.clone(), devices);
        for (slot, lease) in (0u32..).zip(held) {
            if let Some(lease) = lease
                && (slot as usize) < agent.slots.len()
            {
                agent.occupy(slot, lease);
                if let Some((at, leased)) = self.leased(lease) {
                    let shape = self.sweep_of(at).shape(at.index);
                    agent.lodge(slot, Lodger { shape, share: leased.share }, now);
                }
            }
        }
        agent.go_on_waiting(&rooms);
        self.agents.insert(facts.agent, agent);
    }

    /// `place` is the agent, the slot, and thousandths of the device.
    fn granted(&mut self, lease: Lease, place: (AgentId, u32, u32), fingerprint: Option<&str>, now: Timestamp) {
        let (agent, slot, share) = place;
        let Some(at) = self.find(lease.trial) else { return };
        let Some(host) = self.agents.get_mut(&agent) else { return };
        if !self.sweeps[at.sweep as usize].trials[at.index as usize].phase.may_be_granted()
            || host.slots.get(slot as usize) != Some(&None)
        {
            return;
        }
        host.occupy(slot, lease);
        let shape = self.sweeps[at.sweep as usize].shape(at.index);
        host.lodge(slot, Lodger { shape, share }, now);
        let device = host.facts.slots.get(slot as usize).map_or("", String::as_str);
        self.sweeps[at.sweep as usize].used(&host.facts.host, device);
        let trial = self.trial_mut(at);
        trial.attempt = lease.attempt;
        let progress = trial.progress_mut();
        progress.rewind();
        progress.ran_on.push(agent);
        progress.started.get_or_insert(now);
        if let Some(fingerprint) = fingerprint {
            self.sweeps[at.sweep as usize].bind(at.index, fingerprint);
        }
        let fingerprint = fingerprint.map(str::to_owned);
        let leased = Leased::new((agent, slot, share), now, fingerprint, self.lineage.generation);
        self.set_phase(at, Phase::Leased(Box::new(leased)), now);
    }

    /// Gives the slot back and books the time. The caller sets the next phase at once.
    fn end_lease(&mut self, lease: Lease, now: Timestamp) -> Option<TrialRef> {
        let (at, leased) = self.leased(lease)?;
        let (agent, slot, spent) = (leased.agent, leased.slot, now - leased.since);
        if let Some(agent) = self.agents.get_mut(&agent) {
            agent.release(slot, lease, now);
        }
        self.trial_mut(at).progress_mut().spend(spent);
        self.accounts.typical.note(spent);
        Some(at)
    }

    fn is_cancelled(&self, lease: Lease) -> bool {
        self.leased(lease).is_some_and(|(_, leased)| leased.cancelled)
    }

    fn live(&mut self, lease: Lease, change: impl FnOnce(&mut Trial, &mut Leased)) {
        let Some((at, _)) = self.leased(lease) else { return };
        let trial = self.trial_mut(at);
        let Phase::Leased(mut leased) = std::mem::replace(&mut trial.phase, Phase::Waiting) else { return };
        change(trial, &mut leased);
        trial.phase = Phase::Leased(leased);
    }

    fn trial_mut(&mut self, at: TrialRef) -> &mut Trial {
        &mut self.sweeps[at.sweep as usize].trials[at.index as usize]
    }

    fn set_phase(&mut self, at: TrialRef, phase: Phase, now: Timestamp) {
        let sweep = &mut self.sweeps[at.sweep as usize];
        match &sweep.trials[at.index as usize].phase {
            Phase::Backoff { until } => {
                self.backoff.remove(&(*until, at));
            }
            Phase::Leased(leased) => {
                if let Some(kept) = leased.kept {
                    self.fresh.remove(&(kept, at));
                }
                self.leaving.remove(&at);
                self.accounts.lease(sweep.member, -i64::from(leased.share), now);
            }
            _ => {}
        }
        match phase {
            Phase::Backoff { until } => {
                self.backoff.insert((until, at));
            }
            Phase::Leased(ref leased) => self.accounts.lease(sweep.member, leased.share.into(), now),
            _ => {}
        }
        self.accounts.rank(sweep.member, sweep.rank(at.sweep), false);
        let (before, after) = sweep.set_phase(at.index, phase, now);
        self.accounts.store(sweep.member, before, after);
        self.accounts.rank(sweep.member, sweep.rank(at.sweep), sweep.may_start());
        self.is_waited_for_no_more(at, now);
    }
}
