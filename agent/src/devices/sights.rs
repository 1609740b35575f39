//! What of the looks at the devices is told to the coordinator, and when: what matters at once, the rest now and then.

use std::future::pending;
use std::time::Duration;

use sweep_core::device::{DeviceSeen, Sighting};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Devices, Look};

/// Longest time between two tellings.
const EVERY: Duration = Duration::from_secs(5);
/// Shortest, while nothing that matters has changed.
const LEAST: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub struct Sights {
    looks: Option<watch::Receiver<Option<Look>>>,
    told: Option<(Instant, Sighting)>,
}

impl Sights {
    /// Of these devices, if there are any.
    pub fn new(devices: Option<Devices>) -> Self {
        Self { looks: devices.map(|devices| devices.looks()), told: None }
    }

    /// Waits for another look; for ever if there are none.
    pub async fn changed(&mut self) {
        match &mut self.looks {
            Some(looks) => {
                if looks.changed().await.is_err() {
                    self.looks = None;
                }
            }
            None => pending().await,
        }
    }

    /// Whoever is told has forgotten.
    pub fn forget(&mut self) {
        self.told = None;
    }

    /// What is to be told now; it counts as told.
    pub fn news(&mut self) -> Option<Sighting> {
        let sighting = self.looks.as_ref()?.borrow().as_ref()?.sighting.clone();
        let due = match &self.told {
            None => true,
            Some((at, told)) => matters(told, &sighting) || at.elapsed() >= every(&sighting),
        };
        if due {
            self.told = Some((Instant::now(), sighting.clone()));
        }
        due.then_some(sighting)
    }
}

/// Often enough that a device is not counted as busy much longer than it has to be.
fn every(sighting: &Sighting) -> Duration {
    let free_after = sighting.free_after.map(|after| Duration::from_micros(after.0.unsigned_abs()));
    free_after.map_or(EVERY, |after| (after / 4).clamp(LEAST, EVERY))
}

/// Whether something is decided from the difference.
fn matters(before: &Sighting, now: &Sighting) -> bool {
    let key = |seen: &DeviceSeen| {
        let others = seen.processes.iter().filter(|process| !process.ours);
        let others: Vec<_> = others.map(|process| (process.who.pid, process.who.command.clone())).collect();
        (seen.id.clone(), seen.fault.clone(), others)
    };
    let keys = |sighting: &Sighting| sighting.devices.iter().map(key).collect::<Vec<_>>();
    before.closed != now.closed || keys(before) != keys(now)
}
