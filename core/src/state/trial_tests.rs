//! What a trial has reached, and what it took.

use super::*;
use crate::attempt::CheckpointKind;
use crate::cost::EpochCost;
use crate::time::Span;

#[test]
fn the_lowest_loss_is_that_of_any_epoch() {
    let epoch = |epoch: u32, accuracy: f64, loss: f64| {
        let uniform = EpochMetrics::uniform(u64::from(epoch), epoch, Num(accuracy));
        EpochMetrics { val_loss: Num(loss), ..uniform }
    };
    let mut progress = Progress::default();
    // Accuracy still rises when the loss does, too.
    [epoch(1, 0.5, f64::NAN), epoch(2, 0.6, 0.5), epoch(3, 0.9, 0.75)].iter().for_each(|it| progress.report(it));
    let reached = |progress: &Progress| [Watched::ValAccuracy, Watched::ValLoss].map(|it| progress.reached(it));
    assert_eq!(reached(&progress), [Some(0.9), Some(0.5)]);
    // What came after the checkpoint is forgotten until it comes again.
    let checkpoint = |epoch| {
        let (kind, sha256) = (CheckpointKind::Last, String::new());
        Checkpoint { kind, epoch, seq: u64::from(epoch), sha256, bytes: 1 }
    };
    progress.keep(&checkpoint(3), crate::time::Span(0));
    progress.report(&epoch(4, 0.8, 0.25));
    assert_eq!(reached(&progress), [Some(0.9), Some(0.25)]);
    progress.rewind();
    assert_eq!(reached(&progress), [Some(0.9), Some(0.5)]);
    assert_eq!(progress.begun(7, 3).as_ref().map(reached), Some([Some(0.9), Some(0.5)]));
}

#[test]
fn what_is_repeated_after_a_fault_costs_again() {
    let zero = Num(0.0);
    let epoch = |cpu: f64, idle: Option<f64>, peak: u64| {
        let energy = Energy { cpu: Some(Num(cpu)), gpu: None, idle: idle.map(Num) };
        let (peak_memory, numerics) = (Some(peak), Some("precision fp32".into()));
        let cost = EpochCost { peak_memory, numerics, energy: Some(energy), ..EpochCost::default() };
        EpochMetrics { cost: Some(Box::new(cost)), ..EpochMetrics::uniform(1, 1, zero) }
    };
    let mut progress = Progress::default();
    progress.report(&epoch(10.0, Some(4.0), 7));
    progress.report(&EpochMetrics { cost: None, ..epoch(0.0, None, 0) });
    progress.rewind();
    progress.report(&epoch(11.0, Some(5.0), 5));
    let energy = progress.energy.unwrap_or_default();
    assert_eq!((energy.joules(), energy.idle), (21.0, Some(Num(9.0))));
    assert_eq!((progress.peak_memory, progress.numerics.as_deref()), (Some(7), Some("precision fp32")));
    // Idle power that is not known for a part is not known for the sum.
    progress.report(&epoch(1.0, None, 5));
    assert_eq!(progress.energy.map(|energy| (energy.cpu, energy.idle)), Some((Some(Num(22.0)), None)));
}

/// Reports run ahead of uploads: what was reported while a checkpoint was on its way is repeated, too.
#[test]
fn what_comes_after_a_late_checkpoint_is_no_part_of_its_curve() {
    let epoch = |epoch: u32, joules: Option<f64>| {
        let energy = joules.map(|joules| Energy { cpu: Some(Num(joules)), ..Energy::default() });
        let cost = Some(Box::new(EpochCost { energy, ..EpochCost::default() }));
        EpochMetrics { cost, seconds: Num(2.0), ..EpochMetrics::uniform(u64::from(epoch), epoch, Num(0.5)) }
    };
    let kept = |epoch| Checkpoint { kind: CheckpointKind::Last, epoch, seq: 1, sha256: String::new(), bytes: 1 };
    let mut progress = Progress::default();
    progress.report(&epoch(1, Some(10.0)));
    progress.report(&epoch(2, Some(11.0)));
    progress.report(&epoch(3, Some(12.0)));
    progress.keep(&kept(1), Span::seconds(7));
    progress.spend(Span::seconds(8));
    progress.rewind();
    let joules = |of: Option<Energy>| of.map_or(0.0, |of| of.joules());
    assert_eq!((progress.run.micros, joules(progress.run.energy)), (3_000_000, 10.0));
    assert_eq!((progress.wasted().micros, joules(progress.wasted().energy)), (5_000_000, 23.0));
    assert_eq!(progress.last.as_ref().map(|last| (last.epoch, last.cost.is_some())), Some((1, false)));
    // The next attempt is on a host that does not measure: what is known is a part.
    assert!(!progress.run.unmetered);
    progress.report(&epoch(2, None));
    assert!(progress.run.unmetered);
    // Numbers of a trainer that talks nonsense.
    progress.report(&EpochMetrics { seconds: Num(f64::NAN), ..epoch(3, None) });
    progress.report(&EpochMetrics { seconds: Num(f64::INFINITY), ..epoch(4, None) });
    progress.keep(&kept(2), Span::seconds(7));
    progress.rewind();
    assert!(progress.run.micros >= 3_000_000);
}

/// A price that includes what a crash made to be repeated is one of the host, not of the setting.
#[test]
fn the_curve_took_what_was_not_repeated() {
    let epoch = |epoch: u32| {
        let energy = Some(Energy { cpu: Some(Num(10.0)), ..Energy::default() });
        let cost = EpochCost { energy, ..EpochCost::default() };
        EpochMetrics { cost: Some(Box::new(cost)), ..EpochMetrics::uniform(u64::from(epoch), epoch, Num(0.5)) }
    };
    let checkpoint = |epoch| {
        let (kind, sha256) = (CheckpointKind::Last, String::new());
        Checkpoint { kind, epoch, seq: u64::from(epoch), sha256, bytes: 1 }
    };
    let seen = |progress: &Progress| {
        let (run, wasted) = (progress.run, progress.wasted());
        let joules = |of: Option<Energy>| of.map_or(0.0, |of| of.joules());
        ((run.micros, joules(run.energy)), (wasted.micros, joules(wasted.energy)))
    };
    let mut progress = Progress::default();
    progress.rewind();
    progress.report(&epoch(1));
    progress.keep(&checkpoint(1), Span(100));
    progress.report(&epoch(2));
    // Lost after 170, in the third epoch: 70 and an epoch for nothing, which is known when it is done again.
    progress.spend(Span(170));
    assert_eq!(seen(&progress), ((170, 20.0), (0, 0.0)));
    progress.rewind();
    assert_eq!(seen(&progress), ((100, 10.0), (70, 10.0)));
    progress.report(&epoch(2));
    progress.keep(&checkpoint(2), Span(60));
    progress.report(&epoch(3));
    progress.keep(&checkpoint(3), Span(120));
    // The newest checkpoint is gone: what it took is, too.
    progress.spend(Span(130));
    progress.last_checkpoint = progress.earlier_checkpoint.take();
    progress.rewind();
    assert_eq!(seen(&progress), ((160, 20.0), (140, 20.0)));
    progress.report(&epoch(3));
    progress.spend(Span(50));
    assert_eq!(seen(&progress), ((210, 30.0), (140, 20.0)));
    assert_eq!((progress.spent, progress.energy.map(|all| all.joules())), (350, Some(50.0)));
}
