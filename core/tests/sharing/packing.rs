//! Several trials on one device: by what was measured, or by what the file says; never more than there is, never more
//! than is worth it; alone means alone; and somebody who needs a whole device gets one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sweep_core::attempt::{EpochMetrics, FailureClass};
use sweep_core::command::{EffectKind, Ending};
use sweep_core::cost::EpochCost;
use sweep_core::device::{DeviceFacts, Offer};
use sweep_core::event::{Event, Failure};
use sweep_core::id::Lease;
use sweep_core::num::Num;
use sweep_core::placement::Placement;
use sweep_core::plan::Limits;
use sweep_core::queue::waiting;
use sweep_core::time::Span;

use crate::lab::{Lab, agent_id};

pub(crate) const GB: u64 = 1_000_000_000;

/// A host with so many GPUs of so much memory, each with so many slots that are given out by what trials need.
pub(crate) fn shared(lab: &mut Lab, gpus: u32, memory: u64, each: u32) {
    let number = lab.agents + 1;
    let device = |gpu: u32| DeviceFacts {
        id: format!("gpu{number}-{gpu}"),
        model: "A100".into(),
        memory: memory * GB,
        slots: (0..each).map(|slot| gpu + slot * gpus).collect(),
        packed: true,
    };
    lab.offering(gpus * each, Offer { devices: (0..gpus).map(device).collect(), ..Offer::default() });
}

/// An epoch of a trial that holds so much and does so many images a second.
fn epoch(lab: &mut Lab, agent: u128, lease: Lease, memory: u64, speed: f64) {
    let Some((at, leased)) = lab.core.state().leased(lease) else { return };
    let (seq, progress) = (leased.acked_seq + 1, lab.core.state().trial(at).progress.as_ref());
    let epoch = progress.and_then(|progress| progress.last.as_ref()).map_or(1, |last| last.epoch + 1);
    let cost = EpochCost { device_memory: Some(memory), ..EpochCost::default() };
    let (images_per_s, cost) = (Num(speed), Some(Box::new(cost)));
    let metrics = EpochMetrics { images_per_s, cost, ..EpochMetrics::uniform(seq, epoch, Num(0.0)) };
    lab.effect(agent, lease, EffectKind::Metrics(vec![metrics]));
}

/// All trials train so many epochs of a second.
pub(crate) fn train(lab: &mut Lab, epochs: u32, memory: u64, speed: impl Fn(usize) -> f64) {
    for _ in 0..epochs {
        lab.pass(Span::seconds(1));
        let held = lab.held();
        for (agent, lease) in &held {
            epoch(lab, *agent, *lease, memory, speed(held.len()));
        }
    }
}

/// The first trial of what waits is measured: it ends, and others start.
pub(crate) fn measured(lab: &mut Lab, memory: u64, speed: f64) {
    train(lab, 5, memory, |_| speed);
    lab.held().iter().for_each(|(agent, lease)| lab.done(*agent, *lease));
}

pub(crate) fn shares(lab: &Lab) -> Vec<u32> {
    let state = lab.core.state();
    lab.held().iter().map(|(_, lease)| state.leased(*lease).unwrap().1.share).collect()
}

pub(crate) fn out_of_memory() -> Ending {
    Ending::Failed(Failure { class: FailureClass::OutOfMemory, reason: "cuda".into(), message: "no memory".into() })
}

#[test]
fn the_first_trial_of_a_shape_has_a_device_for_itself_and_later_ones_share_while_that_is_faster() {
    let mut lab = Lab::new(&[]);
    shared(&mut lab, 1, 40, 4);
    lab.submit(("p", "ann"), 40, Limits::default());
    assert_eq!(shares(&lab), [1000], "nothing is known of it");
    measured(&mut lab, 8 * GB, 1000.0);
    // 8.8 GB with headroom would fit four times; two are tried, then three, then four.
    assert_eq!(shares(&lab), [250, 250]);
    let total = |trials: usize| [0.0, 1000.0, 1800.0, 2400.0, 2410.0][trials] / trials as f64;
    let mut seen = vec![];
    for _ in 0..12 {
        train(&mut lab, 1, 8 * GB, total);
        seen.push(lab.held().len());
    }
    seen.dedup();
    assert_eq!(seen, [2, 3, 4], "1800 is more than 1000, and 2400 is more than 1800");
    assert_eq!(shares(&lab), [250; 4]);
    let shape = lab.core.state().sweeps[0].shape(0);
    let seen = lab.core.state().shapes.measured(shape, "A100").unwrap().clone();
    assert_eq!((seen.limit(), seen.together(3)), (Some(3), Some(2_400_000)), "2410 is not");
    for _ in 0..12 {
        let (agent, lease) = lab.held()[0];
        lab.done(agent, lease);
        assert_eq!(lab.held().len(), 3, "that is remembered: {:?}", seen.limit());
        train(&mut lab, 3, 8 * GB, total);
    }
    let now = lab.now;
    let told = waiting(lab.core.state(), now, |agent| lab.core.is_reachable(agent, now));
    assert!(told[0].why.to_string().contains("0.250 of a GPU"), "{}", told[0].why);
    lab.check();
}

#[test]
fn memory_decides_how_many_there_are_and_what_the_file_says_comes_first() {
    let mut lab = Lab::new(&[]);
    shared(&mut lab, 1, 40, 4);
    let asks = |memory: u64| {
        let placement = Placement { memory: Some(memory * GB), ..Placement::default() };
        Limits { placement, ..Limits::default() }
    };
    lab.submit(("p", "ann"), 40, Limits::default());
    measured(&mut lab, 15 * GB, 1000.0);
    // 16.5 of 40 GB: two, and never three.
    assert_eq!(shares(&lab), [413, 413]);
    train(&mut lab, 8, 15 * GB, |_| 900.0);
    assert_eq!(shares(&lab), [413, 413]);
    lab.submit(("q", "bob"), 40, asks(30));
    for _ in 0..2 {
        let (agent, lease) = lab.held()[0];
        lab.done(agent, lease);
    }
    assert_eq!(shares(&lab), [750], "what was measured fits twice, what is asked for once");
    lab.check();
}

#[test]
fn an_empty_device_comes_before_company() {
    let mut lab = Lab::new(&[]);
    shared(&mut lab, 1, 40, 2);
    lab.submit(("p", "ann"), 4, Limits::default());
    measured(&mut lab, GB, 1000.0);
    assert_eq!(lab.held().len(), 2);
    let mut lab = Lab::new(&[]);
    shared(&mut lab, 2, 40, 4);
    shared(&mut lab, 1, 40, 2);
    lab.submit(("p", "ann"), 1, Limits::default());
    measured(&mut lab, GB, 1000.0);
    lab.submit(("p", "bob"), 3, Limits::default());
    let devices: Vec<usize> = lab
        .core
        .state()
        .agents
        .values()
        .map(|agent| agent.rooms.iter().filter(|room| room.trials.len() == 1).count())
        .collect();
    assert_eq!(devices, [2, 1]);
    lab.check();
}

#[test]
fn one_that_ran_out_of_memory_is_tried_again_alone_and_its_like_are_never_so_many_again() {
    let mut lab = Lab::new(&[]);
    shared(&mut lab, 1, 40, 3);
    lab.submit(("p", "ann"), 12, Limits::default());
    measured(&mut lab, 8 * GB, 1000.0);
    train(&mut lab, 4, 8 * GB, |_| 900.0);
    assert_eq!(lab.held().len(), 3);
    let (agent, lease) = lab.held()[2];
    lab.end(agent, lease, out_of_memory());
    let mut alone = false;
    for _ in 0..20 {
        lab.pass(Span::seconds(10));
        let held = lab.held();
        if held.iter().any(|(_, other)| other.trial == lease.trial) {
            assert_eq!((held.len(), shares(&lab)), (1, vec![1000]));
            alone = true;
        }
        assert!(held.len() <= 2, "never three again");
        if let Some((agent, lease)) = held.first() {
            lab.done(*agent, *lease);
        }
    }
    assert!(alone);
    assert_eq!(lab.core.state().sweeps[0].counts.completed, 12);
    lab.check();
}

#[test]
fn who_needs_a_whole_device_gets_one_although_others_would_fill_every_gap() {
    let mut lab = Lab::new(&[]);
    shared(&mut lab, 2, 40, 4);
    lab.submit(("p", "ann"), 200, Limits::default());
    measured(&mut lab, GB, 1000.0);
    train(&mut lab, 30, GB, |trials| 8000.0 / (8 - trials).max(1) as f64);
    assert_eq!(lab.held().len(), 8, "{:?}", shares(&lab));
    // Another shape: it was never measured.
    let whole = lab.submit_on(("q", "bob"), "other", 2, Limits::default());
    let running = |lab: &Lab| lab.core.state().sweep(whole).unwrap().counts.running;
    let mut ends = 0;
    while running(&lab) == 0 {
        ends += 1;
        assert!(ends <= 8, "one device is filled no more");
        lab.pass(Span::seconds(1));
        let since = |lease: Lease| lab.core.state().leased(lease).unwrap().1.since;
        let (agent, lease) = lab.held().into_iter().min_by_key(|(_, lease)| since(*lease)).unwrap();
        lab.done(agent, lease);
    }
    assert!(shares(&lab).contains(&1000));
    lab.check();
}

#[test]
fn what_is_shared_is_charged_by_its_part() {
    let mut lab = Lab::new(&[]);
    shared(&mut lab, 1, 40, 4);
    let sweep = lab.submit(("p", "ann"), 40, Limits::default());
    measured(&mut lab, GB, 1000.0);
    let used = |lab: &Lab| lab.core.state().accounts.project("p").unwrap().meter.running;
    assert_eq!((used(&lab), lab.held().len()), (500, 2));
    lab.ask(sweep_core::command::Command::CancelSweep { sweep, user: "ann".into() });
    lab.leave();
    assert_eq!(used(&lab), 0);
    lab.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is measured, asked for and fails: a device is never given out twice, memory that is asked for or
    /// measured fits, nobody is beside a trial that is to be alone, the plan is the same every time, and all ends.
    #[test]
    fn a_device_is_never_given_out_twice(
        hosts in prop::collection::vec((1u32..3, 2u64..12, 1u32..5), 1..4),
        sweeps in prop::collection::vec((1u64..10, prop::option::of(1u64..10), 1u32..8), 1..5),
        steps in prop::collection::vec((0u8..8, 0usize..12, 1u32..3000), 0..60),
    ) {
        let mut lab = Lab::new(&[]);
        for (gpus, memory, each) in &hosts {
            shared(&mut lab, *gpus, *memory, *each);
        }
        let most = hosts.iter().map(|(_, memory, _)| *memory).max().unwrap();
        for (number, (_, asked, trials)) in sweeps.iter().enumerate() {
            let placement = Placement { memory: asked.map(|asked| asked.min(most) * GB), ..Placement::default() };
            let limits = Limits { placement, max_retries: Some(100), ..Limits::default() };
            lab.submit_on(("p", "ann"), &format!("d{number}"), *trials, limits);
        }
        let mut alone = std::collections::BTreeSet::new();
        for (what, which, speed) in steps {
            let held = lab.held();
            if let Some((agent, lease)) = held.get(which % held.len().max(1)).copied() {
                let at = lab.core.state().find(lease.trial).unwrap();
                match what {
                    0..4 => epoch(&mut lab, agent, lease, sweeps[at.sweep as usize].0 * GB, f64::from(speed)),
                    4..6 => {
                        alone.remove(&lease.trial);
                        lab.done(agent, lease);
                    }
                    6 => {
                        alone.insert(lease.trial);
                        lab.end(agent, lease, out_of_memory());
                    }
                    _ => {
                        let facts = lab.core.state().agents[&agent_id(agent)].facts.clone();
                        let held = held.iter().filter(|(of, _)| *of == agent).map(|(_, lease)| *lease).collect();
                        lab.ask(sweep_core::command::Command::Hello { facts, held });
                    }
                }
            }
            lab.pass(Span::seconds(5));
            let state = lab.core.state();
            for agent in state.agents.values() {
                let mut sums = BTreeMap::<usize, (u32, u64, u32, bool)>::new();
                for (slot, lease) in (0u32..).zip(&agent.slots) {
                    let Some((at, leased)) = lease.and_then(|lease| state.leased(lease)) else { continue };
                    let device = agent.facts.offer.devices.iter().position(|device| device.slots.contains(&slot)).unwrap();
                    let asked = state.sweep_of(at).plan.limits.placement.memory.unwrap_or_default();
                    let sum = sums.entry(device).or_default();
                    let lonely = alone.contains(&state.trial_id(at));
                    *sum = (sum.0 + leased.share, sum.1 + asked, sum.2 + 1, sum.3 || lonely);
                }
                for (device, (share, asked, trials, lonely)) in sums {
                    prop_assert!(share <= 1000, "{share}");
                    prop_assert!(asked <= agent.facts.offer.devices[device].memory);
                    prop_assert!(!lonely || trials == 1, "alone means alone");
                }
            }
            prop_assert_eq!(state.check(), Ok(()));
        }
        for _ in 0..2000 {
            let held = lab.held();
            let Some((agent, lease)) = held.first().copied() else {
                lab.pass(Span::hours(1));
                if lab.held().is_empty() { break } else { continue }
            };
            lab.done(agent, lease);
        }
        prop_assert!(lab.core.state().sweeps.iter().all(|sweep| sweep.counts.ended() == sweep.plan.len()));
        let grants = lab.journal.iter().filter(|(_, event)| matches!(event, Event::LeaseGranted { .. })).count();
        prop_assert!(grants >= sweeps.iter().map(|(_, _, trials)| *trials as usize).sum::<usize>());
        lab.check();
    }
}
