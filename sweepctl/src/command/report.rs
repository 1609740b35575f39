//! `report`: points ranked, with mean and spread over the seeds, and the best checkpoint.

use crate::cli::{Format, OneSweep};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{
    Cell, Out, Table, bytes, csv_row, kwh, kwh_in_words, number_with_spread, percent, percent_with_spread, safe, span,
};
use crate::view::report::{PointView, ReportView, SpreadView};
use crate::view::short;

/// Prints what came out so far.
pub(crate) async fn run(out: &Out, client: &Client, args: &OneSweep) -> Result<(), Fault> {
    let report = client.report(&args.sweep).await?;
    match out.format {
        Format::Json => out.json(&report),
        Format::Csv => csv(out, &report),
        Format::Table => people(out, &report),
    }
}

fn people(out: &Out, report: &ReportView) -> Result<(), Fault> {
    let (name, status) = (safe(&report.name), safe(&report.status));
    let (done, trials) = (report.completed, report.trials);
    out.print(format!(
        "{name} ({}): {status}, {done} of {} completed\n\n",
        short(&report.sweep),
        count(trials, "trial")
    ))?;
    out.table(&ranking(report))?;
    out.print(format!("\n{}", summary(report)))
}

fn ranking(report: &ReportView) -> Table {
    let paths = report.points.first().map(|point| point.settings.as_slice()).unwrap_or_default();
    let paths = paths.iter().map(|(path, _)| path.as_str());
    let tested = report.points.iter().any(|point| point.test.n > 0);
    let test = if tested { ["test accuracy %"].as_slice() } else { &[] };
    let measured = report.cost.energy.is_some();
    let energy = if measured { ["kWh"].as_slice() } else { &[] };
    let after =
        [&["n", "val accuracy %", "val loss", "best %"], test, &["slot time"], energy, &["memory", ""]].concat();
    let mut table = Table::new(["rank"].into_iter().chain(paths).chain(after));
    for point in &report.points {
        let rank = point.rank.map_or_else(unknown, |rank| rank.to_string());
        let mut cells = vec![Cell::number(rank)];
        cells.extend(point.settings.iter().map(|(_, label)| Cell::new(label)));
        cells.extend([
            Cell::number(seeds(point)),
            Cell::number(accuracy(&point.accuracy)),
            Cell::number(loss(&point.loss)),
            Cell::number(point.accuracy.max.map_or_else(unknown, |best| percent(best.0))),
        ]);
        cells.extend(tested.then(|| Cell::number(accuracy(&point.test))));
        cells.push(Cell::number(span(point.cost.slot_seconds)));
        cells.extend(measured.then(|| Cell::number(point.cost.energy.map_or_else(unknown, |energy| kwh(&energy)))));
        cells.push(Cell::number(point.cost.peak_memory.map_or_else(unknown, bytes)));
        cells.push(Cell::new(if point.baseline { "baseline" } else { "" }));
        if point.rank == Some(1) {
            cells = cells.into_iter().map(Cell::bold).collect();
        }
        table.row(cells);
    }
    table
}

fn unknown() -> String {
    "-".to_owned()
}

/// `3`, or `2/3` while a seed has no result.
fn seeds(point: &PointView) -> String {
    let n = point.accuracy.n;
    if n == point.seeds { n.to_string() } else { format!("{n}/{}", point.seeds) }
}

fn accuracy(spread: &SpreadView) -> String {
    spread.mean.map_or_else(unknown, |mean| percent_with_spread(mean.0, spread.std.map(|std| std.0)))
}

fn loss(spread: &SpreadView) -> String {
    spread.mean.map_or_else(unknown, |mean| number_with_spread(mean.0, spread.std.map(|std| std.0)))
}

fn summary(report: &ReportView) -> String {
    let mut text = String::new();
    let mut line = |words: String| text += &format!("{words}\n");
    line("mean ± standard deviation over the seeds of the best validation accuracy of each run".to_owned());
    if report.points.iter().any(|point| point.test.n > 0) {
        line("test accuracy: of the final weights, looked at once, at the end; points are not ranked by it".to_owned());
    }
    if report.points.iter().any(|point| point.accuracy.n == 1) {
        line("n = 1: single run: no spread known".to_owned());
    }
    match report.points.iter().find(|point| point.rank == Some(1)) {
        Some(best) => {
            let n = count(best.accuracy.n, "seed");
            line(format!("best point: {}: {} % over {n}", settings(best), accuracy(&best.accuracy)));
        }
        None => line("no trial has a result yet".to_owned()),
    }
    if let Some(best) = &report.best {
        let trial = short(&best.trial);
        let (accuracy, epoch) = (percent(best.epoch.val_accuracy.0), best.epoch.epoch);
        line(format!("best run: trial {trial}, seed {}, {accuracy} % at epoch {epoch}", best.seed));
        match &best.checkpoint {
            Some(stored) => {
                let size = stored.bytes as f64 / 1e6;
                line(format!("its checkpoint ({size:.1} MB): sweepctl fetch {trial} --best -o DIR"));
            }
            None => line("it has no checkpoint".to_owned()),
        }
    }
    for failed in &report.failures {
        let point = report.points.iter().find(|point| point.point == failed.point);
        let settings = point.map(settings).unwrap_or_default();
        let (class, reason, message) = (safe(&failed.class), safe(&failed.reason), safe(&failed.message));
        let trial = short(&failed.trial);
        line(format!("failed: trial {trial} ({settings}, seed {}): {class}, {reason}: {message}", failed.seed));
    }
    if report.numerics.len() > 1 {
        let each =
            report.numerics.iter().map(|(what, trials)| format!("{} with {}", count(*trials, "trial"), safe(what)));
        line(format!("careful: trials of this sweep computed differently: {}", each.collect::<Vec<_>>().join(", ")));
    }
    report.stopping.iter().flat_map(|stopping| stopping.lines()).for_each(&mut line);
    let cost = &report.cost;
    let mut words = format!("cost: {}, {} of slot time", count(cost.attempts, "attempt"), span(cost.slot_seconds));
    if let Some(wall) = cost.wall_seconds {
        words += &format!(", {} from submission to end", span(wall));
    }
    match &cost.energy {
        Some(energy) => {
            words += &format!(", {}", kwh_in_words(energy));
            if u64::from(cost.energy_trials) < report.completed {
                words += &format!(", known of {} only", count(cost.energy_trials, "trial"));
            }
        }
        None => words += ", energy not measured (no host with RAPL or NVML)",
    }
    line(words);
    text
}

fn settings(point: &PointView) -> String {
    let parts: Vec<String> = point.settings.iter().map(|(path, label)| format!("{path}={label}")).collect();
    if parts.is_empty() { "the only point".to_owned() } else { safe(&parts.join(", ")).into_owned() }
}

fn csv(out: &Out, report: &ReportView) -> Result<(), Fault> {
    let paths = report.points.first().map(|point| point.settings.as_slice()).unwrap_or_default();
    let paths: Vec<&str> = paths.iter().map(|(path, _)| path.as_str()).collect();
    const AFTER: [&str; 16] = [
        "seeds",
        "n",
        "accuracy_mean",
        "accuracy_std",
        "accuracy_min",
        "accuracy_max",
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
    out.write(|to| {
        csv_row(to, ["rank", "point", "baseline"].into_iter().chain(paths).chain(AFTER))?;
        for point in &report.points {
            let text = |value: Option<sweep_core::num::Num>| value.map(|value| value.to_string()).unwrap_or_default();
            let rank = point.rank.map(|rank| rank.to_string()).unwrap_or_default();
            let before = [rank, point.point.to_string(), point.baseline.to_string()];
            let labels = point.settings.iter().map(|(_, label)| label.clone());
            let (accuracy, loss, test, cost) = (point.accuracy, point.loss, point.test, point.cost);
            let energy = cost.energy.unwrap_or_default();
            let after = [
                point.seeds.to_string(),
                accuracy.n.to_string(),
                text(accuracy.mean),
                text(accuracy.std),
                text(accuracy.min),
                text(accuracy.max),
                text(loss.mean),
                text(loss.std),
                test.n.to_string(),
                text(test.mean),
                text(test.std),
                cost.slot_seconds.to_string(),
                text(energy.cpu),
                text(energy.gpu),
                text(energy.idle),
                cost.peak_memory.map(|bytes| bytes.to_string()).unwrap_or_default(),
            ];
            csv_row(to, before.into_iter().chain(labels).chain(after))?;
        }
        Ok(())
    })
}
