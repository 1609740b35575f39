//! Slots that are closed: others' processes, holds of people, guest hours, faults. In scenarios and in random histories
//! against a model.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sweep_core::attempt::FailureClass;
use sweep_core::command::{Command, Ending, Reject, Reply};
use sweep_core::device::{Closed, DeviceSeen, HoldChange, HoldKind, Occupant, Process, Sighting};
use sweep_core::event::{Event, Failure};
use sweep_core::plan::Limits;
use sweep_core::queue::waiting;
use sweep_core::state::trial::Phase;
use sweep_core::time::Span;

use crate::lab::{Lab, agent_id};

fn process(pid: u32, memory: u64, ours: bool) -> Process {
    let who = Occupant { pid, user: "alice".into(), command: "python train.py".into(), memory };
    Process { who, ours }
}

impl Lab {
    /// What the agent sees: on each of its GPUs these processes.
    fn see(&mut self, agent: u128, gpus: &[&[Process]], closed: Option<Closed>) {
        let seen = |(gpu, processes): (usize, &&[Process])| DeviceSeen {
            id: format!("gpu{agent}-{gpu}"),
            processes: processes.to_vec(),
            ..DeviceSeen::default()
        };
        let devices = gpus.iter().enumerate().map(seen).collect();
        let sighting = Sighting { devices, closed, free_after: None };
        let reply = self.ask(Command::Observe { agent: agent_id(agent), sighting });
        assert_eq!(reply, Reply::Noted);
    }

    pub(crate) fn hold(&mut self, host: &str, slot: Option<u32>, kind: HoldKind, span: Option<Span>) -> Reply {
        let change = HoldChange::Set { kind, reason: "repair".into(), span, from: None };
        self.ask(Command::Hold { user: "root".into(), host: host.into(), slot, change })
    }

    pub(crate) fn lift(&mut self, host: &str, slot: Option<u32>) -> Reply {
        self.ask(Command::Hold { user: "root".into(), host: host.into(), slot, change: HoldChange::Lift })
    }

    /// The slots that hold a lease.
    fn taken(&self, agent: u128) -> Vec<u32> {
        let slots = &self.core.state().agents[&agent_id(agent)].slots;
        (0..).zip(slots).filter_map(|(slot, lease)| lease.map(|_| slot)).collect()
    }

    fn why(&self) -> Vec<String> {
        let reachable = |agent| self.core.is_reachable(agent, self.now);
        let told = waiting(self.core.state(), self.now, reachable);
        told.into_iter().map(|waiting| format!("{}: {}", waiting.why.reason(), waiting.why)).collect()
    }
}

#[test]
fn a_process_of_others_closes_its_device_until_it_has_been_gone_for_a_minute() {
    let mut lab = Lab::new(&[]);
    lab.gpus(2, 1);
    let alice = process(7, 9_200_000_000, false);
    lab.see(1, &[std::slice::from_ref(&alice), &[process(8, 1, true)]], None);
    lab.submit(("p", "ann"), 3, Limits::default());
    assert_eq!(lab.taken(1), [1], "nothing runs beside alice");
    let busy = "host1:0 is busy (alice, python train.py, 9.2 GB)";
    assert_eq!(lab.why(), [format!("no_free_slot: no free slot; it is next; {busy}")]);
    // It grows a little: not worth an event. Another comes: it is.
    let events = lab.journal.len();
    lab.see(1, &[&[process(7, 9_300_000_000, false)], &[]], None);
    assert_eq!(lab.journal.len(), events);
    lab.see(1, &[&[alice.clone(), process(9, 1, false)], &[]], None);
    assert_eq!(lab.journal.len(), events + 1);
    // Gone, back for a moment, gone: the minute counts from the last time.
    lab.see(1, &[&[], &[]], None);
    lab.pass(Span::seconds(50));
    lab.see(1, &[std::slice::from_ref(&alice), &[]], None);
    lab.see(1, &[&[], &[]], None);
    for _ in 0..5 {
        lab.pass(Span::seconds(10));
        lab.see(1, &[&[], &[]], None);
        assert_eq!(lab.taken(1), [1]);
    }
    lab.pass(Span::seconds(10));
    lab.see(1, &[&[], &[]], None);
    assert_eq!(lab.taken(1), [0, 1]);
    lab.check();
}

#[test]
fn what_runs_goes_on_beside_others_and_their_memory_is_no_fault_of_it() {
    let mut lab = Lab::new(&[]);
    lab.gpus(1, 1);
    let sweep = lab.submit(("p", "ann"), 1, Limits::default());
    let lease = lab.leases(1)[0];
    lab.see(1, &[&[process(7, 1, false)]], None);
    assert_eq!(lab.leases(1), [lease]);
    let class = FailureClass::OutOfMemory;
    let failure = || Failure { class, reason: "cuda_out_of_memory".into(), message: "no memory".into() };
    lab.end(1, lease, Ending::Failed(failure()));
    let trial = &lab.core.state().sweep(sweep).unwrap().trials[0];
    assert_eq!((trial.own_failures, trial.failure.as_ref().unwrap().class), (0, FailureClass::Host));
    assert!(matches!(trial.phase, Phase::Backoff { .. }));
    lab.pass(Span::seconds(5));
    assert_eq!(lab.taken(1), [0; 0]);
    let why = "closed: every slot that could run it is closed: host1:0 is busy (alice, python train.py, 0.0 GB)";
    assert_eq!(lab.why(), [why]);
    lab.check();
}

#[test]
fn a_cordon_waits_a_drain_asks_to_leave_and_nothing_is_charged() {
    let mut lab = Lab::new(&[2, 1]);
    let sweep = lab.submit(("p", "ann"), 4, Limits::default());
    assert_eq!((lab.taken(1), lab.taken(2)), (vec![0, 1], vec![0]));
    assert_eq!(lab.hold("host1", Some(0), HoldKind::Cordon, None), Reply::Changed(0));
    assert_eq!(lab.leases(1).len(), 2, "what runs there runs on");
    let ended = lab.leases(1)[0];
    lab.done(1, ended);
    assert_eq!(lab.taken(1), [1]);
    assert_eq!(lab.hold("host1", None, HoldKind::Drain, None), Reply::Changed(1));
    assert_eq!(lab.leases(1), []);
    assert_eq!(lab.leave(), 1);
    let state = lab.core.state().sweep(sweep).unwrap();
    assert_eq!((state.counts.waiting, state.counts.backoff, state.counts.failed), (2, 0, 0));
    assert!(state.trials.iter().all(|trial| (trial.failures, trial.own_failures) == (0, 0)));
    // The slot alone cannot be opened while the host is held, and both can at once.
    assert_eq!(lab.lift("host1", Some(0)), Reply::Changed(1));
    let whole = lab.lift("host1", Some(0));
    assert!(matches!(&whole, Reply::Rejected(Reject::HeldWhole { what, .. }) if what == "drained by root: repair"));
    assert_eq!((lab.taken(1), lab.lift("host1", None)), (vec![], Reply::Changed(1)));
    assert_eq!(lab.taken(1), [0, 1]);
    assert_eq!(lab.lift("host1", None), Reply::Changed(0));
    lab.check();
}

#[test]
fn a_slot_given_back_is_used_again_after_the_stated_time() {
    let mut lab = Lab::new(&[]);
    lab.gpus(1, 2);
    lab.submit(("p", "ann"), 9, Limits::default());
    let yielded = lab.hold("host1", Some(1), HoldKind::Yield, Some(Span::hours(8)));
    assert_eq!(yielded, Reply::Changed(2), "the device as a whole");
    assert_eq!(lab.leave(), 2);
    lab.pass(Span::hours(7));
    assert_eq!(lab.taken(1), [0; 0]);
    lab.pass(Span::hours(1));
    assert_eq!(lab.taken(1), [0, 1]);
    lab.check();
}

#[test]
fn outside_of_its_guest_hours_a_host_has_no_trials() {
    let mut lab = Lab::new(&[]);
    lab.gpus(1, 1);
    lab.submit(("p", "ann"), 2, Limits::default());
    lab.see(1, &[&[]], Some(Closed { until: Some(lab.now + Span::hours(10)) }));
    assert_eq!(lab.leave(), 1);
    assert_eq!(
        lab.why(),
        ["closed: every slot that could run it is closed: host1:0 is closed: outside of its guest hours"]
    );
    lab.see(1, &[&[]], None);
    assert_eq!(lab.taken(1), [0]);
    lab.check();
}

#[test]
fn three_device_faults_in_a_row_quarantine_a_slot_until_somebody_trusts_it() {
    let mut lab = Lab::new(&[1]);
    lab.submit(("p", "ann"), 9, Limits::default());
    let fault = || Failure { class: FailureClass::Device, reason: "ecc".into(), message: "ECC error".into() };
    let fail = |lab: &mut Lab| {
        let lease = lab.leases(1)[0];
        lab.end(1, lease, Ending::Failed(fault()));
    };
    // Work that is done in between takes them back.
    (0..2).for_each(|_| fail(&mut lab));
    let lease = lab.leases(1)[0];
    lab.checkpoint(1, lease);
    (0..2).for_each(|_| fail(&mut lab));
    assert_eq!(lab.taken(1), [0]);
    fail(&mut lab);
    assert_eq!(lab.taken(1), [0; 0]);
    let held = lab.core.state().agents[&agent_id(1)].devices.holds.values().next().unwrap().clone();
    assert_eq!((held.kind, held.user.as_str()), (HoldKind::Quarantine, "system"));
    assert_eq!(held.reason, "3 device faults in a row");
    let events: Vec<Event> = lab.journal.iter().map(|(_, event)| event.clone()).collect();
    let told = sweep_core::notice::of(lab.core.state(), &events, lab.now);
    let told: Vec<_> = told.iter().map(|notice| (notice.kind.word(), notice.text.as_str())).collect();
    assert_eq!(told, [("quarantine", "host1:0 is quarantined by system: 3 device faults in a row")]);
    assert_eq!(lab.lift("host1", Some(0)), Reply::Changed(1));
    assert_eq!(lab.taken(1), [0]);
    fail(&mut lab);
    assert_eq!(lab.taken(1), [0], "it is trusted from anew");
    lab.check();
}

/// A GPU that falls off the bus takes the number of no other with it: who is in repair stays so, and only that one.
#[test]
fn a_wrong_name_is_answered_with_the_right_one() {
    let mut lab = Lab::new(&[2]);
    let text = |reply: Reply| match reply {
        Reply::Rejected(reject) => reject.to_string(),
        other => panic!("{other:?}"),
    };
    let no_host = text(lab.hold("hst1", None, HoldKind::Drain, None));
    assert_eq!(no_host, "no host is called `hst1`; there are: host1; did you mean `host1`?");
    let no_slot = text(lab.hold("host1", Some(2), HoldKind::Drain, None));
    assert_eq!(no_slot, "`host1` has no slot 2: its slots are 0 to 1");
    let long = HoldChange::Set { kind: HoldKind::Drain, reason: "two\nlines".into(), span: None, from: None };
    let wrong = text(lab.ask(Command::Hold { user: "root".into(), host: "host1".into(), slot: None, change: long }));
    assert_eq!(wrong, "reason = twolines is not allowed: one line of at most 512 bytes");
    assert_eq!(lab.journal.len(), 1, "only the hello");
}

#[derive(Clone, Debug)]
enum Act {
    Pass(i64),
    Others(u32, bool),
    Hours(bool),
    Hold(Option<u32>, HoldKind),
    Yield(u32, i64),
    Lift(Option<u32>),
    End(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let slot = 0u32..4;
    let kind = prop_oneof![Just(HoldKind::Cordon), Just(HoldKind::Drain), Just(HoldKind::Quarantine)];
    prop_oneof![
        (0i64..90).prop_map(Act::Pass),
        (0u32..2, any::<bool>()).prop_map(|(gpu, there)| Act::Others(gpu, there)),
        any::<bool>().prop_map(Act::Hours),
        (prop::option::of(slot.clone()), kind).prop_map(|(slot, kind)| Act::Hold(slot, kind)),
        (slot.clone(), 1i64..200).prop_map(|(slot, seconds)| Act::Yield(slot, seconds)),
        prop::option::of(slot).prop_map(Act::Lift),
        (0usize..4).prop_map(Act::End),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is held, seen and lifted: the history is legal (no grant on a closed slot), every open slot has a
    /// trial, what has to leave is not wanted, and what stays was never charged.
    #[test]
    fn closed_slots_are_empty_and_open_ones_are_used(acts in prop::collection::vec(act(), 1..60)) {
        let mut lab = Lab::new(&[]);
        lab.gpus(2, 2);
        let sweep = lab.submit(("p", "ann"), 500, Limits::default());
        let (mut others, mut closed) = ([false; 2], None);
        for act in acts {
            match act {
                Act::Pass(seconds) => lab.pass(Span::seconds(seconds)),
                Act::Others(gpu, there) => others[gpu as usize] = there,
                Act::Hours(is_closed) => closed = is_closed.then(Closed::default),
                Act::Hold(slot, kind) => drop(lab.hold("host1", slot, kind, None)),
                Act::Yield(slot, seconds) => {
                    lab.hold("host1", Some(slot), HoldKind::Yield, Some(Span::seconds(seconds)));
                }
                Act::Lift(slot) => drop(lab.lift("host1", slot)),
                Act::End(number) => {
                    if let Some(lease) = lab.leases(1).get(number).copied() {
                        lab.done(1, lease);
                    }
                }
            }
            let on = |there: bool| if there { vec![process(7, 1, false)] } else { vec![] };
            lab.see(1, &[&on(others[0]), &on(others[1])], closed);
            lab.leave();
            let agent = &lab.core.state().agents[&agent_id(1)];
            let wanted: BTreeSet<_> = lab.leases(1).into_iter().collect();
            for slot in 0..4 {
                let lease = agent.slots[slot as usize];
                match agent.block(slot, lab.now) {
                    None => prop_assert!(lease.is_some(), "slot {} is open and idle", slot),
                    Some(block) if block.evicts() => prop_assert!(lease.is_none(), "slot {} is {}", slot, block),
                    Some(_) => prop_assert!(lease.is_none_or(|lease| wanted.contains(&lease))),
                }
                let busy = others[slot as usize / 2];
                prop_assert!(!busy || agent.block(slot, lab.now).is_some());
            }
        }
        let state = lab.core.state().sweep(sweep).unwrap();
        prop_assert!(state.trials.iter().all(|trial| trial.failures == 0));
        let leases = lab.journal.iter().filter(|(_, event)| matches!(event, Event::LeaseLost { .. })).count();
        let evicted = lab.journal.iter().filter(|(_, event)| matches!(event, Event::TrialEvicted { .. })).count();
        prop_assert_eq!(leases, evicted, "one leaves for each that was asked to");
        lab.check();
    }
}
