//! Hosts and their devices: what they offer, what is seen on them, and who keeps trials from them.

use sweep_core::device::{
    Closed, DeviceFacts, DeviceSeen, Hold, HoldChange, HoldKind, Occupant, Offer, Process, Sighting,
};
use sweep_core::program;
use sweep_core::time::{Span, Timestamp};

use super::{ConvertError, ConvertReason};
use crate::v1;

impl From<&Offer> for v1::Offer {
    fn from(offer: &Offer) -> Self {
        let device = |device: &DeviceFacts| v1::Device {
            id: device.id.clone(),
            model: device.model.clone(),
            memory: device.memory,
            slots: device.slots.clone(),
            packed: device.packed,
        };
        Self {
            labels: offer.labels.clone().into_iter().collect(),
            cores: offer.cores,
            memory: offer.memory,
            devices: offer.devices.iter().map(device).collect(),
            trainer: offer.trainer.clone(),
        }
    }
}

impl From<v1::Offer> for Offer {
    fn from(offer: v1::Offer) -> Self {
        let device = |device: v1::Device| DeviceFacts {
            id: device.id,
            model: device.model,
            memory: device.memory,
            slots: device.slots,
            packed: device.packed,
        };
        Self {
            labels: offer.labels.into_iter().collect(),
            cores: offer.cores,
            memory: offer.memory,
            devices: offer.devices.into_iter().map(device).collect(),
            trainer: offer.trainer,
        }
    }
}

impl v1::HoldSummary {
    /// What is held, on a slot or all of them.
    pub fn new(slot: Option<u32>, hold: &Hold) -> Self {
        Self {
            slot,
            kind: hold.kind.reason().to_owned(),
            user: hold.user.clone(),
            reason: hold.reason.clone(),
            from: hold.from.map(|from| from.0),
            until: hold.until.map(|until| until.0),
        }
    }
}

impl From<&DeviceSeen> for v1::DeviceState {
    fn from(seen: &DeviceSeen) -> Self {
        let process = |process: &Process| v1::DeviceProcess {
            pid: process.who.pid,
            user: process.who.user.clone(),
            command: process.who.command.clone(),
            memory: process.who.memory,
            ours: process.ours,
        };
        Self {
            id: seen.id.clone(),
            used: seen.used,
            utilisation: seen.utilisation,
            power: seen.power,
            temperature: seen.temperature,
            ecc_errors: seen.ecc_errors,
            mig: seen.mig,
            processes: seen.processes.iter().map(process).collect(),
            fault: seen.fault.clone().unwrap_or_default(),
        }
    }
}

impl From<v1::DeviceState> for DeviceSeen {
    fn from(state: v1::DeviceState) -> Self {
        let process = |process: v1::DeviceProcess| {
            // An agent of an earlier release sends the whole line.
            let command = program::of_line(&process.command);
            let (pid, user, memory) = (process.pid, process.user, process.memory);
            Process { who: Occupant { pid, user, command, memory }, ours: process.ours }
        };
        Self {
            id: state.id,
            used: state.used,
            utilisation: state.utilisation,
            power: state.power,
            temperature: state.temperature,
            ecc_errors: state.ecc_errors,
            mig: state.mig,
            processes: state.processes.into_iter().map(process).collect(),
            fault: Some(state.fault).filter(|fault| !fault.is_empty()),
        }
    }
}

impl From<&Sighting> for v1::ObserveRequest {
    /// Without the agent's id.
    fn from(sighting: &Sighting) -> Self {
        let closed = |closed: Closed| v1::OutOfHours { until: closed.until.map(|until| until.0) };
        Self {
            agent_id: Default::default(),
            devices: sighting.devices.iter().map(v1::DeviceState::from).collect(),
            closed: sighting.closed.map(closed),
            free_after: sighting.free_after.map(|after| after.0),
        }
    }
}

/// What an agent saw.
///
/// # Errors
/// When a time is none.
pub fn sighting(request: v1::ObserveRequest) -> Result<Sighting, ConvertError> {
    let free_after = request.free_after.map(Span);
    if free_after.is_some_and(|after| after < Span(0) || after > Span::hours(24)) {
        return Err(ConvertError::new("free_after", ConvertReason::OutOfRange));
    }
    let closed = |closed: v1::OutOfHours| Closed { until: closed.until.map(Timestamp) };
    Ok(Sighting {
        devices: request.devices.into_iter().map(DeviceSeen::from).collect(),
        closed: request.closed.map(closed),
        free_after,
    })
}

/// The host, the slot and the wish of a hold.
///
/// # Errors
/// When its kind is none that is known.
pub fn hold_change(request: v1::HoldRequest) -> Result<(String, Option<u32>, HoldChange), ConvertError> {
    let kind = match request.kind.as_str() {
        "cordon" => HoldKind::Cordon,
        "drain" => HoldKind::Drain,
        "quarantine" => HoldKind::Quarantine,
        "yield" => HoldKind::Yield,
        "maintenance" => HoldKind::Maintenance,
        _ => return Err(ConvertError::new("kind", ConvertReason::UnknownValue)),
    };
    let from = request.from.map(Timestamp);
    if kind == HoldKind::Maintenance && request.span.is_none() {
        return Err(ConvertError::new("span", ConvertReason::Missing));
    }
    if kind != HoldKind::Maintenance && from.is_some() {
        return Err(ConvertError::new("from", ConvertReason::OutOfRange));
    }
    let change = HoldChange::Set { kind, reason: request.reason, span: request.span.map(Span), from };
    Ok((request.host, request.slot, change))
}

/// `gpu-7` or `gpu-7:1`, for people.
pub fn target(host: &str, slot: Option<u32>) -> String {
    slot.map_or_else(|| host.to_owned(), |slot| format!("{host}:{slot}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_of_an_earlier_release_says_of_others_is_cut_to_the_names() {
        let command = "/usr/bin/python3 /home/ann/train.py --key hunter2".to_owned();
        let process = v1::DeviceProcess { pid: 7, user: "ann".to_owned(), command, memory: 9, ours: false };
        let seen = DeviceSeen::from(v1::DeviceState { processes: vec![process], ..Default::default() });
        assert_eq!(seen.processes[0].who.command, "python3 train.py");
        assert_eq!(DeviceSeen::from(v1::DeviceState::from(&seen)), seen, "and stays what it is");
    }
}
