//! How the subject of a story stands, and why: the end of every story.

use crate::id::{AgentId, SweepId, TrialId};
use crate::queue;
use crate::state::State;
use crate::state::trial::Phase;
use crate::stopping::summary;
use crate::time::Timestamp;

use super::{Story, Subject, Teller, words};

impl Teller {
    /// The story, with how it stands. `state` is the fold of all events that were read.
    pub fn finish(mut self, state: &State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Story {
        self.story.now = match self.subject {
            Subject::Trial(trial) => self.trial_now(state, trial, now, &is_reachable),
            Subject::Sweep(sweep) => self.sweep_now(state, sweep, now, &is_reachable),
            Subject::Slot(agent, slot) => self.slot_now(state, agent, slot, is_reachable(agent)),
            Subject::Agent(agent) => {
                let busy = self.running.values().filter(|running| running.agent == agent).count();
                let slots = state.agents.get(&agent).map_or(0, |agent| agent.slots.len());
                let calls = if is_reachable(agent) { "calls in" } else { "is silent" };
                format!("it {calls}; {busy} of {slots} slots run something")
            }
        };
        if let Some(words) = state.lineage.words() {
            self.story.now = format!("{}; {words}", self.story.now);
        }
        self.story
    }

    fn trial_now(&self, state: &State, trial: TrialId, now: Timestamp, reach: &impl Fn(AgentId) -> bool) -> String {
        let Some(at) = state.find(trial) else { return "no such trial".to_owned() };
        match &state.trial(at).phase {
            Phase::Leased(leased) => {
                let place = self.place(leased.agent, Some(leased.slot));
                let calls = if reach(leased.agent) { "" } else { "; its host is silent" };
                format!("runs on {place} for {}{calls}", words::span(now - leased.since))
            }
            Phase::Backoff { until } => format!("waits {} after a failure", words::span(*until - now)),
            Phase::Waiting => format!("waits: {}", waits(state, at.sweep, now, reach)),
            Phase::Completed { .. } => "it is done".to_owned(),
            Phase::Failed => "it has failed for good: mend the cause, then `sweepctl retry`".to_owned(),
            Phase::Cancelled => "it was cancelled".to_owned(),
            Phase::Stopped => "it was stopped: its configuration was not worth going on with".to_owned(),
            Phase::Paused => summary::why(state.sweep_of(at), at.index)
                .unwrap_or_else(|| "it waits at a rung until its configuration is compared".to_owned()),
        }
    }

    fn sweep_now(&self, state: &State, sweep: SweepId, now: Timestamp, reach: &impl Fn(AgentId) -> bool) -> String {
        let Some(number) = state.number(sweep) else { return "no such sweep".to_owned() };
        let known = &state.sweeps[number as usize];
        let (done, all) = (self.completed, known.trials.len());
        let why = match known.ended {
            Some(_) => String::new(),
            None => format!("; {}", waits(state, number, now, reach)),
        };
        format!("{}: {done} of {all} trials are done{why}", known.status())
    }

    fn slot_now(&self, state: &State, agent: AgentId, slot: u32, is_reachable: bool) -> String {
        let Some(known) = state.agents.get(&agent) else { return "no such agent".to_owned() };
        let what = match known.slots.get(slot as usize) {
            None => return format!("there is no slot {slot}"),
            Some(Some(lease)) => format!("runs {} (attempt {})", self.name(lease.trial), lease.attempt),
            Some(None) => "runs nothing".to_owned(),
        };
        let calls = if is_reachable { "" } else { "; its agent is silent" };
        format!("{what}{calls}")
    }
}

/// Why trials of a sweep wait.
fn waits(state: &State, sweep: u32, now: Timestamp, is_reachable: &impl Fn(AgentId) -> bool) -> String {
    let found = queue::waiting(state, now, is_reachable).into_iter().find(|waiting| waiting.sweep == sweep);
    found.map_or_else(|| "nothing of it waits".to_owned(), |waiting| waiting.why.to_string())
}
