//! A device that trials share, while a plan is made: who may join those that are there ([`crate::packing`]).

use crate::device::DeviceFacts;
use crate::packing;
use crate::shares::DEVICE;
use crate::state::State;
use crate::state::packing::{Lodger, Room};

use super::place::Need;

/// All of a device.
pub(super) const WHOLE: u32 = DEVICE as u32;

/// See the module.
pub(super) struct Shared<'a> {
    state: &'a State,
    pub(super) device: &'a DeviceFacts,
    pub(super) used: u32,
    pub(super) trials: u32,
    /// Nobody there may be in the company of more.
    most: u32,
    /// It is being emptied for somebody who needs all of it and comes before.
    pub(super) kept: bool,
    /// The sweep that the last one that was asked to leave made room for.
    pub(super) awaits: Option<u32>,
}

/// What a trial would take of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) share: u32,
    /// So many may be together with it, itself included.
    most: u32,
}

impl<'a> Shared<'a> {
    pub(super) fn new(state: &'a State, device: &'a DeviceFacts, room: &Room) -> Self {
        let empty = Self { state, device, used: 0, trials: 0, most: u32::MAX, kept: false, awaits: room.awaits };
        empty.with(room.trials.values().copied())
    }

    /// The same device with these alone.
    pub(super) fn with(&self, lodgers: impl Iterator<Item = Lodger>) -> Self {
        let empty = Self { used: 0, trials: 0, most: u32::MAX, ..*self };
        lodgers.fold(empty, |mut shared, lodger| {
            shared.take(shared.part_of(&lodger));
            shared
        })
    }

    fn part_of(&self, lodger: &Lodger) -> Part {
        let measured = self.state.shapes.measured(lodger.shape, &self.device.model);
        Part { share: lodger.share, most: measured.map_or(1, packing::Measured::most) }
    }

    /// Whether a part fits beside those that are there.
    pub(super) fn has_left(&self, part: Part) -> bool {
        self.trials == 0 || (self.used + part.share <= WHOLE && self.trials < self.most.min(part.most))
    }

    /// Somebody may join, or there is nobody yet.
    pub(super) fn is_open(&self) -> bool {
        self.trials == 0 || (!self.kept && self.used < WHOLE && self.trials < self.most)
    }

    /// What a trial would take: what its file says comes before what was measured.
    pub(super) fn part(&self, need: &Need<'_>) -> Part {
        let measured = self.state.shapes.measured(need.shape, &self.device.model);
        let needs = need.placement.memory.or_else(|| measured?.needs()).filter(|_| !need.alone);
        let share = packing::share(needs, self.device.memory, self.device.slots.len() as u32);
        Part { share, most: measured.map_or(1, packing::Measured::most) }
    }

    /// What a trial would take, if it may; only where nobody is unless `joins`.
    pub(super) fn admits(&self, need: &Need<'_>, joins: bool) -> Option<Part> {
        if !self.is_open() || (self.trials > 0 && !joins) {
            return None;
        }
        let part = self.part(need);
        (self.has_left(part) && need.may_have(part.share)).then_some(part)
    }

    /// What a trial would take once one with such a share has left, if it may join those that stay.
    pub(super) fn without(&self, share: u32, need: &Need<'_>) -> Option<Part> {
        let (part, used, trials) = (self.part(need), self.used.saturating_sub(share), self.trials.saturating_sub(1));
        let fits = trials == 0 || (used + part.share <= WHOLE && trials < self.most.min(part.most));
        fits.then_some(part)
    }

    pub(super) fn take(&mut self, part: Part) {
        self.used += part.share;
        self.trials += 1;
        self.most = self.most.min(part.most);
    }

    /// It comes free for a trial by itself: one trial has all of it, or any that ends leaves room enough.
    pub(super) fn comes_free(&self, need: &Need<'_>) -> bool {
        let (part, slots) = (self.part(need), self.device.slots.len() as u32);
        self.used == WHOLE && self.trials == 1 || (part.share <= WHOLE / slots.max(1) && part.most >= slots)
    }
}
