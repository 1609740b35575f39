//! `show TRIAL`: one trial, its settings and its curve.

use sweep_core::cost::Energy;

use crate::cli::Format;
use crate::fault::{Fault, count};
use crate::output::{Cell, Out, Table, bytes, csv_row, kwh_in_words, number, percent, safe, span};
use crate::view::{CheckpointView, EpochView, TrialPageView, short};

/// One trial.
pub(super) fn show(out: &Out, page: &TrialPageView) -> Result<(), Fault> {
    match out.format {
        Format::Json => return out.json(page),
        Format::Csv => return curve_csv(out, page),
        Format::Table => {}
    }
    let trial = &page.trial;
    let mut head = Table::default();
    let mut line = |name: &str, text: String| head.row([Cell::new(name), Cell::new(text)]);
    line("trial", trial.trial.clone());
    line("sweep", format!("{} ({})", page.sweep_name, short(&page.sweep)));
    let settings = page.paths.iter().zip(&trial.labels).map(|(path, label)| format!("{path}={label}"));
    line("settings", settings.chain([format!("seed={}", trial.seed)]).collect::<Vec<_>>().join(", "));
    let early = if trial.early { ", stopped early by its patience" } else { "" };
    line("phase", format!("{}, attempt {}{early}", trial.phase, trial.attempt));
    if let Some(origin) = &trial.origin {
        let (from, of) = (short(&origin.trial), safe(&origin.sweep));
        line(
            "result of",
            format!("trial {from} of sweep {of}, which has the same recipe, code and data: not trained again"),
        );
    }
    if let Some(why) = &trial.why {
        line("why", safe(why).into_owned());
    }
    line("epochs", format!("{} of {}, {}", trial.epoch, trial.epochs, span(trial.seconds)));
    if let Some(bound) = &page.dataset {
        line("data set", super::data_set(bound));
    }
    if let (Some(host), Some(slot)) = (&trial.host, trial.slot) {
        line("where", format!("{host}, slot {slot}"));
    }
    if let Some(numerics) = page.curve.iter().rev().find_map(|epoch| epoch.numerics.as_ref()) {
        line("computed with", numerics.clone());
    }
    if let Some(peak) = page.curve.iter().filter_map(|epoch| epoch.peak_memory).max() {
        line("peak memory", bytes(peak));
    }
    let energy = page.curve.iter().fold(None, |sum, epoch| Energy::of_both(sum, epoch.energy));
    if let Some(energy) = energy {
        line("energy", kwh_in_words(&energy));
    }
    if let Some(failure) = &trial.failure {
        line("failure", format!("{} ({}): {}", failure.reason, failure.class, failure.message));
    }
    let stored = |checkpoint: &CheckpointView| {
        format!("epoch {}, {:.1} MB, sha256 {}", checkpoint.epoch, checkpoint.bytes as f64 / 1e6, checkpoint.sha256)
    };
    if let Some(best) = &trial.best_checkpoint {
        line("best checkpoint", stored(best));
    }
    if let Some(last) = &trial.last_checkpoint {
        line("last checkpoint", stored(last));
    }
    if let Some(test) = &trial.test {
        let (right, images, loss) = (percent(test.accuracy.0), test.images, number(test.loss.0));
        line(
            "test",
            format!(
                "{right} % of {images} images, loss {loss}, weights of epoch {}; looked at once, at the end",
                test.epoch
            ),
        );
    }
    if trial.test_kept_back {
        line("test", "kept back: --test shows it, once everything is decided".to_owned());
    }
    if let Some(weights) = &trial.weights {
        line("weights", weights.clone());
    }
    out.table(&head)?;
    if page.curve.is_empty() {
        out.note("no epoch has been reported yet");
        return Ok(());
    }
    out.print("\n")?;
    out.table(&curve(&page.curve))?;
    out.note(format!("{}; next: sweepctl show {} --confusion", count(page.curve.len(), "epoch"), short(&trial.trial)));
    Ok(())
}

/// What was not measured, or is not told for so few classes, has no column.
fn curve(epochs: &[EpochView]) -> Table {
    let has_top5 = epochs.iter().any(|epoch| epoch.val_top5.is_some());
    let has_cost = epochs.iter().any(|epoch| epoch.step_ms.is_some());
    let top5 = if has_top5 { ["val top-5 %"].as_slice() } else { &[] };
    let cost = if has_cost { ["step ms", "data wait %"].as_slice() } else { &[] };
    let names = [&["epoch", "train loss", "train %", "val loss", "val %"], top5, &["lr", "images/s"], cost, &["time"]];
    let mut table = Table::new(names.concat());
    for epoch in epochs {
        let mut cells = vec![
            Cell::number(epoch.epoch),
            Cell::number(number(epoch.train_loss.0)),
            Cell::number(percent(epoch.train_accuracy.0)),
            Cell::number(number(epoch.val_loss.0)),
            Cell::number(percent(epoch.val_accuracy.0)),
        ];
        if has_top5 {
            cells.push(Cell::number(epoch.val_top5.map_or_else(unknown, |top5| percent(top5.0))));
        }
        cells.extend([Cell::number(number(epoch.lr.0)), Cell::number(format!("{:.0}", epoch.images_per_s.0))]);
        if has_cost {
            cells.push(Cell::number(epoch.step_ms.map_or_else(unknown, |step| number(step.0))));
            cells.push(Cell::number(epoch.data_wait.map_or_else(unknown, |share| format!("{:.1}", share.0 * 100.0))));
        }
        cells.push(Cell::number(span(epoch.seconds.0)));
        table.row(cells);
    }
    table
}

fn unknown() -> String {
    "-".to_owned()
}

fn curve_csv(out: &Out, page: &TrialPageView) -> Result<(), Fault> {
    const NAMES: [&str; 16] = [
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "lr",
        "images_per_s",
        "seconds",
        "train_top5",
        "val_top5",
        "step_ms",
        "data_wait",
        "peak_memory",
        "cpu_joules",
        "gpu_joules",
        "idle_joules",
    ];
    out.write(|to| {
        csv_row(to, NAMES)?;
        for epoch in &page.curve {
            let EpochView { train_loss, train_accuracy, val_loss, val_accuracy, lr, images_per_s, seconds, .. } =
                *epoch;
            let always = [train_loss, train_accuracy, val_loss, val_accuracy, lr, images_per_s, seconds].map(Some);
            let sometimes = [epoch.train_top5, epoch.val_top5, epoch.step_ms, epoch.data_wait];
            let numbers = always.into_iter().chain(sometimes);
            let numbers = numbers.map(|number| number.map(|number| number.to_string()).unwrap_or_default());
            let peak = epoch.peak_memory.map(|bytes| bytes.to_string()).unwrap_or_default();
            let parts = epoch.energy.map_or([None; 3], |energy| [energy.cpu, energy.gpu, energy.idle]);
            let joules = parts.map(|part| part.map(|joules| joules.to_string()).unwrap_or_default());
            csv_row(to, [epoch.epoch.to_string()].into_iter().chain(numbers).chain([peak]).chain(joules))?;
        }
        Ok(())
    })
}
