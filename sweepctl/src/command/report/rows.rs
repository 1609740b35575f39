//! The report as rows: a point with its statistics, an effect, a trial, or an epoch. The names and types of columns are a promise to scripts.

mod effects;

use std::io::{self, Write};

use sweep_core::cost::Energy;
use sweep_core::num::Num;
use sweep_core::report::PointRow;
use sweep_core::report::analysis::Study;
use sweep_core::report::columns::of_settings;
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
    /// Whether there is something of this kind.
    pub(super) fn is(&self, kind: Kind) -> bool {
        match self {
            Self::None => false,
            Self::Flag(_) => kind == Kind::Flag,
            Self::Count(_) => kind == Kind::Count,
            Self::Number(_) => kind == Kind::Number,
            Self::Text(_) => kind == Kind::Text,
        }
    }

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

/// What a column holds, in every file alike: what is in it by chance does not change its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// See [`Value::Flag`].
    Flag,
    /// See [`Value::Count`].
    Count,
    /// See [`Value::Number`].
    Number,
    /// See [`Value::Text`].
    Text,
}

/// A column: its name, and what it holds.
pub(super) type Column = (String, Kind);

/// Named columns and rows as long.
#[derive(Debug, Default)]
pub(super) struct Rowed {
    /// What the columns are called.
    pub(super) columns: Vec<Column>,
    /// The rows.
    pub(super) rows: Vec<Vec<Value>>,
}

impl Rowed {
    /// A column with a cell of another kind than its own; there is none.
    pub(super) fn misfit(&self) -> Option<&str> {
        let fits = |cell: &Value, kind: Kind| *cell == Value::None || cell.is(kind);
        let cells = self.rows.iter().flat_map(|row| row.iter().zip(&self.columns));
        cells.into_iter().find(|(cell, (_, kind))| !fits(cell, *kind)).map(|(_, (name, _))| name.as_str())
    }

    /// Adds a column with the same in every row.
    fn add(&mut self, name: &str, kind: Kind, value: Value) {
        self.columns.push((name.to_owned(), kind));
        self.rows.iter_mut().for_each(|row| row.push(value.clone()));
    }

    /// CSV.
    pub(super) fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        csv_row(out, self.columns.iter().map(|(name, _)| name))?;
        self.rows.iter().try_for_each(|row| csv_row(out, row.iter().map(Value::text)))
    }
}

/// Columns that tables end with.
const LAST: [&str; 2] = ["interval", "probe"];

/// The rows that were asked for.
pub(super) fn rows(study: &Study, what: Rows) -> Rowed {
    let first = study.report.points.first();
    let settings = first.map(|row| row.settings.as_slice()).unwrap_or_default();
    let paths: Vec<&str> = settings.iter().map(|(path, _)| path.as_str()).collect();
    let mut rowed = match what {
        Rows::Points => points(study, &paths),
        Rows::Trials => trials(study, &paths),
        Rows::Epochs => epochs(study, &paths),
        Rows::Effects => effects::effects(study),
    };
    if matches!(what, Rows::Points | Rows::Effects) {
        rowed.add("interval", Kind::Text, Value::Text(study.analysis.interval.name().to_owned()));
    }
    // Who puts tables together must be able to leave probes out: they are no results.
    rowed.add("probe", Kind::Flag, Value::Flag(study.report.probe_steps.is_some()));
    rowed
}

/// Settings stand between what says which row it is and what came out.
fn columns(before: &[(&str, Kind)], paths: &[&str], after: &[Column]) -> Vec<Column> {
    let before = named(before);
    let fixed: Vec<&str> = before.iter().chain(after).map(|(name, _)| name.as_str()).chain(LAST).collect();
    let settings = of_settings(paths.iter().copied(), &fixed).into_iter().map(|name| (name, Kind::Text)).collect();
    [before, settings, after.to_vec()].concat()
}

fn named(columns: &[(&str, Kind)]) -> Vec<Column> {
    columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
}

fn labels(row: &PointRow) -> impl Iterator<Item = Value> {
    row.settings.iter().map(|(_, label)| Value::Text(label.clone()))
}

fn count(count: impl Into<u64>) -> Value {
    Value::Count(count.into())
}

const COMPARED: [(&str, Kind); 11] = [
    ("n", Kind::Count),
    ("difference", Kind::Number),
    ("low", Kind::Number),
    ("high", Kind::Number),
    ("t", Kind::Number),
    ("p", Kind::Number),
    ("p_holm", Kind::Number),
    ("d_z", Kind::Number),
    ("g_z", Kind::Number),
    ("verdict", Kind::Text),
    ("needed", Kind::Count),
];

fn compared(difference: Option<&Difference>) -> [Value; 11] {
    let Some(found) = difference else { return std::array::from_fn(|_| Value::None) };
    let estimate = found.estimate;
    let verdict = Value::Text(found.verdict.name().to_owned());
    let numbers = [estimate.mean, estimate.low, estimate.high, found.t, found.p, found.p_holm, found.d_z, found.g_z];
    let [mean, low, high, t, p, p_holm, d_z, g_z] = numbers.map(Value::from);
    let needed = found.needed.map(u64::from).into();
    [count(estimate.n), mean, low, high, t, p, p_holm, d_z, g_z, verdict, needed]
}

fn points(study: &Study, paths: &[&str]) -> Rowed {
    const AFTER: [(&str, Kind); 37] = [
        ("seeds", Kind::Count),
        ("n", Kind::Count),
        ("accuracy_mean", Kind::Number),
        ("accuracy_std", Kind::Number),
        ("accuracy_min", Kind::Number),
        ("accuracy_max", Kind::Number),
        ("accuracy_low", Kind::Number),
        ("accuracy_high", Kind::Number),
        ("best_epoch", Kind::Number),
        ("failed", Kind::Count),
        ("loss_mean", Kind::Number),
        ("loss_std", Kind::Number),
        ("test_n", Kind::Count),
        ("test_mean", Kind::Number),
        ("test_std", Kind::Number),
        ("slot_seconds", Kind::Number),
        ("cpu_joules", Kind::Number),
        ("gpu_joules", Kind::Number),
        ("idle_joules", Kind::Number),
        ("peak_memory", Kind::Count),
        ("lowest_loss_mean", Kind::Number),
        ("lowest_loss_std", Kind::Number),
        ("parameters", Kind::Count),
        ("device_hours", Kind::Number),
        ("kwh", Kind::Number),
        ("front_device_hours", Kind::Flag),
        ("front_kwh", Kind::Flag),
        ("front_peak_memory", Kind::Flag),
        ("front_parameters", Kind::Flag),
        ("run_seconds", Kind::Number),
        ("run_kwh", Kind::Number),
        ("wasted_seconds", Kind::Number),
        ("wasted_kwh", Kind::Number),
        ("stopped_epoch", Kind::Count),
        ("stopped_accuracy", Kind::Number),
        ("seconds_per_epoch", Kind::Number),
        ("watts", Kind::Number),
    ];
    const BEFORE: [(&str, Kind); 3] = [("rank", Kind::Count), ("point", Kind::Count), ("baseline", Kind::Flag)];
    let against = |other: &str| COMPARED.map(|(name, kind)| (format!("{other}_{name}"), kind));
    let after: Vec<Column> = named(&AFTER).into_iter().chain(against("baseline")).chain(against("best")).collect();
    let mut rowed = Rowed { columns: columns(&BEFORE, paths, &after), rows: Vec::new() };
    for (row, stats) in study.report.points.iter().zip(&study.analysis.points) {
        let before = [row.rank.map(u64::from).into(), count(row.point), Value::Flag(row.baseline)];
        let (accuracy, loss, test, cost) = (row.accuracy, row.loss, row.test, row.cost);
        let energy = cost.energy.unwrap_or_default();
        let fronts =
            ["device_hours", "kwh", "peak_memory", "parameters"].map(|cost| is_on_front(study, cost, row.point));
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
            row.lowest_loss.mean.into(),
            row.lowest_loss.std.into(),
            row.parameters.into(),
            Value::Number(cost.slot_seconds / 3600.0),
            kwh(cost.energy),
        ];
        let last = [
            cost.run_seconds.into(),
            kwh(cost.run_energy),
            Value::Number(cost.wasted_seconds),
            kwh(cost.wasted_energy),
            row.stopped.map(|reached| u64::from(reached.epoch)).into(),
            row.stopped.map(|reached| reached.best).into(),
            cost.seconds_per_epoch.into(),
            cost.watts.into(),
        ];
        let against = [&stats.against_baseline, &stats.against_best].map(|found| compared(found.as_ref()));
        rowed.rows.push(
            before
                .into_iter()
                .chain(labels(row))
                .chain(after)
                .chain(fronts)
                .chain(last)
                .chain(against.into_iter().flatten())
                .collect(),
        );
    }
    rowed
}

fn kwh(energy: Option<Energy>) -> Value {
    energy.map(|energy| Num(energy.joules() / 3.6e6)).into()
}

/// Whether no other point is better in accuracy and in this cost at once; nothing where that is not known.
fn is_on_front(study: &Study, cost: &str, point: u32) -> Value {
    let points = study.analysis.pareto.iter().filter(|found| found.cost == cost).flat_map(|found| &found.points);
    points.into_iter().find(|trade| trade.point == point).map_or(Value::None, |trade| Value::Flag(trade.front))
}

fn trials(study: &Study, paths: &[&str]) -> Rowed {
    const AFTER: [(&str, Kind); 19] = [
        ("phase", Kind::Text),
        ("epochs", Kind::Count),
        ("best_epoch", Kind::Count),
        ("val_accuracy", Kind::Number),
        ("val_loss", Kind::Number),
        ("train_accuracy", Kind::Number),
        ("train_loss", Kind::Number),
        ("test_accuracy", Kind::Number),
        ("test_loss", Kind::Number),
        ("weights", Kind::Text),
        ("origin", Kind::Text),
        ("lowest_val_loss", Kind::Number),
        ("has_result", Kind::Flag),
        ("slot_seconds", Kind::Number),
        ("kwh", Kind::Number),
        ("run_seconds", Kind::Number),
        ("run_kwh", Kind::Number),
        ("wasted_seconds", Kind::Number),
        ("wasted_kwh", Kind::Number),
    ];
    const BEFORE: [(&str, Kind); 4] =
        [("trial", Kind::Text), ("point", Kind::Count), ("baseline", Kind::Flag), ("seed", Kind::Count)];
    let mut rowed = Rowed { columns: columns(&BEFORE, paths, &named(&AFTER)), rows: Vec::new() };
    for row in by_number(study) {
        for trial in &row.trials {
            let before =
                [Value::Text(trial.trial.to_string()), count(row.point), Value::Flag(row.baseline), count(trial.seed)];
            let (best, test, cost) = (trial.best.as_ref(), trial.test.as_ref(), trial.cost);
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
                trial.lowest_loss.into(),
                Value::Flag(trial.has_result()),
                Value::Number(cost.slot_seconds),
                kwh(cost.energy),
                cost.run_seconds.into(),
                kwh(cost.run_energy),
                Value::Number(cost.wasted_seconds),
                kwh(cost.wasted_energy),
            ];
            rowed.rows.push(before.into_iter().chain(labels(row)).chain(after).collect());
        }
    }
    rowed
}

fn epochs(study: &Study, paths: &[&str]) -> Rowed {
    const AFTER: [(&str, Kind); 5] = [
        ("epoch", Kind::Count),
        ("val_accuracy", Kind::Number),
        ("val_loss", Kind::Number),
        ("train_accuracy", Kind::Number),
        ("train_loss", Kind::Number),
    ];
    const BEFORE: [(&str, Kind); 2] = [("point", Kind::Count), ("seed", Kind::Count)];
    let mut rowed = Rowed { columns: columns(&BEFORE, paths, &named(&AFTER)), rows: Vec::new() };
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
