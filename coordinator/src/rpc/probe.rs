//! A probe of a sweep file: which shapes were never trained is looked up here, the tiny sweep that trains them is submitted like any other.

use std::collections::BTreeSet;
use std::sync::Arc;

use sweep_core::command::{Command, Reply, Submit};
use sweep_core::estimate::{estimate, in_the_way};
use sweep_core::id::SweepId;
use sweep_core::plan::plan_text;
use sweep_core::shares::DEFAULT_USER;
use sweep_proto::convert::id_bytes;
use sweep_proto::status::status;
use sweep_proto::v1;
use tonic::{Code, Status};

use super::agents::unexpected;
use super::names::{self, Kind};
use super::sweeps::invalid;
use super::{Edge, refused};
use crate::access::identity::Identity;

/// Answers with the sweep that probes.
pub(super) async fn probe(
    edge: &Edge,
    identity: Identity,
    request: v1::ProbeRequest,
) -> Result<v1::ProbeReply, Status> {
    let v1::ProbeRequest { spec, user, project } = request;
    identity.about(format!("a probe for {}", if project.is_empty() { "the only project" } else { &project }));
    let (user, project) = (identity.name(user), identity.project(project)?);
    names::check(&edge.guard, &edge.handle, Kind::Project, &project, "submit to it with --new-project first").await?;
    let planned = edge.compute(move || plan_text(&spec)).await?;
    let (plan, spec) = planned.map_err(|errors| invalid(&errors))?;
    let (plan, caller) = (Arc::new(plan), identity.clone());
    let asked = Arc::clone(&plan);
    let found = edge.handle.query(move |view| {
        let state = view.core.state();
        let found = estimate(state, &asked, |sweep| caller.sees(sweep)).map_err(|error| error.to_string());
        (found, in_the_way(state, |sweep| caller.sees(sweep)))
    });
    let (found, waits) = found.await.map_err(refused)?;
    let found = found.map_err(|message| status(Code::Internal, "plan_damaged", message))?;
    let unknown = found.shapes.iter().filter(|shape| shape.seen.is_none());
    let points: BTreeSet<u32> = unknown.map(|shape| shape.point).collect();
    if points.is_empty() {
        return Ok(v1::ProbeReply::default());
    }
    let (shapes, user) = (points.len() as u32, if user.is_empty() { DEFAULT_USER.to_owned() } else { user });
    let which = format!("{user} {project} {points:?}");
    let canonical = spec.canonical();
    let named = edge.handle.query(move |view| {
        let state = view.core.state();
        // Who asks again while it runs, or whose answer was lost, gets the same one.
        (0u64..).find_map(|number| {
            let id = SweepId::derive(&canonical, &format!("probe {number} {which}"));
            match state.sweep(id) {
                None => Some((id, None)),
                Some(sweep) if sweep.is_over() || sweep.breaker.is_open() => None,
                Some(sweep) => Some((id, Some(sweep.name.clone()))),
            }
        })
    });
    let (sweep, running) = named.await.map_err(refused)?.expect("there are more numbers than sweeps");
    if let Some(name) = running {
        return Ok(v1::ProbeReply { shapes, sweep_id: id_bytes(sweep), name });
    }
    if found.slots == 0 {
        let text = "no host that has the data set is connected: nothing could be probed".to_owned();
        return Err(status(Code::FailedPrecondition, "no_host", text));
    }
    if let Some(waits) = waits {
        let text =
            format!("a probe would take slots before others: {waits}; ask again when nothing waits (`sweepctl queue`)");
        return Err(status(Code::FailedPrecondition, "probe_disturbs", text));
    }
    let plan = Arc::new(plan.probe(&points));
    let submit = Submit { sweep, user, project, plan, queue_anyway: false, reuse: Vec::new() };
    match edge.handle.command(Command::Submit(submit)).await.map_err(refused)? {
        Reply::Submitted { sweep, name, .. } => {
            identity.about(format!("sweep {name} ({sweep})"));
            Ok(v1::ProbeReply { shapes, sweep_id: id_bytes(sweep), name })
        }
        other => Err(unexpected(other)),
    }
}
