//! The part of the oracle about limits: nobody is ever granted more than a quota of slots allows (in thousandths, where trials
//! share a device), or more trials at once than `max_parallel`, as both were at that moment. It counts for itself, from events only.

use std::collections::BTreeMap;

use crate::event::Event;
use crate::id::{Lease, SweepId, TrialId};
use crate::shares::Setting;

/// Thousandths of a slot.
const WHOLE: u64 = 1000;

/// Who holds how much.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    sweeps: BTreeMap<SweepId, Owner>,
    trials: BTreeMap<TrialId, SweepId>,
    /// Attempt, and thousandths of a device.
    live: BTreeMap<TrialId, (u32, u32)>,
    projects: BTreeMap<String, Held>,
    users: BTreeMap<String, Held>,
}

#[derive(Debug)]
struct Owner {
    project: String,
    user: String,
    runs: Held,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Thousandths.
    now: u64,
    most: Option<u32>,
}

impl Held {
    fn is_over(self) -> bool {
        self.most.is_some_and(|most| self.now > u64::from(most) * WHOLE)
    }
}

/// What was found.
pub(super) struct Excess {
    pub(super) sweep: Option<SweepId>,
    pub(super) rule: &'static str,
    pub(super) text: String,
}

impl Quotas {
    /// Reads the next event; a grant may be one too many.
    pub(super) fn read(&mut self, event: &Event) -> Option<Excess> {
        match event {
            Event::SweepSubmitted { sweep, user, project, plan, .. } => {
                let runs = Held { now: 0, most: plan.limits.max_parallel };
                let owner = Owner { project: project.clone(), user: user.clone(), runs };
                if self.sweeps.insert(*sweep, owner).is_none() {
                    self.trials.extend(plan.trial_ids(*sweep).into_iter().map(|trial| (trial, *sweep)));
                }
            }
            Event::SweepSet { sweep, tuning, .. } => {
                if let Some(owner) = self.sweeps.get_mut(sweep) {
                    owner.runs.most = tuning.max_parallel;
                }
            }
            Event::SweepMoved { sweep, project, .. } => self.moved(*sweep, project),
            Event::SharesSet { setting: Setting::Project { name, entitlement }, .. } => {
                self.projects.entry(name.clone()).or_default().most = entitlement.slots;
            }
            Event::SharesSet { setting: Setting::User { name, entitlement }, .. } => {
                self.users.entry(name.clone()).or_default().most = entitlement.slots;
            }
            Event::LeaseGranted { lease, share, .. } => return self.granted(*lease, *share),
            Event::TrialCompleted { lease, .. }
            | Event::AttemptFailed { lease, .. }
            | Event::LeaseLost { lease, .. } => self.ended(*lease),
            _ => {}
        }
        None
    }

    /// Another trial of a sweep.
    pub(super) fn added(&mut self, sweep: SweepId, trial: TrialId) {
        self.trials.insert(trial, sweep);
    }

    /// What runs counts for the other project; it may be more than that may have.
    fn moved(&mut self, sweep: SweepId, project: &str) {
        let Some(owner) = self.sweeps.get_mut(&sweep) else { return };
        let before = std::mem::replace(&mut owner.project, project.to_owned());
        let own = self.live.iter().filter(|(trial, _)| self.trials.get(trial) == Some(&sweep));
        let runs: u64 = own.map(|(_, (_, share))| u64::from(*share)).sum();
        let left = self.projects.entry(before).or_default();
        left.now = left.now.saturating_sub(runs);
        self.projects.entry(project.to_owned()).or_default().now += runs;
    }

    fn granted(&mut self, lease: Lease, share: u32) -> Option<Excess> {
        let sweep = *self.trials.get(&lease.trial)?;
        self.live.insert(lease.trial, (lease.attempt, share));
        let owner = self.sweeps.get_mut(&sweep)?;
        let project = self.projects.entry(owner.project.clone()).or_default();
        let user = self.users.entry(owner.user.clone()).or_default();
        owner.runs.now += WHOLE;
        for held in [&mut *project, &mut *user] {
            held.now += u64::from(share);
        }
        let checks = [
            (owner.runs, "max_parallel_exceeded", format!("sweep {sweep}")),
            (*project, "quota_exceeded", format!("project {}", owner.project)),
            (*user, "quota_exceeded", format!("user {}", owner.user)),
        ];
        let (held, rule, of) = checks.into_iter().find(|(held, _, _)| held.is_over())?;
        let most = held.most.unwrap_or_default();
        Some(Excess { sweep: Some(sweep), rule, text: format!("{lease}: {of} has {}/1000 of {most} slots", held.now) })
    }

    fn ended(&mut self, lease: Lease) {
        let Some((_, share)) = self.live.get(&lease.trial).copied().filter(|live| live.0 == lease.attempt) else {
            return;
        };
        self.live.remove(&lease.trial);
        let Some(owner) = self.trials.get(&lease.trial).and_then(|sweep| self.sweeps.get_mut(sweep)) else { return };
        owner.runs.now = owner.runs.now.saturating_sub(WHOLE);
        for held in [self.projects.get_mut(&owner.project), self.users.get_mut(&owner.user)].into_iter().flatten() {
            held.now = held.now.saturating_sub(share.into());
        }
    }
}
