//! Hello, poll, report, ship: one function each, typed on both sides.

use std::time::Duration;

use sweep_core::command::{Effect, EffectResult, Verdict};
use sweep_core::device::Sighting;
use sweep_core::event::AgentFacts;
use sweep_core::id::{AgentId, Lease};
use sweep_identity::dial::Link;
use sweep_proto::convert::{Orders, hello_request, id_bytes, orders, position, to_leases};
use sweep_proto::v1::agents_client::AgentsClient;
use sweep_proto::v1::{self, PollRequest, ReportRequest, ShipSeriesRequest};
use tonic::Request;

use super::{CallError, Links};
use crate::series::Shipment;

/// Longest wait for an answer that the coordinator gives at once.
const ANSWER: Duration = Duration::from_secs(30);
/// What a network may add to the length of a long poll.
const SLACK: Duration = Duration::from_secs(10);

/// Says what this agent is and what it holds; one verdict comes back for each attempt held.
///
/// # Errors
/// When there is no answer, or a refusal.
pub async fn hello(links: Links, facts: AgentFacts, held: Vec<Lease>) -> Result<Vec<(Lease, Verdict)>, CallError> {
    let seen = links.memory.seen().map(v1::Seen::from);
    let hello = hello_request(&facts, &held, env!("CARGO_PKG_VERSION"));
    let mut request = Request::new(v1::HelloRequest { seen, ..hello });
    request.set_timeout(ANSWER);
    let reply = AgentsClient::new(links.control).hello(request).await?.into_inner();
    links.memory.note(position(reply.at.as_ref())?);
    let verdicts = reply.verdicts.into_iter().map(Verdict::try_from);
    let verdicts = verdicts.collect::<Result<Vec<_>, _>>()?;
    Ok(held.into_iter().zip(verdicts).collect())
}

/// Heartbeat, and the wait for orders newer than `revision`.
///
/// # Errors
/// As [`hello`].
pub async fn poll(
    links: Links,
    agent: AgentId,
    known: Vec<Lease>,
    revision: u64,
    wait: Duration,
) -> Result<Orders, CallError> {
    let mut request = Request::new(PollRequest {
        agent_id: id_bytes(agent),
        known: to_leases(&known),
        wait_ms: wait.as_millis() as u32,
        revision,
        seen: links.memory.seen().map(v1::Seen::from),
    });
    request.set_timeout(wait + SLACK);
    let reply = AgentsClient::new(links.control).poll(request).await?.into_inner();
    links.memory.note(position(reply.at.as_ref())?);
    Ok(orders(reply.orders.as_ref())?)
}

/// Says what happened; one result per effect comes back, and the orders after it.
///
/// # Errors
/// As [`hello`].
pub async fn report(
    links: Links,
    agent: AgentId,
    effects: Vec<Effect>,
    known: Vec<Lease>,
) -> Result<(Vec<EffectResult>, Orders), CallError> {
    let mut request = Request::new(ReportRequest {
        agent_id: id_bytes(agent),
        effects: effects.iter().map(v1::Effect::from).collect(),
        known: to_leases(&known),
        seen: links.memory.seen().map(v1::Seen::from),
    });
    request.set_timeout(ANSWER);
    let reply = AgentsClient::new(links.control).report(request).await?.into_inner();
    links.memory.note(position(reply.at.as_ref())?);
    let results = reply.results.into_iter().map(EffectResult::try_from);
    let results = results.collect::<Result<Vec<_>, _>>()?;
    Ok((results, orders(reply.orders.as_ref())?))
}

/// Says what is on the agent's devices.
///
/// # Errors
/// As [`hello`].
pub async fn observe(channel: Link, agent: AgentId, sighting: Sighting) -> Result<(), CallError> {
    let mut request = Request::new(v1::ObserveRequest { agent_id: id_bytes(agent), ..(&sighting).into() });
    request.set_timeout(ANSWER);
    AgentsClient::new(channel).observe(request).await?;
    Ok(())
}

/// Ships log text and steps.
///
/// # Errors
/// As [`hello`].
pub async fn ship(channel: Link, agent: AgentId, shipment: Shipment) -> Result<(), CallError> {
    let logs = shipment.logs.into_iter().map(|piece| v1::LogChunk {
        lease: Some(piece.lease.into()),
        offset: piece.offset,
        text: piece.text,
    });
    let steps = shipment.steps.into_iter().map(|step| v1::Step {
        lease: Some(step.lease.into()),
        step: step.step,
        loss: Some(step.loss),
    });
    let mut request =
        Request::new(ShipSeriesRequest { agent_id: id_bytes(agent), logs: logs.collect(), steps: steps.collect() });
    request.set_timeout(ANSWER);
    AgentsClient::new(channel).ship_series(request).await?;
    Ok(())
}
