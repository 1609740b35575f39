//! What waits, why, and when it may start: for people. Nothing is decided from it; the order and the limits are
//! those of `schedule`.

use std::collections::BTreeMap;
use std::fmt;

use crate::device::gigabytes;
use crate::id::AgentId;
use crate::maintenance;
use crate::schedule::{Closed, Kinds, Tree};
use crate::shares::DEVICE;
use crate::state::State;
use crate::state::agent::Agent;
use crate::state::sweep::Sweep;
use crate::state::trial::Leased;
use crate::time::{Span, Timestamp};

/// So many closed slots are named.
const SHOWN: usize = 3;

/// A sweep that has something to start and cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Position of the sweep in the state.
    pub sweep: u32,
    /// Why not now.
    pub why: Why,
    /// When its next trial may start, by how long trials took so far; nothing where that cannot be said.
    pub starts: Option<Timestamp>,
}

/// Why a sweep waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Every slot that could run it is taken.
    NoFreeSlot {
        /// Sweeps that come before it.
        before: u32,
        /// Slots that could run it, but are closed, and why.
        closed: Vec<String>,
        /// Where trials share GPUs: thousandths of one that its next trial needs.
        part: Option<u32>,
    },
    /// Every slot that could run it is closed; why.
    Closed(Vec<String>),
    /// As many of its trials run as it allows.
    MaxParallel(u32),
    /// A quota of slots is reached.
    Slots {
        /// `user ann` or `project vision`.
        of: String,
        /// Slots in use.
        used: u64,
        /// Slots there may be.
        most: u32,
    },
    /// A quota of device-hours is used up.
    Hours {
        /// `user ann` or `project vision`.
        of: String,
        /// Device-hours in any seven days.
        most: u32,
    },
    /// Its trials failed one after the other; what was seen.
    Suspended(String),
    /// A quota of checkpoints in the store is reached.
    Storage {
        /// `project vision`.
        of: String,
        /// Bytes in the store.
        used: u64,
        /// Megabytes there may be.
        most: u32,
    },
    /// Its trials have failed and wait for the next try.
    Backoff,
    /// So many of its trials wait at a rung, until it is known which are worth going on with.
    AtRung(u32),
    /// No host ever called.
    NoHost,
    /// No host has the data set.
    NoData(String),
    /// Hosts have the data set, but another copy than the one that the sweep trains on.
    OtherCopy(String),
    /// The hosts that have the data set have nothing of what the sweep asks for.
    NoPlace(String),
    /// The hosts that have the data set do not answer.
    Unreachable(String),
}

impl Why {
    /// The stable word for scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoFreeSlot { .. } => "no_free_slot",
            Self::Closed(_) => "closed",
            Self::MaxParallel(_) => "max_parallel",
            Self::Slots { .. } => "quota_slots",
            Self::Hours { .. } => "quota_hours",
            Self::Suspended(_) => "suspended",
            Self::Storage { .. } => "quota_storage",
            Self::Backoff => "backoff",
            Self::AtRung(_) => "at_rung",
            Self::NoHost => "no_host",
            Self::NoData(_) => "no_data",
            Self::OtherCopy(_) => "other_copy",
            Self::NoPlace(_) => "no_place",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFreeSlot { before, closed, part } => {
                match before {
                    0 => write!(out, "no free slot; it is next")?,
                    1 => write!(out, "no free slot; 1 sweep comes before")?,
                    before => write!(out, "no free slot; {before} sweeps come before")?,
                }
                match part {
                    Some(part) if u64::from(*part) < DEVICE => write!(out, "; needs 0.{part:03} of a GPU")?,
                    Some(_) => write!(out, "; needs a whole GPU")?,
                    None => {}
                }
                if closed.is_empty() { Ok(()) } else { write!(out, "; {}", some(closed)) }
            }
            Self::Closed(closed) => write!(out, "every slot that could run it is closed: {}", some(closed)),
            Self::MaxParallel(most) => write!(out, "max_parallel {most} reached"),
            Self::Slots { of, used, most } => write!(out, "quota of {of} reached: {used} of {most} slots"),
            Self::Storage { of, used, most } => {
                let (used, most) = (gigabytes(*used), gigabytes(u64::from(*most) * Closed::MEGABYTE));
                write!(out, "quota of {of} reached: {used} of {most} of checkpoints")
            }
            Self::Hours { of, most } => write!(out, "quota of {of} used up: {most} device-hours in 7 days"),
            Self::Suspended(what) => write!(out, "suspended: {what}; mend it, then `sweepctl retry`"),
            Self::Backoff => write!(out, "waits for another try after a failure"),
            Self::AtRung(1) => write!(out, "1 trial waits at a rung until those that run have come as far"),
            Self::AtRung(many) => write!(out, "{many} trials wait at a rung until those that run have come as far"),
            Self::NoHost => write!(out, "no host has called yet"),
            Self::NoData(dataset) => write!(out, "no host has the data set {dataset}"),
            Self::OtherCopy(dataset) => {
                write!(out, "no host has the copy of the data set {dataset} that the sweep trains on")
            }
            Self::NoPlace(what) => write!(out, "{what}"),
            Self::Unreachable(dataset) => write!(out, "the hosts with the data set {dataset} do not answer"),
        }
    }
}

/// The first few.
fn some(closed: &[String]) -> String {
    let shown = closed[..closed.len().min(SHOWN)].join("; ");
    match closed.len() - closed.len().min(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// Every sweep that waits, those that could start first, in the order in which they will.
pub fn waiting(state: &State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Vec<Waiting> {
    let mut view = View { state, now, releases: releases(state, now, &is_reachable) };
    let ready: Vec<u32> = Tree::new(state, now).all().collect();
    let next = |sweep: &Sweep| sweep.waiting.iter().filter_map(|waiting| waiting.first()).map(|turn| turn.1).min();
    let horizon = |number: &u32| {
        let sweep = &state.sweeps[*number as usize];
        next(sweep).map_or(Span::default(), |index| maintenance::horizon(sweep, index))
    };
    let longest = ready.iter().map(horizon).max().unwrap_or_default();
    let closed = closed(state, now, longest, &is_reachable);
    let kinds = Kinds::new(state, &is_reachable);
    let mut found = Vec::new();
    let mut before = 0;
    for number in ready.iter().copied() {
        let (why, starts) = match nowhere(state, &state.sweeps[number as usize], &is_reachable) {
            Some(why) => (why, None),
            None => {
                before += 1;
                let (why, others) = view.closed(number, &closed, &is_reachable);
                match others {
                    true => {
                        let part = kinds.part(state, number);
                        (Why::NoFreeSlot { before: before - 1, closed: why, part }, view.take(number))
                    }
                    false => (Why::Closed(why), None),
                }
            }
        };
        found.push(Waiting { sweep: number, why, starts });
    }
    let listed: std::collections::BTreeSet<u32> = ready.into_iter().collect();
    let others = (0u32..).zip(&state.sweeps).filter(|(number, _)| !listed.contains(number));
    for (number, sweep) in
        others.filter(|(_, sweep)| sweep.counts.waiting + sweep.counts.backoff + sweep.counts.paused > 0)
    {
        let (why, starts) = view.held_up(number, sweep);
        found.push(Waiting { sweep: number, why, starts });
    }
    found
}

/// Why no host could ever run the next trials of a sweep, as things are.
fn nowhere(state: &State, sweep: &Sweep, is_reachable: impl Fn(AgentId) -> bool) -> Option<Why> {
    if state.agents.is_empty() {
        return Some(Why::NoHost);
    }
    let mut why = None;
    for (dataset, bound) in open(sweep) {
        let has = |agent: &Agent| agent.can_use(dataset, bound);
        if state.agents.iter().any(|(id, agent)| sweep.can_run_on(agent, dataset, bound) && is_reachable(*id)) {
            return None;
        }
        let there: Vec<&Agent> = state
            .agents
            .iter()
            .filter(|(id, agent)| has(agent) && is_reachable(**id))
            .map(|(_, agent)| agent)
            .collect();
        if let (false, Some(nowhere)) = (there.is_empty(), sweep.plan.limits.placement.nowhere(&there)) {
            why.get_or_insert_with(|| Why::NoPlace(nowhere.to_string()));
            continue;
        }
        let name = dataset.to_owned();
        why.get_or_insert_with(|| match () {
            () if state.agents.values().any(has) => Why::Unreachable(name),
            () if state.agents.values().any(|agent| agent.can_use(dataset, None)) => Why::OtherCopy(name),
            () => Why::NoData(name),
        });
    }
    why
}

/// Data sets of waiting trials, with the copy that is decided.
fn open(sweep: &Sweep) -> impl Iterator<Item = (&str, Option<&str>)> {
    let groups = sweep.waiting.iter().zip(&sweep.datasets).zip(&sweep.fingerprints);
    let open = groups.filter(|((waiting, _), _)| !waiting.is_empty());
    open.map(|((_, dataset), bound)| (dataset.as_str(), bound.as_deref()))
}

/// A slot without a trial that gets none.
struct ClosedSlot {
    agent: AgentId,
    /// Which, and why.
    text: String,
}

/// Slots of reachable agents that nothing runs on and that are closed, or will be too soon for the `longest` epoch.
fn closed(state: &State, now: Timestamp, longest: Span, is_reachable: impl Fn(AgentId) -> bool) -> Vec<ClosedSlot> {
    let agents = state.agents.iter().filter(|(id, agent)| !agent.devices.is_open() && is_reachable(**id));
    let slots = agents.flat_map(|(id, agent)| {
        let free = (0u32..).zip(&agent.slots).filter(|(_, lease)| lease.is_none());
        free.filter_map(move |(slot, _)| {
            let what = match agent.block(slot, now) {
                Some(block) => format!("is {block}"),
                None => {
                    let (left, hold) = agent.planned(slot, now).filter(|(left, _)| *left < longest)?;
                    format!("has maintenance {}", maintenance::when(left, &hold.user, &hold.reason))
                }
            };
            let text = format!("{}:{slot} {what}", agent.facts.host);
            Some(ClosedSlot { agent: *id, text })
        })
    });
    slots.collect()
}

/// A slot that will be free.
struct Release {
    at: Timestamp,
    agent: AgentId,
    sweep: u32,
    taken: bool,
}

/// When slots of reachable agents will be free, soonest first, as far as that can be said.
fn releases(state: &State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Vec<Release> {
    let mut typical: BTreeMap<u32, Option<Span>> = BTreeMap::new();
    let mut releases = Vec::new();
    for (agent, known) in state.agents.iter().filter(|(id, _)| is_reachable(**id)) {
        for lease in known.slots.iter().flatten() {
            let Some((at, leased)) = state.leased(*lease) else { continue };
            let length = *typical.entry(at.sweep).or_insert_with(|| state.sweeps[at.sweep as usize].trial_length());
            let before = state.trial(at).progress.as_ref().map_or(0, |progress| progress.spent);
            if let Some(end) = end(leased, length, before, now) {
                releases.push(Release { at: end, agent: *agent, sweep: at.sweep, taken: false });
            }
        }
    }
    releases.sort_by_key(|release| (release.at, release.agent));
    releases
}

fn end(leased: &Leased, length: Option<Span>, before: i64, now: Timestamp) -> Option<Timestamp> {
    if !leased.is_wanted() {
        return Some(now);
    }
    let left = Span((length?.0 - before).max(0));
    Some((leased.since + left).max(now))
}

struct View<'a> {
    state: &'a State,
    now: Timestamp,
    releases: Vec<Release>,
}

impl View<'_> {
    /// The soonest slot for a sweep that nobody before it takes.
    fn take(&mut self, number: u32) -> Option<Timestamp> {
        let sweep = &self.state.sweeps[number as usize];
        let agents = &self.state.agents;
        let fits =
            |agent: &AgentId| open(sweep).any(|(dataset, bound)| sweep.can_run_on(&agents[agent], dataset, bound));
        let release = self.releases.iter_mut().find(|release| !release.taken && fits(&release.agent))?;
        release.taken = true;
        Some(release.at)
    }

    /// Why slots that could run a sweep are closed, and whether others could that are not.
    fn closed(
        &self,
        number: u32,
        closed: &[ClosedSlot],
        is_reachable: impl Fn(AgentId) -> bool,
    ) -> (Vec<String>, bool) {
        let sweep = &self.state.sweeps[number as usize];
        let fits = |agent: &Agent| open(sweep).any(|(dataset, bound)| sweep.can_run_on(agent, dataset, bound));
        let own = closed.iter().filter(|slot| fits(&self.state.agents[&slot.agent]));
        let own: Vec<String> = own.map(|slot| slot.text.clone()).collect();
        if own.is_empty() {
            return (own, true);
        }
        let agents = self.state.agents.iter().filter(|(id, agent)| is_reachable(**id) && fits(agent));
        let slots: usize = agents.map(|(_, agent)| agent.slots.len()).sum();
        let others = slots > own.len();
        (own, others)
    }

    /// Of a sweep that has reached a limit, or has nothing ready.
    fn held_up(&self, number: u32, sweep: &Sweep) -> (Why, Option<Timestamp>) {
        let accounts = &self.state.accounts;
        if let Some(what) = sweep.suspended_because() {
            return (Why::Suspended(what), None);
        }
        if sweep.counts.waiting + sweep.counts.backoff == 0 {
            return (Why::AtRung(sweep.counts.paused), None);
        }
        if sweep.counts.waiting == 0 {
            let retries = self.state.retries().filter(|(_, at)| at.sweep == number);
            return (Why::Backoff, retries.map(|(until, _)| until).min());
        }
        if let Some(most) = sweep.plan.limits.max_parallel.filter(|most| sweep.counts.running >= *most) {
            return (Why::MaxParallel(most), self.soonest(|other| other == number));
        }
        let member = &accounts.members[sweep.member as usize];
        let (project, user) = (&accounts.projects[member.project as usize], &accounts.users[member.user as usize]);
        let of_project = |other: u32| self.state.sweeps[other as usize].project == project.name;
        let of_user = |other: u32| self.state.sweeps[other as usize].user == user.name;
        let text = |kind: &str, name: &str| format!("{kind} {name}");
        let (closed, week, of) = match Closed::of_project(project, self.now) {
            Some(closed) => (Some(closed), &project.week, text("project", &project.name)),
            None => (Closed::of(&user.entitlement, &user.week, self.now), &user.week, text("user", &user.name)),
        };
        match closed {
            Some(Closed::Slots(most)) => {
                let soonest = match of.starts_with("project") {
                    true => self.soonest(of_project),
                    false => self.soonest(of_user),
                };
                (Why::Slots { of, used: week.running / DEVICE, most }, soonest)
            }
            Some(Closed::Storage(most)) => (Why::Storage { of, used: project.stored, most }, None),
            Some(Closed::Hours(most)) => {
                let limit = u64::from(most).saturating_mul(Closed::DEVICE_HOUR);
                (Why::Hours { of, most }, week.below(self.now, limit))
            }
            None => (Why::NoFreeSlot { before: 0, closed: Vec::new(), part: None }, None),
        }
    }

    fn soonest(&self, of: impl Fn(u32) -> bool) -> Option<Timestamp> {
        self.releases.iter().find(|release| of(release.sweep)).map(|release| release.at)
    }
}
