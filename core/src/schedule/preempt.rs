//! Which trial gives way to whom: right after its checkpoint was kept, so that next to no work is lost whatever happens, or when it has
//! kept none for long (its trainer writes one when it is asked to leave). Only after its attempt has run for a while and kept a
//! checkpoint, and only if its owner is clearly above the one who waits ([`gives_way_to`](super::load::Load::gives_way_to)). The slot
//! goes to whoever is first in the order of grants and could use it, or nobody gives way: what is freed must not come back to where it
//! was. Where that one needs more of a device that trials share than any one of them leaves, one is emptied (`emptying`): with the one
//! whose time it is others there leave, too.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::event::Event;
use crate::id::{AgentId, Lease};
use crate::state::{State, TrialRef};
use crate::time::{Span, Timestamp};

use super::emptying::{Awaited, Devices, Emptier, Emptying};
use super::head::Heads;
use super::load::Loads;
use super::room::WHOLE;
use super::tree::Tree;
use super::victim::{Door, Hosts, Victim};

/// So long after its checkpoint was kept a trial may still give way.
const FRESH: Span = Span::seconds(10);

/// A trial that has kept none for so long is asked all the same: nobody waits for the end of an epoch of an hour.
const LONG: Span = Span::seconds(600);

/// What is looked at in one plan, owners and sweeps: some milliseconds. Who would give way after that is asked when it
/// has kept its next checkpoint: those come first.
const LOOKS: usize = 16_000;

/// Every trial that has to give way now.
pub fn preemptions(state: &State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Vec<Event> {
    let Some(after) = state.accounts.shares.preempt_after else { return Vec::new() };
    let due = Due::new(after, now);
    let any = state.fresh(due.since).next().is_some() || state.stale(due.until).next().is_some();
    if !any || state.ready().next().is_none() {
        return Vec::new();
    }
    let hosts = Hosts::new(state, now, is_reachable);
    let mut doors = BTreeSet::new();
    let mut victims = |of: &mut dyn Iterator<Item = TrialRef>| {
        let mut victims = Victims::default();
        for victim in of.filter_map(|at| hosts.victim(at, after)) {
            let member = state.sweep_of(victim.at).member;
            let project = state.accounts.members[member as usize].project;
            doors.extend(victim.door);
            victims.entry(project).or_default().entry(member).or_default().push(victim);
        }
        victims
    };
    let mut victims = [victims(&mut state.fresh(due.since)), victims(&mut state.stale(due.until))];
    if victims.iter().all(BTreeMap::is_empty) {
        return Vec::new();
    }
    // The one that goes first stands last.
    let known = victims.iter_mut().flat_map(BTreeMap::values_mut).flat_map(BTreeMap::values_mut);
    known.for_each(|known| known.sort_by_key(|victim| Reverse(victim.order)));
    let mut doors: Vec<_> = hosts.doors().filter(|(_, door)| doors.contains(door)).collect();
    doors.sort_unstable();
    let mut plan = Plan {
        state,
        due,
        hosts,
        doors,
        heads: Heads::new(state),
        loads: Loads::new(state, now),
        tree: Tree::new(state, now),
        awaited: RefCell::default(),
        kept: RefCell::default(),
        closed: BTreeSet::new(),
        left: BTreeSet::new(),
        looked: Cell::default(),
        events: Vec::new(),
    };
    plan.promise();
    victims.iter_mut().for_each(|victims| plan.hand_over(victims));
    plan.events
}

/// When it is the time of a trial to give way.
#[derive(Clone, Copy)]
pub(super) struct Due {
    /// It has run for so long.
    pub(super) after: Span,
    /// Its last checkpoint was kept since then,
    since: Timestamp,
    /// or before.
    until: Timestamp,
}

impl Due {
    fn new(after: Span, now: Timestamp) -> Self {
        let (since, until) = (Timestamp(now.0.saturating_sub(FRESH.0)), Timestamp(now.0.saturating_sub(LONG.0)));
        Self { after, since, until }
    }

    /// By when its last checkpoint was kept.
    pub(super) fn is(self, kept: Timestamp) -> bool {
        kept >= self.since || kept < self.until
    }
}

/// Trials that may give way, by project and member.
type Victims = BTreeMap<u32, BTreeMap<u32, Vec<Victim>>>;

/// What a trial gets when others give way.
enum Takes {
    /// So many thousandths of a device, once one has left.
    Part(u32),
    /// A part that several have to leave for.
    Emptied(Emptying),
}

struct Plan<'a> {
    state: &'a State,
    hosts: Hosts<'a>,
    due: Due,
    /// Devices that trials share and that somebody may leave now, with how many are there: those with the fewest are emptied first.
    doors: Vec<(usize, Door)>,
    heads: Heads<'a>,
    loads: Loads<'a>,
    tree: Tree<'a>,
    /// By sweep whose next trial would find no room if any one trial left: the device that it waits for.
    awaited: RefCell<BTreeMap<u32, Awaited>>,
    /// Devices that are filled no more for somebody who comes before.
    kept: Devices<'a>,
    /// Devices that are emptied: nobody there gives way to others.
    closed: BTreeSet<Door>,
    /// Devices that somebody leaves: what is free there is spoken for.
    left: BTreeSet<Door>,
    /// Owners, sweeps and devices that were looked at.
    looked: Cell<usize>,
    events: Vec<Event>,
}

impl<'a> Plan<'a> {
    /// As many of them give way as have somebody to give way to.
    fn hand_over(&mut self, victims: &mut Victims) {
        while let Some((project, member)) = self.highest(victims) {
            let Some(of_project) = victims.get_mut(&project) else { break };
            let known = of_project.entry(member).or_default();
            let least = known.iter().map(|victim| victim.share).min().unwrap_or_default();
            // One that nobody gets takes the member no lower: the next of its trials is looked at.
            let given = match self.may_give(member, (least, self.hosts.least)) {
                true => {
                    std::iter::from_fn(|| known.pop()).find_map(|victim| Some((self.taker(member, &victim)?, victim)))
                }
                false => None,
            };
            match given {
                Some(((sweep, Takes::Part(share)), victim)) => {
                    self.start(sweep, share);
                    self.leave(member, victim.share);
                    self.ask(victim.lease, sweep);
                    self.left.extend(victim.door);
                }
                Some(((sweep, Takes::Emptied(emptying)), _)) => self.empty(sweep, emptying),
                None => {
                    of_project.remove(&member);
                    if of_project.is_empty() {
                        victims.remove(&project);
                    }
                }
            }
        }
    }

    /// Slots that are being freed already count for those that they were freed for, as what these take of them.
    fn promise(&mut self) {
        let state = self.state;
        let mut freed: BTreeMap<(Door, u32), u32> = BTreeMap::new();
        for at in state.leaving() {
            let Some(leased) = state.trial(at).leased() else { continue };
            self.leave(state.sweep_of(at).member, leased.share);
            let door = self.hosts.lodging(leased);
            self.left.extend(door);
            let Some(sweep) = leased.yields_to.and_then(|taker| state.number(taker)) else { continue };
            match door {
                Some(door) => *freed.entry((door, sweep)).or_default() += leased.share,
                None => self.start(sweep, leased.share),
            }
        }
        for ((door, sweep), mut freed) in freed {
            let room = self.hosts.get(door.0).room(state, door.1);
            let head = self.heads.of(sweep).first();
            let share = head.map_or(freed, |head| room.part(&head.need(WHOLE)).share).max(1);
            // One trial where several make room for it.
            while freed > 0 {
                self.start(sweep, share);
                freed = freed.saturating_sub(share);
            }
        }
    }

    /// A device is emptied for a sweep.
    fn empty(&mut self, sweep: u32, emptying: Emptying) {
        self.start(sweep, emptying.share);
        self.closed.insert(emptying.door);
        self.awaited.borrow_mut().remove(&sweep);
        for leaver in emptying.leavers {
            self.leave(leaver.member, leaver.share);
            self.ask(leaver.lease, sweep);
        }
    }

    fn ask(&mut self, lease: Lease, sweep: u32) {
        let sweep = self.state.sweeps[sweep as usize].id;
        self.events.push(Event::TrialPreempted { lease, sweep });
    }

    fn emptier(&self) -> Emptier<'_, 'a> {
        let Self { hosts, heads, loads, looked, kept, due, .. } = self;
        Emptier { hosts, heads, loads, looked, kept, due: *due }
    }

    /// The device that a sweep waits for whose next trial would find no room if any one trial left.
    fn awaited(&self, sweep: u32, most: u32) -> Awaited {
        if let Some(known) = self.awaited.borrow().get(&sweep) {
            return *known;
        }
        let is_open = |door: &Door| !self.closed.contains(door) && !self.left.contains(door);
        let open = self.doors.iter().map(|(_, door)| *door).filter(is_open);
        let awaited = self.emptier().awaited(sweep, most, open);
        self.awaited.borrow_mut().insert(sweep, awaited);
        awaited
    }

    /// The sweep that would get the slot of a victim, if the victim has to give way to it, and what it takes of the device. Nobody
    /// gives way on a device that somebody else waits for who comes before.
    fn taker(&self, member: u32, victim: &Victim) -> Option<(u32, Takes)> {
        if self.looked.get() >= LOOKS || victim.door.is_some_and(|door| self.closed.contains(&door)) {
            return None;
        }
        let (hosts, heads, looked, now) = (&self.hosts, &self.heads, &self.looked, self.hosts.now);
        let (host, takes, most) = (hosts.get(victim.host), Cell::new(None), Cell::new(0));
        let is_left = victim.door.is_some_and(|door| self.left.contains(&door));
        let sweep = self.tree.find(looked, |number, left| {
            looked.set(looked.get() + 1);
            most.set(left);
            let fits = heads.of(number).iter().any(|head| {
                let part = hosts.part(victim, &head.need(left)).filter(|share| *share <= victim.share || !is_left);
                let trial = TrialRef { sweep: number, index: head.index };
                takes.set(part);
                part.is_some()
                    && head.fits(host.id, host.agent, victim.slot, now)
                    && hosts.leaves_room(victim.host, victim.slot, &[victim.at], trial)
            });
            if fits {
                return true;
            }
            takes.set(None);
            match victim.door.map(|door| (door, self.awaited(number, left))) {
                Some((door, Awaited::Emptied(other) | Awaited::Kept(other))) => door == other,
                _ => false,
            }
        })?;
        if let Some(share) = takes.get() {
            let handed = (victim.share, share);
            let gives_way = self.loads.gives_way(member, self.state.sweeps[sweep as usize].member, handed);
            return gives_way.then_some((sweep, Takes::Part(share)));
        }
        // As things are now: meanwhile others may have been promised something.
        let door = victim.door.filter(|_| !is_left)?;
        let emptying = self.emptier().emptying(sweep, most.get(), door)?;
        Some((sweep, Takes::Emptied(emptying)))
    }

    /// Whether somebody waits whom a member might give so much up to, if that were what is needed, or more.
    fn may_give(&self, member: u32, handed: (u32, u32)) -> bool {
        self.tree.members().any(|taker| self.loads.gives_way(member, taker, handed))
    }

    /// Who is furthest above others: a member of the project that is, as far as it has trials that may give way.
    fn highest(&self, victims: &Victims) -> Option<(u32, u32)> {
        let highest = victims.keys().map(|project| self.loads.project(*project).level()).max()?;
        let mut found = None;
        for (project, members) in victims {
            if self.loads.project(*project).level() == highest {
                let level = |member: &u32| (self.loads.member(*member).level(), Reverse(*member));
                found = found.max(members.keys().map(|member| (level(member), *project)).max());
            }
        }
        found.map(|((_, Reverse(member)), project)| (project, member))
    }

    fn start(&mut self, sweep: u32, share: u32) {
        self.tree.start(sweep, share);
        self.loads.shift(self.state.sweeps[sweep as usize].member, share.into());
    }

    fn leave(&mut self, member: u32, share: u32) {
        self.tree.leave(member, share);
        self.loads.shift(member, -i64::from(share));
    }
}
