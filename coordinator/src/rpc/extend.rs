//! More of a sweep: what is new is worked out beside the owner of the state, which takes it if the plan is still the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use sweep_core::access::Permission;
use sweep_core::command::{Command, Reject, Reply};
use sweep_core::plan::{Plan, Wish, plan_text};
use sweep_proto::status::status;
use sweep_proto::v1;
use tonic::{Code, Status};

use super::agents::unexpected;
use super::sweeps::invalid;
use super::{Edge, refs, refused, reuse};
use crate::access::identity::Identity;

/// Answers with what is new.
pub(super) async fn extend(
    edge: &Edge,
    identity: Identity,
    request: v1::ExtendRequest,
) -> Result<v1::ExtendReply, Status> {
    let v1::ExtendRequest { sweep: text, spec, seeds, epochs, user, dry_run, reuse, queue_anyway } = request;
    let (user, caller) = (identity.name(user), identity.clone());
    identity.about(format!("sweep {text}"));
    let found = edge.handle.query(move |view| {
        let state = view.core.state();
        let sweep = &state.sweeps[refs::sweep(state, &text, &caller)? as usize];
        Ok::<_, Status>((
            sweep.id,
            sweep.name.clone(),
            sweep.user.clone(),
            sweep.project.clone(),
            Arc::clone(&sweep.plan),
        ))
    });
    let (sweep, name, owner, project, plan) = found.await.map_err(refused)??;
    identity.about(format!("sweep {name} ({sweep})"));
    identity.check(Permission::Change, &owner, Some(&project))?;
    let (points, seeds_before) = (plan.all_points(), plan.seeds.len() as u32);
    let before = plan.clone();
    let growth = edge.compute(move || {
        let file = if spec.is_empty() { None } else { Some(plan_text(&spec).map_err(|errors| invalid(&errors))?.0) };
        let wish = Wish { seeds, epochs: (epochs > 0).then_some(epochs), plan: file };
        let growth = plan.growth(&wish);
        growth.map_err(|error| status(Code::FailedPrecondition, "extend_refused", error.to_string()))
    });
    let growth = growth.await??;
    let (new_points, new_seeds) = (growth.points.len() as u32 + growth.samples, growth.seeds.len() as u32);
    let mut grown = Plan::clone(&before);
    grown.grow(&growth);
    let grown = Arc::new(grown);
    let found = reuse::offers(edge, &identity, &grown, before.len(), Some(sweep)).await?;
    let reuse = reuse::wanted(&found, reuse, &grown)?;
    let reused = edge.handle.query(move |view| view.core.state().sweep(sweep).map_or(0, |it| it.reused));
    let reused = u64::from(reused.await.map_err(refused)?);
    let reusable = reuse::by_sweep(&found);
    let taken: BTreeSet<u32> = reuse.iter().map(|(index, _)| *index).collect();
    let wanted = growth.goes_on.clone();
    let goes_on = edge.handle.query(move |view| {
        let found = view.core.state().sweep(sweep).map(|it| it.can_go_on(&wanted)).unwrap_or_default();
        (found.iter().map(|one| one.trial).filter(|trial| !taken.contains(trial)).collect::<BTreeSet<u32>>(), taken)
    });
    let (going, taken) = goes_on.await.map_err(refused)?;
    let (goes_on, first, candidates) = (going.len() as u64, before.len(), growth.goes_on.clone());
    let others = going.union(&taken).copied().collect();
    let from_start = edge.compute(move || grown.from_start(first, &candidates, &others)).await?;
    let reply = |trials: u64, reused: u64| v1::ExtendReply {
        name: name.clone(),
        trials,
        points: new_points,
        seeds: new_seeds,
        reused,
        reusable: reusable.clone(),
        goes_on,
        follows_length: from_start.follows_length,
        unfinished: from_start.unfinished,
        no_shorter: from_start.no_shorter,
    };
    if dry_run {
        let (all, seeds) = (u64::from(points + new_points), u64::from(seeds_before + new_seeds));
        return Ok(reply(all * seeds - u64::from(points) * u64::from(seeds_before), 0));
    }
    let command = Command::Extend { sweep, user, growth, points, seeds: seeds_before, queue_anyway, reuse };
    match edge.handle.command(command).await.map_err(refused)? {
        Reply::Changed(trials) => {
            identity.about(format!("sweep {name} ({sweep}): {trials} trials more"));
            let after = edge.handle.query(move |view| view.core.state().sweep(sweep).map_or(0, |it| it.reused));
            let after = u64::from(after.await.map_err(refused)?);
            Ok(reply(trials.into(), after.saturating_sub(reused)))
        }
        // How much people have waiting in other projects is theirs.
        Reply::Rejected(Reject::TooManyOpen { user, more, .. }) if !identity.sees_all_of(&user) => {
            let text = format!(
                "with {more} more, {user} would have more trials that are not over than one user may: wait, or ask an admin"
            );
            Err(status(Code::ResourceExhausted, "quota_open_trials", text))
        }
        other => Err(unexpected(other)),
    }
}
