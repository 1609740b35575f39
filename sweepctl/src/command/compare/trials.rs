//! Two trials side by side. The numbers are worked out in `sweep_core::report::trials`.

use serde_json::json;
use sweep_core::num::Num;
use sweep_core::report::EpochRow;
use sweep_core::report::trials::{TrialComparison, compare_trials};
use sweep_core::report::words::points;

use crate::cli::Format;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, csv_row, percent};
use crate::view::{TrialPageView, short};

/// Prints where they differ.
pub(super) fn show(out: &Out, a: &TrialPageView, b: &TrialPageView) -> Result<(), Fault> {
    let curve = |page: &TrialPageView| -> Vec<EpochRow> {
        let row = |epoch: &crate::view::EpochView| EpochRow {
            epoch: epoch.epoch,
            val_accuracy: epoch.val_accuracy,
            val_loss: epoch.val_loss,
            train_accuracy: epoch.train_accuracy,
            train_loss: epoch.train_loss,
        };
        page.curve.iter().map(row).collect()
    };
    let found = compare_trials((&recipe(a), &curve(a)), (&recipe(b), &curve(b)));
    match out.format {
        Format::Json => out.json(&json!({ "a": a.trial.trial, "b": b.trial.trial, "comparison": found })),
        Format::Csv => csv(out, &found),
        Format::Table => people(out, a, b, &found),
    }
}

/// With the seed, which is no field of the recipe that varies but makes the other run.
fn recipe(page: &TrialPageView) -> serde_json::Value {
    let mut recipe = page.recipe.clone();
    if let Some(fields) = recipe.as_object_mut() {
        fields.insert("seed".to_owned(), page.trial.seed.into());
    }
    recipe
}

fn people(out: &Out, a: &TrialPageView, b: &TrialPageView, found: &TrialComparison) -> Result<(), Fault> {
    let name = |page: &TrialPageView| format!("{} of {}", short(&page.trial.trial), page.sweep_name);
    let (first, second) = (name(a), name(b));
    let trained = |page: &TrialPageView| {
        page.trial.origin.as_ref().map_or_else(|| page.trial.trial.clone(), |origin| origin.trial.clone())
    };
    if trained(a) == trained(b) {
        out.note(format!("{first} and {second} are one training: there is nothing to compare"));
    }
    if found.recipe.is_empty() {
        out.note(format!("{first} and {second} have the same recipe and seed"));
    } else {
        let mut table = Table::new(["differs in", first.as_str(), second.as_str()]);
        for (path, a, b) in &found.recipe {
            let cell = |value: &Option<String>| Cell::new(value.as_deref().unwrap_or("-"));
            table.row([Cell::new(path), cell(a), cell(b)]);
        }
        out.table(&table)?;
        out.print("\n")?;
    }
    let mut table = Table::new(["epoch", "first val %", "second val %", "Δ points", "first loss", "second loss"]);
    for pair in &found.epochs {
        let accuracy =
            |row: &Option<EpochRow>| row.as_ref().map_or_else(|| "-".to_owned(), |row| percent(row.val_accuracy.0));
        let loss = |row: &Option<EpochRow>| {
            row.as_ref().map_or_else(|| "-".to_owned(), |row| format!("{:.4}", row.val_loss.0))
        };
        let difference = pair.difference.map_or_else(|| "-".to_owned(), |difference| points(difference.0));
        let cells =
            [pair.epoch.to_string(), accuracy(&pair.a), accuracy(&pair.b), difference, loss(&pair.a), loss(&pair.b)];
        table.row(cells.map(Cell::number));
    }
    out.table(&table)?;
    if let (Some(mean), Some(best)) = (found.mean, found.best) {
        let (mean, best) = (points(mean.0), points(best.0));
        out.note(format!(
            "second minus first, validation accuracy: {mean} points on average over {} shared epochs, {best} between the best ones; \
             epochs of a run depend on each other, so this is no test: compare points over seeds for that",
            found.shared
        ));
    }
    Ok(())
}

fn csv(out: &Out, found: &TrialComparison) -> Result<(), Fault> {
    let text = |value: Option<Num>| value.map(|value| value.to_string()).unwrap_or_default();
    out.write(|to| {
        csv_row(to, ["epoch", "val_accuracy_a", "val_accuracy_b", "difference", "val_loss_a", "val_loss_b"])?;
        for pair in &found.epochs {
            let of = |row: &Option<EpochRow>, pick: fn(&EpochRow) -> Num| text(row.as_ref().map(pick));
            let cells = [
                pair.epoch.to_string(),
                of(&pair.a, |row| row.val_accuracy),
                of(&pair.b, |row| row.val_accuracy),
                text(pair.difference),
                of(&pair.a, |row| row.val_loss),
                of(&pair.b, |row| row.val_loss),
            ];
            csv_row(to, cells)?;
        }
        Ok(())
    })
}
