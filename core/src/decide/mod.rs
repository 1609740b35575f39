//! Commands in, events out. [`Core`] is the state plus what is not durable (when each agent was last
//! heard); every decision is made here or in what is called from here, and every event is applied
//! in one place.

mod agents;
mod devices;
mod late;
mod report;
mod reuse;
mod rollback;
mod search;
mod steps;
mod stops;
mod sweeps;
mod tuning;

use std::collections::{BTreeMap, VecDeque};

use crate::command::{Command, Reply};
use crate::device::Sighting;
use crate::event::Event;
use crate::id::AgentId;
use crate::schedule;
use crate::state::State;
use crate::time::{Span, Timestamp};

use late::Knows;

/// How long an agent may be silent before others may take its trials.
pub const LEASE_TIME: Span = Span::seconds(60);
/// How long an agent may be silent and still be given work.
pub const REACHABLE: Span = Span::seconds(15);

/// The decider.
#[derive(Clone, Debug)]
pub struct Core {
    state: State,
    seen: BTreeMap<AgentId, Seen>,
    /// The journal may end between a report and what follows from it.
    recovered: bool,
    sights: BTreeMap<AgentId, Sight>,
}

/// What an agent saw last. Not durable: every agent tells again.
#[derive(Clone, Debug, Default)]
struct Sight {
    last: Sighting,
    /// By device that is still counted as busy: since when nobody else was seen on it.
    quiet: BTreeMap<String, Timestamp>,
}

/// When an agent was last heard. Not durable: after a restart every agent has a full lease time to call in.
#[derive(Clone, Debug)]
struct Seen {
    at: Timestamp,
    /// It has called since this coordinator started.
    called: bool,
    knows: Knows,
}

impl Seen {
    /// An agent of which nothing was heard yet.
    fn begin(state: &State, now: Timestamp) -> Self {
        Self { at: now, called: false, knows: Knows::begin(&state.lineage) }
    }
}

/// The events of one command or of one [`Core::settle`], each applied as it is emitted, so that the
/// next decision sees it.
struct Step<'a> {
    core: &'a mut Core,
    now: Timestamp,
    out: &'a mut Vec<Event>,
}

impl Step<'_> {
    /// With what follows from it at once: early stopping decides in the same transaction.
    fn emit(&mut self, event: Event) {
        let sweep = stops::sweep(&self.core.state, &event);
        self.follow(VecDeque::from([event]), sweep);
    }

    fn follow(&mut self, mut pending: VecDeque<Event>, sweep: Option<u32>) {
        while let Some(event) = pending.pop_front() {
            self.core.state.apply(&event, self.now);
            if let Some(number) = sweep {
                pending.extend(stops::halts(&self.core.state, number, &event));
                if pending.is_empty() {
                    pending.extend(stops::due(&self.core.state, number));
                }
                if pending.is_empty() {
                    pending.extend(search::due(&self.core.state, number));
                }
            }
            self.out.push(event);
        }
    }
}

impl Core {
    /// Starts with a recovered state.
    pub fn new(state: State, now: Timestamp) -> Self {
        let seen = state.agents.keys().map(|agent| (*agent, Seen::begin(&state, now))).collect();
        Self { state, seen, recovered: true, sights: BTreeMap::new() }
    }

    /// The state after everything handled so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Handles one command; its events are appended to `out` in order and applied. Call
    /// [`Core::settle`] after the last command of a batch.
    pub fn handle(&mut self, command: Command, now: Timestamp, out: &mut Vec<Event>) -> Reply {
        let mut step = Step { core: self, now, out };
        if step.core.state.lineage.suspicion.is_some() {
            return rollback::paused(&mut step, command);
        }
        match command {
            Command::Submit(submit) => sweeps::submit(&mut step, submit),
            Command::CancelSweep { sweep, user } => sweeps::cancel_sweep(&mut step, sweep, user),
            Command::CancelTrial { trial, user } => sweeps::cancel_trial(&mut step, trial, user),
            Command::RetrySweep { sweep, user, cancelled } => sweeps::retry(&mut step, sweep, user, cancelled),
            Command::Extend { sweep, user, growth, points, seeds, queue_anyway, reuse } => {
                sweeps::extend(&mut step, sweep, user, growth, (points, seeds), (queue_anyway, &reuse))
            }
            Command::SetSweep { sweep, user, patch } => tuning::set(&mut step, sweep, user, patch),
            Command::MoveSweep { sweep, user, project } => tuning::move_to(&mut step, sweep, user, project),
            Command::SetShares { user, change } => sweeps::set_shares(&mut step, user, change),
            Command::Hold { user, host, slot, change } => devices::hold(&mut step, user, &host, slot, change),
            Command::Dismiss { user, agent } => agents::dismiss(&mut step, user, agent),
            Command::Observe { agent, sighting } => devices::observe(&mut step, agent, sighting),
            Command::Seen { position, command } => rollback::seen(&mut step, position, *command),
            Command::Start { build } => rollback::start(&mut step, build),
            Command::AcceptRollback { user } => rollback::accept(&mut step, user),
            Command::Hello { facts, held } => agents::hello(&mut step, facts, &held, None),
            Command::Heartbeat { agent, known } => agents::heartbeat(&mut step, agent, &known, None),
            Command::Report { agent, effects } => report::report(&mut step, agent, effects),
        }
    }

    /// What follows from the passing of time and from the commands before: leases of silent agents
    /// are taken back, trials leave slots that are closed, retries become due, free slots get trials, trials give way.
    pub fn settle(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        let mut step = Step { core: self, now, out };
        if step.core.state.lineage.suspicion.is_some() {
            return;
        }
        if std::mem::take(&mut step.core.recovered) {
            for number in 0..step.core.state.sweeps.len() as u32 {
                let pending = stops::left_over(&step.core.state, number);
                step.follow(pending, Some(number));
                if let Some(suspended) = step.core.state.suspension(number) {
                    step.emit(suspended);
                }
            }
        }
        agents::expire(&mut step);
        devices::evict(&mut step);
        let due: Vec<_> = step.core.state.due(now).collect();
        for trial in due {
            step.emit(Event::RetryDue { trial });
        }
        // What is granted may make room for points that get a slot at once.
        loop {
            let before = step.out.len();
            let grants = schedule::grants(&step.core.state, now, |agent| step.core.is_reachable(agent, now));
            grants.into_iter().for_each(|grant| step.emit(grant));
            if !step.out[before..].iter().any(|event| matches!(event, Event::PointProposed { .. })) {
                break;
            }
        }
        let given = schedule::preemptions(&step.core.state, now, |agent| step.core.is_reachable(agent, now));
        given.into_iter().for_each(|given| step.emit(given));
    }

    /// Whether an agent has called lately and may be given work.
    pub fn is_reachable(&self, agent: AgentId, now: Timestamp) -> bool {
        self.seen.get(&agent).is_some_and(|seen| seen.called && now - seen.at <= REACHABLE)
    }

    /// What an agent saw last on its devices; nothing before it has told this coordinator.
    pub fn sighting(&self, agent: AgentId) -> Option<&Sighting> {
        self.sights.get(&agent).map(|sight| &sight.last)
    }

    /// When an agent was last heard by this coordinator.
    pub fn last_seen(&self, agent: AgentId) -> Option<Timestamp> {
        self.seen.get(&agent).filter(|seen| seen.called).map(|seen| seen.at)
    }

    /// The coordinator itself stood still for `gap` (suspended, or waiting for disk space): nobody
    /// could call in, so nobody is blamed.
    pub fn excuse(&mut self, gap: Span) {
        for seen in self.seen.values_mut() {
            seen.at = seen.at + gap;
        }
    }
}
