//! Wishes about slots and hosts, and what is known of their devices.

use sweep_proto::v1;

use super::{Client, user};
use crate::cli::Place;
use crate::fault::Fault;
use crate::view::machines::{DeviceView, HoldView, OfferView, ProcessView};

/// How trials are kept from a slot or a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding<'a> {
    pub(crate) kind: &'a str,
    /// For people.
    pub(crate) reason: &'a str,
    /// For so long, microseconds.
    pub(crate) span: Option<i64>,
    /// From then on, microseconds since 1970.
    pub(crate) from: Option<i64>,
}

impl Client {
    /// Keeps trials from a slot or a host; answers how many have to leave.
    pub(crate) async fn hold(&self, target: &Place, holding: Holding<'_>) -> Result<u64, Fault> {
        let request = v1::HoldRequest {
            host: target.host.clone(),
            slot: target.slot,
            kind: holding.kind.to_owned(),
            reason: holding.reason.to_owned(),
            span: holding.span,
            user: user(),
            from: holding.from,
        };
        let reply = self.machines.clone().hold(request).await.map_err(|status| self.fault(status))?;
        Ok(reply.into_inner().leaving)
    }

    /// Opens a slot or a host; answers how many holds were lifted, and what still keeps trials away.
    pub(crate) async fn lift(&self, target: &Place) -> Result<(u64, String), Fault> {
        self.lift_some(target, false, None).await
    }

    /// Calls maintenance off, only what begins then if that is said; answers how many windows.
    pub(crate) async fn call_off(&self, target: &Place, from: Option<i64>) -> Result<u64, Fault> {
        self.lift_some(target, true, from).await.map(|(lifted, _)| lifted)
    }

    async fn lift_some(&self, target: &Place, maintenance: bool, from: Option<i64>) -> Result<(u64, String), Fault> {
        let (host, slot) = (target.host.clone(), target.slot);
        let request = v1::LiftRequest { host, slot, user: user(), maintenance, from };
        let reply = self.machines.clone().lift(request).await.map_err(|status| self.fault(status))?;
        let v1::LiftReply { lifted, closed } = reply.into_inner();
        Ok((lifted, closed))
    }
}

impl From<&v1::Offer> for OfferView {
    fn from(offer: &v1::Offer) -> Self {
        Self {
            labels: offer.labels.clone().into_iter().collect(),
            cores: (offer.cores > 0).then_some(offer.cores),
            memory: (offer.memory > 0).then_some(offer.memory),
        }
    }
}

impl From<v1::HoldSummary> for HoldView {
    fn from(hold: v1::HoldSummary) -> Self {
        let v1::HoldSummary { slot, kind, user, reason, from, until } = hold;
        Self { slot, kind, user, reason, from, until }
    }
}

impl DeviceView {
    /// What a device is, how much of it trials were given, and what was seen on it last.
    pub(super) fn new(device: &v1::Device, given: u32, seen: Option<&v1::DeviceState>) -> Self {
        let process = |process: &v1::DeviceProcess| ProcessView {
            pid: process.pid,
            user: process.user.clone(),
            command: process.command.clone(),
            memory: process.memory,
            ours: process.ours,
        };
        Self {
            id: device.id.clone(),
            model: device.model.clone(),
            slots: device.slots.clone(),
            packed: device.packed,
            given,
            memory: (device.memory > 0).then_some(device.memory),
            used: seen.map(|seen| seen.used),
            utilisation: seen.and_then(|seen| seen.utilisation),
            watts: seen.and_then(|seen| seen.power).map(|milliwatts| f64::from(milliwatts) / 1e3),
            celsius: seen.and_then(|seen| seen.temperature),
            ecc_errors: seen.and_then(|seen| seen.ecc_errors),
            mig: seen.and_then(|seen| seen.mig),
            fault: seen.map(|seen| seen.fault.clone()).filter(|fault| !fault.is_empty()),
            processes: seen.map(|seen| seen.processes.iter().map(process).collect()).unwrap_or_default(),
        }
    }
}
