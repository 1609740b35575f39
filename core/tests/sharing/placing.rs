//! Where trials run: what a sweep asks for, memory that is shared, trials that are tried again alone.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sweep_core::attempt::{EpochMetrics, FailureClass};
use sweep_core::command::{Command, EffectKind, Ending, Reject, Reply};
use sweep_core::cost::EpochCost;
use sweep_core::device::{DeviceFacts, Offer};
use sweep_core::event::Failure;
use sweep_core::num::Num;
use sweep_core::placement::Placement;
use sweep_core::plan::Limits;
use sweep_core::queue::waiting;
use sweep_core::time::Span;

use crate::lab::{Lab, agent_id};

const GB: u64 = 1_000_000_000;

/// A host: models of its GPUs with their memory in GB, slots on each, memory of the host in GB, cores.
fn host(lab: &mut Lab, gpus: &[(&str, u64)], each: u32, ram: u64, cores: u32) {
    let number = lab.agents + 1;
    let device = |(place, (model, memory)): (u32, &(&str, u64))| DeviceFacts {
        id: format!("gpu{number}-{place}"),
        model: (*model).into(),
        memory: memory * GB,
        slots: (place * each..(place + 1) * each).collect(),
        packed: false,
    };
    let devices: Vec<_> = (0u32..).zip(gpus).map(device).collect();
    let labels = BTreeMap::from([("site".to_owned(), format!("lab{number}"))]);
    let slots = if gpus.is_empty() { each } else { each * gpus.len() as u32 };
    lab.offering(slots, Offer { labels, cores, memory: ram * GB, devices, trainer: None });
}

fn asks(placement: Placement) -> Limits {
    Limits { placement, ..Limits::default() }
}

fn taken(lab: &Lab, agent: u128) -> Vec<u32> {
    let slots = &lab.core.state().agents[&agent_id(agent)].slots;
    (0..).zip(slots).filter_map(|(slot, lease)| lease.map(|_| slot)).collect()
}

fn why(lab: &Lab) -> Vec<String> {
    let told = waiting(lab.core.state(), lab.now, |agent| lab.core.is_reachable(agent, lab.now));
    told.into_iter().map(|waiting| format!("{}: {}", waiting.why.reason(), waiting.why)).collect()
}

#[test]
fn a_sweep_gets_the_gpus_that_it_asks_for_and_no_others() {
    let mut lab = Lab::new(&[]);
    host(&mut lab, &[("NVIDIA A100-SXM4-40GB", 40), ("Tesla T4", 16)], 1, 64, 16);
    host(&mut lab, &[("NVIDIA H200", 141)], 1, 64, 16);
    lab.submit(("p", "ann"), 9, asks(Placement { gpu: Some("a100|h200".into()), ..Placement::default() }));
    assert_eq!((taken(&lab, 1), taken(&lab, 2)), (vec![0], vec![0]));
    lab.submit(("p", "bob"), 9, asks(Placement { gpu: Some("b200".into()), ..Placement::default() }));
    assert_eq!(taken(&lab, 1), [0]);
    let models = "NVIDIA A100-SXM4-40GB, NVIDIA H200, Tesla T4";
    assert_eq!(why(&lab)[0], format!("no_place: no device has label gpu=b200; there is: {models}"));
    lab.submit(
        ("p", "cy"),
        9,
        asks(Placement { memory: Some(15 * GB), host: Some("host1".into()), ..Placement::default() }),
    );
    assert_eq!(taken(&lab, 1), [0, 1]);
    let labels = BTreeMap::from([("site".to_owned(), "lab3".to_owned())]);
    lab.submit(("p", "dan"), 9, asks(Placement { labels, ..Placement::default() }));
    let near = "no_place: no host has label site=lab3; there is: lab1, lab2; did you mean `lab2`?";
    assert!(why(&lab).contains(&near.to_owned()), "{:?}", why(&lab));
    lab.check();
}

#[test]
fn what_no_host_could_ever_run_is_refused_unless_it_shall_wait() {
    let mut lab = Lab::new(&[]);
    host(&mut lab, &[("Tesla T4", 16)], 1, 64, 16);
    let reply = lab.try_submit("x", asks(Placement { memory: Some(24 * GB), ..Placement::default() }), false);
    let Reply::Rejected(reject @ Reject::NoPlace { .. }) = reply else { panic!("{reply:?}") };
    let text = "no device has 24.0 GB of memory; there is: 16.0 GB (--queue-anyway waits for one)";
    assert_eq!((reject.reason(), reject.to_string().as_str()), ("no_place", text));
    assert!(matches!(
        lab.try_submit("x", asks(Placement { memory: Some(16 * GB), ..Placement::default() }), false),
        Reply::Submitted { .. }
    ));
}

#[test]
fn hosts_are_filled_one_after_the_other_where_that_is_asked_for() {
    let mut lab = Lab::new(&[]);
    host(&mut lab, &[], 4, 64, 16);
    host(&mut lab, &[], 3, 64, 16);
    lab.submit(("p", "ann"), 3, asks(Placement { pack: true, ..Placement::default() }));
    assert_eq!((taken(&lab, 1).len(), taken(&lab, 2).len()), (0, 3));
    lab.submit(("p", "bob"), 2, Limits::default());
    assert_eq!((taken(&lab, 1).len(), taken(&lab, 2).len()), (2, 3));
    lab.check();
}

/// The first trial of an agent reports an epoch with so much memory of its own.
fn weigh(lab: &mut Lab, agent: u128, own: u64) {
    let lease = lab.leases(agent)[0];
    let cost = Some(Box::new(EpochCost { own_memory: Some(own), ..EpochCost::default() }));
    let metrics = EpochMetrics { cost, ..EpochMetrics::uniform(1, 1, Num(0.5)) };
    lab.effect(agent, lease, EffectKind::Metrics(vec![metrics]));
}

const SHORT: &str = "hosts with free slots have too little memory or too few cores left beside what runs there";

#[test]
fn a_trial_that_says_nothing_takes_the_part_of_a_slot_of_the_cores() {
    let mut lab = Lab::new(&[]);
    host(&mut lab, &[], 4, 64, 8);
    lab.submit(("p", "ann"), 1, asks(Placement { cores: Some(6), ..Placement::default() }));
    lab.submit(("p", "bob"), 9, Limits::default());
    assert_eq!(taken(&lab, 1), [0, 1], "6 cores and 2");
    assert_eq!(why(&lab), [format!("no_free_slot: no free slot; it is next; {SHORT}")]);
    lab.check();
    // Who declared more slots than cores gets them all.
    let mut lab = Lab::new(&[]);
    host(&mut lab, &[], 4, 1, 2);
    lab.submit(("p", "ann"), 9, Limits::default());
    assert_eq!(taken(&lab, 1), [0, 1, 2, 3]);
    let first = lab.leases(1)[0];
    lab.submit(("p", "bob"), 1, asks(Placement { cores: Some(1), ..Placement::default() }));
    lab.done(1, first);
    assert_eq!(taken(&lab, 1).len(), 4);
    lab.check();
}

#[test]
fn a_trial_that_says_nothing_takes_the_memory_that_was_measured_of_its_shape() {
    let mut lab = Lab::new(&[]);
    host(&mut lab, &[], 4, 64, 16);
    lab.submit(("p", "ann"), 1, Limits::default());
    weigh(&mut lab, 1, 20 * GB);
    lab.submit(("p", "ann"), 9, Limits::default());
    assert_eq!(taken(&lab, 1), [0, 1], "22 GB each");
    assert_eq!(why(&lab), [format!("no_free_slot: no free slot; it is next; {SHORT}")]);
    // It counts beside what files say. One of another shape, of which nothing is known, may have the part of a slot: 16 GB are not left.
    lab.submit(("p", "bob"), 9, asks(Placement { ram: Some(19 * GB), ..Placement::default() }));
    assert_eq!(taken(&lab, 1), [0, 1, 2]);
    lab.submit_on(("p", "cy"), "other", 9, Limits::default());
    assert_eq!(taken(&lab, 1), [0, 1, 2]);
    assert!(why(&lab).iter().all(|why| why.ends_with(SHORT)), "{:?}", why(&lab));
    lab.check();
    host(&mut lab, &[], 4, 8, 16);
    assert_eq!(taken(&lab, 2).len(), 4, "all slots of a host may measure at once");
    lab.check();
    // On a smaller host one of those that were measured runs, alone.
    let mut lab = Lab::new(&[]);
    host(&mut lab, &[], 1, 64, 16);
    lab.submit(("p", "ann"), 3, Limits::default());
    weigh(&mut lab, 1, 20 * GB);
    host(&mut lab, &[], 4, 8, 16);
    assert_eq!((taken(&lab, 1).len(), taken(&lab, 2).len()), (1, 1));
    // A host that does not say what it has is not counted on.
    lab.agent(2, None);
    assert_eq!(taken(&lab, 3).len(), 1);
    lab.check();
}

#[test]
fn nobody_gives_way_to_one_that_finds_no_room() {
    for (cores, given) in [(8, 0), (4, 1)] {
        let mut lab = Lab::new(&[]);
        host(&mut lab, &[], 2, 64, 8);
        lab.preempt_after(Some(Span::seconds(60)));
        lab.submit(("p", "ann"), 9, Limits::default());
        lab.pass(Span::seconds(20));
        lab.submit(("q", "bob"), 9, asks(Placement { cores: Some(cores), ..Placement::default() }));
        for _ in 0..8 {
            lab.pass(Span::seconds(20));
            for lease in lab.leases(1) {
                lab.checkpoint(1, lease);
            }
            lab.leave();
        }
        assert_eq!(lab.preemptions(), given);
        lab.check();
    }
}

#[test]
fn a_trial_that_ran_out_of_memory_is_tried_again_alone() {
    let mut lab = Lab::new(&[]);
    host(&mut lab, &[("A100", 40)], 3, 64, 16);
    lab.submit(("p", "ann"), 6, Limits::default());
    assert_eq!(taken(&lab, 1), [0, 1, 2]);
    let lease = lab.leases(1)[0];
    let class = FailureClass::OutOfMemory;
    lab.end(1, lease, Ending::Failed(Failure { class, reason: "cuda".into(), message: "no memory".into() }));
    lab.pass(Span::seconds(5));
    // It waits until the device is empty; what is there and what comes before it goes on.
    let mut alone = false;
    for _ in 0..20 {
        let leases = lab.leases(1);
        if leases.iter().any(|other| other.trial == lease.trial) {
            assert_eq!(leases.len(), 1, "alone");
            alone = true;
        }
        let Some(first) = leases.first() else { break };
        lab.done(1, *first);
    }
    assert!(alone);
    assert_eq!(lab.core.state().sweeps[0].counts.completed, 6);
    lab.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is asked for: what runs on a device and a host never asks for more than there is, a trial is only
    /// where it fits, and no slot is idle that a waiting trial fits on.
    #[test]
    fn nothing_is_overcommitted(
        hosts in prop::collection::vec((1u64..5, 1u32..4, 1u64..9, 1u32..9), 1..4),
        asked in prop::collection::vec((1u64..6, 1u64..6, 1u32..6, any::<bool>(), 1u32..5), 1..5),
        ends in prop::collection::vec(0usize..8, 0..30),
    ) {
        let mut lab = Lab::new(&[]);
        for (memory, each, ram, cores) in &hosts {
            host(&mut lab, &[("A", *memory), ("B", memory + 2)], *each, *ram, *cores);
        }
        for (memory, ram, cores, pack, trials) in asked {
            let (memory, ram, cores) = (Some(memory * GB), Some(ram * GB), Some(cores));
            let limits = asks(Placement { memory, ram, cores, pack, ..Placement::default() });
            lab.submit(("p", "ann"), trials, limits);
        }
        for end in ends.into_iter().map(Some).chain([None]) {
            for number in 1..=hosts.len() as u128 {
                let agent = &lab.core.state().agents[&agent_id(number)];
                let offer = &agent.facts.offer;
                let (mut ram, mut cores, mut on) = (0, 0, BTreeMap::<&str, u64>::new());
                for (slot, lease) in (0u32..).zip(&agent.slots) {
                    let Some((at, _)) = lease.and_then(|lease| lab.core.state().leased(lease)) else { continue };
                    let placement = &lab.core.state().sweep_of(at).plan.limits.placement;
                    prop_assert!(placement.fits(agent, slot));
                    ram += placement.ram.unwrap();
                    cores += placement.cores.unwrap();
                    *on.entry(&offer.device_of(slot).unwrap().id).or_default() += placement.memory.unwrap();
                }
                prop_assert!(ram <= offer.memory && cores <= offer.cores);
                prop_assert!(offer.devices.iter().all(|device| on.get(device.id.as_str()).is_none_or(|sum| *sum <= device.memory)));
            }
            let held = lab.held();
            if let Some((number, lease)) = end.and_then(|end| held.get(end)).copied() {
                lab.done(number, lease);
            }
        }
        // Everything that fits on an empty host comes to its end.
        for _ in 0..60 {
            if let Some((number, lease)) = lab.held().first().copied() {
                lab.done(number, lease);
            }
        }
        let state = lab.core.state();
        for sweep in &state.sweeps {
            let fits = state.agents.values().any(|agent| sweep.plan.limits.placement.fits_on(agent));
            prop_assert_eq!(sweep.counts.waiting == 0, fits);
        }
        let asked = Command::Heartbeat { agent: agent_id(1), known: vec![] };
        prop_assert_eq!(lab.ask(asked), Reply::Noted);
        lab.check();
    }
}
