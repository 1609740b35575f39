//! How much somebody had, for its share: what it used, faded, and for what runs now the time that an attempt
//! typically takes, charged in advance, so that a slot counts as soon as it is taken. Whoever has least is next.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::reservation::promised;
use crate::state::State;
use crate::time::{Span, Timestamp};

/// What one account has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Used in the past, faded.
    used: u128,
    /// In use now, thousandths of devices.
    pub(super) devices: u64,
    /// Promised now, thousandths of devices.
    promised: u64,
    share: u32,
    /// How long an attempt typically takes, microseconds.
    typical: u128,
}

impl Load {
    pub(super) fn of_project(state: &State, now: Timestamp, project: u32) -> Self {
        let known = &state.accounts.projects[project as usize];
        let half_life = state.accounts.shares.half_life;
        Self {
            used: known.meter.used(now, half_life).into(),
            devices: known.meter.running,
            promised: promised(&state.accounts.shares.reservations, &known.name, now),
            share: known.entitlement.share,
            typical: state.accounts.typical.span().0.unsigned_abs().into(),
        }
    }

    /// Of a user inside a project.
    pub(super) fn of_member(state: &State, now: Timestamp, member: u32) -> Self {
        let known = &state.accounts.members[member as usize];
        let half_life = state.accounts.shares.half_life;
        Self {
            used: known.meter.used(now, half_life).into(),
            devices: known.meter.running,
            promised: 0,
            share: state.accounts.users[known.user as usize].entitlement.share,
            typical: state.accounts.typical.span().0.unsigned_abs().into(),
        }
    }

    /// With so many devices (thousandths) more or less.
    pub(super) fn shifted(self, by: i64) -> Self {
        Self { devices: self.devices.saturating_add_signed(by), ..self }
    }

    /// After so much time, with what it has now.
    pub(super) fn aged(self, span: Span) -> Self {
        Self { used: self.used + u128::from(self.devices) * u128::from(span.0.max(0).unsigned_abs()), ..self }
    }

    pub(crate) fn level(&self) -> Level {
        let amount = self.used + u128::from(self.devices) * self.typical;
        Level { is_owed: self.is_owed(), amount, share: self.share }
    }

    /// It has less than it was promised.
    fn is_owed(&self) -> bool {
        self.devices < self.promised
    }

    /// Whether it should hand so many thousandths of a device over to `other`, who then has so many more. Both by what they have and used, and by what they have now
    /// alone: after the hand-over `other` must not be above it. The second makes the hand-overs finite: each
    /// lowers the sum of devices² / share over all. A share of nothing takes nothing from anybody. What is promised comes
    /// before: no hand-over takes it from anybody, so that all that is owed together never grows, and
    /// whoever is owed takes from whoever has more, each time lowering it. Where several leave a device for one trial, the least that anybody has for its share rises: whoever gives keeps no less than `other` has then.
    pub(super) fn gives_way_to(self, other: Self, (gives, takes): (u32, u32)) -> bool {
        if self.devices < u64::from(gives) {
            return false;
        }
        let (less, more) = (self.shifted(-i64::from(gives)), other.shifted(takes.into()));
        if less.is_owed() || other.is_owed() {
            return !less.is_owed();
        }
        if other.share == 0 {
            return false;
        }
        let now = |one: Self, by: Self| u128::from(one.devices) * u128::from(by.share);
        more.level() <= less.level() && now(more, less) <= now(less, more)
    }
}

/// What everybody has in a plan; of whoever is asked for.
pub(super) struct Loads<'a> {
    state: &'a State,
    now: Timestamp,
    projects: RefCell<BTreeMap<u32, Load>>,
    members: RefCell<BTreeMap<u32, Load>>,
}

impl<'a> Loads<'a> {
    pub(super) fn new(state: &'a State, now: Timestamp) -> Self {
        Self { state, now, projects: RefCell::default(), members: RefCell::default() }
    }

    pub(super) fn project(&self, project: u32) -> Load {
        let load = || Load::of_project(self.state, self.now, project);
        *self.projects.borrow_mut().entry(project).or_insert_with(load)
    }

    pub(super) fn member(&self, member: u32) -> Load {
        let load = || Load::of_member(self.state, self.now, member);
        *self.members.borrow_mut().entry(member).or_insert_with(load)
    }

    /// Whether a member gives so many thousandths of a device up to another, who then has so many more.
    pub(super) fn gives_way(&self, member: u32, taker: u32, handed: (u32, u32)) -> bool {
        let project = |member: u32| self.state.accounts.members[member as usize].project;
        let (from, to) = (project(member), project(taker));
        match from == to {
            true => {
                member != taker
                    && self.may_lose(from, handed)
                    && self.member(member).gives_way_to(self.member(taker), handed)
            }
            false => self.project(from).gives_way_to(self.project(to), handed),
        }
    }

    /// Whether one of a project may give so much up to another of it: where that takes less than is given, the project has less of
    /// what it was promised, and would take it from others.
    fn may_lose(&self, project: u32, (gives, takes): (u32, u32)) -> bool {
        gives <= takes || !self.project(project).shifted(i64::from(takes) - i64::from(gives)).is_owed()
    }

    /// A member has so many thousandths more or less.
    pub(super) fn shift(&self, member: u32, by: i64) {
        let project = self.state.accounts.members[member as usize].project;
        let (of_member, of_project) = (self.member(member).shifted(by), self.project(project).shifted(by));
        self.members.borrow_mut().insert(member, of_member);
        self.projects.borrow_mut().insert(project, of_project);
    }
}

/// An amount for a share; less comes first, and a share of nothing last. Whoever is owed something comes before all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    is_owed: bool,
    amount: u128,
    share: u32,
}

impl Ord for Level {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_share = || match (self.share, other.share) {
            (0, 0) => self.amount.cmp(&other.amount),
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            (own, others) => (self.amount * u128::from(others)).cmp(&(other.amount * u128::from(own))),
        };
        other.is_owed.cmp(&self.is_owed).then_with(by_share)
    }
}

impl PartialOrd for Level {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Level {}
