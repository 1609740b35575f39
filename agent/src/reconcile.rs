//! What to start and what to stop: a pure function of what should run and what runs. Starting and
//! stopping is left to the supervisor.

use std::collections::{BTreeMap, BTreeSet};

use sweep_core::id::Lease;

/// An attempt that this agent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its slot; not known for an attempt found after a restart until the coordinator has said so.
    pub slot: Option<u32>,
    /// Its process is gone and its slot is free again; only its reports are left.
    pub over: bool,
    /// It was asked to stop.
    pub stopping: bool,
}

/// What to do about one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Start it.
    Start(Lease),
    /// Ask its trainer to leave.
    Stop(Lease),
    /// It can never start here: there is no such slot.
    NoSlot(Lease),
    /// Its slot is held by a process that cannot be killed.
    StuckSlot(Lease),
}

/// Compares. `wanted` are leases with their slots, `slots` how many there are, `stuck` those that
/// cannot be used. An attempt whose slot is still held by another one is started by a later call,
/// when that one is over.
pub fn reconcile(
    wanted: &BTreeMap<Lease, Option<u32>>,
    running: &BTreeMap<Lease, Running>,
    slots: u32,
    stuck: &BTreeSet<u32>,
) -> Vec<Action> {
    let stops = running
        .iter()
        .filter(|(lease, unit)| !unit.over && !unit.stopping && !wanted.contains_key(lease))
        .map(|(lease, _)| Action::Stop(*lease));
    let mut actions: Vec<Action> = stops.collect();
    let live = || running.values().filter(|unit| !unit.over);
    let mut taken: BTreeSet<u32> = live().filter_map(|unit| unit.slot).collect();
    // Nobody knows which slot it is on, so nothing may start before it has gone or its slot is told.
    let lost = live().any(|unit| unit.slot.is_none());
    for (lease, slot) in wanted {
        let Some(slot) = *slot else { continue };
        if running.contains_key(lease) {
            continue;
        }
        if slot >= slots {
            actions.push(Action::NoSlot(*lease));
        } else if stuck.contains(&slot) {
            actions.push(Action::StuckSlot(*lease));
        } else if !lost && taken.insert(slot) {
            actions.push(Action::Start(*lease));
        }
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sweep_core::id::{SweepId, TrialId};

    const SLOTS: u32 = 4;

    fn lease(number: u8) -> Lease {
        let trial = TrialId::derive(SweepId::derive("reconcile", ""), &number.to_string());
        Lease { trial, attempt: 1 }
    }

    fn unit() -> impl Strategy<Value = Running> {
        (proptest::option::of(0..SLOTS), any::<bool>(), any::<bool>()).prop_map(|(slot, over, stopping)| Running {
            slot,
            over,
            stopping,
        })
    }

    /// Does what the actions say, as a supervisor would.
    fn act(actions: &[Action], wanted: &BTreeMap<Lease, Option<u32>>, running: &mut BTreeMap<Lease, Running>) {
        for action in actions {
            match action {
                Action::Start(lease) => {
                    let fresh = Running { slot: wanted[lease], over: false, stopping: false };
                    assert_eq!(running.insert(*lease, fresh), None, "started twice");
                }
                Action::Stop(lease) => running.get_mut(lease).unwrap().stopping = true,
                Action::NoSlot(lease) | Action::StuckSlot(lease) => {
                    let over = Running { slot: None, over: true, stopping: false };
                    running.insert(*lease, over);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_slot_never_has_two_and_what_is_not_wanted_is_stopped_once(
            wanted in proptest::collection::btree_map(0u8..12, proptest::option::of(0..SLOTS + 1), 0..6),
            running in proptest::collection::btree_map(0u8..12, unit(), 0..6),
            stuck in proptest::collection::btree_set(0..SLOTS, 0..2),
        ) {
            let wanted: BTreeMap<_, _> = wanted.into_iter().map(|(n, slot)| (lease(n), slot)).collect();
            let mut running: BTreeMap<_, _> = running.into_iter().map(|(n, unit)| (lease(n), unit)).collect();
            let before = running.clone();
            let actions = reconcile(&wanted, &running, SLOTS, &stuck);
            act(&actions, &wanted, &mut running);
            // Nothing wanted is stopped, nothing unwanted is started.
            for action in &actions {
                match action {
                    Action::Stop(lease) => prop_assert!(!wanted.contains_key(lease)),
                    Action::Start(lease) => {
                        let slot = wanted[lease].unwrap();
                        prop_assert!(!stuck.contains(&slot) && slot < SLOTS);
                        let clash = |unit: &&Running| !unit.over && unit.slot.is_none_or(|other| other == slot);
                        prop_assert_eq!(before.values().filter(clash).count(), 0);
                        let now = |unit: &&Running| !unit.over && unit.slot == Some(slot);
                        prop_assert_eq!(running.values().filter(now).count(), 1);
                    }
                    Action::NoSlot(_) | Action::StuckSlot(_) => {}
                }
            }
            for (lease, unit) in &running {
                prop_assert!(wanted.contains_key(lease) || unit.over || unit.stopping);
            }
            // Doing it once is enough.
            prop_assert_eq!(reconcile(&wanted, &running, SLOTS, &stuck), vec![]);
        }

        #[test]
        fn once_everything_unwanted_is_over_all_that_can_run_does(
            wanted in proptest::collection::btree_map(0u8..12, 0..SLOTS, 0..6),
            running in proptest::collection::btree_map(0u8..12, unit(), 0..6),
        ) {
            let wanted: BTreeMap<_, _> = wanted.into_iter().map(|(n, slot)| (lease(n), Some(slot))).collect();
            let mut running: BTreeMap<_, _> = running.into_iter().map(|(n, unit)| (lease(n), unit)).collect();
            for (lease, unit) in &mut running {
                unit.over |= !wanted.contains_key(lease);
                unit.slot = unit.slot.or(wanted.get(lease).copied().flatten());
            }
            act(&reconcile(&wanted, &running, SLOTS, &BTreeSet::new()), &wanted, &mut running);
            for (lease, slot) in &wanted {
                let busy = running.values().any(|unit| !unit.over && unit.slot == *slot);
                prop_assert!(running.contains_key(lease) || busy);
            }
        }
    }
}
