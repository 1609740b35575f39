//! How much somebody had, for its share: what it used, faded, and for what runs now the time that an attempt
//! typically takes, charged in advance, so that a slot counts as soon as it is taken. Whoever has least is next.

use std::cmp::Ordering;

use crate::shares::DEVICE;
use crate::state::State;
use crate::time::Timestamp;

/// What one account has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Used in the past, faded.
    used: u128,
    /// In use now, thousandths of devices.
    pub(super) devices: u64,
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
            share: state.accounts.users[known.user as usize].entitlement.share,
            typical: state.accounts.typical.span().0.unsigned_abs().into(),
        }
    }

    /// With so many devices (thousandths) more or less.
    pub(super) fn shifted(self, by: i64) -> Self {
        Self { devices: self.devices.saturating_add_signed(by), ..self }
    }

    pub(crate) fn level(&self) -> Level {
        Level { amount: self.used + u128::from(self.devices) * self.typical, share: self.share }
    }

    /// Whether it should hand a device over to `other`. Both by what they have and used, and by what they have now
    /// alone: after the hand-over `other` must not be above it. The second makes the hand-overs finite: each
    /// lowers the sum of devices² / share over all. A share of nothing takes nothing from anybody.
    pub(super) fn gives_way_to(self, other: Self) -> bool {
        if other.share == 0 || self.devices < DEVICE {
            return false;
        }
        let (less, more) = (self.shifted(-(DEVICE as i64)), other.shifted(DEVICE as i64));
        let now = |one: Self, by: Self| u128::from(one.devices) * u128::from(by.share);
        more.level() <= less.level() && now(more, less) <= now(less, more)
    }
}

/// An amount for a share; less comes first, and a share of nothing last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    amount: u128,
    share: u32,
}

impl Ord for Level {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.share, other.share) {
            (0, 0) => self.amount.cmp(&other.amount),
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            (own, others) => (self.amount * u128::from(others)).cmp(&(other.amount * u128::from(own))),
        }
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
