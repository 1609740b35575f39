//! What users change about sweeps that there are: how much they get, and on whose share. Whoever may cancel a sweep may do this.

use sweep_core::access::Permission;
use sweep_core::command::{Command, Reply};
use sweep_core::id::SweepId;
use sweep_core::tuning::{Tuning, TuningPatch};
use sweep_proto::v1;
use tonic::Status;

use super::agents::unexpected;
use super::names::{self, Kind};
use super::{Edge, refs, refused};
use crate::access::identity::Identity;

/// Changes priority and limit.
pub(super) async fn set(
    edge: &Edge,
    identity: &Identity,
    request: v1::SetSweepRequest,
) -> Result<v1::SetSweepReply, Status> {
    let v1::SetSweepRequest { sweep, user, priority, max_parallel } = request;
    let patch = TuningPatch { priority, max_parallel: max_parallel.map(|quota| quota.most) };
    let Known { sweep, name, before, .. } = changeable(edge, identity, sweep).await?;
    let about = format!("sweep {name} ({sweep})");
    identity.about(format!("{about}: {}", asked(patch)));
    let command = Command::SetSweep { sweep, user: identity.name(user), patch };
    match edge.handle.command(command).await.map_err(refused)? {
        Reply::Tuned { tuning, changed } => {
            identity.about(format!("{about}: {tuning}; was {before}"));
            let running = running(edge, sweep).await?;
            let (priority, max_parallel) = (tuning.priority, tuning.max_parallel);
            Ok(v1::SetSweepReply { name, priority, max_parallel, changed, running })
        }
        other => Err(unexpected(other)),
    }
}

/// Lets a sweep count on the share of another project: whoever does so has rights in both.
pub(super) async fn move_to(
    edge: &Edge,
    identity: &Identity,
    request: v1::MoveSweepRequest,
) -> Result<v1::MoveSweepReply, Status> {
    let v1::MoveSweepRequest { sweep, user, project, new_project } = request;
    let Known { sweep, name, project: before, .. } = changeable(edge, identity, sweep).await?;
    identity.about(format!("sweep {name} ({sweep}): to project {project}; was {before}"));
    // No project is no name of one: the core says so.
    let project = if project.is_empty() { project } else { identity.project(project)? };
    if !project.is_empty() && !new_project {
        names::check(&edge.guard, &edge.handle, Kind::Project, &project, "--new-project makes it").await?;
    }
    let command = Command::MoveSweep { sweep, user: identity.name(user), project: project.clone() };
    match edge.handle.command(command).await.map_err(refused)? {
        Reply::Changed(moved) => {
            Ok(v1::MoveSweepReply { name, project, moved: moved > 0, running: running(edge, sweep).await? })
        }
        other => Err(unexpected(other)),
    }
}

async fn running(edge: &Edge, sweep: SweepId) -> Result<u64, Status> {
    let known = edge.handle.query(move |view| view.core.state().sweep(sweep).map_or(0, |it| it.counts.running));
    Ok(known.await.map_err(refused)?.into())
}

/// A sweep that somebody may change.
struct Known {
    sweep: SweepId,
    name: String,
    project: String,
    before: Tuning,
}

/// The sweep that somebody names, if they may change it.
async fn changeable(edge: &Edge, identity: &Identity, text: String) -> Result<Known, Status> {
    let caller = identity.clone();
    identity.about(format!("sweep {text}"));
    let found = edge.handle.query(move |view| {
        let state = view.core.state();
        let sweep = &state.sweeps[refs::sweep(state, &text, &caller)? as usize];
        caller.about(format!("sweep {} ({})", sweep.name, sweep.id));
        caller.check(Permission::Change, &sweep.user, Some(&sweep.project))?;
        let (name, project, before) = (sweep.name.clone(), sweep.project.clone(), Tuning::of(&sweep.plan.limits));
        Ok(Known { sweep: sweep.id, name, project, before })
    });
    found.await.map_err(refused)?
}

/// What somebody wants, in words; what is not said stays.
fn asked(patch: TuningPatch) -> String {
    let priority = patch.priority.map(|priority| format!("priority {priority}"));
    let most = patch.max_parallel.map(|most| most.map_or_else(|| "none".to_owned(), |most| most.to_string()));
    let most = most.map(|most| format!("max_parallel {most}"));
    priority.into_iter().chain(most).collect::<Vec<_>>().join(", ")
}
