//! Who keeps trials from hosts and slots.

use sweep_core::command::{Command, Reply};
use sweep_core::device::HoldChange;
use sweep_core::shares::DEFAULT_USER;
use sweep_core::time::Timestamp;
use sweep_proto::convert::{hold_change, target};
use sweep_proto::v1;
use sweep_proto::v1::machines_server::Machines as Service;
use tonic::{Request, Response, Status};

use super::agents::unexpected;
use super::{Edge, malformed, refused};
use crate::access::identity::Identity;
use crate::handle::View;

/// The service.
#[derive(Debug)]
pub(super) struct Machines(pub(super) Edge);

impl Machines {
    async fn change(
        &self,
        identity: &Identity,
        claimed: String,
        host: String,
        slot: Option<u32>,
        change: HoldChange,
    ) -> Result<u64, Status> {
        let user = match identity.name(claimed) {
            user if user.is_empty() => DEFAULT_USER.to_owned(),
            user => user,
        };
        identity.about(match &change {
            HoldChange::Set { kind, reason, span, from } => {
                let from = from.map(|from| format!(" from {} us", from.0)).unwrap_or_default();
                let span = span.map(|span| format!(" for {} s", span.0 / 1_000_000)).unwrap_or_default();
                format!("{} {}{from}{span}: {reason}", kind.reason(), target(&host, slot))
            }
            HoldChange::Lift => target(&host, slot),
            HoldChange::CallOff { from } => {
                let from = from.map(|from| format!(" from {} us", from.0)).unwrap_or_default();
                format!("no maintenance of {}{from}", target(&host, slot))
            }
        });
        match self.0.handle.command(Command::Hold { user, host, slot, change }).await.map_err(refused)? {
            Reply::Changed(count) => Ok(count.into()),
            other => Err(unexpected(other)),
        }
    }
}

#[tonic::async_trait]
impl Service for Machines {
    async fn hold(&self, request: Request<v1::HoldRequest>) -> Result<Response<v1::HoldReply>, Status> {
        let identity = Identity::of(&request);
        let mut request = request.into_inner();
        let user = std::mem::take(&mut request.user);
        let (host, slot, change) = hold_change(request).map_err(malformed)?;
        let leaving = self.change(&identity, user, host, slot, change).await?;
        Ok(Response::new(v1::HoldReply { leaving }))
    }

    async fn lift(&self, request: Request<v1::LiftRequest>) -> Result<Response<v1::LiftReply>, Status> {
        let identity = Identity::of(&request);
        let v1::LiftRequest { host, slot, user, maintenance, from } = request.into_inner();
        let from = from.map(Timestamp);
        let change = if maintenance { HoldChange::CallOff { from } } else { HoldChange::Lift };
        let lifted = self.change(&identity, user, host.clone(), slot, change).await?;
        let closed = self.0.handle.query(move |view| closed(view, &host, slot)).await.map_err(refused)?;
        Ok(Response::new(v1::LiftReply { lifted, closed }))
    }
}

/// What keeps trials from a slot, or from slots of a host, in words; nothing if they are open.
fn closed(view: View<'_>, host: &str, slot: Option<u32>) -> String {
    let Ok((_, agent)) = view.core.state().host(host) else { return String::new() };
    let all = agent.slots.len() as u32;
    let blocks = |slot: u32| agent.block(slot, view.now).map(|block| block.to_string());
    if let Some(slot) = slot {
        return blocks(slot).unwrap_or_default();
    }
    let closed: Vec<String> = (0..all).filter_map(blocks).collect();
    match closed.first() {
        None => String::new(),
        Some(first) if closed.len() as u32 == all => first.clone(),
        Some(first) => format!("{} of {all} slots, one of them {first}", closed.len()),
    }
}
