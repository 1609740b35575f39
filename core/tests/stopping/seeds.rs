//! Seeds of a configuration meet where it is judged, however many of them run at a time: what `asha-stop`, `median` and `percentile`
//! stop does not follow from how many slots are free.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sweep_core::attempt::EpochMetrics;
use sweep_core::command::Command;
use sweep_core::event::Event;
use sweep_core::id::{AgentId, Lease};
use sweep_core::num::Num;
use sweep_core::orders::orders;
use sweep_core::queue::{Why, waiting};
use sweep_core::recipe::Watched;
use sweep_core::state::trial::Phase;
use sweep_core::stopping::replay::replay_beside;
use sweep_core::stopping::summary::why;
use sweep_core::stopping::{Fate, Rule, Stop};
use sweep_core::time::Span;

use crate::curves;
use crate::lab::{Lab, fold};

const JUDGED_TOGETHER: [Rule; 3] = [Rule::AshaStop, Rule::Median, Rule::Percentile];

/// Curves of so many seeds for each of the first configurations: the recorded one, a little higher and lower.
fn seeded(points: usize, seeds: usize, epochs: usize) -> Vec<Vec<f64>> {
    let noise = |seed: usize, epoch: usize| 0.002 * ((7 * seed + 3 * epoch) % 5) as f64;
    let of = |curve: &[f64], seed| curve[..epochs].iter().enumerate().map(|(at, one)| one + noise(seed, at)).collect();
    let points: Vec<_> = curves().into_iter().take(points).collect();
    points.iter().flat_map(|curve| (0..seeds).map(move |seed| of(curve, seed))).collect()
}

/// The mean over the seeds, as the race computes it.
fn means(curves: &[Vec<f64>], seeds: usize) -> Vec<Vec<f64>> {
    let mean = |of: &[Vec<f64>], at: usize| of.iter().map(|curve| curve[at]).sum::<f64>() / seeds as f64;
    curves.chunks(seeds).map(|of| (0..of[0].len()).map(|at| mean(of, at)).collect()).collect()
}

/// Epochs reported, by point and seed.
fn trained(lab: &Lab) -> Vec<Vec<u32>> {
    let mut trained = vec![vec![0; lab.sweep().plan.seeds.len()]; lab.sweep().plan.points as usize];
    for (_, event) in &lab.journal {
        if let Event::EpochReported { lease, .. } = event {
            let planned = lab.sweep().plan.trial(lab.core.state().find(lease.trial).unwrap().index);
            trained[planned.point as usize][planned.seed as usize] += 1;
        }
    }
    trained
}

/// With one slot, and with one for each seed, it is as if each configuration were one trial with the mean of its seeds, one after the
/// other; nobody trains an epoch in vain.
#[test]
fn a_configuration_is_judged_by_all_seeds_on_one_slot_as_on_many() {
    let (seeds, epochs) = (3, 9);
    let curves = seeded(40, seeds, epochs);
    for rule in JUDGED_TOGETHER {
        for baseline in [None, Some(2)] {
            for stop in
                [Stop::new(rule), Stop { warmup_epochs: 2, interval: 3, audit_fraction: 0.3, ..Stop::new(rule) }]
            {
                let alone = replay_beside(&stop, &means(&curves, seeds), 1, None, baseline);
                let stopped = |judged: &[(u32, sweep_core::stopping::Judgement)]| -> BTreeMap<u32, (Fate, u32)> {
                    let ends = judged.iter().filter(|(_, judged)| judged.fate != Fate::Promote);
                    ends.map(|(point, judged)| (*point, (judged.fate, judged.epoch))).collect()
                };
                let expected = stopped(&alone.judgements);
                for slots in [1, seeds as u32] {
                    let lab = Lab::new(&stop, curves.clone(), seeds, slots, baseline).waiting().run();
                    assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
                    let found = stopped(&lab.judgements());
                    // Which of the audit are drawn follows from the sweep's id.
                    let when = |all: &BTreeMap<u32, (Fate, u32)>| -> BTreeMap<u32, u32> {
                        all.iter().map(|(point, (_, epoch))| (*point, *epoch)).collect()
                    };
                    if stop.audit_fraction == 0.0 {
                        assert!(expected.len() > 10, "{rule:?}: too few are stopped to show anything");
                        assert_eq!(found, expected, "{rule:?} on {slots} slots");
                    } else {
                        assert!(when(&found).len() > 5, "{rule:?} on {slots} slots: {found:?}");
                    }
                    for (point, (fate, epoch)) in &found {
                        let last = if *fate == Fate::Stop { *epoch } else { epochs as u32 };
                        assert_eq!(
                            trained(&lab)[*point as usize],
                            [last; 3],
                            "{rule:?} on {slots} slots, point {point}"
                        );
                    }
                }
            }
        }
    }
}

/// Who is ahead goes on while the others are on their way, and waits for one that has no slot; then it leaves its own.
#[test]
fn a_seed_waits_for_one_without_a_slot_and_for_no_other() {
    let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::AshaStop) };
    let curves = seeded(2, 2, 6);
    let until = |lab: &Lab| orders(lab.core.state(), AgentId::from(uuid::Uuid::from_u128(1)))[0].until;
    let lab = Lab::new(&stop, curves.clone(), 2, 2, None);
    assert_eq!(until(&lab), None, "both have a slot");
    let mut lab = Lab::new(&stop, curves, 2, 1, None);
    assert_eq!(until(&lab), Some(1), "the other one has none");
    lab.tick();
    lab.tick();
    let phases = |lab: &Lab| lab.sweep().trials.iter().map(|trial| trial.phase.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(lab.sweep().trials[0].phase, Phase::Paused, "{:?}", phases(&lab));
    assert!(lab.sweep().trials[1].leased().is_some(), "{:?}", phases(&lab));
    assert_eq!(
        why(lab.sweep(), 0).unwrap(),
        "asha-stop: waits after epoch 1 for the other seeds of its configuration, which are judged together"
    );
    let queue = waiting(lab.core.state(), lab.now, |_| true);
    assert!(queue.iter().all(|waits| !matches!(waits.why, Why::AtRung(_))), "{queue:?}");
    // The second comes to the rung: both are judged, and the first one may go on.
    lab.tick();
    assert_eq!(lab.sweep().trials[0].phase, Phase::Waiting, "{:?}", phases(&lab));
    assert_eq!(lab.judgements().len(), 1);
    let lab = lab.run();
    assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
}

/// Who waits on its slot for a word leaves when another seed loses its own, which may be the only one that there is for both.
#[test]
fn a_seed_that_loses_its_slot_is_made_room_for() {
    let stop = Stop { reduction_factor: 2, max_steps: Some(45), ..Stop::new(Rule::AshaStop) };
    let mut lab = Lab::new(&stop, seeded(2, 2, 6), 2, 2, None).waiting();
    lab.step(0);
    let ahead = |lab: &Lab| lab.sweep().trials[0].leased().is_some_and(|leased| leased.halted);
    assert!(!ahead(&lab), "the other one is on its way");
    lab.crash(1);
    assert!(lab.sweep().trials[1].leased().is_none());
    assert!(ahead(&lab), "it is where both are judged, and may have the only slot");
    let lab = lab.run();
    assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
}

/// An earlier release made nobody wait: what it granted stands in the journal.
#[test]
fn a_grant_of_an_earlier_release_to_a_seed_that_would_wait_now_is_believed() {
    let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::AshaStop) };
    let mut lab = Lab::new(&stop, seeded(1, 2, 6), 2, 2, None);
    lab.step(0);
    lab.crash(1);
    lab.step(0);
    let mut state = fold(&lab.journal);
    let (trial, agent) = (lab.sweep().ids[0], AgentId::from(uuid::Uuid::from_u128(1)));
    assert_eq!(state.trial(state.find(trial).unwrap()).phase, Phase::Paused);
    let lease = Lease { trial, attempt: 2 };
    let granted = Event::LeaseGranted { lease, agent, slot: 0, resume_epoch: 1, fingerprint: None, share: 1000 };
    state.apply(&granted, lab.now);
    assert!(state.leased(lease).is_some() && state.check().is_ok(), "{:?}", state.check());
    let metrics = EpochMetrics::uniform(1, 2, Num(0.5));
    state.apply(&Event::EpochReported { lease, metrics }, lab.now);
    assert_eq!(state.leased(lease).unwrap().1.acked_seq, 1);
}

/// Epochs that a seed catches up with when it is run again are those that were decided without it, not the next ones.
#[test]
fn a_seed_that_is_run_again_counts_where_it_is() {
    let stop = Stop { metric: Watched::ValAccuracy, min_configurations: 1, ..Stop::new(Rule::Median) };
    // The first configuration is at its end, and the other one is better.
    let curves = [[0.5; 8], [0.5; 8], [0.6; 8], [0.45; 8]].map(|curve| curve.to_vec());
    let mut lab = Lab::new(&stop, curves.to_vec(), 2, 2, None).waiting();
    // Eight for the first, then the beginning of the second.
    for _ in 0..11 {
        lab.tick();
    }
    assert!(lab.sweep().counts.completed == 2 && lab.sweep().counts.running > 0, "{:?}", lab.sweep().counts);
    let trial = lab.sweep().ids[3];
    lab.ask(Command::CancelTrial { trial, user: "ann".into() });
    for _ in 0..3 {
        lab.tick();
    }
    let known = |lab: &Lab| lab.sweep().racing.as_deref().unwrap().race.known(1);
    let before = known(&lab);
    assert!(before > 4 && before < 8, "it goes on without the other: {before}");
    let sweep = lab.sweep;
    lab.ask(Command::RetrySweep { sweep, user: "ann".into(), cancelled: true });
    lab.tick();
    assert_eq!(known(&lab), before, "until the other has come as far");
    let lab = lab.run();
    assert!(lab.audit().is_legal(), "{:?}", lab.audit());
}

/// A seed that is lost for good is waited for by nobody.
#[test]
fn nobody_waits_for_a_seed_that_is_over() {
    for rule in JUDGED_TOGETHER {
        let stop = Stop { min_configurations: 1, ..Stop::new(rule) };
        let mut lab = Lab::new(&stop, seeded(6, 3, 9), 3, 1, None);
        for _ in 0..100 {
            if lab.sweep().counts.paused == 0 {
                lab.tick();
            }
        }
        let paused = lab.sweep().trials.iter().position(|trial| trial.phase == Phase::Paused).unwrap() as u32;
        let point = lab.sweep().plan.trial(paused).point;
        let others: Vec<u32> =
            (0..18).filter(|at| *at != paused && lab.sweep().plan.trial(*at).point == point).collect();
        for index in others {
            let trial = lab.sweep().ids[index as usize];
            lab.ask(Command::CancelTrial { trial, user: "ann".into() });
        }
        lab.tick();
        assert_ne!(lab.sweep().trials[paused as usize].phase, Phase::Paused, "{rule:?}");
        let lab = lab.run();
        assert!(lab.audit().is_legal(), "{:?}", lab.audit());
        assert_eq!(lab.sweep().counts.cancelled, 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// However fast the slots are: where fewer are free than a configuration has seeds, nobody comes to its end past a rung at which its
    /// configuration was not judged.
    #[test]
    fn with_fewer_slots_than_seeds_nobody_passes_a_rung_unjudged(
        (seeds, slots) in (2usize..5).prop_flat_map(|seeds| (Just(seeds), 1..seeds as u32)),
        baseline in prop::option::of(0u32..4),
        lag in 0u32..2,
        speeds in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::AshaStop) };
        let mut lab = Lab::new(&stop, seeded(8, seeds, 9), seeds, slots, baseline).lagging(lag).waiting();
        for speed in speeds {
            if lab.sweep().ended.is_none() {
                lab.tick_of(|slot| speed >> slot & 1 == 1);
            }
        }
        let lab = lab.run();
        prop_assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
        let promoted = |point| lab.judgements().iter().filter(|(of, judged)| *of == point && judged.fate == Fate::Promote).count();
        let ended = lab.sweep().trials.iter().enumerate().filter(|(_, trial)| matches!(trial.phase, Phase::Completed { .. }));
        let ended: BTreeSet<u32> = ended.map(|(index, _)| lab.sweep().plan.trial(index as u32).point).collect();
        for point in ended.into_iter().filter(|point| baseline != Some(*point)) {
            prop_assert_eq!(promoted(point), stop.rungs(9).len(), "point {}", point);
        }
        prop_assert!(!lab.stopped().is_empty());
    }

    /// Whatever the slots, budgets and late checkpoints, and although trainers crash again and again: it ends, legally, each
    /// configuration is judged by all of its seeds, and a restart anywhere changes nothing.
    #[test]
    fn seeds_that_wait_for_each_other_come_to_an_end(
        rule in prop::sample::select(JUDGED_TOGETHER.to_vec()),
        seeds in 2usize..5,
        slots in 1u32..7,
        baseline in prop::option::of(0u32..4),
        (lag, waits) in (0u32..2, any::<bool>()),
        audit_fraction in prop::sample::select(vec![0.0, 0.4]),
        (max_epochs, max_steps) in (prop::option::of(2u32..6), prop::option::of(15u64..70)),
        (warmup_epochs, interval, min_configurations) in (0u32..3, 1u32..4, 1u32..4),
        crashes in prop_oneof![Just(BTreeMap::new()), prop::collection::btree_map(1u32..60, 0u32..6, 1..12)],
        cut in 0.0f64..1.0,
    ) {
        let stop = Stop {
            reduction_factor: 2,
            audit_fraction,
            max_epochs,
            max_steps,
            warmup_epochs,
            interval,
            min_configurations,
            ..Stop::new(rule)
        };
        let mut lab = Lab::new(&stop, seeded(8, seeds, 7), seeds, slots, baseline).lagging(lag);
        if waits {
            lab = lab.waiting();
        }
        for tick in 1..60 {
            lab.tick();
            if let Some(slot) = crashes.get(&tick) {
                lab.crash(slot % slots);
                // Five in a minute would stop the sweep.
                lab.now = lab.now + Span::seconds(90);
            }
        }
        let lab = lab.run();
        let audit = lab.audit();
        // Twice without a checkpoint in between is one time too many.
        prop_assert!(if crashes.len() < 2 { audit.is_exactly_once() } else { audit.is_legal() }, "{:?}", audit);
        prop_assert_eq!(lab.core.state().check(), Ok(()));
        prop_assert_eq!(&fold(&lab.journal), lab.core.state());
        let cut = (cut * lab.journal.len() as f64) as usize;
        // With retries that become due a coordinator that comes back says so before it hears what was said to it before.
        if crashes.is_empty() {
            let again = lab.with_a_crash_at(cut);
            let differs = again.iter().zip(&lab.journal).position(|(one, other)| one != other);
            let shown = differs.map(|at| [&again, &lab.journal].map(|of| of[at..of.len().min(at + 4)].to_vec()));
            prop_assert!(again == lab.journal, "another history after a crash at event {}: {:?}", cut, shown);
        }
    }
}
