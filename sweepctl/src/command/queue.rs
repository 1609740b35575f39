//! `queue`: what waits, why, and when it may start.

use super::upkeep;
use crate::cli::Format;
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Cell, Out, Table, csv_row, span, stamp};
use crate::view::sharing::{QueueView, WaitingView};
use crate::view::short;

/// Lists what waits, a line for each sweep.
pub(crate) async fn run(out: &Out, client: &Client) -> Result<(), Fault> {
    let queue = client.queue().await?;
    upkeep::warn(out, client).await?;
    match out.format {
        Format::Json => out.json(&queue),
        Format::Csv => csv(out, &queue),
        Format::Table => table(out, &queue),
    }
}

fn table(out: &Out, queue: &QueueView) -> Result<(), Fault> {
    if queue.waiting.is_empty() {
        out.note(format!("nothing waits; {} free", count(queue.free_slots, "slot")));
        return Ok(());
    }
    let header = ["sweep", "id", "project", "user", "priority", "waiting", "running", "starts", "why"];
    let mut table = Table::new(header);
    for waiting in &queue.waiting {
        table.row([
            Cell::new(&waiting.name),
            Cell::new(short(&waiting.sweep)),
            Cell::new(&waiting.project),
            Cell::new(&waiting.user),
            Cell::number(waiting.priority),
            Cell::number(waiting.waiting + waiting.backoff),
            Cell::number(waiting.running),
            Cell::new(starts(waiting)),
            Cell::new(&waiting.why),
        ]);
    }
    out.table(&table)?;
    out.note("starts: by how long trials of a sweep took so far; unknown until one is completed");
    Ok(())
}

/// `in 4 min 05 s`, `any moment`, `unknown`.
fn starts(waiting: &WaitingView) -> String {
    let Some(starts) = waiting.starts else { return "unknown".to_owned() };
    match (starts - jiff::Timestamp::now().as_microsecond()) / 1_000_000 {
        ..=0 => "any moment".to_owned(),
        seconds => format!("in {}", span(seconds as f64)),
    }
}

fn csv(out: &Out, queue: &QueueView) -> Result<(), Fault> {
    out.write(|to| {
        let header = ["sweep", "id", "project", "user", "priority", "waiting", "backoff", "running", "starts"];
        csv_row(to, header.into_iter().chain(["reason", "why"]))?;
        for waiting in &queue.waiting {
            csv_row(
                to,
                [
                    waiting.name.clone(),
                    waiting.sweep.clone(),
                    waiting.project.clone(),
                    waiting.user.clone(),
                    waiting.priority.to_string(),
                    waiting.waiting.to_string(),
                    waiting.backoff.to_string(),
                    waiting.running.to_string(),
                    waiting.starts.and_then(stamp).unwrap_or_default(),
                    waiting.reason.clone(),
                    waiting.why.clone(),
                ],
            )?;
        }
        Ok(())
    })
}
