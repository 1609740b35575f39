//! `doctor`: what is wrong with this machine as a client of a lab, and how to put it right. The coordinator's and the agents' hosts have
//! a doctor of their own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sweep_ops::doctor::Findings;

use super::login;
use crate::cli::Format;
use crate::client::Client;
use crate::config::{Config, address_in};
use crate::fault::Fault;
use crate::login::Logins;
use crate::output::{Out, safe, span};

/// Looks, and fails when something is broken.
pub(crate) async fn run(out: &Out, config: &Config) -> Result<(), Fault> {
    let mut found = Findings::default();
    found.ok("release", format!("{} (protocol {})", env!("CARGO_PKG_VERSION"), sweep_proto::PROTOCOL));
    match config.state() {
        None => found.warn("state", "no home folder", "set HOME"),
        Some(state) => {
            found.disk("state", &state);
            if let Some(address) = address_in(&state) {
                found.ok("local", format!("the coordinator of this machine was last at {address}"));
            }
        }
    }
    match Logins::read() {
        Ok(logins) if logins.servers.is_empty() => found.ok("logins", "none"),
        Ok(logins) => found.ok("logins", logins.servers.keys().cloned().collect::<Vec<_>>().join(", ")),
        Err(error) => found.problem("logins", error.to_string(), "sweepctl login HOST"),
    }
    if let Some(ends) = login::ends(config) {
        match ends.said() {
            Some((what, fix)) if ends.left <= 0 => found.problem("token", what, fix),
            Some((what, fix)) => found.warn("token", what, fix),
            None => found.ok("token", format!("good for {}", span(ends.left as f64 / 1e6))),
        }
    }
    coordinator(config, &mut found).await;
    match out.format {
        Format::Json => out.json(&found)?,
        Format::Table | Format::Csv => out.print(found.text())?,
    }
    if found.has_problem() { Err(Fault::Unwell) } else { Ok(()) }
}

async fn coordinator(config: &Config, found: &mut Findings) {
    let server = config.server();
    let way = match config.way() {
        Ok(way) => way,
        Err(fault) => {
            return found.problem("coordinator", fault.to_string(), "sweepctl login HOST, or another --server");
        }
    };
    let client = match Client::connect(&way).await {
        Ok(client) => client,
        // What to do is said with it.
        Err(Fault::NoWay(words)) => {
            let (what, fix) = words.split_once(": ").unwrap_or((&words, "is --server right?"));
            return found.problem("coordinator", what, fix);
        }
        Err(fault) => {
            let fix = "sweepctl up starts one here; is --server right, does it run, does a firewall let us through?";
            return found.problem("coordinator", fault.to_string(), fix);
        }
    };
    let start = Instant::now();
    let info = match client.info().await {
        Ok(info) => info,
        Err(fault) => return found.problem("coordinator", fault.to_string(), "look at the coordinator's log"),
    };
    found.ok("coordinator", format!("{server} answers in {:.0} ms", start.elapsed().as_secs_f64() * 1e3));
    found.versions((env!("CARGO_PKG_VERSION"), sweep_proto::PROTOCOL), (&info.build, info.protocol));
    if !info.safe_mode.is_empty() {
        let fix = "restore a newer backup, or sweepctl admin accept-rollback";
        found.problem("journal", safe(&info.safe_mode), fix);
    }
    if info.now > 0 {
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        found.clock(ours, Duration::from_micros(info.now.unsigned_abs()), start.elapsed());
    }
    match client.agents().await {
        Err(fault) => found.problem("login", fault.to_string(), "sweepctl login HOST"),
        Ok(agents) => {
            let silent: Vec<_> =
                agents.iter().filter(|agent| agent.status != "reachable").map(|agent| agent.host.as_str()).collect();
            let text = format!("{} of {} can be reached", agents.len() - silent.len(), agents.len());
            match (agents.is_empty(), silent.is_empty()) {
                (true, _) => {
                    found.warn("agents", "none has ever called", "start sweep-agent on a host, or sweepctl up")
                }
                (false, true) => found.ok("agents", text),
                (false, false) => {
                    let fix = "sweep-agent doctor on those hosts; journalctl -u sweep-agent; `sweepctl admin agent revoke HOST` forgets one that is no more";
                    found.warn("agents", format!("{text}; not: {}", silent.join(", ")), fix);
                }
            }
        }
    }
}
