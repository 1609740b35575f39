//! Trainers that wait at a rung until it is decided whether they go on: no epoch past a rung is trained in vain.

use proptest::prelude::*;
use sweep_core::event::Event;
use sweep_core::orders::orders;
use sweep_core::stopping::replay::replay;
use sweep_core::stopping::{Fate, Rule, Stop};

use crate::curves;
use crate::lab::{Lab, fold};

/// Epochs that were reported, by trial in the order of the plan: the same one twice counts twice.
fn trained(lab: &Lab) -> Vec<u32> {
    let mut trained = vec![0; lab.sweep().ids.len()];
    for (_, event) in &lab.journal {
        if let Event::EpochReported { lease, .. } = event {
            let at = lab.sweep().ids.iter().position(|id| *id == lease.trial).unwrap();
            trained[at] += 1;
        }
    }
    trained
}

/// By trial: the epochs that it was judged to need.
fn needed(lab: &Lab, epochs: u32) -> Vec<u32> {
    let judgements = lab.judgements();
    let of = |index: u32| {
        let point = lab.sweep().plan.trial(index).point;
        let last = judgements.iter().rev().find(|(of, _)| *of == point).map(|(_, judged)| judged);
        last.filter(|judged| judged.fate == Fate::Stop).map_or(epochs, |judged| judged.epoch)
    };
    (0..lab.sweep().plan.len()).map(of).collect()
}

#[test]
fn of_200_configurations_nobody_trains_an_epoch_too_many() {
    // Checkpoints come an epoch late, as those of a large network over a slow line: who does not wait trains on meanwhile.
    for rule in [Rule::Asha, Rule::Halving, Rule::Hyperband] {
        let stop = Stop::new(rule);
        let eager = Lab::new(&stop, curves(), 1, 8, None).lagging(1).run();
        let patient = Lab::new(&stop, curves(), 1, 8, None).lagging(1).waiting().run();
        assert_eq!(trained(&patient), needed(&patient, 27), "{rule:?}");
        let (eager, patient): (u32, u32) = (trained(&eager).iter().sum(), trained(&patient).iter().sum());
        assert!(patient < eager, "{rule:?}: {patient} epochs, without waiting {eager}");
        if rule != Rule::Asha {
            // What these decide does not depend on who comes first.
            let replayed: u32 = replay(&stop, &curves(), 8, None).epochs.iter().sum();
            assert_eq!(patient, replayed, "{rule:?}");
        }
    }
}

#[test]
fn a_promotion_is_an_order_for_more_on_the_same_lease() {
    let stop = Stop { reduction_factor: 2, ..Stop::new(Rule::Asha) };
    let curves = vec![vec![0.1, 0.1, 0.1, 0.1, 0.1], vec![0.9, 0.9, 0.9, 0.9, 0.9]];
    let mut lab = Lab::new(&stop, curves, 1, 2, None).waiting();
    let untils = |lab: &Lab| -> Vec<Option<u32>> {
        let agent = *lab.core.state().agents.keys().next().unwrap();
        orders(lab.core.state(), agent).iter().map(|wanted| wanted.until).collect()
    };
    assert_eq!(untils(&lab), [Some(1), Some(1)]);
    // The second is the better one of two at the first rung: it goes on to the next without a new attempt.
    lab.tick();
    assert_eq!(untils(&lab), [Some(2)]);
    let lab = lab.run();
    assert_eq!(trained(&lab), [1, 5]);
    let grants = lab.journal.iter().filter(|(_, event)| matches!(event, Event::LeaseGranted { .. })).count();
    let halts = lab.journal.iter().filter(|(_, event)| matches!(event, Event::TrialHalted { .. })).count();
    assert_eq!((grants, halts), (2, 1), "the first one left, the second one never did");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the rule, seeds, slots and late checkpoints: it ends, legally, without an epoch in vain, and a restart changes nothing.
    #[test]
    fn waiting_comes_to_an_end(
        rule in prop::sample::select(vec![Rule::Asha, Rule::Halving, Rule::Hyperband]),
        seeds in 1usize..4,
        slots in 1u32..7,
        baseline in prop::option::of(0u32..4),
        lag in 0u32..2,
        audit_fraction in prop::sample::select(vec![0.0, 0.4]),
        max_epochs in prop::option::of(2u32..6),
        cut in 0.0f64..1.0,
    ) {
        let stop = Stop { reduction_factor: 2, audit_fraction, max_epochs, ..Stop::new(rule) };
        let curves: Vec<Vec<f64>> = curves().into_iter().take(8 * seeds).map(|curve| curve[..6].to_vec()).collect();
        let lab = Lab::new(&stop, curves, seeds, slots, baseline).lagging(lag).waiting().run();
        prop_assert!(lab.audit().is_exactly_once(), "{:?}", lab.audit());
        prop_assert_eq!(trained(&lab), needed(&lab, 6));
        prop_assert_eq!(&fold(&lab.journal), lab.core.state());
        let cut = (cut * lab.journal.len() as f64) as usize;
        prop_assert!(lab.with_a_crash_at(cut) == lab.journal, "another history after a crash at event {}", cut);
    }
}
