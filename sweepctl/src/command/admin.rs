//! `admin`: what whoever runs the machines does. `init` works on the coordinator's own folder, by its
//! own program; everything else asks the coordinator.

use std::process::{Command, Stdio};

use serde_json::json;
use sweep_identity::address::Address;
use sweep_identity::chain::Follower;

use super::maintenance;
use super::notify;
use super::program;
use super::shares;
use super::upkeep;
use crate::cli::{self, Admin, AuditLog, Format, Shares};
use crate::client::Client;
use crate::client::access::PutUser;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, ago, safe, safe_json, stamp};
use crate::view::access::UserView;

/// Makes a lab; the token goes to standard output.
pub(crate) fn init(out: &Out, args: &cli::Init) -> Result<(), Fault> {
    let path = program("sweep-coordinator")?;
    let mut command = Command::new(&path);
    command.arg("init").stdin(Stdio::null());
    if let Some(data) = &args.data {
        command.arg("--data").arg(data);
    }
    for host in &args.host {
        command.arg("--host").arg(host);
    }
    let failed = |source| Fault::Program { path: path.clone(), source };
    if !command.status().map_err(failed)?.success() {
        return Err(Fault::Child { program: "sweep-coordinator init" });
    }
    out.note("the line above is a token of `admin`, good for one day; it is not kept anywhere");
    let host = args.host.first().map_or("HOST", String::as_str);
    out.note("next     sweep-coordinator --listen 0.0.0.0:7443");
    out.note(format!("         sweepctl login {host}; sweepctl admin user add NAME; sweepctl admin token create NAME"));
    Ok(())
}

/// Everything else.
pub(crate) async fn run(out: &Out, client: &Client, command: &Admin) -> Result<(), Fault> {
    match command {
        Admin::Init(args) => init(out, args),
        Admin::User(command) => user(out, client, command).await,
        Admin::Token(command) => token(out, client, command).await,
        Admin::AgentToken(args) => {
            let made = client.create_agent_token(args.hours * 3600, &args.note).await?;
            shown_once(out, made, "a join token for one agent")?;
            let (place, is_known) = for_others(client.server());
            out.note(format!(
                "next     on the agent's host: sweep-agent --coordinator https://{place} --join-file FILE"
            ));
            if !is_known {
                out.note("         HOST is a name of this host that was given to `sweepctl admin init --host`");
            }
            Ok(())
        }
        Admin::Agent(command) => agent(out, client, command).await,
        Admin::Shares(Shares::Show(args)) => shares::show(out, client, args.all).await,
        Admin::Shares(Shares::Set(args)) => shares::set(out, client, args).await,
        Admin::Shares(Shares::Reserve(args)) => shares::set(out, client, args).await,
        Admin::Shares(Shares::Release(args)) => shares::set(out, client, args).await,
        Admin::Notify(command) => notify::run(out, client, command).await,
        Admin::Maintenance(args) => maintenance::run(out, client, args).await,
        Admin::Backup(args) => upkeep::backup(out, client, args).await,
        Admin::Restore(args) => upkeep::restore(args),
        Admin::AcceptRollback => upkeep::accept(out, client).await,
        Admin::Fsck(args) => upkeep::fsck(out, client, args).await,
        Admin::AuditLog(AuditLog::Show(args)) => show_log(out, client, args).await,
        Admin::AuditLog(AuditLog::Verify { head }) => verify_log(out, client, head.as_deref()).await,
    }
}

async fn user(out: &Out, client: &Client, command: &cli::User) -> Result<(), Fault> {
    match command {
        cli::User::Add { name, role, project, take_over, new_project } => {
            let user = PutUser { name, role: role.name(), projects: project, new_project: *new_project };
            client.add_user(user, *take_over).await?;
            out.note(format!("{name} is {} in {}", role.name(), project.join(", ")));
            out.note(format!("next     sweepctl admin token create {name}"));
            Ok(())
        }
        cli::User::Set { name, role, project, new_project } => {
            let role = role.map_or("", cli::Role::name);
            let user = PutUser { name, role, projects: project, new_project: *new_project };
            let (before, now) = client.set_user(user).await?;
            let words = |user: &UserView| format!("{} in {}", user.role, safe(&user.projects.join(", ")));
            let (before, now) = (words(&before), words(&now));
            out.note(match before == now {
                true => format!("{name} is {now}, as before"),
                false => format!("{name} is {now}; was {before}"),
            });
            Ok(())
        }
        cli::User::Remove { name } => {
            client.remove_user(name).await?;
            out.note(format!("{name} has left; all tokens of {name} have ended"));
            out.note(format!("what {name} submitted stays, and goes on; the name is given to nobody else by mistake"));
            Ok(())
        }
        cli::User::List { .. } => {
            let users = client.users().await?;
            if out.format == Format::Json {
                return out.json(&json!({ "users": users }));
            }
            let mut table = Table::new(["user", "role", "projects", "tokens", "since", "left"]);
            for user in &users {
                let left = if user.removed == 0 { String::new() } else { ago(user.removed) };
                table.row([
                    Cell::new(&user.name),
                    Cell::new(&user.role),
                    Cell::new(user.projects.join(", ")),
                    Cell::number(user.tokens),
                    Cell::new(ago(user.created)),
                    Cell::new(left),
                ]);
            }
            out.table(&table)
        }
    }
}

async fn token(out: &Out, client: &Client, command: &cli::Token) -> Result<(), Fault> {
    match command {
        cli::Token::Create { user, role, days, note } => {
            let role = role.map_or("", cli::Role::name);
            let made = client.create_token(user, role, days * 86_400, note).await?;
            shown_once(out, made, &format!("a token of {user}"))?;
            out.note(format!("next     sweepctl login {}, and paste it", for_others(client.server()).0));
            Ok(())
        }
        cli::Token::Revoke { id } => {
            let changed = client.revoke_token(id).await?;
            out.note(if changed { "it has ended, and so has what it was doing" } else { "it had ended before" });
            Ok(())
        }
        cli::Token::List { user, all, .. } => {
            let tokens = client.tokens(user.as_deref().unwrap_or_default(), *all).await?;
            if out.format == Format::Json {
                return out.json(&json!({ "tokens": tokens }));
            }
            let mut table = Table::new(["token", "kind", "user", "role", "until", "revoked", "note"]);
            for token in &tokens {
                let revoked = if token.revoked == 0 { String::new() } else { ago(token.revoked) };
                table.row([
                    Cell::new(&token.id),
                    Cell::new(&token.kind),
                    Cell::new(&token.user),
                    Cell::new(&token.role),
                    Cell::new(stamp(token.expires).unwrap_or_default()),
                    Cell::new(revoked),
                    Cell::new(&token.note),
                ]);
            }
            out.table(&table)
        }
    }
}

async fn agent(out: &Out, client: &Client, command: &cli::Agent) -> Result<(), Fault> {
    match command {
        cli::Agent::Revoke { agent } => {
            let (which, changed) = client.revoke_agent(agent).await?;
            let which = safe(&which);
            out.note(match changed {
                true => format!(
                    "{which}: it is out; its trials go to others, and its host is forgotten but for the history"
                ),
                false => format!("{which}: it was out before"),
            });
            Ok(())
        }
        cli::Agent::List { .. } => {
            let agents = client.agent_certificates().await?;
            if out.format == Format::Json {
                return out.json(&json!({ "agents": agents }));
            }
            let mut table = Table::new(["host", "agent", "joined", "certificate until", "revoked", "note"]);
            for agent in &agents {
                let revoked = if agent.revoked == 0 { String::new() } else { ago(agent.revoked) };
                table.row([
                    Cell::new(&agent.host),
                    Cell::new(&agent.agent),
                    Cell::new(ago(agent.enrolled)),
                    Cell::new(stamp(agent.expires).unwrap_or_default()),
                    Cell::new(revoked),
                    Cell::new(&agent.note),
                ]);
            }
            out.table(&table)
        }
    }
}

/// Where others find the coordinator that is called `server` here, and whether its name is known: `localhost` is somebody else there.
fn for_others(server: &str) -> (String, bool) {
    match server.parse::<Address>() {
        Ok(address) if address.is_loopback() => (format!("HOST:{}", address.port), false),
        Ok(address) => (address.place(), true),
        Err(_) => (server.to_owned(), true),
    }
}

/// The token alone on standard output, so that it can go where it must.
fn shown_once(out: &Out, made: (String, String, i64), what: &str) -> Result<(), Fault> {
    let (token, id, expires) = made;
    out.print(format!("{token}\n"))?;
    let until = stamp(expires).unwrap_or_default();
    out.note(format!("{what}, {}, good until {until}; it is shown this once", safe(&id)));
    Ok(())
}

async fn show_log(out: &Out, client: &Client, args: &cli::ShowLog) -> Result<(), Fault> {
    let since = args.since.map(|since| since.before(jiff::Timestamp::now().as_microsecond()));
    let mut after = 0;
    loop {
        let page = client.audit_log(after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.no;
        for entry in page.iter().filter(|entry| is_asked_for(&entry.body, args, since)) {
            out.print(format!("{}\n", safe_json(&entry.body)))?;
        }
    }
}

/// Whether an entry is what was asked for; one that cannot be read is only if everything is.
fn is_asked_for(body: &str, args: &cli::ShowLog, since: Option<i64>) -> bool {
    if args.user.is_none() && args.method.is_none() && since.is_none() {
        return true;
    }
    let Ok(entry) = serde_json::from_str::<serde_json::Value>(body) else { return false };
    let is_in = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
    args.user.as_ref().is_none_or(|user| entry["who"] == user.as_str())
        && args.method.as_ref().is_none_or(|part| entry["method"].as_str().is_some_and(|method| is_in(method, part)))
        && since.is_none_or(|since| entry["at"].as_i64().is_some_and(|at| at >= since))
}

/// Follows the chain here, so that what the coordinator says of itself is not believed.
async fn verify_log(out: &Out, client: &Client, noted: Option<&str>) -> Result<(), Fault> {
    let mut follower = Follower::default();
    let mut seen = noted.is_none();
    loop {
        let page = client.audit_log(follower.entries).await?;
        if page.is_empty() {
            break;
        }
        for entry in page {
            follower.follow(entry.no, &entry.body, &entry.hash).map_err(Fault::AuditLog)?;
            seen |= noted == Some(entry.hash.as_str());
        }
    }
    if !seen {
        return Err(Fault::AuditLogCut { head: noted.unwrap_or_default().to_owned() });
    }
    out.note(format!("{} entries, each follows from the one before it", follower.entries));
    out.print(format!("{}\n", follower.head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_told_the_port_that_is_listened_on() {
        assert_eq!(for_others("https://127.0.0.1:9443"), ("HOST:9443".to_owned(), false));
        assert_eq!(for_others("https://localhost"), ("HOST:7443".to_owned(), false));
        assert_eq!(for_others("https://lab.example.org:9000"), ("lab.example.org:9000".to_owned(), true));
        assert_eq!(for_others("https://[fd00::1]:99"), ("[fd00::1]:99".to_owned(), true));
    }
}
