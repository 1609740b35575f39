//! Whether trials of a shape fit into the memory there is: of an accelerator if one was measured there, else of the host.

use serde::{Deserialize, Serialize};

use crate::packing;
use crate::placement::Placement;
use crate::state::agent::Agent;

use super::Seen;

/// How many trials of a shape fit at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// As many as there is memory for, and slots.
    pub trials: u32,
    /// Slots of those devices and hosts.
    pub slots: u32,
}

impl Fit {
    /// By the most that a trial of the shape had, on devices of the same kind as the one where it had it, as the trials of a sweep with this
    /// placement are put there; nothing while that is not known.
    pub(super) fn of(seen: &Seen, placement: &Placement, hosts: &[&Agent]) -> Option<Self> {
        let mut fit = Self { trials: 0, slots: 0 };
        let mut add = |slots: usize, memory: u64, together: u32| {
            if slots > 0 && memory > 0 {
                let slots = slots as u32;
                fit.trials += together.min(slots);
                fit.slots += slots;
            }
        };
        for host in hosts {
            let offer = &host.facts.offer;
            match (seen.device_memory, seen.peak_memory) {
                (Some(peak), _) => offer.devices.iter().for_each(|device| {
                    add(device.slots.len(), device.memory, packing::together(device, placement.memory, peak));
                }),
                (None, Some(peak)) => {
                    let on_none = (0..host.slots.len() as u32).filter(|slot| offer.device_of(*slot).is_none()).count();
                    add(on_none, offer.memory, beside(placement.ram, peak, offer.memory));
                }
                (None, None) => {}
            }
        }
        (fit.slots > 0).then_some(fit)
    }
}

/// So many trials are put on a host at a time, by its memory alone. What was measured keeps nobody from a host that has nothing else to do.
fn beside(stated: Option<u64>, peak: u64, memory: u64) -> u32 {
    let fits = |needs: u64| u32::try_from(memory / needs.max(1)).unwrap_or(u32::MAX);
    match stated {
        Some(ram) => fits(ram),
        None if peak > memory => 0,
        None => fits(packing::with_headroom(peak)).max(1),
    }
}
