//! `admin shares`: who gets how much of the machines.

use sweep_core::device::gigabytes;
use sweep_core::shares::share_text;

use crate::cli::Format;
use crate::client::Client;
use crate::client::sharing::SharesChange;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, csv_row, safe, span, stamp};
use crate::view::sharing::{EntitlementView, LabView, ReservationView, SettingView, ShareView, SharesView};

/// Lists shares, quotas and use.
pub(crate) async fn show(out: &Out, client: &Client, all: bool) -> Result<(), Fault> {
    let shares = client.shares(all).await?;
    match out.format {
        Format::Json => out.json(&shares),
        Format::Csv => csv(out, &shares),
        Format::Table => table(out, &shares),
    }
}

/// Changes one setting and says what it is now.
pub(crate) async fn set(out: &Out, client: &Client, change: impl Into<SharesChange>) -> Result<(), Fault> {
    let Some(setting) = client.set_shares(change.into()).await? else { return Ok(()) };
    if out.format == Format::Json {
        return out.json(&setting);
    }
    out.print(match &setting {
        SettingView::Project { name, entitlement: of } => format!("project {}: {}\n", safe(name), entitlement(of)),
        SettingView::User { name, entitlement: of } => format!("user {}: {}\n", safe(name), entitlement(of)),
        SettingView::Host(of) => format!("host {}: {} protected\n", safe(&of.host), of.protected),
        SettingView::Lab(of) => format!("{}\n", lab(of)),
        SettingView::Reserved(of) => format!("{}\n", reservation(of)),
        SettingView::Released { name } => format!("reservation {} is no more\n", safe(name)),
    })
}

fn reservation(of: &ReservationView) -> String {
    let time = |time: Option<i64>| time.and_then(stamp).unwrap_or_default();
    let reason = if of.reason.is_empty() { String::new() } else { format!(" ({})", safe(&of.reason)) };
    let (name, project, slots) = (safe(&of.name), safe(&of.project), of.slots);
    format!(
        "reservation {name}: {slots} slots for project {project} from {} to {}{reason}",
        time(of.from),
        time(of.until)
    )
}

fn entitlement(of: &EntitlementView) -> String {
    let (slots, hours) = (quota(of.slots), quota(of.device_hours));
    let storage = of.storage.map(|bytes| format!(", checkpoints {}", gigabytes(bytes))).unwrap_or_default();
    let open = of.open_trials_set.map(|most| format!(", open trials {most}")).unwrap_or_default();
    format!("share {}, slots {slots}, device-hours a week {hours}{storage}{open}", share_text(of.share))
}

fn quota(most: Option<u32>) -> String {
    most.map_or_else(|| "none".to_owned(), |most| most.to_string())
}

fn lab(of: &LabView) -> String {
    let after = of.preempt_after_seconds.map_or_else(|| "never".to_owned(), |after| format!("after {}", span(after)));
    format!("use counts half after {}; trials may have to give way {after}", span(of.half_life_seconds))
}

fn kinds(shares: &SharesView) -> impl Iterator<Item = (&'static str, &ShareView)> {
    let projects = shares.projects.iter().map(|of| ("project", of));
    projects.chain(shares.users.iter().map(|of| ("user", of)))
}

fn table(out: &Out, shares: &SharesView) -> Result<(), Fault> {
    let mut table = Table::new([
        "kind",
        "name",
        "share",
        "running",
        "of slots",
        "device-hours",
        "of a week",
        "stored",
        "of store",
        "open",
        "of open",
    ]);
    let of_user = |kind: &str, number: u64| if kind == "user" { number.to_string() } else { "-".to_owned() };
    for (kind, of) in kinds(shares) {
        table.row([
            Cell::new(kind),
            Cell::new(&of.name),
            Cell::number(share_text(of.entitlement.share)),
            Cell::number(of.running),
            Cell::number(quota(of.entitlement.slots)),
            Cell::number(format!("{:.1}", of.device_hours_used)),
            Cell::number(quota(of.entitlement.device_hours)),
            Cell::number(gigabytes(of.stored)),
            Cell::number(of.entitlement.storage.map_or_else(|| "none".to_owned(), gigabytes)),
            Cell::number(of_user(kind, of.open_trials)),
            Cell::number(of_user(kind, of.most_open_trials)),
        ]);
    }
    out.table(&table)?;
    for host in &shares.hosts {
        out.print(format!("host {}: {} protected\n", safe(&host.host), host.protected))?;
    }
    for of in &shares.reservations {
        out.print(format!("{}\n", reservation(of)))?;
    }
    out.print(format!("{}\n", lab(&shares.lab)))
}

fn csv(out: &Out, shares: &SharesView) -> Result<(), Fault> {
    out.write(|to| {
        csv_row(
            to,
            [
                "kind",
                "name",
                "share",
                "running",
                "slots",
                "device_hours_used",
                "device_hours",
                "stored",
                "storage",
                "open_trials",
                "most_open_trials",
            ],
        )?;
        let number = |most: Option<u32>| most.map(|most| most.to_string()).unwrap_or_default();
        for (kind, of) in kinds(shares) {
            csv_row(
                to,
                [
                    kind.to_owned(),
                    of.name.clone(),
                    share_text(of.entitlement.share),
                    of.running.to_string(),
                    number(of.entitlement.slots),
                    of.device_hours_used.to_string(),
                    number(of.entitlement.device_hours),
                    of.stored.to_string(),
                    of.entitlement.storage.map(|bytes| bytes.to_string()).unwrap_or_default(),
                    of.open_trials.to_string(),
                    of.most_open_trials.to_string(),
                ],
            )?;
        }
        Ok(())
    })
}
