//! One agent, one connection: while a member waits for orders over one connection, nobody else speaks for it over another. A stolen
//! key therefore shows, in both logs, and whoever has the copy gets nothing as long as the member is there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sweep_core::id::AgentId;
use sweep_identity::listen::Peer;
use sweep_proto::status::status;
use tonic::{Code, Request, Status};

/// The connections over which agents wait, and how many calls of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Single(Arc<Mutex<BTreeMap<AgentId, (SocketAddr, usize)>>>);

/// A call that is under way; over when dropped.
#[derive(Debug)]
pub(super) struct Call {
    all: Single,
    agent: AgentId,
}

impl Single {
    /// Begins a call of an agent, if it proves who it is by its connection.
    ///
    /// # Errors
    /// While a call of the same agent is under way over another connection. A member whose connection broke is refused only until
    /// the coordinator has noticed, which takes no longer than a long poll; it asks again by itself.
    pub(super) fn begin<T>(&self, request: &Request<T>) -> Result<Option<Call>, Status> {
        let peer = request.extensions().get::<Peer>();
        match peer.and_then(|peer| Some((peer.agent?, peer.address))) {
            Some((certificate, address)) => self.take(AgentId::from(certificate.agent), address).map(Some),
            None => Ok(None),
        }
    }

    fn take(&self, agent: AgentId, address: SocketAddr) -> Result<Call, Status> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, calls) = all.entry(agent).or_insert((address, 0));
        if *known != address {
            tracing::warn!(%agent, from = %address, other = %known, "an agent speaks over two connections");
            let text = format!(
                "agent {agent} has another connection open, from {known}: if that is not this host, its key was copied; \
                 `sweepctl admin agent revoke {agent}` ends both"
            );
            return Err(status(Code::Unavailable, "agent_twice", text));
        }
        *calls += 1;
        Ok(Call { all: self.clone(), agent })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, calls)) = all.get_mut(&self.agent) {
            *calls -= 1;
            if *calls == 0 {
                all.remove(&self.agent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_connection_waits_until_the_first_is_silent() {
        let (single, agent) = (Single::default(), AgentId::from(uuid::Uuid::from_u128(1)));
        let [here, there]: [SocketAddr; 2] = ["10.0.0.1:5", "10.0.0.2:5"].map(|address| address.parse().unwrap());
        let first = [single.take(agent, here).unwrap(), single.take(agent, here).unwrap()];
        assert!(single.take(AgentId::from(uuid::Uuid::from_u128(2)), there).is_ok(), "another agent");
        assert_eq!(single.take(agent, there).unwrap_err().code(), Code::Unavailable);
        drop(first);
        single.take(agent, there).unwrap();
        assert!(single.0.lock().unwrap().is_empty());
    }
}
