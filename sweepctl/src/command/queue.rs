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
    let hidden = match queue.hidden_sweeps {
        0 => None,
        sweeps => Some(format!(
            "{} with {} of projects that you are not in",
            count(sweeps, "sweep"),
            count(queue.hidden_trials, "waiting trial")
        )),
    };
    if queue.waiting.is_empty() {
        let free = count(queue.free_slots, "slot");
        out.note(match hidden {
            None => format!("nothing waits; {free} free"),
            Some(hidden) => format!("nothing waits but {hidden}; {free} free"),
        });
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
    if let Some(hidden) = hidden {
        out.note(format!("not listed: {hidden}"));
    }
    let by = |word: &str| queue.waiting.iter().any(|waiting| waiting.starts_by == word);
    if by("epochs") || by("alike") {
        out.note("starts (by epochs): until a trial of the sweep is completed, by the epochs that it has reported");
    }
    if by("alike") {
        out.note("starts (by alike trials): by the epochs of trials of the same shape, probes among them");
    }
    if queue.waiting.iter().any(|waiting| waiting.starts.is_none()) {
        out.note("unknown: no trial that has such a slot, and none like it, has reported an epoch yet, or nobody knows when a closed slot opens");
    }
    Ok(())
}

/// `in 4 min 05 s`, `in 4 min 05 s (by epochs)`, `any moment`, `unknown`.
fn starts(waiting: &WaitingView) -> String {
    let Some(starts) = waiting.starts else { return "unknown".to_owned() };
    let by = match waiting.starts_by.as_str() {
        "epochs" => " (by epochs)",
        "alike" => " (by alike trials)",
        _ => "",
    };
    match (starts - jiff::Timestamp::now().as_microsecond()) / 1_000_000 {
        ..=0 => format!("any moment{by}"),
        seconds => format!("in {}{by}", span(seconds as f64)),
    }
}

fn csv(out: &Out, queue: &QueueView) -> Result<(), Fault> {
    out.write(|to| {
        let header = ["sweep", "id", "project", "user", "priority", "waiting", "backoff", "running", "starts"];
        csv_row(to, header.into_iter().chain(["reason", "why", "starts_by", "before_sweeps", "before_trials"]))?;
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
                    waiting.starts_by.clone(),
                    waiting.before_sweeps.to_string(),
                    waiting.before_trials.to_string(),
                ],
            )?;
        }
        Ok(())
    })
}
