//! `admin maintenance`: planned, called off, listed.

use serde_json::json;

use crate::cli::{Format, Maintenance, Place};
use crate::client::Client;
use crate::client::machines::Holding;
use crate::fault::{Fault, count};
use crate::output::{Cell, Out, Table, safe, stamp};

/// Does what the arguments say.
pub(crate) async fn run(out: &Out, client: &Client, args: &Maintenance) -> Result<(), Fault> {
    let Some(target) = &args.target else { return list(out, client).await };
    match (args.cancel, args.length) {
        (true, _) => cancel(out, client, target, args).await,
        (false, Some(length)) => plan(out, client, target, args, length).await,
        (false, None) => list(out, client).await,
    }
}

async fn plan(out: &Out, client: &Client, target: &Place, args: &Maintenance, length: i64) -> Result<(), Fault> {
    let now = jiff::Timestamp::now().as_microsecond();
    let from = args.from.map(|from| from.after(now));
    let holding = Holding { kind: "maintenance", reason: &args.reason, span: Some(length), from };
    let leaving = client.hold(target, holding).await?;
    let (target, starts) = (target.to_string(), from.unwrap_or(now));
    if out.format == Format::Json {
        let (from, until) = (stamp(starts), stamp(starts.saturating_add(length)));
        return out.json(&json!({ "target": target, "from": from, "until": until, "leaving": leaving }));
    }
    let leaves = if leaving == 0 { String::new() } else { format!("; {} to leave now", count(leaving, "trial")) };
    let [from, until] = [starts, starts.saturating_add(length)].map(|at| stamp(at).unwrap_or_default());
    out.print(format!("maintenance of {} from {from} until {until}{leaves}\n", safe(&target)))?;
    let only = args.from.map(|_| format!(" --from {from}")).unwrap_or_default();
    out.note(format!("call it off: sweepctl admin maintenance {} --cancel{only}", safe(&target)));
    Ok(())
}

async fn cancel(out: &Out, client: &Client, target: &Place, args: &Maintenance) -> Result<(), Fault> {
    let now = jiff::Timestamp::now().as_microsecond();
    let lifted = client.call_off(target, args.from.map(|from| from.after(now))).await?;
    let target = target.to_string();
    if out.format == Format::Json {
        return out.json(&json!({ "target": target, "lifted": lifted }));
    }
    out.print(match lifted {
        0 if args.from.is_some() => format!("no maintenance of {} begins then\n", safe(&target)),
        0 => format!("no maintenance of {} is planned\n", safe(&target)),
        _ => format!("{} of {} called off\n", count(lifted, "maintenance window"), safe(&target)),
    })
}

async fn list(out: &Out, client: &Client) -> Result<(), Fault> {
    let agents = client.agents().await?;
    let planned = agents.iter().flat_map(|agent| {
        let planned = agent.holds.iter().filter(|hold| hold.kind == "maintenance");
        planned.map(move |hold| (agent.host.as_str(), hold))
    });
    let planned: Vec<_> = planned.collect();
    if out.format == Format::Json {
        let rows = planned.iter().map(|(host, hold)| json!({ "host": host, "hold": hold }));
        return out.json(&json!({ "maintenance": rows.collect::<Vec<_>>() }));
    }
    if planned.is_empty() {
        out.note("no maintenance is planned");
        return Ok(());
    }
    let mut table = Table::new(["host", "slot", "from", "until", "by", "reason"]);
    for (host, hold) in planned {
        let time = |at: Option<i64>| at.and_then(stamp).unwrap_or_else(|| "-".to_owned());
        table.row([
            Cell::new(host),
            Cell::number(hold.slot.map_or_else(|| "all".to_owned(), |slot| slot.to_string())),
            Cell::new(time(hold.from)),
            Cell::new(time(hold.until)),
            Cell::new(&hold.user),
            Cell::new(&hold.reason),
        ]);
    }
    out.table(&table)
}
