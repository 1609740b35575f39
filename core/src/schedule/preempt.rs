//! Which trial gives way to whom: only right after its checkpoint was kept, so that next to no work is lost; only
//! after its attempt has run for a while; and only if its owner is clearly above the one who waits
//! ([`Load::gives_way_to`]). The slot goes to whoever is first in the order of grants and could use it, or nobody
//! gives way: what is freed must not come back to where it was.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::event::Event;
use crate::id::AgentId;
use crate::state::State;
use crate::time::{Span, Timestamp};

use super::head::Heads;
use super::load::Load;
use super::tree::Tree;
use super::victim::{Hosts, Victim};

/// So long after its checkpoint was kept a trial may still give way; what it did since is lost.
const FRESH: Span = Span::seconds(10);

/// What is looked at in one plan, owners and sweeps: some milliseconds. Who would give way after that is asked at the next one.
const LOOKS: usize = 50_000;

/// Every trial that has to give way now.
pub fn preemptions(state: &State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Vec<Event> {
    let Some(after) = state.accounts.shares.preempt_after else { return Vec::new() };
    let (mut victims, mut hosts) = (Victims::default(), Hosts::new(state, now));
    for at in state.fresh(Timestamp(now.0.saturating_sub(FRESH.0))) {
        if let Some(victim) = hosts.victim(at, after, &is_reachable) {
            let member = state.sweep_of(at).member;
            let project = state.accounts.members[member as usize].project;
            victims.entry(project).or_default().entry(member).or_default().push(victim);
        }
    }
    if victims.is_empty() || state.ready().next().is_none() {
        return Vec::new();
    }
    // The one that goes first stands last.
    let known = victims.values_mut().flat_map(BTreeMap::values_mut);
    known.for_each(|known| known.sort_by_key(|victim| Reverse(victim.order)));
    let (projects, members) = (BTreeMap::new(), BTreeMap::new());
    let (tree, heads, looked) = (Tree::new(state, now), Heads::new(state), Cell::default());
    let mut plan = Plan { state, now, hosts, heads, tree, projects, members, looked };
    plan.promise();
    let mut events = Vec::new();
    while let Some((project, member)) = plan.highest(&victims) {
        let Some(of_project) = victims.get_mut(&project) else { break };
        let known = of_project.entry(member).or_default();
        let least = known.iter().map(|victim| victim.share).min().unwrap_or_default();
        // One that nobody gets takes the member no lower: the next of its trials is looked at.
        let given = match plan.may_give(member, (least, plan.hosts.least)) {
            true => std::iter::from_fn(|| known.pop()).find_map(|victim| Some((plan.taker(member, &victim)?, victim))),
            false => None,
        };
        let Some(((sweep, share), victim)) = given else {
            of_project.remove(&member);
            if of_project.is_empty() {
                victims.remove(&project);
            }
            continue;
        };
        plan.start(sweep, share);
        plan.leave(member, victim.share);
        events.push(Event::TrialPreempted { lease: victim.lease, sweep: state.sweeps[sweep as usize].id });
    }
    events
}

/// Trials that may give way, by project and member.
type Victims = BTreeMap<u32, BTreeMap<u32, Vec<Victim>>>;

struct Plan<'a> {
    state: &'a State,
    now: Timestamp,
    hosts: Hosts<'a>,
    heads: Heads<'a>,
    tree: Tree<'a>,
    projects: BTreeMap<u32, Load>,
    members: BTreeMap<u32, Load>,
    /// Owners and sweeps that were looked at.
    looked: Cell<usize>,
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
    fn taker(&mut self, member: u32, victim: &Victim) -> Option<(u32, u32)> {
        if self.looked.get() >= LOOKS {
            return None;
        }
        let (now, takes) = (self.now, Cell::new(0));
        let (hosts, heads, looked) = (&self.hosts, &self.heads, &self.looked);
        let host = hosts.get(victim.host);
        let sweep = self.tree.find(looked, |number, most| {
            looked.set(looked.get() + 1);
            heads.of(number).iter().any(|head| {
                let part = hosts.part(victim, &head.need(most));
                takes.set(part.unwrap_or_default());
                part.is_some()
                    && head.fits(host.id, host.agent, victim.slot, now)
                    && hosts.leaves_room(victim, (number, head.index))
            })
        })?;
        let handed = (victim.share, takes.get());
        self.gives_way(member, self.state.sweeps[sweep as usize].member, handed).then_some((sweep, takes.get()))
    }

    /// Whether a member gives so many thousandths of a device up to another, who then has so many more.
    fn gives_way(&mut self, member: u32, taker: u32, handed: (u32, u32)) -> bool {
        let project = |member: u32| self.state.accounts.members[member as usize].project;
        let (from, to) = (project(member), project(taker));
        match from == to {
            true => member != taker && self.member(member).gives_way_to(self.member(taker), handed),
            false => self.project(from).gives_way_to(self.project(to), handed),
        }
    }

    /// Whether somebody waits whom a member might give so much up to, if that were what is needed, or more.
    fn may_give(&mut self, member: u32, handed: (u32, u32)) -> bool {
        let waiting: Vec<u32> = self.tree.members().collect();
        waiting.into_iter().any(|taker| self.gives_way(member, taker, handed))
    }

    /// Who is furthest above others: a member of the project that is, as far as it has trials that may give way.
    fn highest(&mut self, victims: &Victims) -> Option<(u32, u32)> {
        let highest = victims.keys().map(|project| self.project(*project).level()).max()?;
        let mut found = None;
        for (project, members) in victims {
            if self.project(*project).level() == highest {
                let own = members.keys().map(|member| ((self.member(*member).level(), Reverse(*member)), *project));
                found = found.max(own.max());
            }
        }
        found.map(|((_, Reverse(member)), project)| (project, member))
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
