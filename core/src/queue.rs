//! What waits, why, and when it may start: for people. Nothing is decided from it; the order and the limits are
//! those of `schedule`.

mod ahead;
mod release;
mod why;

use crate::id::AgentId;
use crate::maintenance;
use crate::schedule::{self, Closed, Kinds, Tree, WHOLE_SLOT};
use crate::shares::DEVICE;
use crate::state::State;
use crate::state::agent::Agent;
use crate::state::sweep::Sweep;
use crate::time::{Span, Timestamp};

pub use release::Basis;
use release::{Pace, Release, releases};
pub use why::{Before, Why};

/// A sweep that has something to start and cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Position of the sweep in the state.
    pub sweep: u32,
    /// Why not now.
    pub why: Why,
    /// When its next trial may start; nothing where that cannot be said.
    pub starts: Option<Timestamp>,
    /// What that is reckoned by; nothing where it is known.
    pub by: Option<Basis>,
}

/// A time, and what it is reckoned by.
type Expected = (Timestamp, Option<Basis>);

/// Every sweep that waits, those that could start first, in the order in which they will.
pub fn waiting(state: &State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Vec<Waiting> {
    let mut pace = Pace::new(state);
    let (tree, kinds) = (Tree::new(state, now), Kinds::new(state, &is_reachable));
    let need = |number: u32| kinds.part(state, number).map_or(WHOLE_SLOT, i64::from);
    // Where trials share devices, a quota may leave less than the next one needs.
    let ready: Vec<u32> = tree.all().filter(|number| tree.left(*number) >= need(*number)).collect();
    let horizon = |number: &u32| {
        let sweep = &state.sweeps[*number as usize];
        state.next_turn(*number).map_or(Span::default(), |turn| maintenance::horizon(sweep, turn.1))
    };
    let longest = ready.iter().map(horizon).max().unwrap_or_default();
    let closed = closed(state, now, longest, &is_reachable);
    let mut free = releases(&mut pace, state, now, &is_reachable);
    free.extend(closed.iter().filter_map(ClosedSlot::opens));
    free.sort_unstable();
    let view = View { state, now, releases: free };
    let mut found = Vec::new();
    let mut before = Before::default();
    let fits = |number: u32, agent: AgentId| view.fits(number, &state.agents[&agent]);
    let starts = ahead::starts(state, now, &view.releases, &mut pace, ready.iter().copied().collect(), fits);
    for number in ready.iter().copied() {
        let (why, starts) = match nowhere(state, number, &is_reachable) {
            Some(why) => (why, None),
            None => {
                let first = before;
                before.sweeps += 1;
                before.trials += u64::from(state.startable(number));
                let (why, others) = view.closed(number, &closed, &is_reachable);
                let starts = || starts.get(&number).copied();
                match (others, view.choosing(number, &is_reachable)) {
                    (true, Some(choosing)) => (Why::Choosing(choosing), None),
                    (true, None) => {
                        let (part, short) = (kinds.part(state, number), view.is_short(number, &is_reachable));
                        let starts = view.beside(number, part, starts(), &is_reachable);
                        (Why::NoFreeSlot { before: first, closed: why, short, part }, starts)
                    }
                    (false, _) => (Why::Closed(why), starts()),
                }
            }
        };
        found.push(told(number, why, starts));
    }
    let listed: std::collections::BTreeSet<u32> = ready.into_iter().collect();
    let others = (0u32..).zip(&state.sweeps).filter(|(number, _)| !listed.contains(number));
    for (number, sweep) in
        others.filter(|(_, sweep)| sweep.counts.waiting + sweep.counts.backoff + sweep.counts.paused > 0)
    {
        let (why, starts) = view.held_up(number, sweep, need(number));
        found.push(told(number, why, starts));
    }
    found
}

fn told(sweep: u32, why: Why, starts: Option<Expected>) -> Waiting {
    Waiting { sweep, why, starts: starts.map(|(at, _)| at), by: starts.and_then(|(_, by)| by) }
}

/// Why no host could ever run the next trials of a sweep, as things are.
fn nowhere(state: &State, number: u32, is_reachable: impl Fn(AgentId) -> bool) -> Option<Why> {
    let sweep = &state.sweeps[number as usize];
    if state.hosts().next().is_none() {
        return Some(Why::NoHost);
    }
    let mut why = None;
    for (dataset, bound) in open(state, number) {
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
            () if state.hosts().any(|(_, agent)| has(agent)) => Why::Unreachable(name),
            () if state.hosts().any(|(_, agent)| agent.can_use(dataset, None)) => Why::OtherCopy(name),
            () => Why::NoData(name),
        });
    }
    why
}

/// Data sets of waiting trials, with the copy that is decided.
fn open(state: &State, number: u32) -> impl Iterator<Item = (&str, Option<&str>)> {
    let sweep = &state.sweeps[number as usize];
    let groups = state.turns(number).iter().zip(&sweep.datasets).zip(&sweep.fingerprints);
    let open = groups.filter(|((waiting, _), _)| !waiting.is_empty());
    open.map(|((_, dataset), bound)| (dataset.as_str(), bound.as_deref()))
}

/// A slot without a trial that gets none.
struct ClosedSlot {
    agent: AgentId,
    /// Which, and why.
    text: String,
    /// When it is open again, if that is known.
    opens: Option<Timestamp>,
}

impl ClosedSlot {
    fn opens(&self) -> Option<Release> {
        Some(Release { at: self.opens?, agent: self.agent, slot: None, sweep: None, share: 0, by: None })
    }
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
            let opens = agent.devices.opens(&agent.facts, slot, now, longest);
            Some(ClosedSlot { agent: *id, text, opens })
        })
    });
    slots.collect()
}

struct View<'a> {
    state: &'a State,
    now: Timestamp,
    releases: Vec<Release>,
}

impl View<'_> {
    /// Whether an agent could run some waiting trial of a sweep.
    fn fits(&self, number: u32, agent: &Agent) -> bool {
        let sweep = &self.state.sweeps[number as usize];
        open(self.state, number).any(|(dataset, bound)| sweep.can_run_on(agent, dataset, bound))
    }

    /// The host on which the first trial of a sweep's network finds out what all of them compute with, if others have free slots that
    /// could run it and wait for that.
    fn choosing(&self, number: u32, is_reachable: impl Fn(AgentId) -> bool) -> Option<String> {
        let sweep = &self.state.sweeps[number as usize];
        let first = |index: u32| {
            let key = sweep.undecided(index)?;
            let agents: Vec<AgentId> = sweep.choices.choosing(&key).filter(|agent| is_reachable(*agent)).collect();
            (!agents.is_empty()).then_some(agents)
        };
        let heads = self.state.turns(number).iter().filter_map(|waiting| waiting.first());
        let choosing: Option<Vec<Vec<AgentId>>> = heads.map(|(_, index)| first(*index)).collect();
        let choosing: Vec<AgentId> = choosing?.into_iter().flatten().collect();
        let could = |(id, agent): (&AgentId, &Agent)| {
            !choosing.contains(id) && is_reachable(*id) && agent.open(self.now) > 0 && self.fits(number, agent)
        };
        let waits = self.state.agents.iter().any(could);
        let host = self.state.agents.get(choosing.first()?).map(|agent| agent.facts.host.clone());
        host.filter(|_| waits)
    }

    /// Why slots that could run a sweep are closed, and whether others could that are not.
    fn closed(
        &self,
        number: u32,
        closed: &[ClosedSlot],
        is_reachable: impl Fn(AgentId) -> bool,
    ) -> (Vec<String>, bool) {
        let fits = |agent: &Agent| self.fits(number, agent);
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

    /// Whether all hosts with a free slot that could run it have too little memory or too few cores left, and there are some.
    fn is_short(&self, number: u32, is_reachable: impl Fn(AgentId) -> bool) -> bool {
        let fits = |agent: &Agent| self.fits(number, agent);
        let free = |agent: &Agent| agent.rooms.is_empty() && agent.open(self.now) > 0;
        let mut agents =
            self.state.agents.iter().filter(|(id, agent)| is_reachable(**id) && free(agent) && fits(agent));
        let mut any = false;
        agents.all(|(_, agent)| {
            any = true;
            schedule::is_short(self.state, number, agent)
        }) && any
    }

    /// A trial that needs `part` thousandths of a shared device starts no sooner than so much of one has come free: when enough of those on
    /// it have ended, not the first of them.
    fn beside(
        &self,
        number: u32,
        part: Option<u32>,
        starts: Option<Expected>,
        is_reachable: impl Fn(AgentId) -> bool,
    ) -> Option<Expected> {
        let agents = self.state.agents.iter().filter(|(id, agent)| is_reachable(**id) && self.fits(number, agent));
        let agents: Vec<_> = agents.collect();
        let Some(part) = part.map(u64::from).filter(|_| agents.iter().all(|(_, agent)| !agent.rooms.is_empty())) else {
            return starts;
        };
        let is_open = |agent: &Agent, device: usize| {
            let slots = agent.facts.offer.devices.get(device).map_or(&[][..], |device| &device.slots);
            slots.iter().any(|slot| agent.block(*slot, self.now).is_none())
        };
        let rooms = agents.into_iter().flat_map(|(id, agent)| agent.rooms.iter().map(move |room| (id, agent, room)));
        let rooms = rooms.filter(|(_, agent, room)| is_open(agent, room.device)).map(|(id, _, room)| (id, room));
        let enough = rooms.filter_map(|(id, room)| {
            let mut free = DEVICE.saturating_sub(room.trials.values().map(|lodger| u64::from(lodger.share)).sum());
            if free >= part {
                return Some((self.now, None));
            }
            let here = |release: &&Release| {
                release.agent == *id && release.slot.is_some_and(|slot| room.trials.contains_key(&slot))
            };
            let mut releases = self.releases.iter().filter(here);
            releases.find_map(|release| {
                free += u64::from(release.share);
                (free >= part).then_some((release.at, release.by))
            })
        });
        starts?.max(enough.min()?).into()
    }

    /// Of a sweep that has reached a limit, or has nothing ready; its next trial needs so many thousandths of a slot.
    fn held_up(&self, number: u32, sweep: &Sweep, need: i64) -> (Why, Option<Expected>) {
        let accounts = &self.state.accounts;
        if let Some(what) = sweep.suspended_because() {
            return (Why::Suspended(what), None);
        }
        if sweep.counts.waiting + sweep.counts.backoff == 0 {
            return (Why::AtRung(sweep.counts.paused), None);
        }
        if sweep.counts.waiting == 0 {
            let retries = self.state.retries().filter(|(_, at)| at.sweep == number);
            return (Why::Backoff, retries.map(|(until, _)| until).min().map(known));
        }
        if let Some(most) = sweep.plan.limits.max_parallel.filter(|most| sweep.counts.running >= *most) {
            let over = u64::from(sweep.counts.running - most) + 1;
            return (Why::MaxParallel(most), self.after(over, |of| u64::from(of.sweep == Some(number))));
        }
        let member = &accounts.members[sweep.member as usize];
        let (project, user) = (&accounts.projects[member.project as usize], &accounts.users[member.user as usize]);
        let text = |kind: &str, name: &str| format!("{kind} {name}");
        let (closed, (week, stored), of) = match Closed::of_project(project, self.now, need) {
            Some(closed) => (Some(closed), (&project.week, project.stored), text("project", &project.name)),
            None => (Closed::of_user(user, self.now, need), (&user.week, user.stored), text("user", &user.name)),
        };
        match closed {
            Some(Closed::Slots(most)) => {
                let is_project = of.starts_with("project");
                let share = |slot: &Release| {
                    let Some(other) = slot.sweep.map(|sweep| &self.state.sweeps[sweep as usize]) else { return 0 };
                    let is_theirs = if is_project { other.project == project.name } else { other.user == user.name };
                    if is_theirs { slot.share.into() } else { 0 }
                };
                let wanted = week.running + need.unsigned_abs();
                let over = wanted.saturating_sub(u64::from(most) * DEVICE);
                // More than the quota is never there.
                let is_ever = need <= i64::from(most) * WHOLE_SLOT;
                let starts = is_ever.then(|| self.after(over, share)).flatten();
                (Why::Slots { of, used: week.running, most }, starts)
            }
            Some(Closed::Storage(most)) => (Why::Storage { of, used: stored, most }, None),
            Some(Closed::Hours(most)) => {
                let limit = u64::from(most).saturating_mul(Closed::DEVICE_HOUR);
                (Why::Hours { of, most }, week.below(self.now, limit).map(known))
            }
            None => (Why::NoFreeSlot { before: Before::default(), closed: Vec::new(), short: false, part: None }, None),
        }
    }

    /// When so much of what `gives` counts has come free.
    fn after(&self, over: u64, gives: impl Fn(&Release) -> u64) -> Option<Expected> {
        let mut free = 0;
        let last = self.releases.iter().find(|release| {
            free += gives(release);
            free >= over
        });
        last.map(|release| (release.at, release.by))
    }
}

/// A time that nothing has to be reckoned for.
fn known(at: Timestamp) -> Expected {
    (at, None)
}
