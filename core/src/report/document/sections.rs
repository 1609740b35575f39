//! What the report says, section by section: the results and what they mean. Costs, failures, where the numbers come
//! from and how they were made are in `appendix`.

use super::appendix::{costs, failures, methods, provenance, test, trade_offs};
use super::blocks::{Block, Document, Table};
use super::importance;
use super::pictures::{self, Classes};
pub use super::ranges::drawn;
use crate::report::analysis::Study;
use crate::report::effects::{FactorEffects, LevelEffect, Unpaired};
use crate::report::figures;
use crate::report::stops;
use crate::report::words::{self, NOTHING, interval, mean_and_sd, needed, p_value, percent, points, short, verdict};
use crate::report::{PointRow, Report};
use crate::stats::paired::{Difference, Verdict};

/// Rows of a table of points; the rest is in the other forms.
pub(super) const MOST_ROWS: usize = 200;

/// The whole report.
pub fn document(study: &Study, classes: &[Classes]) -> Document {
    let sections = [
        study.report.probe().map(Block::Text).into_iter().collect(),
        summary(study),
        stopping(study),
        ranking(study),
        against_baseline(study),
        main_effects(study),
        drawn(study),
        interactions(study),
        importance::importance(study),
        pictures::curves(study),
        pictures::classes(classes),
        trade_offs(study),
        test(study),
        costs(study),
        failures(study),
        provenance(study),
        methods(study),
    ];
    let what = if study.report.probe_steps.is_some() { "Probe" } else { "Sweep" };
    Document { title: format!("{what} {}", study.report.name), blocks: sections.into_iter().flatten().collect() }
}

pub(super) fn heading(text: &str) -> Block {
    Block::Heading(text.to_owned())
}

fn summary(study: &Study) -> Vec<Block> {
    let report = &study.report;
    let others: String = others(report).iter().map(|part| format!(", {part}")).collect();
    let mut text = vec![format!(
        "{} of {} trials completed{others}; the sweep is {}. Points are ranked by the mean over seeds of the best validation accuracy of each run.",
        report.completed, report.trials, report.status
    )];
    text.extend(report.taken());
    text.extend(report.other_metric().map(str::to_owned));
    text.extend(report.diverged());
    if let Some(best) = report.points.first().filter(|row| row.accuracy.n > 0) {
        let stats = study.analysis.points.first().map(|row| row.accuracy).unwrap_or_default();
        let spread = match stats.n {
            1 => "single run: no spread known".to_owned(),
            n => format!("{} interval {} over {n} seeds", level(study), interval(&stats, percent)),
        };
        text.push(format!("Best point: {}, {} % ({spread}).", best.label(), mean_and_sd(&stats)));
    } else {
        text.push(format!("{}.", no_result(report).replacen('n', "N", 1)));
    }
    let (mut ties, mut unknown) = (0, 0);
    study.analysis.ties().for_each(|(_, verdict)| match verdict {
        Verdict::Unknown => unknown += 1,
        _ => ties += 1,
    });
    if ties > 0 {
        text.push(format!("{ties} other points cannot be told from it with these seeds (ties)."));
    }
    if unknown > 0 {
        text.push(format!(
            "Of {unknown} other points nothing can be said: there is no spread to judge their difference by."
        ));
    }
    vec![heading("Summary"), Block::Text(text.join(" "))]
}

/// What early stopping did: who reads the ranking must know that not everything was trained to its end.
fn stopping(study: &Study) -> Vec<Block> {
    let Some(stop) = &study.report.stopping else { return Vec::new() };
    let lines = stops::lines(stop).into_iter().map(|line| format!("{line}."));
    vec![heading("Early stopping"), Block::Text(lines.collect::<Vec<_>>().join(" "))]
}

pub(super) fn level(study: &Study) -> String {
    format!("{:.0} %", study.analysis.level * 100.0)
}

fn paths(study: &Study) -> Vec<&str> {
    let first = study.report.points.first();
    first.map(|row| row.settings.iter().map(|(path, _)| path.as_str()).collect()).unwrap_or_default()
}

fn labels(row: &PointRow) -> impl Iterator<Item = String> {
    row.settings.iter().map(|(_, label)| label.clone())
}

pub(super) fn left_out(study: &Study) -> Option<Block> {
    let count = study.report.points.len();
    (count > MOST_ROWS).then(|| {
        Block::Text(format!("The first {MOST_ROWS} of {count} points; all are in the CSV, JSON and Parquet forms."))
    })
}

/// All points, best first.
fn ranking(study: &Study) -> Vec<Block> {
    let interval_name = format!("{} interval", level(study));
    let lowest: &[&str] = if study.report.other_metric().is_some() { &["lowest loss"] } else { &[] };
    let numbers = [&["seeds", "accuracy %", &interval_name, "best epoch"], lowest, &["failed", "p (Holm)"]].concat();
    let mut table = Table::new(
        "Points by mean validation accuracy over seeds, with standard deviation; the last columns compare each with the best, seed by seed",
        ["rank", "point"].into_iter().chain(paths(study)),
        numbers,
    )
    .and_text("against the best");
    for (row, stats) in study.report.points.iter().zip(&study.analysis.points).take(MOST_ROWS) {
        let rank = row.rank.map_or_else(|| NOTHING.to_owned(), |rank| rank.to_string());
        let number = match row.note() {
            "" => row.point.to_string(),
            note => format!("{} ({note})", row.point),
        };
        let n = if stats.accuracy.n == row.seeds {
            row.seeds.to_string()
        } else {
            format!("{}/{}", stats.accuracy.n, row.seeds)
        };
        let epochs = stats.best_epoch.map_or_else(
            || NOTHING.to_owned(),
            |(first, middle, last)| {
                if first == last { first.to_string() } else { format!("{} ({first}-{last})", middle.0) }
            },
        );
        let loss = (!lowest.is_empty()).then(|| words::plain_mean_and_sd(&row.lowest_loss));
        let accuracy = row.stopped.map_or_else(|| mean_and_sd(&stats.accuracy), |reached| reached.words());
        let numbers = [n, accuracy, interval(&stats.accuracy, percent), epochs];
        let numbers = numbers.into_iter().chain(loss).chain([stats.failed.to_string()]);
        let against = match &stats.against_best {
            Some(difference) => [p_value(difference.p_holm), verdict(difference)],
            None if row.rank == Some(1) => [NOTHING.to_owned(), "the best".to_owned()],
            None => [NOTHING.to_owned(), NOTHING.to_owned()],
        };
        table.row(row.rank == Some(1), [rank, number].into_iter().chain(labels(row)).chain(numbers).chain(against));
    }
    [heading("Points"), Block::Table(table)].into_iter().chain(left_out(study)).collect()
}

/// The columns of a comparison after its text columns.
fn comparison<'a>(caption: String, text: impl IntoIterator<Item = &'a str>, interval_name: &'a str) -> Table {
    let numbers = ["seeds", "Δ points", interval_name, "p", "p (Holm)", "d_z", "g_z", "seeds needed"];
    Table::new(caption, text, numbers).and_text("verdict")
}

fn compared(difference: &Difference) -> [String; 9] {
    let estimate = &difference.estimate;
    [
        estimate.n.to_string(),
        estimate.mean.map_or_else(|| NOTHING.to_owned(), |mean| points(mean.0)),
        interval(estimate, points),
        p_value(difference.p),
        p_value(difference.p_holm),
        short(difference.d_z),
        short(difference.g_z),
        needed(difference),
        verdict(difference),
    ]
}

fn nothing_compared(word: &str) -> [String; 9] {
    let mut cells: [String; 9] = std::array::from_fn(|_| NOTHING.to_owned());
    word.clone_into(&mut cells[8]);
    cells
}

/// The table of an ablation paper: the baseline on top, then each other point against it, in the order of the plan.
pub fn against_baseline(study: &Study) -> Vec<Block> {
    let mut rows: Vec<_> = study.report.points.iter().zip(&study.analysis.points).collect();
    let Some(baseline) = rows.iter().position(|(row, _)| row.baseline) else { return Vec::new() };
    if rows.len() < 2 {
        return Vec::new();
    }
    let baseline = rows.remove(baseline);
    if rows.iter().all(|(_, stats)| stats.against_baseline.is_none()) {
        let text = format!("No point can be compared with the baseline: {}.", missing(study, baseline.0));
        return vec![heading("Against the baseline"), Block::Text(text)];
    }
    rows.sort_by_key(|(row, _)| row.point);
    let name = format!("{} interval", level(study));
    let text = paths(study).into_iter().chain(["accuracy %"]);
    let mut table = comparison("Each point against the baseline, paired by seed".to_owned(), text, &name);
    let accuracy = |stats: &crate::report::analysis::PointStats| [mean_and_sd(&stats.accuracy)];
    table.row(true, labels(baseline.0).chain(accuracy(baseline.1)).chain(nothing_compared("baseline")));
    for (row, stats) in rows.into_iter().take(MOST_ROWS) {
        // What is as in the baseline is left out: one sees what each row changes.
        let changed = row.settings.iter().zip(&baseline.0.settings);
        let changed = changed.map(|((_, label), (_, base))| if label == base { String::new() } else { label.clone() });
        let nothing = || nothing_compared(&row.stopped.map_or_else(|| NOTHING.to_owned(), |reached| reached.when()));
        let cells = stats.against_baseline.as_ref().map_or_else(nothing, compared);
        table.row(false, changed.chain(accuracy(stats)).chain(cells));
    }
    [heading("Against the baseline"), Block::Table(table)].into_iter().chain(left_out(study)).collect()
}

/// Why nothing can be compared with a point: what became of it, or of the others.
fn missing(study: &Study, with: &PointRow) -> String {
    if with.accuracy.n == 0 {
        return if with.diverged > 0 { "it diverged, and has no result" } else { "it has no result" }.to_owned();
    }
    let parts = others(&study.report);
    match parts.is_empty() {
        true => "no other has a result with the same seed".to_owned(),
        false => {
            format!("of {} trials {} were completed, {}", study.report.trials, study.report.completed, parts.join(", "))
        }
    }
}

/// That there is nothing to rank, and why not if nothing will come.
pub fn no_result(report: &Report) -> String {
    let over = matches!(report.status.as_str(), "completed" | "failed" | "cancelled");
    match others(report).join(", ") {
        what if over && !what.is_empty() => format!("no trial has a result, and the sweep is over: {what}"),
        _ if over => "no trial has a result, and the sweep is over".to_owned(),
        _ => "no trial has a result yet".to_owned(),
    }
}

/// What became of the trials that are not completed: `3 stopped early`, `1 failed`.
pub fn others(report: &Report) -> Vec<String> {
    let of =
        |phase: &str| report.points.iter().flat_map(|row| &row.trials).filter(|trial| trial.phase == phase).count();
    let by_budget = report.points.iter().flat_map(|row| &row.trials).filter(|trial| trial.ended_by_budget).count();
    let counts = [
        (of("stopped") - by_budget, "stopped early"),
        (by_budget, "trained to the end of their budget"),
        (of("failed"), "failed"),
        (of("cancelled"), "cancelled"),
    ];
    let over: usize = counts.iter().map(|(count, _)| count).sum();
    let open = (report.trials as usize).saturating_sub(report.completed as usize + over);
    let counts = counts.into_iter().chain([(open, "not over yet")]).filter(|(count, _)| *count > 0);
    counts.map(|(count, word)| format!("{count} {word}")).collect()
}

/// One table for each factor of which something can be said.
pub fn main_effects(study: &Study) -> Vec<Block> {
    let seen = |factor: &&FactorEffects| factor.silent().is_none();
    let tables = study.analysis.factors.iter().filter(seen).map(|factor| Block::Table(effects(study, factor)));
    let figure = figures::effects(study).map(Block::from);
    let head = (!study.analysis.factors.is_empty()).then(|| heading("Main effects"));
    let silent = silent(study).into_iter().map(|text| Block::Text(format!("{text}.")));
    head.into_iter().chain(figure).chain(tables).chain(silent).collect()
}

/// Of which factors nothing can be said, and why: a sentence for each reason, without a full stop.
pub fn silent(study: &Study) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for factor in &study.analysis.factors {
        let Some(why) = factor.silent() else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(&factor.factor),
            None => reasons.push((why, vec![&factor.factor])),
        }
    }
    let sentence = |(why, names): (&str, Vec<&str>)| format!("Nothing can be said of {}: {why}", names.join(", "));
    reasons.into_iter().map(sentence).collect()
}

fn effects(study: &Study, factor: &FactorEffects) -> Table {
    let caption = format!(
        "Main effect of {}, against {}, paired by seed over points equal in all else; accuracies are those of the pairs",
        factor.factor, factor.reference
    );
    let name = format!("{} interval", level(study));
    // Where pairs differ from level to level, so does what a level is compared with.
    let reference = factor.levels.iter().find(|row| row.level == factor.reference).and_then(|row| row.accuracy.mean);
    let other = |row: &LevelEffect| {
        let with = row.reference_accuracy.mean.zip(reference);
        with.is_some_and(|(with, reference)| (with.0 - reference.0).abs() > 1e-12)
    };
    let with: &[&str] = if factor.levels.iter().any(other) { &["reference %"] } else { &[] };
    let columns = [&[factor.factor.as_str(), "points", "accuracy %"], with, &["pairs"]].concat();
    let mut table = comparison(caption, columns, &name);
    for row in &factor.levels {
        let reference = row.level == factor.reference;
        let cells = match &row.difference {
            Some(difference) => compared(difference),
            None if reference => nothing_compared("reference"),
            None => nothing_compared(row.unpaired.unwrap_or(Unpaired::NoPair).words()),
        };
        let pairs = if row.difference.is_some() { row.pairs.to_string() } else { NOTHING.to_owned() };
        let first = [row.level.clone(), row.points.to_string(), mean_and_sd(&row.accuracy)];
        let with = with.iter().map(|_| mean_and_sd(&row.reference_accuracy));
        table.row(reference, first.into_iter().chain(with).chain([pairs]).chain(cells));
    }
    table
}

fn interactions(study: &Study) -> Vec<Block> {
    let mut blocks = Vec::new();
    for pair in &study.analysis.interactions {
        let (a, b) = (&pair.factors.0, &pair.factors.1);
        let note = pair.left_out().map(|note| format!("; {note}")).unwrap_or_default();
        let mut means = Table::new(
            format!("Mean accuracy % by {a} and {b}{note}"),
            [a.as_str()],
            pair.columns.iter().map(String::as_str),
        );
        for (name, row) in pair.rows.iter().zip(&pair.means) {
            let cell = |mean: &Option<crate::num::Num>| mean.map_or_else(|| NOTHING.to_owned(), |mean| percent(mean.0));
            means.row(false, [name.clone()].into_iter().chain(row.iter().map(cell)));
        }
        let name = format!("{} interval", level(study));
        let caption = format!("Interaction of {a} and {b}: by how much the effect of one changes with the other");
        let mut table = comparison(caption, [a.as_str(), b.as_str()], &name);
        for contrast in &pair.contrasts {
            let mut cells = compared(&contrast.difference);
            cells[8] = words::additive(&contrast.difference);
            table.row(false, [contrast.row.clone(), contrast.column.clone()].into_iter().chain(cells));
        }
        blocks.push(Block::Table(means));
        blocks.extend(figures::interaction(pair).map(Block::from));
        blocks.push(Block::Table(table));
    }
    if !blocks.is_empty() {
        blocks.insert(0, heading("Interactions"));
    }
    blocks
}
