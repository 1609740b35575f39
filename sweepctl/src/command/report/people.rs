//! The report on a terminal: the ranking, the comparisons, what it cost.

use sweep_core::report::analysis::Study;
use sweep_core::report::document::sections::{against_baseline, drawn, main_effects, no_result, others};
use sweep_core::report::document::{self, Block};
use sweep_core::report::{PointRow, Spread, stops, words};
use sweep_core::stats::paired::Verdict;

use crate::fault::{Fault, count};
use crate::output::{
    Cell, Page, Table, bytes, kwh, kwh_in_words, number_with_spread, percent, percent_with_spread, safe, span,
};

/// Points that are named of those that cannot be told from the best one.
const NAMED: usize = 12;

/// Everything that fits a terminal.
pub(super) fn people(mut page: Page, study: &Study) -> Result<Vec<u8>, Fault> {
    let report = &study.report;
    let (name, status) = (safe(&report.name), safe(&report.status));
    let (done, trials) = (report.completed, report.trials);
    let others: String = others(report).iter().map(|part| format!(", {part}")).collect();
    page.print(format!(
        "{name} ({}): {status}, {done} of {} completed{others}\n\n",
        report.sweep.short(),
        count(trials, "trial")
    ));
    if let Some(probe) = report.probe() {
        page.print(format!("{}\n\n", safe(&probe)));
    }
    page.table(&ranking(study))?;
    let blocks = [against_baseline(study), main_effects(study)];
    for block in blocks.iter().flatten() {
        match block {
            Block::Text(text) => page.print(format!("\n{}\n", safe(text))),
            Block::Table(table) => {
                page.print(format!("\n{}; intervals: {}\n", safe(&table.caption), study.analysis.interval.words()));
                page.table(&shown(table))?;
            }
            _ => {}
        }
    }
    for block in drawn(study) {
        match block {
            Block::Text(text) => page.print(format!("\n{}\n", safe(&text))),
            Block::Table(table) => {
                page.print(format!("\n{}\n", safe(&table.caption)));
                page.table(&shown(&table))?;
            }
            _ => {}
        }
    }
    if let Some(taken) = report.taken() {
        page.print(format!("\n{}\n", safe(&taken)));
    }
    page.print(format!("\n{}", summary(study)));
    Ok(page.into_bytes())
}

/// A table of the document on the terminal.
fn shown(table: &document::Table) -> Table {
    let mut out = Table::new(table.columns.iter().map(|column| column.name.as_str()));
    for row in &table.rows {
        let cell = |(text, column): (&String, &document::Column)| {
            let cell = if column.number { Cell::number(text) } else { Cell::new(text) };
            if row.strong { cell.bold() } else { cell }
        };
        out.row(row.cells.iter().zip(&table.columns).map(cell));
    }
    out
}

fn ranking(study: &Study) -> Table {
    let report = &study.report;
    let paths = report.points.first().map(|point| point.settings.as_slice()).unwrap_or_default();
    let paths = paths.iter().map(|(path, _)| path.as_str());
    let tested = report.points.iter().any(|point| point.test.n > 0);
    let test = if tested { ["test accuracy %"].as_slice() } else { &[] };
    let measured = report.cost.energy.is_some();
    let energy = if measured { ["kWh"].as_slice() } else { &[] };
    let lowest: &[&str] = if report.other_metric().is_some() { &["lowest loss"] } else { &[] };
    let after = [
        &["n", "val accuracy %", "95 % interval", "val loss"],
        lowest,
        &["best %"],
        test,
        &["slot time"],
        energy,
        &["memory", ""],
    ]
    .concat();
    let mut table = Table::new(["rank", "point"].into_iter().chain(paths).chain(after));
    for (point, stats) in report.points.iter().zip(&study.analysis.points) {
        let rank = point.rank.map_or_else(unknown, |rank| rank.to_string());
        let mut cells = vec![Cell::number(rank), Cell::number(point.point)];
        cells.extend(point.settings.iter().map(|(_, label)| Cell::new(label)));
        cells.extend([
            Cell::number(seeds(point)),
            Cell::number(point.stopped.map_or_else(|| accuracy(&point.accuracy), |reached| reached.words())),
            Cell::number(words::interval(&stats.accuracy, words::percent)),
            Cell::number(loss(&point.loss)),
        ]);
        cells.extend((!lowest.is_empty()).then(|| Cell::number(loss(&point.lowest_loss))));
        cells.push(Cell::number(point.accuracy.max.map_or_else(unknown, |best| percent(best.0))));
        cells.extend(tested.then(|| Cell::number(accuracy(&point.test))));
        cells.push(Cell::number(span(point.cost.slot_seconds)));
        cells.extend(measured.then(|| Cell::number(point.cost.energy.map_or_else(unknown, |energy| kwh(&energy)))));
        cells.push(Cell::number(point.cost.peak_memory.map_or_else(unknown, bytes)));
        cells.push(Cell::new(point.note()));
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
fn seeds(point: &PointRow) -> String {
    let n = point.accuracy.n;
    if n == point.seeds { n.to_string() } else { format!("{n}/{}", point.seeds) }
}

fn accuracy(spread: &Spread) -> String {
    spread.mean.map_or_else(unknown, |mean| percent_with_spread(mean.0, spread.std.map(|std| std.0)))
}

fn loss(spread: &Spread) -> String {
    spread.mean.map_or_else(unknown, |mean| number_with_spread(mean.0, spread.std.map(|std| std.0)))
}

fn summary(study: &Study) -> String {
    let report = &study.report;
    let mut text = String::new();
    let mut line = |words: String| text += &format!("{words}\n");
    line(format!(
        "mean ± standard deviation over the seeds of the best validation accuracy of each run; intervals: {}",
        study.analysis.interval.words()
    ));
    report.other_metric().map(str::to_owned).into_iter().chain(report.diverged()).for_each(&mut line);
    if report.points.iter().any(|point| point.test.n > 0) {
        line("test accuracy: of the final weights, looked at once, at the end; points are not ranked by it".to_owned());
    }
    match (study.analysis.test_kept_back, study.analysis.test_points.is_empty()) {
        (0, _) => {}
        (kept, true) => {
            line(format!("test accuracy: kept back for {}; name those to look at with --test", count(kept, "point")))
        }
        (kept, false) => {
            line(format!("test accuracy: kept back for {} that were not named", count(kept, "other point")))
        }
    }
    if report.points.iter().any(|point| point.accuracy.n == 1) {
        line("n = 1: single run: no spread known".to_owned());
    }
    match report.points.iter().find(|point| point.rank == Some(1)) {
        Some(best) => {
            let n = count(best.accuracy.n, "seed");
            line(format!("best point: {}: {} % over {n}", settings(best), accuracy(&best.accuracy)));
            let of = |wanted: Verdict| -> Vec<String> {
                study
                    .analysis
                    .ties()
                    .filter(|(_, found)| *found == wanted)
                    .map(|(point, _)| point.to_string())
                    .collect()
            };
            if let Some(ties) = named(&of(Verdict::Tie)) {
                line(format!("cannot be told from it with these seeds (ties): {ties}"));
            }
            if let Some(unknown) = named(&of(Verdict::Unknown)) {
                line(format!("nothing can be said of {unknown}: there is no spread to judge the difference by"));
            }
        }
        None => line(no_result(report)),
    }
    if let Some(best) = &report.best {
        let trial = best.trial.short();
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
        let trial = failed.trial.short();
        line(format!("failed: trial {trial} ({settings}, seed {}): {class}, {reason}: {message}", failed.seed));
    }
    if report.numerics.len() > 1 {
        let each =
            report.numerics.iter().map(|(what, trials)| format!("{} with {}", count(*trials, "trial"), safe(what)));
        line(format!("careful: trials of this sweep computed differently: {}", each.collect::<Vec<_>>().join(", ")));
    }
    report.stopping.iter().flat_map(stops::lines).map(|text| safe(&text).into_owned()).for_each(&mut line);
    let cost = &report.cost;
    let mut words = format!("cost: {}, {} of slot time", count(cost.attempts, "attempt"), span(cost.slot_seconds));
    if cost.wasted_seconds > 0.0 {
        words += &format!(
            ", {} of it after the checkpoint that the next attempt began with, or in trials that failed for good",
            span(cost.wasted_seconds)
        );
    }
    if let Some(wall) = cost.wall_seconds {
        words += &format!(", {} from submission to end", span(wall));
    }
    match &cost.energy {
        Some(energy) => {
            words += &format!(", {}", kwh_in_words(energy));
            if cost.energy_trials < report.completed {
                words += &format!(", known of {} only", count(cost.energy_trials, "trial"));
            }
        }
        None => words += ", energy not measured (no host with RAPL or NVML)",
    }
    line(words);
    text
}

/// `3 points (1, 4, 7)`; nothing of none.
fn named(points: &[String]) -> Option<String> {
    let shown = points.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if points.len() > NAMED { ", ..." } else { "" };
    (!points.is_empty()).then(|| format!("{} ({shown}{more})", count(points.len(), "point")))
}

fn settings(point: &PointRow) -> String {
    safe(&point.label()).into_owned()
}
