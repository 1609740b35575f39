//! `top`: hosts, devices and users, drawn again and again. What is drawn is one page of text; without a terminal, or with `--once`, it
//! is printed once.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use sweep_core::device::gigabytes;

use crate::cli::{Format, Top};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, ago, cut, span};
use crate::view::machines::DeviceView;
use crate::view::sharing::QueueView;
use crate::view::{AgentView, SweepView};

/// Sweeps asked for: more are not on anybody's screen.
const SWEEPS: u32 = 1000;
/// The cursor goes home, and whatever was drawn goes away.
const CLEAR: &str = "\x1b[H\x1b[J";
/// Another screen than the one with the shell's history, and back.
const OPEN: &str = "\x1b[?1049h\x1b[?25l";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";

/// What somebody has in the lab now.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct UserLine {
    user: String,
    running: u64,
    queued: u64,
    sweeps: u64,
}

/// Draws until Ctrl-C, or once.
pub(crate) async fn run(out: &Out, client: &Client, args: &Top) -> Result<(), Fault> {
    if args.once || !out.is_terminal() || out.format != Format::Table {
        return draw(out, &look(client).await?, None);
    }
    let _screen = Screen::open(out)?;
    loop {
        // Nothing is blank while the coordinator is asked.
        let seen = look(client).await?;
        out.print(CLEAR)?;
        // Where nothing scrolls there is no more than the screen; the last line is where the cursor stays.
        draw(out, &seen, out.screen().map(|(_, lines)| lines.saturating_sub(1)).filter(|lines| *lines > 0))?;
        tokio::time::sleep(args.interval).await;
    }
}

/// The other screen; left when dropped, Ctrl-C included.
struct Screen<'a>(&'a Out);

impl<'a> Screen<'a> {
    fn open(out: &'a Out) -> Result<Self, Fault> {
        out.print(OPEN)?;
        Ok(Self(out))
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        // Whoever read our output may have left.
        let _ = self.0.write(|out| out.write_all(CLOSE.as_bytes()));
    }
}

/// What a page shows.
type Seen = (Vec<AgentView>, Vec<SweepView>, QueueView);

async fn look(client: &Client) -> Result<Seen, Fault> {
    Ok((client.agents().await?, client.list(SWEEPS).await?, client.queue().await?))
}

/// The page, in so many lines if there are no more.
fn draw(out: &Out, (agents, sweeps, queue): &Seen, lines: Option<usize>) -> Result<(), Fault> {
    let users = users(sweeps);
    if out.format == Format::Json {
        return out.json(&json!({"agents": agents, "users": users, "queue": queue}));
    }
    let headline = headline(agents, sweeps, queue);
    let width = out.screen().map_or(usize::MAX, |(width, _)| width);
    let owners: BTreeMap<&str, &SweepView> = sweeps.iter().map(|sweep| (sweep.name.as_str(), sweep)).collect();
    // What GPUs are doing, where there are any: of a shared one it stands beside each of its slots.
    let load =
        ["memory", "busy", "power", "temp"].into_iter().filter(|_| agents.iter().any(|of| !of.devices.is_empty()));
    let header = ["host", "status", "slot", "device"].into_iter().chain(load.clone());
    let mut hosts = Table::new(header.chain(["trial", "sweep", "user", "since"]));
    for agent in agents {
        for (index, slot) in agent.slots.iter().enumerate() {
            let sweep = slot.sweep.as_deref().unwrap_or_default();
            let user = owners.get(sweep).map_or("", |sweep| sweep.user.as_str());
            let device = agent.devices.iter().find(|device| device.slots.contains(&(index as u32)));
            let of_slot =
                [Cell::new(&agent.host), Cell::state(&agent.status), Cell::number(index), Cell::new(&slot.what)];
            let rest = [
                Cell::new(slot.words()),
                Cell::new(sweep),
                Cell::new(user),
                Cell::new(if slot.trial.is_some() { ago(slot.since) } else { String::new() }),
            ];
            let measured = load.clone().zip(measured(device)).map(|(_, text)| Cell::number(text));
            hosts.row(of_slot.into_iter().chain(measured).chain(rest));
        }
    }
    let mut table = Table::new(["user", "running", "queued", "sweeps"]);
    for line in &users {
        table.row([
            Cell::new(&line.user),
            Cell::number(line.running),
            Cell::number(line.queued),
            Cell::number(line.sweeps),
        ]);
    }
    if let Some(lines) = lines {
        let (of_hosts, of_users) = fit(lines.saturating_sub(3), hosts.lines(), table.lines());
        hosts.keep(of_hosts);
        table.keep(of_users);
    }
    let mut page = out.page();
    page.print(format!("{}\n\n", cut(&headline, width)));
    page.table(&hosts)?;
    page.print("\n");
    page.table(&table)?;
    let text = page.into_bytes();
    match lines {
        None => out.print(text),
        // Even a screen of two lines does not scroll.
        Some(lines) => {
            out.print(text.split_inclusive(|byte| *byte == b'\n').take(lines).flatten().copied().collect::<Vec<u8>>())
        }
    }
}

/// Memory, load, power and temperature of a device as they were seen last; what it does not tell is a dash.
fn measured(device: Option<&DeviceView>) -> [String; 4] {
    let memory = |device: &DeviceView| match (device.used, device.memory) {
        (Some(used), Some(all)) => Some(format!("{} of {}", gigabytes(used), gigabytes(all))),
        (used, all) => used.or(all).map(gigabytes),
    };
    let all = [
        device.and_then(memory),
        device.and_then(|device| device.utilisation).map(|share| format!("{share} %")),
        device.and_then(|device| device.watts).map(|watts| format!("{watts:.0} W")),
        device.and_then(|device| device.celsius).map(|degrees| format!("{degrees} C")),
    ];
    all.map(|text| text.unwrap_or_else(|| "-".to_owned()))
}

/// Lines of the screen for hosts and for users: who is there comes to a third at least where both are too long.
fn fit(lines: usize, hosts: usize, users: usize) -> (usize, usize) {
    if hosts + users <= lines {
        return (hosts, users);
    }
    let users = users.min((lines / 3).max(lines.saturating_sub(hosts)));
    (lines - users, users)
}

/// How the lab stands, in a line.
fn headline(agents: &[AgentView], sweeps: &[SweepView], queue: &QueueView) -> String {
    let reached = agents.iter().filter(|agent| agent.status == "reachable");
    let (hosts, slots) = reached.fold((0, 0), |(hosts, slots), agent| (hosts + 1, slots + agent.slots.len()));
    let open: Vec<_> = sweeps.iter().filter(|sweep| !sweep.is_over()).collect();
    let sum = |count: fn(&SweepView) -> u64| open.iter().map(|sweep| count(sweep)).sum::<u64>();
    let rest = open.iter().filter_map(|sweep| sweep.eta_seconds).fold(0.0, f64::max);
    let rest = if rest > 0.0 { format!(", the longest ends in {}", span(rest)) } else { String::new() };
    format!(
        "{hosts} of {} hosts, {slots} slots, {} free; {} sweeps open, {} trials running, {} queued{rest}",
        agents.len(),
        queue.free_slots,
        open.len(),
        sum(|sweep| sweep.running),
        sum(SweepView::queued),
    )
}

/// Who runs and waits, whoever runs most first.
fn users(sweeps: &[SweepView]) -> Vec<UserLine> {
    let mut lines: BTreeMap<&str, UserLine> = BTreeMap::new();
    for sweep in sweeps.iter().filter(|sweep| !sweep.is_over()) {
        let line =
            lines.entry(&sweep.user).or_insert_with(|| UserLine { user: sweep.user.clone(), ..UserLine::default() });
        line.running += sweep.running;
        line.queued += sweep.queued();
        line.sweeps += 1;
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| (std::cmp::Reverse(line.running), std::cmp::Reverse(line.queued)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_no_longer_than_the_screen() {
        assert_eq!(fit(40, 9, 4), (9, 4));
        assert_eq!(fit(20, 33, 4), (16, 4), "few users leave the rest to the hosts");
        assert_eq!(fit(21, 33, 40), (14, 7));
        assert_eq!(fit(21, 5, 40), (5, 16), "and few hosts to the users");
        assert_eq!(fit(0, 33, 40), (0, 0));
        for (lines, hosts, users) in [(3, 2, 2), (1, 9, 9), (2, 1, 50), (10, 5, 6)] {
            let (of_hosts, of_users) = fit(lines, hosts, users);
            assert!(of_hosts + of_users <= lines && of_hosts <= hosts && of_users <= users, "{lines} {hosts} {users}");
        }
    }
}
