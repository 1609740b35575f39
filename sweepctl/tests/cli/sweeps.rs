//! Canned answers: one sweep with three trials, in the coordinator's own types.

use sweep_core::cost::Energy;
use sweep_core::estimate::{Estimate, Fit, Seen, ShapeEstimate};
use sweep_core::evaluation::{Confusion, Evaluation, Evaluations, HEADER_KEY, Score};
use sweep_core::event::Checkpoint;
use sweep_core::id::{SweepId, TrialId};
use sweep_core::num::Num;
use sweep_core::recipe::Watched;
use sweep_core::report::{
    BestTrial, Cost, Curve, EpochRow, FailedTrial, PointCost, PointRow, Provenance, Report, Spread, Taken, TrialRow,
};
use sweep_core::stopping::hindsight::StopAudit;
use sweep_core::stopping::summary::StopSummary;
use sweep_proto::v1;

/// Length of the best checkpoint, bytes.
const WEIGHTS: usize = 3_000_000;

pub(crate) const NAME: &str = "imagenette-first";

pub(crate) fn sweep_id() -> SweepId {
    SweepId::derive("canned", "")
}

pub(crate) fn trial_id(index: u32) -> TrialId {
    TrialId::derive(sweep_id(), &format!("trial {index}"))
}

/// The bytes of the best checkpoint: a header that is longer than the first chunk of a download, and numbers.
pub(crate) fn weights() -> Vec<u8> {
    let score = |epoch: u32, top5: Option<f64>| {
        let top5 = top5.map(Num);
        Score { epoch, images: 400, loss: Num(0.5), accuracy: Num(0.8825), top5 }
    };
    let confusion =
        Confusion::count((0..400).map(|image: u32| (image % 3, if image % 8 == 1 { 2 } else { image % 3 })));
    let best = Some(Evaluation { score: score(7, Some(0.995)), confusion: confusion.clone() });
    let test = Some(Evaluation { score: score(9, None), confusion });
    let header = serde_json::json!({
        "classes": ["tench", "cassette\u{1b}[2J player", "church"],
        "evaluations": Evaluations { last: None, best, test },
        "padding": " ".repeat(1 << 20),
    });
    let header = serde_json::json!({ "__metadata__": { HEADER_KEY: header.to_string() } }).to_string();
    let head = (header.len() as u64).to_le_bytes().into_iter().chain(header.into_bytes());
    head.chain((0..WEIGHTS as u32).map(|at| (at % 251) as u8)).take(WEIGHTS).collect()
}

/// A summary with this many trials completed, failed and running, of four.
pub(crate) fn summary(name: &str, completed: u64, failed: u64, running: u64) -> v1::SweepSummary {
    let over = completed + failed == 4;
    v1::SweepSummary {
        sweep_id: sweep_id().0.as_bytes().to_vec().into(),
        name: name.to_owned(),
        user: "ada".to_owned(),
        status: if over { "completed" } else { "running" }.to_owned(),
        submitted: 1_760_000_000_000_000,
        ended: if over { 1_760_000_100_000_000 } else { 0 },
        trials: 4,
        waiting: 4 - completed - failed - running,
        running,
        backoff: 0,
        completed,
        failed,
        cancelled: 0,
        paused: 0,
        stopped: 0,
        reused: 0,
        probe_steps: None,
        best_accuracy: (completed > 0).then_some(0.9125),
        best_trial_id: trial_id(0).0.as_bytes().to_vec().into(),
        eta_seconds: (!over).then_some(245.0),
        project: "vision".to_owned(),
        priority: 50,
        max_parallel: (name == NAME).then_some(4),
    }
}

pub(crate) fn epoch(epoch: u32) -> v1::EpochMetrics {
    let progress = f64::from(epoch) / 10.0;
    v1::EpochMetrics {
        seq: u64::from(epoch),
        epoch,
        train_loss: Some(1.5 - progress),
        train_accuracy: Some(0.5 + progress),
        val_loss: Some(if epoch == 3 { f64::NAN } else { 1.25 - progress }),
        val_accuracy: Some(0.45 + progress),
        lr: Some(1e-3),
        images_per_s: Some(812.4),
        seconds: Some(12.34),
        train_top5: (epoch != 3).then_some(0.75 + progress / 2.0),
        val_top5: (epoch != 3).then_some(0.7125),
        // As an older trainer reports it.
        cost: (epoch != 1).then_some(v1::EpochCost {
            step_ms: Some(48.7612),
            data_wait: Some(0.0375),
            peak_memory: Some(612 << 20),
            own_memory: None,
            device_memory: None,
            steps: None,
            part: None,
            numerics: (epoch > 2).then(|| "precision fp32, layout contiguous".to_owned()),
            energy: (epoch != 2).then_some(v1::Energy { cpu: Some(1800.0), gpu: None, idle: Some(600.0) }),
        }),
    }
}

/// Trial 0 is completed, 1 runs, 2 failed, 3 waits.
pub(crate) fn trial(index: u32, sha256: &str) -> v1::TrialSummary {
    let phase = ["completed", "running", "failed", "waiting"][index as usize % 4];
    let mut trial = v1::TrialSummary {
        trial_id: trial_id(index).0.as_bytes().to_vec().into(),
        index: u64::from(index),
        labels: vec!["1e-3".to_owned(), "flip-crop".to_owned()],
        seed: u64::from(index % 2),
        phase: phase.to_owned(),
        attempt: 1,
        epoch: 2,
        epochs: 5,
        last: Some(epoch(2)),
        best: Some(epoch(1)),
        seconds: 24.7,
        ..v1::TrialSummary::default()
    };
    match phase {
        "completed" => {
            trial.best_checkpoint = Some(v1::Checkpoint {
                kind: v1::CheckpointKind::Best.into(),
                epoch: 1,
                seq: 1,
                sha256: sha256.to_owned(),
                bytes: WEIGHTS as u64,
            });
            trial.weights = "ab".repeat(32);
            trial.last_checkpoint = trial.best_checkpoint.clone();
            trial.test = Some(v1::Score { epoch: 1, images: 400, loss: Some(0.5), accuracy: Some(0.8825), top5: None });
        }
        "running" => {
            trial.host = "gpu-7".to_owned();
            trial.slot = 1;
        }
        "failed" => {
            trial.failure_class = "data".to_owned();
            trial.failure_reason = "bad_image".to_owned();
            trial.failure_message = "train/cat/7.jpg is not an image\x1b[2J".to_owned();
        }
        _ => {}
    }
    trial
}

fn row(epoch: u32) -> EpochRow {
    let (loss, accuracy) = (Num(0.4), Num(0.9));
    EpochRow { epoch, val_accuracy: accuracy, val_loss: loss, train_accuracy: accuracy, train_loss: loss }
}

/// Two points: one over two seeds, one over a single run that failed once.
pub(crate) fn report(sha256: &str, curves: bool) -> Report {
    let curve = |(point, seed): (u32, u64)| Curve { point, seed, epochs: (1..=3).map(row).collect() };
    let curves = if curves { [(0, 0), (1, 0), (1, 1)].map(curve).to_vec() } else { Vec::new() };
    let energy = Some(Energy { cpu: Some(Num(360_000.0)), gpu: None, idle: Some(Num(90_000.0)) });
    let of_run = energy.map(|energy| energy.per(2));
    let trial_row = |index: u32, accuracy: Option<f64>| TrialRow {
        trial: trial_id(index),
        seed: u64::from(index % 2),
        phase: if accuracy.is_some() { "completed" } else { "failed" }.to_owned(),
        ended_by_budget: false,
        spared: false,
        best: accuracy.map(|accuracy| EpochRow { val_accuracy: Num(accuracy), ..row(1) }),
        last: accuracy.map(Num),
        lowest_loss: accuracy.map(|accuracy| Num(1.0 - accuracy)),
        cost: PointCost {
            slot_seconds: 188.55,
            runs: u32::from(accuracy.is_some()),
            run_seconds: accuracy.map(|_| Num(180.0)),
            run_energy: of_run.filter(|_| accuracy.is_some()),
            seconds_per_epoch: accuracy.map(|_| Num(36.0)),
            watts: accuracy.map(|_| Num(1000.0)),
            wasted_seconds: 8.55,
            ..PointCost::default()
        },
        epochs: 5,
        weights: Some("ab".repeat(32)),
        test: None,
        origin: None,
        begun: None,
    };
    let point = |point: u32, rank: u32, lr: &str, accuracy: &[f64]| PointRow {
        rank: Some(rank),
        point,
        baseline: point == 0,
        spared: false,
        settings: vec![("lr".to_owned(), lr.to_owned()), ("augmentation".to_owned(), "flip-crop".to_owned())],
        values: Vec::new(),
        seeds: 2,
        diverged: 0,
        accuracy: Spread::of(accuracy),
        loss: Spread::of(&accuracy.iter().map(|value| 1.0 - value).collect::<Vec<_>>()),
        lowest_loss: Spread::of(&accuracy.iter().map(|value| 1.0 - value).collect::<Vec<_>>()),
        stopped: None,
        cost: PointCost {
            slot_seconds: 377.1,
            energy,
            peak_memory: (point == 1).then_some(612 << 20),
            runs: accuracy.len() as u32,
            run_seconds: Some(Num(180.0)),
            run_energy: of_run,
            seconds_per_epoch: Some(Num(36.0)),
            watts: Some(Num(1000.0)),
            wasted_seconds: 17.1,
            wasted_energy: None,
        },
        parameters: None,
        test: Spread::of(if point == 1 { &[0.875, 0.905] } else { &[] }),
        trials: (0..2).map(|at| trial_row(2 * point + at, accuracy.get(at as usize).copied())).collect(),
    };
    let kind = sweep_core::attempt::CheckpointKind::Best;
    let checkpoint = Checkpoint { kind, epoch: 1, seq: 1, sha256: sha256.to_owned(), bytes: WEIGHTS as u64 };
    Report {
        sweep: sweep_id(),
        name: NAME.to_owned(),
        status: "completed".to_owned(),
        metric: "val_accuracy".to_owned(),
        judged_by: Watched::ValAccuracy,
        points: vec![point(1, 1, "1e-3", &[0.91, 0.93]), point(0, 2, "1e-2", &[0.5])],
        best: Some(BestTrial { trial: trial_id(2), point: 1, seed: 0, epoch: row(1), checkpoint: Some(checkpoint) }),
        trials: 4,
        completed: 3,
        failures: vec![FailedTrial {
            trial: trial_id(1),
            point: 0,
            seed: 1,
            class: "diverged".to_owned(),
            reason: "nan_loss".to_owned(),
            message: "the loss is not a number since epoch 2".to_owned(),
        }],
        numerics: [
            ("precision bf16, layout contiguous".to_owned(), 1),
            ("precision fp32, layout contiguous".to_owned(), 3),
        ]
        .into(),
        stopping: Some(StopSummary {
            rule: "asha".to_owned(),
            metric: Watched::ValAccuracy,
            stopped: 1,
            by_budget: 0,
            paused: 0,
            epochs: 14,
            planned_epochs: 20,
            audit: StopAudit {
                spared: 2,
                finished: 1,
                wrong: 1,
                worst_miss: Some(Num(0.0125)),
                above_median: 1,
                mean_gain: Some(Num(0.25)),
            },
            drawn_of: Some(3),
        }),
        drawn: Vec::new(),
        probe_steps: None,
        reused: Default::default(),
        provenance: Provenance::default(),
        curves,
        cost: Cost {
            slot_seconds: 754.2,
            attempts: 5,
            wall_seconds: Some(400.0),
            energy,
            energy_trials: 2,
            wasted_seconds: 34.2,
            wasted_energy: None,
        },
    }
}

/// The report of a probe.
pub(crate) fn probe(sha256: &str, curves: bool) -> Report {
    Report { name: "probe-x".to_owned(), probe_steps: Some(20), ..report(sha256, curves) }
}

/// One that varies how long trials train, which has the name of a column of rows.
pub(crate) fn longer(sha256: &str, curves: bool) -> Report {
    let mut report = report(sha256, curves);
    report.name = "longer".to_owned();
    report.points.iter_mut().for_each(|row| row.settings[0].0 = "epochs".to_owned());
    report
}

/// The same settings trained once more; or some of the results taken over.
pub(crate) fn again(sha256: &str, taken: bool) -> Report {
    let mut report = report(sha256, false);
    report.name = if taken { "taken" } else { "again" }.to_owned();
    for (index, trial) in (0u32..).zip(report.points.iter_mut().flat_map(|point| &mut point.trials)) {
        let origin = Taken { trial: trial.trial, sweep: NAME.to_owned() };
        trial.origin = Some(origin).filter(|_| taken && trial.seed == 0);
        trial.trial = trial_id(100 + index);
    }
    report
}

/// Its baseline diverged; or all of it.
pub(crate) fn diverged(sha256: &str, curves: bool, all: bool) -> Report {
    let mut report = report(sha256, curves);
    (report.status, report.best) = ("failed".to_owned(), report.best.filter(|_| !all));
    for row in report.points.iter_mut().filter(|row| all || row.baseline) {
        (row.rank, row.diverged, row.accuracy) = (None, row.seeds, Spread::of(&[]));
        row.trials.iter_mut().for_each(|trial| (trial.phase, trial.best) = ("failed".to_owned(), None));
    }
    let completed = report.points.iter().flat_map(|row| &row.trials).filter(|trial| trial.has_result());
    report.completed = completed.count() as u32;
    report
}

/// The copy that the sweep trains on.
pub(crate) fn bound() -> v1::BoundDataset {
    v1::BoundDataset { name: "imagenette".to_owned(), fingerprint: "f1-aa".to_owned() }
}

/// An agent's copy.
pub(crate) fn data_set(fingerprint: &str, problem: &str) -> v1::Dataset {
    v1::Dataset {
        name: "imagenette".to_owned(),
        layout: "folder".to_owned(),
        classes: 10,
        train_images: 9469,
        val_images: 3925,
        fingerprint: fingerprint.to_owned(),
        problem: problem.to_owned(),
        path: "/data/imagenette".to_owned(),
    }
}

/// What a file would take: one shape is known, one is not.
pub(crate) fn estimate() -> Estimate {
    let shape = |batch_size: &str| [("batch_size".to_owned(), batch_size.to_owned())].into();
    let (seconds, least, most, joules) = (Num(6.0), Num(4.0), Num(20.0), Some(Num(1800.0)));
    let (step_ms, images_per_s) = (Some(Num(12.5)), Some(Num(800.0)));
    let seen = Seen { trials: 3, seconds, least, most, joules, step_ms, images_per_s, ..Seen::default() };
    let seen = Some(Seen { peak_memory: Some(612_000_000), ..seen });
    let cost =
        Some(sweep_core::estimate::Cost { slot_hours: Num(0.1), eta_hours: Some(Num(0.05)), kwh: Some(Num(0.03)) });
    let (fit, failed) = (Some(Fit { trials: 2, slots: 4 }), Some("out_of_memory, oom: 90 GB of 80 GB".to_owned()));
    Estimate {
        shapes: vec![
            ShapeEstimate { point: 0, shape: shape("32"), trials: 6, epochs: 60, seen, cost, fit, failed: None },
            ShapeEstimate {
                point: 1,
                shape: shape("64"),
                trials: 6,
                epochs: 60,
                seen: None,
                cost: None,
                fit: None,
                failed,
            },
        ],
        to_come: 0,
        reusable: vec![("older".to_owned(), 3)],
        slots: 4,
        full: None,
        stopped: None,
    }
}
