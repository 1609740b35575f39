//! `agents`: hosts, their slots, and what runs where.

use serde_json::json;

use crate::cli::Format;
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, ago, csv_row, safe, stamp};
use crate::view::{AgentView, short};

/// Lists agents, a line for each slot.
pub(crate) async fn run(out: &Out, client: &Client) -> Result<(), Fault> {
    let agents = client.agents().await?;
    match out.format {
        Format::Json => out.json(&json!({"agents": agents})),
        Format::Csv => csv(out, &agents),
        Format::Table => table(out, &agents),
    }
}

fn table(out: &Out, agents: &[AgentView]) -> Result<(), Fault> {
    if agents.is_empty() {
        out.note("no agent has called yet; next: sweepctl up");
        return Ok(());
    }
    let mut table =
        Table::new(["host", "agent", "status", "last seen", "slot", "device", "trial", "attempt", "sweep", "since"]);
    for agent in agents {
        let host = || [Cell::new(&agent.host), Cell::new(short(&agent.agent)), Cell::state(&agent.status)];
        if agent.slots.is_empty() {
            table.row(host().into_iter().chain([Cell::new(ago(agent.last_seen))]));
        }
        for (index, slot) in agent.slots.iter().enumerate() {
            let trial = slot.trial.as_deref().map_or("free", short);
            let attempt = slot.attempt.map(|attempt| attempt.to_string()).unwrap_or_default();
            table.row(host().into_iter().chain([
                Cell::new(ago(agent.last_seen)),
                Cell::number(index),
                Cell::new(&slot.what),
                Cell::new(trial),
                Cell::number(attempt),
                Cell::new(slot.sweep.as_deref().unwrap_or_default()),
                Cell::new(if slot.trial.is_some() { ago(slot.since) } else { String::new() }),
            ]));
        }
    }
    out.table(&table)?;
    for note in agents.iter().flat_map(|agent| &agent.notes) {
        out.warn(safe(note));
    }
    for agent in agents {
        let sets = if agent.datasets.is_empty() { "none".to_owned() } else { agent.datasets.join(", ") };
        out.print(format!("data sets on {}: {}\n", safe(&agent.host), safe(&sets)))?;
    }
    Ok(())
}

fn csv(out: &Out, agents: &[AgentView]) -> Result<(), Fault> {
    out.write(|to| {
        csv_row(to, ["host", "agent", "status", "last_seen", "slot", "device", "trial", "attempt", "sweep", "since"])?;
        for agent in agents {
            for (index, slot) in agent.slots.iter().enumerate() {
                let since = if slot.trial.is_some() { stamp(slot.since) } else { None };
                csv_row(
                    to,
                    [
                        agent.host.clone(),
                        agent.agent.clone(),
                        agent.status.clone(),
                        stamp(agent.last_seen).unwrap_or_default(),
                        index.to_string(),
                        slot.what.clone(),
                        slot.trial.clone().unwrap_or_default(),
                        slot.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
                        slot.sweep.clone().unwrap_or_default(),
                        since.unwrap_or_default(),
                    ],
                )?;
            }
        }
        Ok(())
    })
}
