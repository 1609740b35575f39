//! Orders: what an agent should be running.

use std::collections::BTreeMap;

use sweep_core::id::Lease;
use sweep_core::orders::Order;
use sweep_core::recipe::{Layout, Numerics, Precision};

use super::{ConvertError, ConvertReason, checkpoint, lease, leases, to_leases};
use crate::v1;

/// Everything an agent should be running, and the bodies of what it did not know.
#[derive(Clone, Debug, PartialEq)]
pub struct Orders {
    /// Grows with every change; a lower one than seen before is out of date.
    pub revision: u64,
    /// Everything it should be running.
    pub leases: Vec<Lease>,
    /// What to run for those leases that it did not list as known.
    pub bodies: Vec<PlacedOrder>,
    /// For people: why the agent gets no trials of some sweeps.
    pub notes: Vec<String>,
    /// The epoch after which a trainer waits to be told more; who is not named trains to its end.
    pub waits: BTreeMap<Lease, u32>,
}

/// What to run for a lease, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedOrder {
    /// Trial and attempt.
    pub lease: Lease,
    /// On which slot.
    pub slot: u32,
    /// The recipe and where to go on.
    pub order: Order,
}

/// The orders of a reply. Every reply carries some, if only an empty list.
///
/// # Errors
/// When they are missing or wrong.
pub fn orders(orders: Option<&v1::Orders>) -> Result<Orders, ConvertError> {
    orders.ok_or(ConvertError::missing("orders"))?.try_into()
}

impl From<&Orders> for v1::Orders {
    fn from(orders: &Orders) -> Self {
        Self {
            revision: orders.revision,
            leases: to_leases(&orders.leases),
            bodies: orders.bodies.iter().map(v1::Order::from).collect(),
            notes: orders.notes.clone(),
            waits: (orders.waits.iter())
                .map(|(lease, epoch)| v1::Wait { lease: Some((*lease).into()), epoch: *epoch })
                .collect(),
        }
    }
}

impl TryFrom<&v1::Orders> for Orders {
    type Error = ConvertError;
    fn try_from(orders: &v1::Orders) -> Result<Self, ConvertError> {
        Ok(Self {
            revision: orders.revision,
            leases: leases(&orders.leases)?,
            bodies: orders.bodies.iter().map(PlacedOrder::try_from).collect::<Result<_, _>>()?,
            notes: orders.notes.clone(),
            waits: orders.waits.iter().map(wait).collect::<Result<_, _>>()?,
        })
    }
}

fn wait(wait: &v1::Wait) -> Result<(Lease, u32), ConvertError> {
    match wait.epoch {
        0 => Err(ConvertError::new("orders.waits.epoch", ConvertReason::OutOfRange)),
        epoch => Ok((lease(wait.lease.as_ref())?, epoch)),
    }
}

impl From<&PlacedOrder> for v1::Order {
    fn from(placed: &PlacedOrder) -> Self {
        let order = &placed.order;
        Self {
            lease: Some(placed.lease.into()),
            slot: placed.slot,
            recipe_json: serde_json::to_string(&order.recipe).expect("a recipe has string keys only"),
            resume: order.resume.as_ref().map(v1::Checkpoint::from),
            best: order.best.as_ref().map(v1::Checkpoint::from),
            fingerprint: order.fingerprint.clone().unwrap_or_default(),
            numerics: order.numerics.map(v1::Numerics::from),
            alike: order.alike.clone().unwrap_or_default(),
            probe_steps: order.probe_steps,
        }
    }
}

impl From<Numerics> for v1::Numerics {
    fn from(numerics: Numerics) -> Self {
        Self { precision: numerics.precision.name().to_owned(), layout: numerics.layout.name().to_owned() }
    }
}

impl TryFrom<&v1::Numerics> for Numerics {
    type Error = ConvertError;
    fn try_from(numerics: &v1::Numerics) -> Result<Self, ConvertError> {
        let precision = [Precision::Fp32, Precision::Bf16].into_iter().find(|one| one.name() == numerics.precision);
        let layout = [Layout::Contiguous, Layout::ChannelsLast].into_iter().find(|one| one.name() == numerics.layout);
        let unknown = |field| ConvertError::new(field, ConvertReason::UnknownValue);
        Ok(Self {
            precision: precision.ok_or(unknown("numerics.precision"))?,
            layout: layout.ok_or(unknown("numerics.layout"))?,
        })
    }
}

impl TryFrom<&v1::Order> for PlacedOrder {
    type Error = ConvertError;
    fn try_from(order: &v1::Order) -> Result<Self, ConvertError> {
        let slot = order.slot;
        let recipe = serde_json::from_str(&order.recipe_json)
            .map_err(|_| ConvertError::new("order.recipe_json", ConvertReason::NotARecipe))?;
        let (resume, best) = (checkpoint(order.resume.as_ref())?, checkpoint(order.best.as_ref())?);
        let fingerprint = Some(order.fingerprint.clone()).filter(|text| !text.is_empty());
        let numerics = order.numerics.as_ref().map(Numerics::try_from).transpose()?;
        let alike = Some(order.alike.clone()).filter(|text| !text.is_empty());
        let (lease, probe_steps) = (lease(order.lease.as_ref())?, order.probe_steps);
        let order = Order { recipe, resume, best, fingerprint, numerics, alike, probe_steps };
        Ok(Self { lease, slot, order })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::id::{SweepId, TrialId};

    #[test]
    fn waits_travel_and_those_of_an_earlier_release_have_none() {
        let lease = |attempt| Lease { trial: TrialId::derive(SweepId::derive("orders", ""), ""), attempt };
        let leases = vec![lease(1), lease(2)];
        let waits = BTreeMap::from([(lease(2), 9)]);
        let said = Orders { revision: 3, leases, bodies: Vec::new(), notes: Vec::new(), waits };
        let sent = v1::Orders::from(&said);
        assert_eq!(Orders::try_from(&sent), Ok(said.clone()));
        let earlier = v1::Orders { waits: Vec::new(), ..sent.clone() };
        assert_eq!(Orders::try_from(&earlier), Ok(Orders { waits: BTreeMap::new(), ..said }));
        let never = v1::Wait { epoch: 0, ..sent.waits[0].clone() };
        assert!(
            Orders::try_from(&v1::Orders { waits: vec![never], ..sent }).is_err(),
            "nobody waits before the first epoch"
        );
    }
}
