//! What users change about sweeps that there are: how much they get. Whoever may cancel a sweep may do this.

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
            let running =
                edge.handle.query(move |view| view.core.state().sweep(sweep).map_or(0, |it| it.counts.running));
            let running = running.await.map_err(refused)?.into();
            let (priority, max_parallel) = (tuning.priority, tuning.max_parallel);
            Ok(v1::SetSweepReply { name, priority, max_parallel, changed, running })
        }
        other => Err(unexpected(other)),
    }
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
