//! Who is next: the project that has least for its share, in it the user that has least for its share, of that user's
//! sweeps the one with the highest priority, then the fewest running trials, then the oldest. Who has reached a quota is
//! passed over.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::shares::{DEVICE, Entitlement};
use crate::state::State;
use crate::state::accounts::{Project, Rank, User};
use crate::state::usage::Week;
use crate::time::{Span, Timestamp};

use super::load::{Level, Load};

/// The owners with a sweep that could start a trial, in order; changes as a plan is made.
pub(crate) struct Tree<'a> {
    state: &'a State,
    now: Timestamp,
    /// By level; only those with members.
    order: BTreeSet<(Level, u32)>,
    projects: BTreeMap<u32, Node>,
    members: BTreeMap<u32, Leaf>,
    /// Slots (in thousandths) that users may still take; below zero where a quota was lowered under what they have.
    users: BTreeMap<u32, i64>,
    /// By sweep: trials that start in this plan.
    starts: BTreeMap<u32, u32>,
    /// By sweep: trials that end, where time is played forward.
    ends: BTreeMap<u32, u32>,
}

struct Node {
    load: Load,
    /// Slots (in thousandths) that it may still take; below zero as for users.
    left: i64,
    order: BTreeSet<(Level, u32)>,
}

struct Leaf {
    load: Load,
    sweeps: BTreeSet<Rank>,
}

/// A quota that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// So many slots at once.
    Slots(u32),
    /// So many device-hours in seven days.
    Hours(u32),
    /// So many megabytes of checkpoints.
    Storage(u32),
}

impl Closed {
    /// A device-hour, in the unit of use.
    pub(crate) const DEVICE_HOUR: u64 = 3_600_000_000 * DEVICE;
    /// A megabyte.
    pub(crate) const MEGABYTE: u64 = 1_000_000;

    /// The quota that keeps a project from `need` thousandths of another slot.
    pub(crate) fn of_project(project: &Project, now: Timestamp, need: i64) -> Option<Self> {
        Self::of(&project.entitlement, &project.week, project.stored, now, need)
    }

    /// The quota that keeps a user from `need` thousandths of another slot.
    pub(crate) fn of_user(user: &User, now: Timestamp, need: i64) -> Option<Self> {
        Self::of(&user.entitlement, &user.week, user.stored, now, need)
    }

    fn of(entitlement: &Entitlement, week: &Week, stored: u64, now: Timestamp, need: i64) -> Option<Self> {
        // What does not end when a trial does comes first.
        Self::full(entitlement, stored).or_else(|| Self::used(entitlement, week, now, need))
    }

    /// The quota that keeps out what has no checkpoint yet.
    pub(crate) fn full(entitlement: &Entitlement, stored: u64) -> Option<Self> {
        let full = |most: &u32| stored >= u64::from(*most) * Self::MEGABYTE;
        entitlement.storage.filter(full).map(Self::Storage)
    }

    /// The quota that keeps everything out.
    fn used(entitlement: &Entitlement, week: &Week, now: Timestamp, need: i64) -> Option<Self> {
        let slots = || entitlement.slots.filter(|slots| left(Some(*slots), week) < need).map(Self::Slots);
        let over = |hours: &u32| week.used(now) >= u64::from(*hours).saturating_mul(Self::DEVICE_HOUR);
        entitlement.device_hours.filter(over).map(Self::Hours).or_else(slots)
    }
}

/// A whole slot.
pub(crate) const WHOLE: i64 = DEVICE as i64;

fn left(slots: Option<u32>, week: &Week) -> i64 {
    slots.map_or(i64::MAX, |slots| i64::from(slots) * WHOLE - week.running as i64)
}

impl<'a> Tree<'a> {
    pub(crate) fn new(state: &'a State, now: Timestamp) -> Self {
        let mut tree = Self::empty(state, now);
        let may_start = |number: &u32| {
            let ready = &state.accounts.members[*number as usize].ready;
            ready.iter().any(|rank| state.startable(rank.2) > 0)
        };
        for number in state.accounts.open().filter(may_start) {
            tree.add(number, |_| true);
        }
        tree.sort();
        tree
    }

    /// To play time forward from now on: also those who could start something once what they have running ends.
    pub(crate) fn ahead(state: &'a State, now: Timestamp) -> Self {
        let mut tree = Self::empty(state, now);
        let waits = state.sweeps.iter().filter(|sweep| sweep.counts.waiting > 0 && !sweep.breaker.is_open());
        let members: BTreeSet<u32> = waits.map(|sweep| sweep.member).collect();
        for number in members {
            tree.add(number, |closed| !matches!(closed, Closed::Slots(_)));
        }
        tree.sort();
        tree
    }

    fn empty(state: &'a State, now: Timestamp) -> Self {
        let (order, projects, members) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let (users, starts, ends) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { state, now, order, projects, members, users, starts, ends }
    }

    fn sort(&mut self) {
        self.order = self.projects.iter().map(|(number, node)| (node.load.level(), *number)).collect();
    }

    /// A member that no quota keeps out that `stays` holds for.
    fn add(&mut self, number: u32, stays: impl Fn(Closed) -> bool) {
        let accounts = &self.state.accounts;
        let member = &accounts.members[number as usize];
        let project = &accounts.projects[member.project as usize];
        let user = &accounts.users[member.user as usize];
        // How much its next trial needs is not known here: whoever has any left is looked at.
        let of_user = || Closed::used(&user.entitlement, &user.week, self.now, 1);
        let closed = Closed::used(&project.entitlement, &project.week, self.now, 1).or_else(of_user);
        if closed.is_some_and(stays) {
            return;
        }
        let may_start = |rank: &&Rank| self.state.startable(rank.2) > 0;
        let sweeps: BTreeSet<Rank> = member.ready.iter().filter(may_start).copied().collect();
        let load = Load::of_member(self.state, self.now, number);
        self.members.insert(number, Leaf { load, sweeps });
        self.users.entry(member.user).or_insert_with(|| left(user.entitlement.slots, &user.week));
        let (state, now) = (self.state, self.now);
        let node = self.projects.entry(member.project).or_insert_with(|| {
            let load = Load::of_project(state, now, member.project);
            Node { load, left: left(project.entitlement.slots, &project.week), order: BTreeSet::new() }
        });
        node.order.insert((load.level(), number));
    }

    /// The first sweep for which `fits`, told so many thousandths as quotas leave of a slot, finds something. Who is passed over is left
    /// out from now on.
    pub(crate) fn first<T>(&mut self, mut fits: impl FnMut(u32, u32) -> Option<T>) -> Option<(u32, T)> {
        loop {
            let (level, project) = *self.order.first()?;
            let node = self.projects.get_mut(&project)?;
            let first = node.order.first().copied().filter(|_| node.left > 0);
            let Some((of_member, member)) = first else {
                self.order.remove(&(level, project));
                continue;
            };
            let leaf = self.members.get_mut(&member)?;
            let user = self.state.accounts.members[member as usize].user;
            let left = node.left.min(self.users[&user]).min(WHOLE);
            let rank = leaf.sweeps.first().copied().filter(|_| left > 0);
            let Some(rank) = rank else {
                node.order.remove(&(of_member, member));
                continue;
            };
            match fits(rank.2, left as u32) {
                Some(found) => return Some((rank.2, found)),
                None => leaf.sweeps.remove(&rank),
            };
        }
    }

    /// The first sweep for which `fits`, told so many thousandths as quotas leave of a slot; nobody is left out. Counts in `looked` what it
    /// has to look at.
    pub(crate) fn find(&self, looked: &Cell<usize>, fits: impl Fn(u32, u32) -> bool) -> Option<u32> {
        let look = || looked.set(looked.get() + 1);
        let projects = self.order.iter().map(|(_, project)| &self.projects[project]).inspect(|_| look());
        let of_project = projects.filter(|node| node.left > 0).flat_map(|node| &node.order);
        let members = of_project.map(|(_, member)| *member).inspect(|_| look());
        let user = |member: &u32| self.state.accounts.members[*member as usize].user;
        let open = members.filter(|member| self.users[&user(member)] > 0);
        let mut sweeps = open.flat_map(|member| &self.members[&member].sweeps).map(|rank| rank.2);
        sweeps.find(|sweep| fits(*sweep, self.left(*sweep).min(WHOLE) as u32))
    }

    /// Everybody who could start a trial, in order.
    pub(super) fn members(&self) -> impl Iterator<Item = u32> + '_ {
        let projects = self.order.iter().map(|(_, project)| &self.projects[project]);
        projects.filter(|node| node.left > 0).flat_map(|node| &node.order).map(|(_, member)| *member)
    }

    /// Thousandths of slots that the quotas leave to a sweep.
    pub(crate) fn left(&self, number: u32) -> i64 {
        let member = &self.state.accounts.members[self.state.sweeps[number as usize].member as usize];
        let of_project = self.projects.get(&member.project).map_or(0, |node| node.left);
        self.users.get(&member.user).copied().unwrap_or_default().min(of_project)
    }

    /// Every sweep that could start a trial if there were a place and it needed little, in order as things are now.
    pub(crate) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        let members = self.order.iter().flat_map(|(_, project)| &self.projects[project].order);
        members.flat_map(|(_, member)| &self.members[member].sweeps).map(|rank| rank.2)
    }

    /// A trial of this sweep takes a slot, and so many thousandths of a device.
    pub(crate) fn start(&mut self, number: u32, share: u32) {
        let sweep = &self.state.sweeps[number as usize];
        let before = self.rank(number);
        *self.starts.entry(number).or_default() += 1;
        let after = self.goes_on(number);
        if let Some(leaf) = self.members.get_mut(&sweep.member)
            && leaf.sweeps.remove(&before)
        {
            leaf.sweeps.extend(after);
        }
        let member = &self.state.accounts.members[sweep.member as usize];
        if let Some(left) = self.users.get_mut(&member.user) {
            *left = left.saturating_sub(share.into());
        }
        if let Some(node) = self.projects.get_mut(&member.project) {
            node.left = node.left.saturating_sub(share.into());
        }
        self.shift(sweep.member, share.into());
    }

    /// A trial of this sweep is over, and gives back what it had.
    pub(crate) fn end(&mut self, number: u32, share: u32) {
        let sweep = &self.state.sweeps[number as usize];
        let before = self.rank(number);
        *self.ends.entry(number).or_default() += 1;
        let after = self.goes_on(number);
        if let Some(leaf) = self.members.get_mut(&sweep.member) {
            leaf.sweeps.remove(&before);
            leaf.sweeps.extend(after);
        }
        let member = &self.state.accounts.members[sweep.member as usize];
        if let Some(left) = self.users.get_mut(&member.user) {
            *left = left.saturating_add(share.into());
        }
        if let Some(node) = self.projects.get_mut(&member.project) {
            node.left = node.left.saturating_add(share.into());
        }
        self.shift(sweep.member, -i64::from(share));
    }

    /// So much time goes by: what runs is used. Nothing fades.
    pub(crate) fn pass(&mut self, span: Span) {
        let Self { projects, members, .. } = self;
        members.values_mut().for_each(|leaf| leaf.load = leaf.load.aged(span));
        for node in projects.values_mut() {
            node.load = node.load.aged(span);
            node.order = node.order.iter().map(|(_, member)| (members[member].load.level(), *member)).collect();
        }
        self.sort();
    }

    /// How many owners there are: what [`Tree::pass`] costs.
    pub(crate) fn owners(&self) -> usize {
        self.projects.len() + self.members.len()
    }

    /// The place of a sweep among those of its owner, with what starts and ends in this plan.
    fn rank(&self, number: u32) -> Rank {
        let (priority, running, _) = self.state.sweeps[number as usize].rank(number);
        let of = |counts: &BTreeMap<u32, u32>| counts.get(&number).copied().unwrap_or_default();
        (priority, (running + of(&self.starts)).saturating_sub(of(&self.ends)), number)
    }

    /// The same, if another trial of it may start.
    fn goes_on(&self, number: u32) -> Option<Rank> {
        let (sweep, rank) = (&self.state.sweeps[number as usize], self.rank(number));
        let waits = self.starts.get(&number).copied().unwrap_or(0) < self.state.startable(number);
        let may = sweep.counts.waiting > 0 && !sweep.breaker.is_open();
        let has_room = sweep.plan.limits.max_parallel.is_none_or(|most| rank.1 < most);
        (waits && may && has_room).then_some(rank)
    }

    /// A trial of this member leaves so many thousandths of a device.
    pub(super) fn leave(&mut self, member: u32, share: u32) {
        self.shift(member, -i64::from(share));
    }

    fn shift(&mut self, member: u32, by: i64) {
        let project = self.state.accounts.members[member as usize].project;
        let Some(node) = self.projects.get_mut(&project) else { return };
        let before = node.load.level();
        node.load = node.load.shifted(by);
        if self.order.remove(&(before, project)) {
            self.order.insert((node.load.level(), project));
        }
        let Some(leaf) = self.members.get_mut(&member) else { return };
        let before = leaf.load.level();
        leaf.load = leaf.load.shifted(by);
        if node.order.remove(&(before, member)) {
            node.order.insert((leaf.load.level(), member));
        }
    }
}
