//! Names that people type for projects, users and hosts: one that nobody has heard of is taken for a slip, unless it is said to be new.

use std::collections::BTreeSet;

use sweep_core::nearest::nearest;
use sweep_core::shares::DEFAULT_PROJECT;
use sweep_proto::status::status;
use tonic::{Code, Status};

use super::refused;
use crate::access::guard::Guard;
use crate::handle::Handle;

/// What is called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What sweeps are submitted for. Looked up where there are logins: who is alone makes projects by naming them.
    Project,
    /// Who submits them. The same.
    User,
    /// Where they run.
    Host,
}

/// Refuses a name that nobody has heard of; `cure` is what says that it is meant.
pub(super) async fn check(guard: &Guard, handle: &Handle, kind: Kind, name: &str, cure: &str) -> Result<(), Status> {
    let known = match kind {
        Kind::Project | Kind::User if guard.lab_parts().is_none() => return Ok(()),
        Kind::Project => projects(guard, handle).await?,
        Kind::User => users(guard, handle).await?,
        Kind::Host => hosts(handle).await?,
    };
    if known.contains(name) {
        return Ok(());
    }
    let near = nearest(name, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let what = match kind {
        Kind::Project => "nobody is in a project",
        Kind::User => "there is no user",
        Kind::Host => "no host is called",
    };
    let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    Err(status(Code::FailedPrecondition, "name_unknown", format!("{what} `{name}`{near} ({cure})")))
}

/// Those that somebody is in, that have sweeps, or that something was set of.
async fn projects(guard: &Guard, handle: &Handle) -> Result<BTreeSet<String>, Status> {
    let seen = handle.query(|view| {
        let accounts = &view.core.state().accounts;
        let names = accounts.projects.iter().map(|project| &project.name).chain(accounts.shares.projects.keys());
        names.cloned().collect::<BTreeSet<String>>()
    });
    let mut known = seen.await.map_err(refused)?;
    known.insert(DEFAULT_PROJECT.to_owned());
    if let Some((keeper, _)) = guard.lab_parts() {
        let book = keeper.book();
        let people = book.users.values().filter(|user| user.removed.is_none());
        known.extend(people.flat_map(|user| user.projects.iter().cloned()));
    }
    Ok(known)
}

/// Those who are here, who have sweeps, or of whom something was set.
async fn users(guard: &Guard, handle: &Handle) -> Result<BTreeSet<String>, Status> {
    let seen = handle.query(|view| {
        let accounts = &view.core.state().accounts;
        let names = accounts.users.iter().map(|user| &user.name).chain(accounts.shares.users.keys());
        names.cloned().collect::<BTreeSet<String>>()
    });
    let mut known = seen.await.map_err(refused)?;
    if let Some((keeper, _)) = guard.lab_parts() {
        let book = keeper.book();
        known.extend(book.users.values().filter(|user| user.removed.is_none()).map(|user| user.name.clone()));
    }
    Ok(known)
}

/// Those that have called and were not revoked, or of which something was set.
async fn hosts(handle: &Handle) -> Result<BTreeSet<String>, Status> {
    let seen = handle.query(|view| {
        let state = view.core.state();
        let names = state.hosts().map(|(_, agent)| &agent.facts.host).chain(state.accounts.shares.hosts.keys());
        names.cloned().collect::<BTreeSet<String>>()
    });
    seen.await.map_err(refused)
}
