//! What users change about sweeps that there are: how much they get, and on whose share. Whoever may cancel a sweep may do this.

use sweep_core::access::Permission;
use sweep_core::command::{Command, Reply};
use sweep_core::id::SweepId;
use sweep_core::tuning::TuningPatch;
use sweep_proto::v1;
use tonic::Status;

use super::agents::unexpected;
use super::{Edge, refs, refused};
use crate::access::identity::Identity;

/// Changes priority and limit.
pub(super) async fn set(
    edge: &Edge,
    identity: &Identity,
    request: v1::SetSweepRequest,
) -> Result<v1::SetSweepReply, Status> {
    let v1::SetSweepRequest { sweep, user, priority, max_parallel } = request;
    let (sweep, name) = changeable(edge, identity, sweep).await?;
    let patch = TuningPatch { priority, max_parallel: max_parallel.map(|quota| quota.most) };
    let command = Command::SetSweep { sweep, user: identity.name(user), patch };
    match edge.handle.command(command).await.map_err(refused)? {
        Reply::Tuned { tuning, changed } => {
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
    let v1::MoveSweepRequest { sweep, user, project } = request;
    let (sweep, name) = changeable(edge, identity, sweep).await?;
    // No project is no name of one: the core says so.
    let project = if project.is_empty() { project } else { identity.project(project)? };
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

/// The sweep that somebody names, if they may change it: its id and name.
async fn changeable(edge: &Edge, identity: &Identity, text: String) -> Result<(SweepId, String), Status> {
    let caller = identity.clone();
    let found = edge.handle.query(move |view| {
        let state = view.core.state();
        let sweep = &state.sweeps[refs::sweep(state, &text, &caller)? as usize];
        caller.about(format!("sweep {}", sweep.id));
        caller.check(Permission::Change, &sweep.user, Some(&sweep.project))?;
        Ok((sweep.id, sweep.name.clone()))
    });
    found.await.map_err(refused)?
}
