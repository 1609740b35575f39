//! The indexes of the state against a recount, for tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{AgentId, Lease};

use super::agent::Agent;
use super::sweep::{Counts, Sweep};
use super::trial::Phase;
use super::{State, TrialRef};

impl State {
    /// Recomputes every index and count: `Err` names the first that is wrong.
    ///
    /// # Errors
    /// The name of the index that differs from a recount.
    pub fn check(&self) -> Result<(), &'static str> {
        let mut other = Self::default();
        let mut ready = BTreeSet::new();
        let mut running = vec![0; self.accounts.members.len()];
        for (number, sweep) in (0u32..).zip(&self.sweeps) {
            if sweep.count_waiting() != [&sweep.waiting, &sweep.begun].map(Clone::clone) {
                return Err("waiting");
            }
            let mut choosing = BTreeMap::<String, BTreeMap<AgentId, u32>>::new();
            for (index, leased) in (0u32..).zip(&sweep.trials).filter_map(|(at, trial)| Some((at, trial.leased()?))) {
                if let Some(key) = sweep.undecided(index) {
                    *choosing.entry(key).or_default().entry(leased.agent).or_default() += 1;
                }
            }
            if choosing != sweep.choices.running {
                return Err("choosing");
            }
            let counts = self.count(number, sweep, &mut other)?;
            if counts != sweep.counts {
                return Err("counts");
            }
            let leased = sweep.trials.iter().filter_map(|trial| trial.leased());
            running[sweep.member as usize] += leased.map(|leased| u64::from(leased.share)).sum::<u64>();
            if sweep.may_start() {
                ready.insert((sweep.member, sweep.rank(number)));
            }
        }
        let members = (0u32..).zip(&self.accounts.members);
        let known: BTreeSet<_> =
            members.flat_map(|(number, member)| member.ready.iter().map(move |rank| (number, *rank))).collect();
        if ready != known {
            return Err("ready");
        }
        for (right, name) in [
            (other.backoff == self.backoff, "backoff"),
            (other.fresh == self.fresh, "fresh"),
            (other.leaving == self.leaving, "leaving"),
        ] {
            if !right {
                return Err(name);
            }
        }
        let used = |agent: &Agent| agent.slots.iter().flatten().count() as u32;
        if self.agents.values().any(|agent| agent.free + used(agent) != agent.slots.len() as u32) {
            return Err("free");
        }
        let leases = self.sweeps.iter().map(|sweep| sweep.counts.running).sum::<u32>();
        if self.agents.values().map(used).sum::<u32>() != leases {
            return Err("leases");
        }
        if !self.check_storage() {
            return Err("storage");
        }
        if !self.check_rooms() {
            return Err("rooms");
        }
        self.accounts.check(&running)
    }

    fn count(&self, number: u32, sweep: &Sweep, other: &mut Self) -> Result<Counts, &'static str> {
        let mut counts = Counts::default();
        for (index, trial) in (0u32..).zip(&sweep.trials) {
            let at = TrialRef { sweep: number, index };
            match &trial.phase {
                Phase::Waiting => counts.waiting += 1,
                Phase::Leased(leased) => {
                    counts.running += 1;
                    let lease = Lease { trial: sweep.ids[index as usize], attempt: trial.attempt };
                    let slots = self.agents.get(&leased.agent).map(|agent| &agent.slots);
                    if slots.and_then(|slots| slots.get(leased.slot as usize)) != Some(&Some(lease)) {
                        return Err("slots");
                    }
                    other.fresh.extend(leased.kept.map(|kept| (kept, at)));
                    if leased.yields_to.is_some() {
                        other.leaving.insert(at);
                    }
                }
                Phase::Backoff { until } => {
                    counts.backoff += 1;
                    other.backoff.insert((*until, at));
                }
                Phase::Completed { .. } => counts.completed += 1,
                Phase::Failed => counts.failed += 1,
                Phase::Cancelled => counts.cancelled += 1,
                Phase::Paused => counts.paused += 1,
                Phase::Stopped => counts.stopped += 1,
            }
        }
        Ok(counts)
    }
}
