//! `plan --estimate`: how long a file will take and what it will cost, by what was trained before.

use sweep_core::estimate::{Cost, Estimate, ShapeEstimate};

use crate::cli::{self, Format};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Cell, Out, Table, bytes, csv_row, safe, span};
use crate::sweep_file;

/// Asks the coordinator, which knows what trials took.
pub(crate) async fn run(out: &Out, client: &Client, args: &cli::Plan) -> Result<(), Fault> {
    let file = sweep_file::load(out, &args.file)?;
    let found = client.estimate(&file.source.bytes).await?;
    match out.format {
        Format::Json => out.json(&found),
        Format::Csv => csv(out, &found),
        Format::Table => people(out, &found),
    }
}

fn people(out: &Out, found: &Estimate) -> Result<(), Fault> {
    let mut table = Table::new(["shape", "trials", "epochs", "s / epoch", "from", "of trials", "Wh / epoch", "memory"]);
    for shape in &found.shapes {
        let unknown = || "-".to_owned();
        let seen = shape.seen.as_ref();
        let number = |value: Option<f64>| value.map_or_else(unknown, |value| format!("{value:.3}"));
        table.row([
            Cell::new(words(shape)),
            Cell::number(shape.trials),
            Cell::number(shape.epochs),
            Cell::number(number(seen.map(|seen| seen.seconds.0))),
            Cell::number(seen.map_or_else(unknown, |seen| format!("{:.3} to {:.3}", seen.least.0, seen.most.0))),
            Cell::number(seen.map_or_else(unknown, |seen| seen.trials.to_string())),
            Cell::number(number(seen.and_then(|seen| seen.joules).map(|joules| joules.0 / 3600.0))),
            Cell::number(seen.and_then(|seen| seen.peak_memory).map_or_else(unknown, bytes)),
        ]);
    }
    out.table(&table)?;
    out.print("\n")?;
    let unknown = found.shapes.iter().filter(|shape| shape.seen.is_none()).count();
    if found.to_come > 0 {
        let to_come = count(found.to_come, "trial");
        out.note(format!("{to_come} not known yet, taken to be like those that are"));
    }
    match &found.full {
        Some(full) => {
            out.print(format!("all epochs: {}\n", costs(full, found.slots)))?;
            if let Some(stopped) = &found.stopped {
                out.print(format!("with early stopping about: {}\n", costs(stopped, found.slots)))?;
            }
        }
        None => {
            let (shapes, were) = (count(unknown, "shape"), if unknown == 1 { "was" } else { "were" });
            out.note(format!("{shapes} {were} never trained here: run one epoch of one point first, then ask again"));
        }
    }
    Ok(())
}

fn costs(cost: &Cost, slots: u32) -> String {
    let mut text = format!("{} of slot time", span(cost.slot_hours.0 * 3600.0));
    match cost.eta_hours {
        Some(eta) => text += &format!(", {} on {}", span(eta.0 * 3600.0), count(slots, "slot")),
        None => text += ", no host has the data set now",
    }
    if let Some(kwh) = cost.kwh {
        text += &format!(", {:.3} kWh", kwh.0);
    }
    text
}

fn words(shape: &ShapeEstimate) -> String {
    let parts: Vec<String> = shape.shape.iter().map(|(field, value)| format!("{field}={value}")).collect();
    safe(&parts.join(", ")).into_owned()
}

fn csv(out: &Out, found: &Estimate) -> Result<(), Fault> {
    out.write(|to| {
        csv_row(to, ["shape", "trials", "epochs", "seconds", "least", "most", "seen", "joules", "peak_memory"])?;
        for shape in &found.shapes {
            let seen = shape.seen.as_ref();
            let text = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            let row = [
                words(shape),
                shape.trials.to_string(),
                shape.epochs.to_string(),
                text(seen.map(|seen| seen.seconds.0)),
                text(seen.map(|seen| seen.least.0)),
                text(seen.map(|seen| seen.most.0)),
                seen.map(|seen| seen.trials.to_string()).unwrap_or_default(),
                text(seen.and_then(|seen| seen.joules).map(|joules| joules.0)),
                seen.and_then(|seen| seen.peak_memory).map(|bytes| bytes.to_string()).unwrap_or_default(),
            ];
            csv_row(to, row)?;
        }
        Ok(())
    })
}
