//! `admin notify`: whether news arrives, and what waits.

use serde_json::json;

use crate::cli::{Format, Notify};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, ago, safe};
use crate::view::webhooks::{WebhookTestView, WebhookView};

/// Tests or lists.
pub(crate) async fn run(out: &Out, client: &Client, command: &Notify) -> Result<(), Fault> {
    match command {
        Notify::Test { .. } => test(out, client).await,
        Notify::List { .. } => list(out, client).await,
    }
}

async fn test(out: &Out, client: &Client) -> Result<(), Fault> {
    let tests = client.test_webhooks().await?;
    match out.format {
        Format::Json => out.json(&json!({ "webhooks": tests }))?,
        Format::Table | Format::Csv => {
            let mut table = Table::new(["receiver", "domain", "hash", "ms", "came back"]);
            for WebhookTestView { webhook, error, ms } in &tests {
                let back = error.as_deref().unwrap_or("taken");
                let [number, ms] = [webhook.number.to_string(), ms.to_string()].map(Cell::number);
                table.row([number, Cell::new(&webhook.domain), Cell::new(&webhook.hash), ms, Cell::new(safe(back))]);
            }
            out.table(&table)?;
        }
    }
    if tests.is_empty() {
        nobody(out);
    }
    if tests.iter().any(|test| test.error.is_some()) { Err(Fault::Unwell) } else { Ok(()) }
}

async fn list(out: &Out, client: &Client) -> Result<(), Fault> {
    let webhooks = client.webhooks().await?;
    if out.format == Format::Json {
        return out.json(&json!({ "webhooks": webhooks }));
    }
    let time = |at: Option<i64>| at.map(ago).unwrap_or_default();
    let mut table =
        Table::new(["receiver", "domain", "hash", "on", "waiting", "oldest", "took last", "failed last", "why"]);
    for of in &webhooks {
        let WebhookView { webhook, on, waiting, oldest, taken, failed, error, .. } = of;
        table.row([
            Cell::number(webhook.number),
            Cell::new(&webhook.domain),
            Cell::new(&webhook.hash),
            Cell::new(on.join(", ")),
            Cell::number(waiting),
            Cell::new(time(*oldest)),
            Cell::new(time(*taken)),
            Cell::new(time(*failed)),
            Cell::new(safe(error.as_deref().unwrap_or_default())),
        ]);
    }
    out.table(&table)?;
    if webhooks.is_empty() {
        nobody(out);
    }
    Ok(())
}

fn nobody(out: &Out) {
    out.note(
        "nobody is told: `notify.toml` in the coordinator's data folder names receivers, and is read at its start",
    );
}
