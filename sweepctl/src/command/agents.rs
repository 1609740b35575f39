//! `agents`: hosts, their slots, and what runs where.

use serde_json::json;

use sweep_core::device::gigabytes;

use super::upkeep;
use crate::cli::{Agents, Format};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Cell, Out, Table, ago, csv_row, safe, stamp};
use crate::view::machines::ProcessView;
use crate::view::{AgentView, shorts};

/// Lists agents, a line for each slot.
pub(crate) async fn run(out: &Out, client: &Client, args: &Agents) -> Result<(), Fault> {
    let mut agents = client.agents().await?;
    upkeep::warn(out, client).await?;
    if let Some(host) = &args.host {
        agents.retain(|agent| agent.host == *host || (host.len() >= 4 && agent.agent.starts_with(host.as_str())));
        if agents.is_empty() {
            return Err(Fault::NoHost { host: safe(host).into_owned() });
        }
    }
    match out.format {
        Format::Json => out.json(&json!({"agents": agents})),
        Format::Table if args.devices => devices(out, &agents),
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
    let ids: Vec<&str> = agents.iter().map(|agent| agent.agent.as_str()).collect();
    for (agent, id) in agents.iter().zip(shorts(&ids)) {
        let host = || [Cell::new(&agent.host), Cell::new(&id), Cell::state(&agent.status)];
        if agent.slots.is_empty() {
            table.row(host().into_iter().chain([Cell::new(ago(agent.last_seen))]));
        }
        for (index, slot) in agent.slots.iter().enumerate() {
            let attempt = slot.attempt.map(|attempt| attempt.to_string()).unwrap_or_default();
            table.row(host().into_iter().chain([
                Cell::new(ago(agent.last_seen)),
                Cell::number(index),
                Cell::new(&slot.what),
                Cell::new(slot.words()),
                Cell::number(attempt),
                Cell::new(slot.sweep.as_deref().unwrap_or_default()),
                Cell::new(if slot.trial.is_some() { ago(slot.since) } else { String::new() }),
            ]));
        }
    }
    out.table(&table)?;
    for agent in agents {
        // What is closed and still has a trial.
        for (index, slot) in agent.slots.iter().enumerate().filter(|(_, slot)| slot.trial.is_some()) {
            if let Some(why) = &slot.why {
                out.print(format!("{}:{index} is {}\n", safe(&agent.host), safe(why)))?;
            }
        }
    }
    for note in agents.iter().flat_map(|agent| &agent.notes) {
        out.warn(safe(note));
    }
    for agent in agents {
        let sets = if agent.datasets.is_empty() { "none".to_owned() } else { agent.datasets.join(", ") };
        out.print(format!("data sets on {}: {}\n", safe(&agent.host), safe(&sets)))?;
    }
    Ok(())
}

/// A line for each GPU and for each process on one.
fn devices(out: &Out, agents: &[AgentView]) -> Result<(), Fault> {
    let header =
        ["host", "slots", "device", "shared", "memory", "used", "busy", "power", "temp", "ECC", "MIG", "processes"];
    let mut table = Table::new(header);
    let say = |value: Option<String>| Cell::number(value.unwrap_or_else(|| "-".to_owned()));
    for (agent, device) in agents.iter().flat_map(|agent| agent.devices.iter().map(move |device| (agent, device))) {
        let slots: Vec<String> = device.slots.iter().map(ToString::to_string).collect();
        let process = |process: &ProcessView| match process.ours {
            true => format!("a trial ({})", gigabytes(process.memory)),
            false => format!("{}, {}, {}", process.user, process.command, gigabytes(process.memory)),
        };
        let mut words: Vec<String> = device.processes.iter().map(process).collect();
        words.extend(device.fault.iter().map(|fault| format!("fault: {fault}")));
        table.row([
            Cell::new(&agent.host),
            Cell::number(slots.join(",")),
            Cell::new(&device.model),
            say(device.packed.then(|| format!("{}.{:03}", device.given / 1000, device.given % 1000))),
            say(device.memory.map(gigabytes)),
            say(device.used.map(gigabytes)),
            say(device.utilisation.map(|share| format!("{share} %"))),
            say(device.watts.map(|watts| format!("{watts:.0} W"))),
            say(device.celsius.map(|degrees| format!("{degrees} C"))),
            say(device.ecc_errors.map(|errors| errors.to_string())),
            say(device.mig.map(|mig| if mig { "on" } else { "off" }.to_owned())),
            Cell::new(words.join("; ")),
        ]);
    }
    out.table(&table)?;
    for agent in agents {
        let cores = agent.offer.cores.map(|cores| count(cores, "core"));
        let memory = agent.offer.memory.map(|memory| format!("{} of memory", gigabytes(memory)));
        let labels = agent.offer.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let words: Vec<String> = cores.into_iter().chain(memory).chain(labels).collect();
        if !words.is_empty() {
            out.print(format!("{}: {}\n", safe(&agent.host), safe(&words.join(", "))))?;
        }
    }
    Ok(())
}

fn csv(out: &Out, agents: &[AgentView]) -> Result<(), Fault> {
    out.write(|to| {
        csv_row(
            to,
            ["host", "agent", "status", "last_seen", "slot", "device", "trial", "attempt", "sweep", "since", "closed"],
        )?;
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
                        slot.why.clone().unwrap_or_default(),
                    ],
                )?;
            }
        }
        Ok(())
    })
}
