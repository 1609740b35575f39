//! Hello: what an agent is, and what it is told about the attempts it holds.

use std::collections::BTreeSet;

use sweep_core::command::Verdict;
use sweep_core::device::Offer;
use sweep_core::event::{AgentFacts, DatasetFacts};
use sweep_core::id::Lease;
use sweep_core::lineage::Position;
use uuid::Uuid;

use super::{ConvertError, ConvertReason, id, id_bytes, leases, to_leases};
use crate::v1;
use crate::v1::verdict::Kind;

/// The request that says `facts` and `held`; `build` is the agent's version.
pub fn hello_request(facts: &AgentFacts, held: &[Lease], build: &str) -> v1::HelloRequest {
    v1::HelloRequest {
        protocol: crate::PROTOCOL,
        build: build.to_owned(),
        agent_id: id_bytes(facts.agent),
        host: facts.host.clone(),
        incarnation: facts.incarnation,
        slots: facts.slots.clone(),
        datasets: facts.datasets.iter().map(v1::Dataset::from).collect(),
        data_roots: facts.data_roots.clone(),
        any_dataset: facts.any_dataset,
        held: to_leases(held),
        offer: Some(v1::Offer::from(&facts.offer)),
        seen: None,
    }
}

/// What a hello says: the facts, and the attempts it holds in the order of the request.
///
/// # Errors
/// When an id is not one.
pub fn hello(request: v1::HelloRequest) -> Result<(AgentFacts, Vec<Lease>), ConvertError> {
    let held = leases(&request.held)?;
    let offer = request.offer.map(Offer::from).unwrap_or_default();
    if !is_disjoint(&offer) {
        return Err(ConvertError::new("offer.devices", ConvertReason::Repeated));
    }
    let facts = AgentFacts {
        agent: id(&request.agent_id, "agent_id")?,
        host: request.host,
        incarnation: request.incarnation,
        slots: request.slots,
        datasets: datasets(request.datasets),
        data_roots: request.data_roots,
        any_dataset: request.any_dataset,
        offer,
    };
    Ok((facts, held))
}

/// Whether a device is named once, and a slot is on one of them: else it would be given out twice.
fn is_disjoint(offer: &Offer) -> bool {
    let (mut ids, mut slots) = (BTreeSet::new(), BTreeSet::new());
    offer
        .devices
        .iter()
        .all(|device| ids.insert(device.id.as_str()) && device.slots.iter().all(|slot| slots.insert(*slot)))
}

impl From<Position> for v1::Seen {
    fn from(position: Position) -> Self {
        let Position { journal, generation, events, run } = position;
        let run = run.map(|run| run.as_bytes().to_vec().into());
        Self { journal: journal.as_bytes().to_vec().into(), generation, events, run }
    }
}

/// A place in a journal, if there is one.
///
/// # Errors
/// When its id is not one.
pub fn position(seen: Option<&v1::Seen>) -> Result<Option<Position>, ConvertError> {
    let read = |seen: &v1::Seen| {
        let id = |bytes: &[u8], field| {
            Uuid::from_slice(bytes).map_err(|_| ConvertError::new(field, ConvertReason::UnknownValue))
        };
        let journal = id(&seen.journal, "seen.journal")?;
        let run = seen.run.as_deref().map(|run| id(run, "seen.run")).transpose()?;
        Ok(Position { journal, generation: seen.generation, events: seen.events, run })
    };
    seen.map(read).transpose()
}

/// The data sets of a hello.
pub fn datasets(list: Vec<v1::Dataset>) -> Vec<DatasetFacts> {
    list.into_iter().map(DatasetFacts::from).collect()
}

impl From<&DatasetFacts> for v1::Dataset {
    fn from(facts: &DatasetFacts) -> Self {
        Self {
            name: facts.name.clone(),
            classes: facts.classes,
            train_images: facts.train_images,
            val_images: facts.val_images,
            problem: facts.problem.clone().unwrap_or_default(),
            fingerprint: facts.fingerprint.clone().unwrap_or_default(),
            layout: facts.layout.clone().unwrap_or_default(),
            path: facts.path.clone().unwrap_or_default(),
        }
    }
}

impl From<v1::Dataset> for DatasetFacts {
    fn from(dataset: v1::Dataset) -> Self {
        Self {
            name: dataset.name,
            classes: dataset.classes,
            train_images: dataset.train_images,
            val_images: dataset.val_images,
            problem: filled(dataset.problem),
            layout: filled(dataset.layout),
            path: filled(dataset.path),
            fingerprint: filled(dataset.fingerprint),
        }
    }
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl From<Verdict> for v1::Verdict {
    fn from(verdict: Verdict) -> Self {
        let (kind, acked_seq) = match verdict {
            Verdict::Continue { acked_seq } => (Kind::Continue, acked_seq),
            Verdict::Fenced => (Kind::Fenced, 0),
            Verdict::Unknown => (Kind::Unknown, 0),
            Verdict::Hold => (Kind::Hold, 0),
        };
        Self { kind: kind.into(), acked_seq }
    }
}

impl TryFrom<v1::Verdict> for Verdict {
    type Error = ConvertError;
    fn try_from(verdict: v1::Verdict) -> Result<Self, ConvertError> {
        match verdict.kind() {
            Kind::Continue => Ok(Self::Continue { acked_seq: verdict.acked_seq }),
            Kind::Fenced => Ok(Self::Fenced),
            Kind::Unknown => Ok(Self::Unknown),
            Kind::Hold => Ok(Self::Hold),
            Kind::Unspecified => Err(ConvertError::new("verdict.kind", ConvertReason::UnknownValue)),
        }
    }
}
