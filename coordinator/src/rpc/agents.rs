//! What agents call.

use std::time::Duration;

use sweep_core::command::{Command, Effect, EffectKind, Reply, Verdict as CoreVerdict};
use sweep_core::decide::LEASE_TIME;
use sweep_core::lineage::Position;
use sweep_proto::convert::{self, id, lease, leases, position, sighting};
use sweep_proto::status::{rejected, status};
use sweep_proto::v1::agents_server::Agents as Service;
use sweep_proto::v1::{
    EffectResult, HelloReply, HelloRequest, ObserveReply, ObserveRequest, Orders, PollReply, PollRequest, ReportReply,
    ReportRequest, Seen, ShipSeriesReply, ShipSeriesRequest, Verdict,
};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Request, Response, Status};

use super::single::Single;
use super::{Edge, malformed, refused};
use crate::access::identity::{Identity, Who};
use crate::blobs::BlobError;
use crate::handle::Synced;
use crate::journal::{LogChunk, Series, Step};

/// Longest wait of a poll.
const LONGEST_POLL: Duration = Duration::from_secs(10);
/// An agent that still stops what is no longer wanted, and does not say which orders it has seen, is
/// answered after this time, so that it does not ask in a tight loop.
const STOPPING_POLL: Duration = Duration::from_millis(100);

/// The service.
#[derive(Debug)]
pub(super) struct Agents(pub(super) Edge, pub(super) Single);

#[tonic::async_trait]
impl Service for Agents {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let _call = self.1.begin(&request)?;
        let identity = Identity::of(&request);
        let request = request.into_inner();
        if let Some(text) = sweep_proto::skew("the agent", request.protocol) {
            return Err(status(Code::FailedPrecondition, "version_skew", text));
        }
        let seen = position(request.seen.as_ref()).map_err(malformed)?;
        let (facts, held) = convert::hello(request).map_err(malformed)?;
        identity.check_agent(facts.agent)?;
        tracing::info!(agent = %facts.agent, host = facts.host, slots = facts.slots.len(), held = held.len(), "hello");
        let hello = after(seen, Command::Hello { facts, held });
        match self.0.handle.command(hello).await.map_err(refused)? {
            Reply::Welcome(verdicts) => Ok(Response::new(HelloReply {
                build: env!("CARGO_PKG_VERSION").to_owned(),
                verdicts: verdicts.into_iter().map(|verdict| told(verdict, seen)).collect(),
                lease_ms: (LEASE_TIME.0 / 1000) as u64,
                at: self
                    .0
                    .handle
                    .query(|view| view.core.state().lineage.position())
                    .await
                    .map_err(refused)?
                    .map(Seen::from),
            })),
            other => Err(unexpected(other)),
        }
    }

    async fn poll(&self, request: Request<PollRequest>) -> Result<Response<PollReply>, Status> {
        let _call = self.1.begin(&request)?;
        let identity = Identity::of(&request);
        let request = request.into_inner();
        let agent = id(&request.agent_id, "agent_id").map_err(malformed)?;
        identity.check_agent(agent)?;
        let known = leases(&request.known).map_err(malformed)?;
        let seen = position(request.seen.as_ref()).map_err(malformed)?;
        let start = Instant::now();
        let until = start + Duration::from_millis(request.wait_ms.into()).min(LONGEST_POLL);
        loop {
            let heartbeat = after(seen, Command::Heartbeat { agent, known: known.clone() });
            let synced = self.0.handle.sync(agent, heartbeat, known.clone()).await.map_err(refused)?;
            let Synced { reply, orders, position, mut changes } = synced;
            if reply != Reply::Noted {
                return Err(unexpected(reply));
            }
            let unwanted = known.iter().any(|lease| !orders.leases.contains(lease));
            let until = match request.revision {
                _ if !orders.bodies.is_empty() => start,
                0 if unwanted => until.min(start + STOPPING_POLL),
                0 => until,
                seen if seen != orders.revision => start,
                _ => until,
            };
            let answer = Response::new(PollReply { orders: Some(Orders::from(&orders)), at: position.map(Seen::from) });
            tokio::select! {
                biased;
                () = self.0.stopping.cancelled() => return Ok(answer),
                () = sleep_until(until) => {
                    // What happened meanwhile was of no interest, but it happened.
                    let at = self.0.handle.query(|view| view.core.state().lineage.position()).await.map_err(refused)?;
                    return Ok(Response::new(PollReply { at: at.map(Seen::from), ..answer.into_inner() }));
                }
                // Whom the coordinator does not know, as in safe mode, nothing changes for.
                Ok(()) = changes.changed() => {}
            }
        }
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportReply>, Status> {
        let start = Instant::now();
        let identity = Identity::of(&request);
        let request = request.into_inner();
        let agent = id(&request.agent_id, "agent_id").map_err(malformed)?;
        identity.check_agent(agent)?;
        let known = leases(&request.known).map_err(malformed)?;
        let effects = request.effects.iter().map(Effect::try_from).collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        // Until the journal refers to them, nobody cleans them away.
        let _stay = match effects.iter().any(|effect| matches!(effect.what, EffectKind::Checkpoint(_))) {
            true => Some(self.0.blobs.refer().await),
            false => None,
        };
        for effect in &effects {
            self.check_blob(effect).await?;
        }
        let seen = position(request.seen.as_ref()).map_err(malformed)?;
        let report = after(seen, Command::Report { agent, effects });
        let Synced { reply, orders, position, .. } = self.0.handle.sync(agent, report, known).await.map_err(refused)?;
        self.0.metrics.reported(start.elapsed());
        match reply {
            Reply::Effects(results) => Ok(Response::new(ReportReply {
                results: results.into_iter().map(EffectResult::from).collect(),
                orders: Some(Orders::from(&orders)),
                at: position.map(Seen::from),
            })),
            other => Err(unexpected(other)),
        }
    }

    async fn observe(&self, request: Request<ObserveRequest>) -> Result<Response<ObserveReply>, Status> {
        let identity = Identity::of(&request);
        let request = request.into_inner();
        let agent = id(&request.agent_id, "agent_id").map_err(malformed)?;
        identity.check_agent(agent)?;
        let sighting = sighting(request).map_err(malformed)?;
        match self.0.handle.command(Command::Observe { agent, sighting }).await.map_err(refused)? {
            Reply::Noted => Ok(Response::new(ObserveReply {})),
            other => Err(unexpected(other)),
        }
    }

    async fn ship_series(&self, request: Request<ShipSeriesRequest>) -> Result<Response<ShipSeriesReply>, Status> {
        let identity = Identity::of(&request);
        let request = request.into_inner();
        let agent = id(&request.agent_id, "agent_id").map_err(malformed)?;
        if identity.who != Who::Local {
            identity.check_agent(agent)?;
        }
        let mut series = Series::default();
        for chunk in request.logs {
            let lease = lease(chunk.lease.as_ref()).map_err(malformed)?;
            series.logs.push(LogChunk {
                lease,
                offset: chunk.offset.min(i64::MAX as u64 >> 1),
                text: chunk.text.to_vec(),
            });
        }
        for step in request.steps {
            let lease = lease(step.lease.as_ref()).map_err(malformed)?;
            series.steps.push(Step { lease, step: step.step, loss: step.loss.unwrap_or_default() });
        }
        self.0.handle.series(agent, series).await.map_err(refused)?;
        Ok(Response::new(ShipSeriesReply {}))
    }
}

impl Agents {
    /// A checkpoint is only spoken of when its bytes are here.
    async fn check_blob(&self, effect: &Effect) -> Result<(), Status> {
        let EffectKind::Checkpoint(checkpoint) = &effect.what else { return Ok(()) };
        let missing = |text: String| Err(status(Code::FailedPrecondition, "blob_missing", text));
        match self.0.blobs.length(&checkpoint.sha256).await {
            Ok(bytes) if bytes == checkpoint.bytes => Ok(()),
            Ok(bytes) => missing(format!("blob {} has {bytes} bytes, not {}", checkpoint.sha256, checkpoint.bytes)),
            Err(BlobError::Missing(_)) => {
                missing(format!("blob {} is not in the store: upload it first", checkpoint.sha256))
            }
            Err(error) => Err(super::blob_failed(error)),
        }
    }
}

/// What an agent says, with how far it has seen the journal.
fn after(seen: Option<Position>, command: Command) -> Command {
    match seen {
        Some(position) => Command::Seen { position, command: Box::new(command) },
        None => command,
    }
}

/// An agent of an earlier release does not know how to hold; what it reports is refused until somebody has decided.
fn told(verdict: CoreVerdict, seen: Option<Position>) -> Verdict {
    match (verdict, seen) {
        (CoreVerdict::Hold, None) => CoreVerdict::Continue { acked_seq: 0 }.into(),
        (verdict, _) => verdict.into(),
    }
}

/// A refusal of the core; anything else is a bug that is said as such.
pub(super) fn unexpected(reply: Reply) -> Status {
    match reply {
        Reply::Rejected(reject) => rejected(&reject),
        other => status(Code::Internal, "internal", format!("the core answered {other:?}")),
    }
}
