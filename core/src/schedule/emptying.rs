//! Which device that trials share is emptied by giving way, for a trial that needs more of one than any trial leaves that
//! gives way alone, and who has to leave it: as few as make room for it, and first those whose time it is; at least one is among them. They
//! leave in one plan or nobody does, with the checkpoints that their trainers write when they are asked to. Whoever has not run for a while
//! or kept no checkpoint in its attempt, whose owner does not give way, whose slot is protected or closed, and who is of the same owner
//! stays, and where it does not fit beside those, the device is not emptied. So no plan has to go on with what another began, at a time
//! when owners would give way no more.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::Lease;
use crate::state::TrialRef;
use crate::state::packing::Lodger;

use super::head::{Head, Heads};
use super::load::Loads;
use super::place::{Kind, Need, emptied};
use super::preempt::Due;
use super::room::WHOLE;
use super::victim::{Door, Hosts};

/// What one device costs of what a plan looks at.
const DEVICE: usize = 60;

/// A trial that has to leave a device.
pub(super) struct Leaver {
    pub(super) lease: Lease,
    pub(super) member: u32,
    /// Thousandths of the device.
    pub(super) share: u32,
}

/// A device that is emptied.
pub(super) struct Emptying {
    pub(super) door: Door,
    /// Thousandths of it that the trial takes in the end.
    pub(super) share: u32,
    /// Who has to leave.
    pub(super) leavers: Vec<Leaver>,
}

/// The device that somebody who has no place waits for.
#[derive(Clone, Copy)]
pub(super) enum Awaited {
    /// It is emptied by giving way.
    Emptied(Door),
    /// It is filled no more, and empties by itself.
    Kept(Door),
    Nothing,
}

/// See the module.
pub(super) struct Emptier<'p, 'a> {
    pub(super) hosts: &'p Hosts<'a>,
    pub(super) heads: &'p Heads<'a>,
    pub(super) loads: &'p Loads<'a>,
    pub(super) looked: &'p Cell<usize>,
    /// Devices that are filled no more for a need.
    pub(super) kept: &'p Devices<'a>,
    pub(super) due: Due,
}

/// Devices by what waits for them.
pub(super) type Devices<'a> = RefCell<BTreeMap<Kind<'a>, Option<Door>>>;

impl<'a> Emptier<'_, 'a> {
    /// The device that the next trial of a sweep waits for, where quotas leave it so many thousandths of one: the first of `doors`
    /// that may be emptied by giving way.
    pub(super) fn awaited(&self, sweep: u32, most: u32, mut doors: impl Iterator<Item = Door>) -> Awaited {
        if self.heads.of(sweep).iter().any(|head| self.gives_way_apart(sweep, head, most)) {
            return Awaited::Nothing;
        }
        if self.may_be_given_way(sweep, most)
            && let Some(door) = doors.find(|door| self.emptying(sweep, most, *door).is_some())
        {
            return Awaited::Emptied(door);
        }
        let kept = self.heads.of(sweep).iter().find_map(|head| self.kept(sweep, &head.need(most)));
        kept.map_or(Awaited::Nothing, Awaited::Kept)
    }

    /// The device that is filled no more for a need, as in the plan of grants: one for all that need the same.
    fn kept(&self, sweep: u32, need: &Need<'a>) -> Option<Door> {
        *self.kept.borrow_mut().entry(need.kind()).or_insert_with(|| {
            self.looked.set(self.looked.get() + self.hosts.doors().count());
            let (id, room) = emptied(sweep, need, self.hosts.now, self.hosts.rooms())?;
            self.hosts.door(id, room)
        })
    }

    /// Whether anybody gives way to a sweep, whatever little is asked of them.
    fn may_be_given_way(&self, sweep: u32, most: u32) -> bool {
        let taker = self.hosts.state.sweeps[sweep as usize].member;
        let kinds = self.hosts.kinds.iter().map(|door| self.hosts.get(door.0).room(self.hosts.state, door.1));
        let parts = kinds.flat_map(|room| self.heads.of(sweep).iter().map(|head| room.part(&head.need(most)).share));
        let handed = (self.hosts.least, parts.min().unwrap_or(WHOLE));
        self.hosts.members.iter().any(|member| self.loads.gives_way(*member, taker, handed))
    }

    /// Who has to leave a device for the next trial of a sweep, if it may be emptied for that.
    pub(super) fn emptying(&self, sweep: u32, most: u32, door: Door) -> Option<Emptying> {
        self.looked.set(self.looked.get() + DEVICE);
        self.heads.of(sweep).iter().find_map(|head| self.for_head(sweep, head, most, door))
    }

    fn for_head(&self, sweep: u32, head: &Head<'a>, most: u32, door: Door) -> Option<Emptying> {
        let (state, now, host) = (self.hosts.state, self.hosts.now, self.hosts.get(door.0));
        let (agent, shared) = (host.agent, host.room(state, door.1));
        let part = shared.part(&head.need(most));
        let is_open = |slot: &u32| agent.block(*slot, now).is_none();
        let slot = *shared.device.slots.iter().find(|slot| is_open(slot))?;
        if part.share > most || !head.fits(host.id, agent, slot, now) {
            return None;
        }
        let taker = state.sweeps[sweep as usize].member;
        let (mut stay, mut leave) = (Vec::new(), Vec::new());
        for (slot, lodger) in &agent.rooms[door.1].trials {
            let (at, leased) = state.leased((*agent.slots.get(*slot as usize)?)?)?;
            let of = state.sweep_of(at);
            let gives_way = self.loads.gives_way(of.member, taker, (lodger.share, part.share));
            match gives_way.then(|| self.hosts.victim(at, self.due.after)).flatten() {
                Some(victim) => {
                    let order = (self.due.is(victim.kept), Reverse(of.priority()), leased.since, Reverse(at));
                    leave.push((order, victim.lease, at, *lodger));
                }
                None => stay.push(*lodger),
            }
        }
        if !shared.with(stay.iter().copied()).has_left(part) {
            return None;
        }
        // Who goes first stands last.
        leave.sort_unstable_by_key(|(order, ..)| *order);
        if !leave.last().is_some_and(|((due, ..), ..)| *due) {
            return None;
        }
        let (mut leavers, mut gone) = (Vec::new(), Vec::new());
        let fits = |leave: &[(_, _, _, Lodger)]| {
            let rest = stay.iter().copied().chain(leave.iter().map(|one| one.3));
            shared.with(rest).has_left(part)
        };
        while !fits(&leave) {
            let (_, lease, at, lodger) = leave.pop()?;
            gone.push(at);
            leavers.push(Leaver { lease, member: state.sweep_of(at).member, share: lodger.share });
        }
        let may = !leavers.is_empty()
            && self.give_way(&leavers, taker, part.share)
            && self.hosts.leaves_room(door.0, slot, &gone, TrialRef { sweep, index: head.index });
        may.then_some(Emptying { door, share: part.share, leavers })
    }

    /// Whether everybody gives up what is asked of them. A project never has less than before where its own trials make room for one of
    /// it: it would take the rest from others, in turns.
    fn give_way(&self, leavers: &[Leaver], taker: u32, takes: u32) -> bool {
        let project = |member: u32| self.hosts.state.accounts.members[member as usize].project;
        // Of the same project, each member; else each project.
        let mut gives: BTreeMap<_, (u32, u32)> = BTreeMap::new();
        for leaver in leavers {
            let own = (project(leaver.member) == project(taker)).then_some(leaver.member);
            gives.entry((project(leaver.member), own)).or_insert((leaver.member, 0)).1 += leaver.share;
        }
        let own = leavers.iter().filter(|leaver| project(leaver.member) == project(taker));
        let all: u32 = own.map(|leaver| leaver.share).sum();
        all <= takes && gives.values().all(|(member, gives)| self.loads.gives_way(*member, taker, (*gives, takes)))
    }

    /// Whether some trial on a slot that is not shared would give way alone: sooner or later it keeps a checkpoint.
    fn gives_way_apart(&self, sweep: u32, head: &Head<'a>, most: u32) -> bool {
        let (state, now) = (self.hosts.state, self.hosts.now);
        let taker = state.sweeps[sweep as usize].member;
        most >= WHOLE
            && self.hosts.apart().iter().any(|(place, slot, at, share)| {
                let host = self.hosts.get(*place);
                self.looked.set(self.looked.get() + 1);
                host.agent.block(*slot, now).is_none()
                    && head.fits(host.id, host.agent, *slot, now)
                    && self.loads.gives_way(state.sweep_of(*at).member, taker, (*share, WHOLE))
            })
    }
}
