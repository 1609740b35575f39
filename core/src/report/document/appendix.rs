//! What stands behind the results: accuracy against cost, the test set, costs, failures, provenance, methods.

use super::blocks::{Block, Table};
use super::recipe;
use super::sections::{MOST_ROWS, heading, left_out, level};
use crate::report::PointRow;
use crate::report::analysis::Study;
use crate::report::figures;
use crate::report::words::{self, NOTHING, mean_and_sd, percent};

pub(super) fn trade_offs(study: &Study) -> Vec<Block> {
    let label = |point: u32| {
        let row = study.report.points.iter().find(|row| row.point == point);
        row.map(PointRow::label).unwrap_or_default()
    };
    let mut blocks = Vec::new();
    for pareto in &study.analysis.pareto {
        let (name, write): (&str, fn(f64) -> String) = match pareto.cost.as_str() {
            "device_hours" => ("device-hours a run", words::number),
            "kwh" => ("kWh a run", words::number),
            "parameters" => ("parameters", words::count),
            _ => ("peak memory", |bytes| words::bytes(bytes as u64)),
        };
        let mut table = Table::new(
            format!("Pareto front of accuracy and {name}: no other point is better in one and as good in the other"),
            ["point", "settings"],
            ["accuracy %", name],
        );
        for trade in pareto.points.iter().filter(|trade| trade.front) {
            let numbers = [percent(trade.accuracy.0), write(trade.cost.0)];
            table.row(false, [trade.point.to_string(), label(trade.point)].into_iter().chain(numbers));
        }
        blocks.extend(figures::pareto(pareto).map(Block::from));
        blocks.push(Block::Table(table));
    }
    if !blocks.is_empty() {
        blocks.insert(0, heading("Accuracy and cost"));
    }
    blocks
}

pub(super) fn test(study: &Study) -> Vec<Block> {
    let (shown, kept) = (&study.analysis.test_points, study.analysis.test_kept_back);
    let rows: Vec<&PointRow> = study.report.points.iter().filter(|row| row.test.n > 0).collect();
    if rows.is_empty() && kept == 0 {
        return Vec::new();
    }
    let text = "Test images are looked at once, by the final weights of a run; nothing is ranked or decided by them.";
    let kept = match (kept, shown.is_empty()) {
        (0, _) => String::new(),
        (kept, true) => {
            format!(" The test accuracy of {kept} points is kept back: name the points to look at (--test).")
        }
        (kept, false) => format!(" That of {kept} other points is kept back."),
    };
    let mut blocks = vec![heading("Test set"), Block::Text(format!("{text}{kept}"))];
    if !rows.is_empty() {
        let mut table = Table::new(
            "Test accuracy of the points that were named",
            ["point", "settings"],
            ["seeds", "test accuracy %"],
        );
        for row in rows {
            let spread = crate::stats::sample::Estimate { mean: row.test.mean, sd: row.test.std, ..Default::default() };
            table.row(false, [row.point.to_string(), row.label(), row.test.n.to_string(), mean_and_sd(&spread)]);
        }
        blocks.push(Block::Table(table));
    }
    blocks
}

pub(super) fn costs(study: &Study) -> Vec<Block> {
    let mut table = Table::new(
        "Cost of each point: of one run, and of all that was done for it",
        ["point", "settings"],
        [
            "parameters",
            "s an epoch",
            "a run",
            "watts",
            "kWh a run",
            "device time",
            "device-hours",
            "kWh",
            "wasted",
            "peak memory",
        ],
    );
    let nothing = || NOTHING.to_owned();
    let energy = |energy: Option<crate::cost::Energy>| {
        energy.map_or_else(nothing, |energy| words::number(energy.joules() / 3.6e6))
    };
    let spent = |seconds: f64| [words::span(seconds), words::number(seconds / 3600.0)];
    for row in study.report.points.iter().take(MOST_ROWS) {
        let cost = &row.cost;
        let run = cost.run_seconds.map_or_else(nothing, |seconds| words::span(seconds.0));
        let number = |value: Option<crate::num::Num>| value.map_or_else(nothing, |value| words::number(value.0));
        let parameters = row.parameters.map_or_else(nothing, |count| words::count(count as f64));
        let of_run = [parameters, number(cost.seconds_per_epoch), run, number(cost.watts), energy(cost.run_energy)];
        let last = [
            energy(cost.energy),
            words::span(cost.wasted_seconds),
            cost.peak_memory.map_or_else(nothing, words::bytes),
        ];
        let numbers = of_run.into_iter().chain(spent(cost.slot_seconds)).chain(last);
        table.row(false, [row.point.to_string(), row.label()].into_iter().chain(numbers));
    }
    let cost = &study.report.cost;
    let peak = study.report.points.iter().filter_map(|row| row.cost.peak_memory).max();
    let last = [energy(cost.energy), words::span(cost.wasted_seconds), peak.map_or_else(nothing, words::bytes)];
    let numbers = std::array::from_fn::<_, 5, _>(|_| nothing()).into_iter().chain(spent(cost.slot_seconds)).chain(last);
    table.row(true, ["all".to_owned(), format!("{} attempts", cost.attempts)].into_iter().chain(numbers));
    let mut meaning = "A run is one complete run, the mean over those with a result, without what was repeated; s an epoch is the time of these runs over the number of their epochs, reading data and \
        validation included, and watts their energy over their time. Device time and kWh are those of all attempts; wasted of it is what an \
        attempt did after the checkpoint that the next one began with, leaving its slot included, and all of a trial that failed for good (one that diverged has said what it had to say)."
        .to_owned();
    if let Some(wasted) = cost.wasted_energy.filter(|wasted| wasted.joules() > 0.0) {
        meaning += &format!(" Of the energy {} kWh were wasted.", words::number(wasted.joules() / 3.6e6));
    }
    let meaning = std::iter::once(Block::Text(meaning));
    let taken = study.report.taken().map(|taken| {
        let counted = "Runs of a point are shown with what they took where they were trained; the sum of this sweep leaves results of earlier sweeps out, which are counted there.";
        Block::Text(format!("{taken} {counted}"))
    });
    let went_on = study.report.went_on().map(Block::Text);
    [heading("Cost"), Block::Table(table)]
        .into_iter()
        .chain(meaning)
        .chain(taken)
        .chain(went_on)
        .chain(left_out(study))
        .collect()
}

pub(super) fn failures(study: &Study) -> Vec<Block> {
    if study.report.failures.is_empty() {
        return vec![heading("Failures"), Block::Text("No trial failed for good.".to_owned())];
    }
    let mut table =
        Table::new("Trials that failed for good", ["trial", "point", "seed", "class", "reason", "message"], []);
    for failed in study.report.failures.iter().take(MOST_ROWS) {
        let trial: String = failed.trial.to_string().chars().take(8).collect();
        let cells = [trial, failed.point.to_string(), failed.seed.to_string()];
        let why = [failed.class.clone(), failed.reason.clone(), failed.message.clone()];
        table.row(false, cells.into_iter().chain(why));
    }
    vec![heading("Failures"), Block::Table(table)]
}

pub(super) fn provenance(study: &Study) -> Vec<Block> {
    let (report, from) = (&study.report, &study.report.provenance);
    let mut table = Table::new("Where these numbers come from", ["what", "value"], []);
    let mut row = |what: &str, value: String| table.row(false, [what.to_owned(), value]);
    row("sweep", format!("{} ({})", report.name, report.sweep));
    row("submitted by", format!("{}, project {}", from.user, from.project));
    row("submitted", words::stamp(from.submitted));
    for extension in &from.extensions {
        row("extended", extension.clone());
    }
    row("ended", from.ended.map_or_else(|| "not yet".to_owned(), words::stamp));
    row("coordinator", format!("sweep-coordinator {}", from.build));
    row("seeds", from.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
    for (name, fingerprint) in &from.data {
        row("data set", format!("{name}, fingerprint {}", fingerprint.as_deref().unwrap_or("not known")));
    }
    for (images, digest) in &from.images {
        row("images", format!("{images}; digest of the decoded images {digest}"));
    }
    for program in &from.programs {
        row("trainer", program.clone());
    }
    for hardware in &from.hardware {
        row("computed on", hardware.clone());
    }
    for (host, device, attempts) in &from.devices {
        row("device", format!("{device} on {host}: {attempts} attempts"));
    }
    for (what, trials) in &report.numerics {
        row("computed with", format!("{what}: {trials} trials"));
    }
    for (path, value) in recipe::rows(report) {
        row(&format!("recipe: {path}"), value);
    }
    let mut blocks = vec![heading("Provenance"), Block::Table(table)];
    if let Some(source) = &from.source {
        let mut text =
            "The sweep file, word for word. What it leaves out has the value that stands above under \"recipe\"."
                .to_owned();
        if !from.extensions.is_empty() {
            text.push_str(" It is the file of the submission: what the sweep was extended by since then stands above.");
        }
        blocks.extend([heading("Sweep file"), Block::Text(text), Block::Code(source.clone())]);
    }
    blocks
}

pub(super) fn methods(study: &Study) -> Vec<Block> {
    let analysis = &study.analysis;
    let mut text = format!(
        "Intervals are {} at {}. Differences are paired by seed: one difference for each seed, averaged over points \
         that are equal in all else; p is that of the two-sided paired t-test, p (Holm) is corrected for all comparisons of its \
         table (main effects: of all factors together), those in which the seeds do not differ included. d_z is Cohen's effect size of paired differences, g_z the same without \
         its bias for few seeds. A verdict of better or worse needs p (Holm) below {:.2}; everything else is a tie. Seeds needed: \
         to find a difference of the size seen with a chance of {:.0} %, if it is real, at {:.2} divided by the number of comparisons in its table, \
         which is the first step of the correction.",
        analysis.interval.words(),
        level(study),
        1.0 - analysis.level,
        analysis.power * 100.0,
        1.0 - analysis.level
    );
    if analysis.has_single_runs() {
        text.push_str(" n = 1: a single run, no spread known; nothing can be said about chance.");
    }
    vec![heading("Methods"), Block::Text(text)]
}
