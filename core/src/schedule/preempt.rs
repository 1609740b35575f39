//! Which trial gives way to whom: only right after its checkpoint was kept, so that next to no work is lost; only
//! after its attempt has run for a while; and only if its owner is clearly above the one who waits
//! ([`Load::gives_way_to`]). The slot goes to whoever is first in the order of grants and could use it, or nobody
//! gives way: what is freed must not come back to where it was.

use std::cell::{Cell, OnceCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::event::Event;
use crate::id::{AgentId, Lease};
use crate::maintenance;
use crate::state::agent::Agent;
use crate::state::{State, TrialRef};
use crate::time::{Span, Timestamp};

use super::host::Booked;
use super::load::Load;
use super::place::{Need, is_alone};
use super::room::{Shared, WHOLE};
use super::tree::Tree;

/// So long after its checkpoint was kept a trial may still give way; what it did since is lost if its trainer keeps none when it is stopped.
const FRESH: Span = Span::seconds(10);

/// Every trial that has to give way now.
pub fn preemptions(state: &State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Vec<Event> {
    let Some(after) = state.accounts.shares.preempt_after else { return Vec::new() };
    let mut victims: BTreeMap<u32, Vec<Victim<'_>>> = BTreeMap::new();
    for at in state.fresh(Timestamp(now.0.saturating_sub(FRESH.0))) {
        if let Some(victim) = Victim::new(state, at, now, after).filter(|victim| is_reachable(victim.id)) {
            victims.entry(state.sweep_of(at).member).or_default().push(victim);
        }
    }
    if victims.is_empty() || state.ready().next().is_none() {
        return Vec::new();
    }
    let (projects, members) = (BTreeMap::new(), BTreeMap::new());
    let mut plan = Plan { state, now, tree: Tree::new(state, now), projects, members };
    for known in victims.values_mut() {
        // The one that goes first stands last.
        known.sort_by_key(|victim| Reverse(victim.rank));
    }
    plan.promise();
    let mut events = Vec::new();
    while let Some(member) = victims.keys().copied().max_by_key(|member| plan.standing(*member)) {
        let known = victims.entry(member).or_default();
        // One that nobody gets takes the member no lower: the next of its trials is looked at.
        let given = std::iter::from_fn(|| known.pop()).find_map(|victim| Some((plan.taker(member, &victim)?, victim)));
        let Some(((sweep, share), victim)) = given else {
            victims.remove(&member);
            continue;
        };
        plan.start(sweep, share);
        plan.leave(member, victim.share);
        events.push(Event::TrialPreempted { lease: victim.lease, sweep: state.sweeps[sweep as usize].id });
    }
    events
}

/// A trial that may give way.
struct Victim<'a> {
    lease: Lease,
    id: AgentId,
    agent: &'a Agent,
    slot: u32,
    /// Thousandths of its device.
    share: u32,
    /// The device, where trials share it.
    room: Option<Shared<'a>>,
    /// What the others on its host take of it, counted when it is asked for.
    beside: OnceCell<Booked>,
    /// Who goes first: lowest priority, then the newest checkpoint, then the youngest attempt.
    rank: (u32, Reverse<Timestamp>, Reverse<Timestamp>, TrialRef),
}

impl<'a> Victim<'a> {
    fn new(state: &'a State, at: TrialRef, now: Timestamp, after: Span) -> Option<Self> {
        let (trial, sweep) = (state.trial(at), state.sweep_of(at));
        let leased = trial.leased().filter(|leased| leased.is_wanted() && now - leased.since >= after)?;
        let agent = state.agents.get(&leased.agent).filter(|agent| agent.block(leased.slot, now).is_none())?;
        let protected = state.accounts.shares.hosts.get(&agent.facts.host).copied().unwrap_or_default();
        // One that has trained its last epoch is as good as gone.
        let epochs = sweep.plan.epochs(at.index);
        if leased.slot < protected || (epochs > 0 && trial.resume_epoch() >= epochs) {
            return None;
        }
        let lease = Lease { trial: state.trial_id(at), attempt: trial.attempt };
        let room = agent.lodging(leased.slot).map(|place| &agent.rooms[place]);
        let room = room.map(|room| Shared::new(state, &agent.facts.offer.devices[room.device], room));
        let (slot, share) = (leased.slot, leased.share);
        let rank = (sweep.priority(), Reverse(leased.kept?), Reverse(leased.since), at);
        Some(Self { lease, id: leased.agent, agent, slot, share, room, beside: OnceCell::new(), rank })
    }

    /// Thousandths of the device that a trial takes once this one has left, if it fits beside those that stay. For whoever needs
    /// more of it than this one has, such a device empties by itself.
    fn part(&self, need: &Need<'_>) -> Option<u32> {
        let share = match &self.room {
            None => WHOLE,
            Some(room) => room.without(self.share, need)?.share,
        };
        need.may_have(share).then_some(share)
    }

    /// Whether the host has what a trial takes of it, once this one has left.
    fn leaves_room(&self, state: &State, trial: (u32, u32)) -> bool {
        let beside = self.beside.get_or_init(|| Booked::of(state, self.agent, Some(self.slot)));
        beside.leaves(state, trial, self.agent, self.slot)
    }
}

struct Plan<'a> {
    state: &'a State,
    now: Timestamp,
    tree: Tree<'a>,
    projects: BTreeMap<u32, Load>,
    members: BTreeMap<u32, Load>,
}

impl<'a> Plan<'a> {
    /// Slots that are being freed already count for those that they were freed for.
    fn promise(&mut self) {
        let state = self.state;
        for at in state.leaving() {
            let Some(leased) = state.trial(at).leased() else { continue };
            self.leave(state.sweep_of(at).member, leased.share);
            if let Some(sweep) = leased.yields_to.and_then(|taker| state.number(taker)) {
                self.start(sweep, leased.share);
            }
        }
    }

    /// The sweep that would get the slot of a victim, if the victim has to give way to it, and what it takes of the device.
    fn taker(&mut self, member: u32, victim: &Victim<'a>) -> Option<(u32, u32)> {
        let (state, now) = (self.state, self.now);
        let takes = Cell::new(0);
        let sweep = self.tree.find(&Cell::default(), |number, most| {
            let sweep = &state.sweeps[number as usize];
            let placement = &sweep.plan.limits.placement;
            if !placement.fits(victim.agent, victim.slot) {
                return false;
            }
            let groups = sweep.waiting.iter().zip(&sweep.datasets).zip(&sweep.fingerprints);
            let mut open = groups.filter_map(|((waiting, dataset), bound)| Some((*waiting.first()?, dataset, bound)));
            open.any(|(turn, dataset, bound)| {
                let (index, bound) = (turn.1, bound.as_deref());
                let horizon = maintenance::horizon(sweep, index);
                let (alone, shape) = (is_alone(&sweep.trials[index as usize]), sweep.shape(index));
                let part = victim.part(&Need { dataset, bound, placement, alone, shape, horizon, most });
                takes.set(part.unwrap_or_default());
                part.is_some()
                    && victim.agent.can_use(dataset, bound)
                    && sweep.may_start_on(index, victim.id)
                    && victim.leaves_room(state, (number, index))
                    && victim.agent.planned(victim.slot, now).is_none_or(|(left, _)| left >= horizon)
            })
        })?;
        let (taker, handed) = (state.sweeps[sweep as usize].member, (victim.share, takes.get()));
        let project = |member: u32| state.accounts.members[member as usize].project;
        let (from, to) = (project(member), project(taker));
        let gives_way = match from == to {
            true => self.member(member).gives_way_to(self.member(taker), handed),
            false => self.project(from).gives_way_to(self.project(to), handed),
        };
        (gives_way && member != taker).then_some((sweep, takes.get()))
    }

    /// How far above others a member is.
    fn standing(&mut self, member: u32) -> impl Ord + use<> {
        let project = self.state.accounts.members[member as usize].project;
        (self.project(project).level(), self.member(member).level(), Reverse(member))
    }

    fn start(&mut self, sweep: u32, share: u32) {
        self.tree.start(sweep, share);
        self.shift(self.state.sweeps[sweep as usize].member, share.into());
    }

    fn leave(&mut self, member: u32, share: u32) {
        self.tree.leave(member, share);
        self.shift(member, -i64::from(share));
    }

    fn shift(&mut self, member: u32, by: i64) {
        let project = self.state.accounts.members[member as usize].project;
        let (of_member, of_project) = (self.member(member).shifted(by), self.project(project).shifted(by));
        self.members.insert(member, of_member);
        self.projects.insert(project, of_project);
    }

    fn member(&mut self, member: u32) -> Load {
        let (state, now) = (self.state, self.now);
        *self.members.entry(member).or_insert_with(|| Load::of_member(state, now, member))
    }

    fn project(&mut self, project: u32) -> Load {
        let (state, now) = (self.state, self.now);
        *self.projects.entry(project).or_insert_with(|| Load::of_project(state, now, project))
    }
}
