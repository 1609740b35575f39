//! `compare`: two sweeps point by point, paired by seed, or two trials epoch by epoch. The numbers are worked out in
//! `sweep_core::report::compare`.

mod trials;

use sweep_core::num::Num;
use sweep_core::report::columns::of_settings;
use sweep_core::report::compare::{Comparison, compare};
use sweep_core::report::words::{interval, mean_and_sd, needed, p_value, points, verdict};
use sweep_core::stats::paired::Difference;

use super::report::warn_of_probe;
use crate::cli::{self, Format};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Cell, Out, Table, csv_row};

/// Prints what the second sweep did better or worse.
pub(crate) async fn run(out: &Out, client: &Client, args: &cli::Compare) -> Result<(), Fault> {
    let a = match client.report(&args.a, false).await {
        Ok(report) => report,
        Err(not_a_sweep) if not_a_sweep.is_not_found() => {
            let a = match client.show_trial(&args.a).await {
                Err(fault) if fault.is_not_found() => return Err(not_a_sweep),
                found => found?,
            };
            return trials::show(out, &a, &client.show_trial(&args.b).await?);
        }
        Err(fault) => return Err(fault),
    };
    let b = client.report(&args.b, false).await?;
    [&a, &b].into_iter().for_each(|report| warn_of_probe(out, report));
    let found = compare(&a, &b, args.interval.into());
    if let Some(confounded) = found.is_confounded() {
        out.warn(confounded);
    }
    if out.format == Format::Csv {
        found.differs_besides().into_iter().for_each(|text| out.note(text));
    }
    match out.format {
        Format::Json => out.json(&found),
        Format::Csv => csv(out, &found),
        Format::Table => people(out, &found),
    }
}

fn people(out: &Out, found: &Comparison) -> Result<(), Fault> {
    if let Some(text) = found.differs_besides() {
        out.print(format!("{}\n\n", crate::output::safe(&text)))?;
    }
    let paths = found.paths.iter().map(String::as_str);
    let (a, b) = (format!("{} %", found.a), format!("{} %", found.b));
    let columns = [a.as_str(), b.as_str(), "seeds", "Δ points", "95 % interval", "p (Holm)", "seeds needed", "verdict"];
    let mut table = Table::new(paths.chain(columns));
    for row in &found.rows {
        let first = row.settings.iter().map(Cell::new);
        let shown = row.shown();
        let accuracies = [shown.0, shown.1].map(|estimate| Cell::number(mean_and_sd(&estimate)));
        table.row(first.chain(accuracies).chain(cells(row.difference.as_ref())));
    }
    if let Some(overall) = &found.overall {
        let first = (0..found.paths.len()).map(|at| Cell::new(if at == 0 { "all of these" } else { "" }).bold());
        table.row(first.chain([Cell::new(""), Cell::new("")]).chain(cells(Some(overall))));
    }
    out.table(&table)?;
    let only = [(found.only_a, &found.a), (found.only_b, &found.b)];
    for (points, sweep) in only.into_iter().filter(|(points, _)| *points > 0) {
        out.note(format!("{} of {sweep} with settings that the other lacks", count(points, "point")));
    }
    found.other_meanings().into_iter().chain(found.no_difference()).for_each(|text| out.note(text));
    found.over_pairs().into_iter().for_each(|text| out.note(text));
    if found.same > 0 {
        out.note(format!(
            "{} of both sweeps from one training (its result was taken over): they are no comparison, and left out of every difference",
            count(found.same, "run")
        ));
    }
    out.note("best validation accuracy, mean ± standard deviation; differences are paired by seed, second minus first");
    out.note(format!("intervals: {}", found.interval.words()));
    Ok(())
}

fn cells(difference: Option<&Difference>) -> [Cell; 6] {
    let Some(found) = difference else { return std::array::from_fn(|_| Cell::new("-")) };
    let mean = found.estimate.mean.map_or_else(|| "-".to_owned(), |mean| points(mean.0));
    [
        Cell::number(found.estimate.n),
        Cell::number(mean),
        Cell::number(interval(&found.estimate, points)),
        Cell::number(p_value(found.p_holm)),
        Cell::number(needed(found)),
        Cell::new(verdict(found)),
    ]
}

fn csv(out: &Out, found: &Comparison) -> Result<(), Fault> {
    const COLUMNS: [&str; 14] = [
        "point_a",
        "point_b",
        "n_a",
        "mean_a",
        "n_b",
        "mean_b",
        "n",
        "difference",
        "low",
        "high",
        "p",
        "p_holm",
        "same",
        "interval",
    ];
    let text = |value: Option<Num>| value.map(|value| value.to_string()).unwrap_or_default();
    out.write(|to| {
        let settings = of_settings(found.paths.iter().map(String::as_str), &COLUMNS);
        csv_row(to, settings.iter().map(String::as_str).chain(COLUMNS))?;
        for row in &found.rows {
            let difference = row.difference.unwrap_or_default();
            let estimate = difference.estimate;
            let numbers = [
                row.points.0.to_string(),
                row.points.1.to_string(),
                row.a.n.to_string(),
                text(row.a.mean),
                row.b.n.to_string(),
                text(row.b.mean),
                estimate.n.to_string(),
                text(estimate.mean),
                text(estimate.low),
                text(estimate.high),
                text(difference.p),
                text(difference.p_holm),
                row.same.to_string(),
                found.interval.name().to_owned(),
            ];
            csv_row(to, row.settings.iter().cloned().chain(numbers))?;
        }
        Ok(())
    })
}
