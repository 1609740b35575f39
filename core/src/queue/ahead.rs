//! When what waits is expected to start: the order of grants played forward, slot by slot, with the time that trials are
//! known to take. What was used does not fade meanwhile, nothing fails, and nobody gives way.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::id::AgentId;
use crate::schedule::Tree;
use crate::shares::DEVICE;
use crate::state::State;
use crate::time::{Span, Timestamp};

use super::Expected;
use super::release::{Pace, Release};

/// What is looked at before it is given up, slots, sweeps and owners: some ten milliseconds. What has no time then has to wait for long.
const MOST: usize = 25_000;
/// What a slot that comes free costs of it.
const SLOT: usize = 4;
/// What is used is counted after such a part of the time that an attempt typically takes: sorting all owners costs more than the slots.
const PART: i64 = 64;

/// When the next trial of each of these sweeps starts, as far as that can be said.
pub(super) fn starts(
    state: &State,
    now: Timestamp,
    releases: &[Release],
    pace: &mut Pace<'_>,
    mut wanted: BTreeSet<u32>,
    fits: impl Fn(u32, AgentId) -> bool,
) -> BTreeMap<u32, Expected> {
    let mut starts = BTreeMap::new();
    if wanted.is_empty() || releases.is_empty() {
        return starts;
    }
    let mut tree = Tree::ahead(state, now);
    let mut slots: BinaryHeap<Reverse<Release>> = releases.iter().copied().map(Reverse).collect();
    let (mut at, looked) = (now, Cell::new(0));
    let part = Span(state.accounts.typical.span().0 / PART);
    while !wanted.is_empty()
        && looked.get() < MOST
        && let Some(Reverse(slot)) = slots.pop()
    {
        looked.set(looked.get() + SLOT);
        if slot.at > at && slot.at - at >= part {
            looked.set(looked.get() + tree.owners());
            tree.pass(slot.at - at);
            at = slot.at;
        }
        if let Some(sweep) = slot.sweep {
            tree.end(sweep, slot.share);
        }
        let next = tree.find(&looked, |number, left| {
            looked.set(looked.get() + 1);
            u64::from(left) >= DEVICE && fits(number, slot.agent)
        });
        let Some(next) = next else { continue };
        tree.start(next, DEVICE as u32);
        if wanted.remove(&next) {
            starts.insert(next, (slot.at, slot.by));
        }
        // A slot whose trial takes nobody knows how long is never free again, as far as can be said.
        if let Some((length, by)) = pace.whole(next) {
            let at = Timestamp(slot.at.0.saturating_add(length.0.max(1)));
            slots.push(Reverse(Release {
                at,
                agent: slot.agent,
                slot: None,
                sweep: Some(next),
                share: DEVICE as u32,
                by: Some(by),
            }));
        }
    }
    starts
}
