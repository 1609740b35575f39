//! `plan --estimate`: how long a file will take and what it will cost, by what was trained before.

use sweep_core::estimate::{Cost, Estimate, ShapeEstimate};

use crate::cli::{self, Format};
use crate::client::Client;
use crate::config::variable;
use crate::fault::{Fault, count};
use crate::output::{Cell, Out, Table, bytes, csv_row, safe, span};
use crate::sweep_file;
use crate::view::ReusableView;

/// Asks the coordinator, which knows what trials took.
pub(crate) async fn run(out: &Out, client: &Client, args: &cli::Plan) -> Result<(), Fault> {
    let file = sweep_file::load(out, &args.file)?;
    if args.probe {
        probe(out, client, &file.source.bytes).await?;
    }
    let found = client.estimate(&file.source.bytes).await?;
    match out.format {
        Format::Json => out.json(&found),
        Format::Csv => csv(out, &found),
        Format::Table => people(out, &found),
    }
}

/// Has a few steps trained of each shape that nobody knows.
async fn probe(out: &Out, client: &Client, spec: &[u8]) -> Result<(), Fault> {
    let (shapes, sweep, name) = client.probe(spec, variable("SWEEP_PROJECT").unwrap_or_default()).await?;
    if shapes == 0 {
        out.note("every shape was trained before: nothing to probe");
        return Ok(());
    }
    out.note(format!("probing {}: sweep {}", count(shapes, "shape"), safe(&name)));
    match super::watch::quietly(out, client, &sweep).await {
        Err(Fault::Incomplete { .. }) => {
            out.warn(format!("not every probe came to its end: sweepctl show {} says why", safe(&name)));
            Ok(())
        }
        watched => watched,
    }
}

fn people(out: &Out, found: &Estimate) -> Result<(), Fault> {
    measured(out, found)?;
    let mut table = Table::new(["shape", "trials", "epochs", "slot time", "to the end", "kWh", "fits in memory"]);
    for shape in &found.shapes {
        let cost = shape.cost.as_ref();
        let hours = |hours: Option<f64>| hours.map_or_else(unknown, |hours| span(hours * 3600.0));
        let fit = shape.fit.map(|fit| match fit.trials {
            0 => "no".to_owned(),
            trials => format!("{trials} at a time, of {}", count(fit.slots, "slot")),
        });
        table.row([
            Cell::new(words(shape)),
            Cell::number(shape.trials),
            Cell::number(shape.epochs),
            Cell::number(hours(cost.map(|cost| cost.slot_hours.0))),
            Cell::number(hours(cost.and_then(|cost| cost.eta_hours).map(|hours| hours.0))),
            Cell::number(number(cost.and_then(|cost| cost.kwh).map(|kwh| kwh.0))),
            Cell::new(fit.unwrap_or_else(unknown)),
        ]);
    }
    out.table(&table)?;
    out.print("\n")?;
    notes(out, found);
    match &found.full {
        Some(full) => {
            out.print(format!("all epochs: {}\n", costs(full, found.slots)))?;
            if let Some(stopped) = &found.stopped {
                out.print(format!("with early stopping at least: {}\n", costs(stopped, found.slots)))?;
            }
        }
        None => {
            let unknown = found.shapes.iter().filter(|shape| shape.seen.is_none()).count();
            let (shapes, were) = (count(unknown, "shape"), if unknown == 1 { "was" } else { "were" });
            out.note(format!("{shapes} {were} never trained here: --probe trains a few steps of each first"));
        }
    }
    Ok(())
}

/// What is known of shapes.
fn measured(out: &Out, found: &Estimate) -> Result<(), Fault> {
    let mut table =
        Table::new(["shape", "seen", "s / epoch", "from", "ms / batch", "images / s", "Wh / epoch", "memory"]);
    for shape in &found.shapes {
        let seen = shape.seen.as_ref();
        let whole = |value: Option<f64>| value.map_or_else(unknown, |value| format!("{value:.1}"));
        table.row([
            Cell::new(words(shape)),
            Cell::number(seen.map_or_else(unknown, |seen| seen.trials.to_string())),
            Cell::number(number(seen.map(|seen| seen.seconds.0))),
            Cell::number(seen.map_or_else(unknown, |seen| format!("{:.3} to {:.3}", seen.least.0, seen.most.0))),
            Cell::number(whole(seen.and_then(|seen| seen.step_ms).map(|ms| ms.0))),
            Cell::number(whole(seen.and_then(|seen| seen.images_per_s).map(|speed| speed.0))),
            Cell::number(number(seen.and_then(|seen| seen.joules).map(|joules| joules.0 / 3600.0))),
            Cell::number(seen.and_then(|seen| seen.device_memory.or(seen.peak_memory)).map_or_else(unknown, bytes)),
        ]);
    }
    out.table(&table)?;
    out.print("\n")
}

/// What the tables leave out.
fn notes(out: &Out, found: &Estimate) {
    let reusable = found.reusable.iter().map(|(sweep, trials)| ReusableView { sweep: sweep.clone(), trials: *trials });
    let trials = found.shapes.iter().map(|shape| u64::from(shape.trials)).sum();
    super::reuse::say(out, 0, trials, &reusable.collect::<Vec<_>>(), "submit --reuse");
    for shape in &found.shapes {
        if let Some(startup) = shape.seen.and_then(|seen| seen.startup) {
            out.note(format!("{}: {} more for each trial, as with its probe", words(shape), span(startup.0)));
        }
        if let Some(failed) = &shape.failed {
            out.warn(format!("{}: its newest trial failed: {}", words(shape), safe(failed)));
        }
        if shape.fit.is_some_and(|fit| fit.trials == 0) {
            out.warn(format!("{}: no host has the memory that its trials took", words(shape)));
        }
    }
    if found.to_come > 0 {
        let to_come = count(found.to_come, "trial");
        out.note(format!("{to_come} not known yet, taken to be like those that are"));
    }
}

fn unknown() -> String {
    "-".to_owned()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(unknown, |value| format!("{value:.3}"))
}

fn costs(cost: &Cost, slots: u32) -> String {
    let mut text = format!("{} of slot time", span(cost.slot_hours.0 * 3600.0));
    match cost.eta_hours {
        Some(eta) => text += &format!(", {} on {}", span(eta.0 * 3600.0), count(slots, "slot")),
        None if slots > 0 => text += ", more memory than any host has",
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
    const COLUMNS: [&str; 18] = [
        "shape",
        "trials",
        "epochs",
        "seconds",
        "least",
        "most",
        "seen",
        "joules",
        "peak_memory",
        "device_memory",
        "step_ms",
        "images_per_s",
        "startup",
        "slot_hours",
        "eta_hours",
        "kwh",
        "fits",
        "of_slots",
    ];
    out.write(|to| {
        csv_row(to, COLUMNS)?;
        for shape in &found.shapes {
            let (seen, cost) = (shape.seen.as_ref(), shape.cost.as_ref());
            let text = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            let whole = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
            let row = [
                words(shape),
                shape.trials.to_string(),
                shape.epochs.to_string(),
                text(seen.map(|seen| seen.seconds.0)),
                text(seen.map(|seen| seen.least.0)),
                text(seen.map(|seen| seen.most.0)),
                whole(seen.map(|seen| seen.trials.into())),
                text(seen.and_then(|seen| seen.joules).map(|joules| joules.0)),
                whole(seen.and_then(|seen| seen.peak_memory)),
                whole(seen.and_then(|seen| seen.device_memory)),
                text(seen.and_then(|seen| seen.step_ms).map(|ms| ms.0)),
                text(seen.and_then(|seen| seen.images_per_s).map(|speed| speed.0)),
                text(seen.and_then(|seen| seen.startup).map(|startup| startup.0)),
                text(cost.map(|cost| cost.slot_hours.0)),
                text(cost.and_then(|cost| cost.eta_hours).map(|hours| hours.0)),
                text(cost.and_then(|cost| cost.kwh).map(|kwh| kwh.0)),
                whole(shape.fit.map(|fit| fit.trials.into())),
                whole(shape.fit.map(|fit| fit.slots.into())),
            ];
            csv_row(to, row)?;
        }
        Ok(())
    })
}
