//! `list`: sweeps, newest first.

use serde_json::json;

use crate::cli::{Format, List};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, ago, csv_row, percent, span, stamp};
use crate::view::{SweepView, short};

/// Lists sweeps.
pub(crate) async fn run(out: &Out, client: &Client, args: &List) -> Result<(), Fault> {
    let sweeps = client.list(args.limit).await?;
    if sweeps.is_empty() && out.format == Format::Table {
        out.note("no sweeps yet; next: sweepctl submit FILE");
        return Ok(());
    }
    match out.format {
        Format::Json => out.json(&json!({"sweeps": sweeps})),
        _ => print(out, &sweeps),
    }
}

/// Prints sweeps as a table or as CSV.
pub(crate) fn print(out: &Out, sweeps: &[SweepView]) -> Result<(), Fault> {
    if out.format == Format::Csv {
        return out.write(|to| {
            csv_row(to, CSV)?;
            sweeps.iter().try_for_each(|sweep| csv_row(to, fields(sweep)))
        });
    }
    const COLUMNS: [&str; 10] =
        ["name", "id", "status", "done", "running", "waiting", "failed", "best %", "ETA", "submitted"];
    let probes = sweeps.iter().any(|sweep| sweep.probe_steps.is_some());
    let mut table = Table::new(COLUMNS.into_iter().chain(probes.then_some("")));
    for sweep in sweeps {
        let probe = probes.then(|| Cell::new(if sweep.probe_steps.is_some() { "probe, no result" } else { "" }));
        let cells = [
            Cell::new(&sweep.name),
            Cell::new(short(&sweep.sweep)),
            Cell::state(&sweep.status),
            Cell::number(format!("{}/{}", sweep.done(), sweep.trials)),
            Cell::number(sweep.running),
            Cell::number(sweep.queued()),
            Cell::number(sweep.failed),
            Cell::number(sweep.result().map_or_else(|| "-".to_owned(), |best| percent(best.0))),
            Cell::number(sweep.eta_seconds.filter(|_| !sweep.is_over()).map_or_else(|| "-".to_owned(), span)),
            Cell::new(ago(sweep.submitted)),
        ];
        table.row(cells.into_iter().chain(probe));
    }
    out.table(&table)
}

const CSV: [&str; 17] = [
    "name",
    "sweep",
    "user",
    "status",
    "submitted",
    "ended",
    "trials",
    "waiting",
    "running",
    "backoff",
    "completed",
    "failed",
    "cancelled",
    "paused",
    "stopped",
    "best_accuracy",
    "probe",
];

fn fields(sweep: &SweepView) -> [String; 17] {
    [
        sweep.name.clone(),
        sweep.sweep.clone(),
        sweep.user.clone(),
        sweep.status.clone(),
        stamp(sweep.submitted).unwrap_or_default(),
        stamp(sweep.ended).unwrap_or_default(),
        sweep.trials.to_string(),
        sweep.waiting.to_string(),
        sweep.running.to_string(),
        sweep.backoff.to_string(),
        sweep.completed.to_string(),
        sweep.failed.to_string(),
        sweep.cancelled.to_string(),
        sweep.paused.to_string(),
        sweep.stopped.to_string(),
        sweep.best_accuracy.map(|best| best.to_string()).unwrap_or_default(),
        sweep.probe_steps.is_some().to_string(),
    ]
}
