//! The report as rows: a point with its statistics, a trial, or an epoch. The names of columns are a promise to scripts.

use std::io::{self, Write};

use sweep_core::num::Num;
use sweep_core::report::PointRow;
use sweep_core::report::analysis::Study;
use sweep_core::stats::paired::Difference;

use crate::cli::Rows;
use crate::output::csv_row;

/// A cell with its kind, so that every form writes it as what it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    None,
    /// Yes or no.
    Flag(bool),
    /// A count.
    Count(u64),
    /// A measurement.
    Number(f64),
    /// Words.
    Text(String),
}

impl From<Option<Num>> for Value {
    fn from(value: Option<Num>) -> Self {
        value.map_or(Self::None, |value| Self::Number(value.0))
    }
}

impl From<Option<u64>> for Value {
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::None, Self::Count)
    }
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Flag(flag) => flag.to_string(),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Named columns and rows as long.
#[derive(Debug, Default)]
pub(super) struct Rowed {
    /// What the columns are called.
    pub(super) columns: Vec<String>,
    /// The rows.
    pub(super) rows: Vec<Vec<Value>>,
}

impl Rowed {
    /// CSV.
    pub(super) fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        csv_row(out, &self.columns)?;
        self.rows.iter().try_for_each(|row| csv_row(out, row.iter().map(Value::text)))
    }
}

/// The rows that were asked for.
pub(super) fn rows(study: &Study, what: Rows) -> Rowed {
    let first = study.report.points.first();
    let paths = first.map(|row| row.settings.iter().map(|(path, _)| path.clone()).collect()).unwrap_or_default();
    let mut rowed = match what {
        Rows::Points => points(study, paths),
        Rows::Trials => trials(study, paths),
        Rows::Epochs => epochs(study, paths),
    };
    // Who puts tables together must be able to leave probes out: they are no results.
    rowed.columns.push("probe".to_owned());
    rowed.rows.iter_mut().for_each(|row| row.push(Value::Flag(study.report.probe_steps.is_some())));
    rowed
}

fn columns(before: &[&str], paths: Vec<String>, after: &[&str]) -> Vec<String> {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    [own(before), paths, own(after)].concat()
}

fn labels(row: &PointRow) -> impl Iterator<Item = Value> {
    row.settings.iter().map(|(_, label)| Value::Text(label.clone()))
}

fn count(count: impl Into<u64>) -> Value {
    Value::Count(count.into())
}

const COMPARED: [&str; 10] = ["n", "difference", "low", "high", "t", "p", "p_holm", "d_z", "g_z", "verdict"];

fn compared(difference: Option<&Difference>) -> [Value; 10] {
    let Some(found) = difference else { return std::array::from_fn(|_| Value::None) };
    let estimate = found.estimate;
    let verdict = Value::Text(found.verdict.name().to_owned());
    let numbers = [estimate.mean, estimate.low, estimate.high, found.t, found.p, found.p_holm, found.d_z, found.g_z];
    let [mean, low, high, t, p, p_holm, d_z, g_z] = numbers.map(Value::from);
    [count(estimate.n), mean, low, high, t, p, p_holm, d_z, g_z, verdict]
}

fn points(study: &Study, paths: Vec<String>) -> Rowed {
    const AFTER: [&str; 20] = [
        "seeds",
        "n",
        "accuracy_mean",
        "accuracy_std",
        "accuracy_min",
        "accuracy_max",
        "accuracy_low",
        "accuracy_high",
        "best_epoch",
        "failed",
        "loss_mean",
        "loss_std",
        "test_n",
        "test_mean",
        "test_std",
        "slot_seconds",
        "cpu_joules",
        "gpu_joules",
        "idle_joules",
        "peak_memory",
    ];
    let against = |other: &str| COMPARED.map(|name| format!("{other}_{name}"));
    let mut rowed = Rowed { columns: columns(&["rank", "point", "baseline"], paths, &AFTER), rows: Vec::new() };
    rowed.columns.extend(against("baseline").into_iter().chain(against("best")));
    for (row, stats) in study.report.points.iter().zip(&study.analysis.points) {
        let before = [row.rank.map(u64::from).into(), count(row.point), Value::Flag(row.baseline)];
        let (accuracy, loss, test, cost) = (row.accuracy, row.loss, row.test, row.cost);
        let energy = cost.energy.unwrap_or_default();
        let after = [
            count(row.seeds),
            count(accuracy.n),
            accuracy.mean.into(),
            accuracy.std.into(),
            accuracy.min.into(),
            accuracy.max.into(),
            stats.accuracy.low.into(),
            stats.accuracy.high.into(),
            stats.best_epoch.map(|(_, middle, _)| middle).into(),
            count(stats.failed),
            loss.mean.into(),
            loss.std.into(),
            count(test.n),
            test.mean.into(),
            test.std.into(),
            Value::Number(cost.slot_seconds),
            energy.cpu.into(),
            energy.gpu.into(),
            energy.idle.into(),
            cost.peak_memory.into(),
        ];
        let against = [&stats.against_baseline, &stats.against_best].map(|found| compared(found.as_ref()));
        rowed
            .rows
            .push(before.into_iter().chain(labels(row)).chain(after).chain(against.into_iter().flatten()).collect());
    }
    rowed
}

fn trials(study: &Study, paths: Vec<String>) -> Rowed {
    const AFTER: [&str; 11] = [
        "phase",
        "epochs",
        "best_epoch",
        "val_accuracy",
        "val_loss",
        "train_accuracy",
        "train_loss",
        "test_accuracy",
        "test_loss",
        "weights",
        "origin",
    ];
    let mut rowed =
        Rowed { columns: columns(&["trial", "point", "baseline", "seed"], paths, &AFTER), rows: Vec::new() };
    for row in by_number(study) {
        for trial in &row.trials {
            let before =
                [Value::Text(trial.trial.to_string()), count(row.point), Value::Flag(row.baseline), count(trial.seed)];
            let (best, test) = (trial.best.as_ref(), trial.test.as_ref());
            let after = [
                Value::Text(trial.phase.clone()),
                count(trial.epochs),
                best.map(|best| u64::from(best.epoch)).into(),
                best.map(|best| best.val_accuracy).into(),
                best.map(|best| best.val_loss).into(),
                best.map(|best| best.train_accuracy).into(),
                best.map(|best| best.train_loss).into(),
                test.map(|test| test.accuracy).into(),
                test.map(|test| test.loss).into(),
                trial.weights.clone().map_or(Value::None, Value::Text),
                trial.origin.as_ref().map_or(Value::None, |origin| Value::Text(origin.trial.to_string())),
            ];
            rowed.rows.push(before.into_iter().chain(labels(row)).chain(after).collect());
        }
    }
    rowed
}

fn epochs(study: &Study, paths: Vec<String>) -> Rowed {
    const AFTER: [&str; 5] = ["epoch", "val_accuracy", "val_loss", "train_accuracy", "train_loss"];
    let mut rowed = Rowed { columns: columns(&["point", "seed"], paths, &AFTER), rows: Vec::new() };
    let points = by_number(study);
    for curve in &study.report.curves {
        let Some(row) = points.iter().find(|row| row.point == curve.point) else { continue };
        for epoch in &curve.epochs {
            let numbers = [epoch.val_accuracy, epoch.val_loss, epoch.train_accuracy, epoch.train_loss];
            let after = [count(epoch.epoch)].into_iter().chain(numbers.map(|number| Value::Number(number.0)));
            rowed
                .rows
                .push([count(row.point), count(curve.seed)].into_iter().chain(labels(row)).chain(after).collect());
        }
    }
    rowed
}

/// Points in the order of the plan.
fn by_number(study: &Study) -> Vec<&PointRow> {
    let mut points: Vec<&PointRow> = study.report.points.iter().collect();
    points.sort_by_key(|row| row.point);
    points
}
