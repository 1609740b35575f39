//! What is on this host's devices: looked at every few seconds, in a thread of its own, and told to whoever wants to
//! know. Where it is looked is a [`Probe`]'s business; what follows from it is decided by the coordinator.

pub mod fake;
pub mod hours;
pub mod nvml;
pub mod process;
pub mod sights;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sweep_core::device::{DeviceSeen, Sighting, gigabytes};
use sweep_core::id::Lease;
use sweep_core::time::Span;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use hours::GuestHours;

/// How often devices are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A look that somebody waits for comes so long after the one before.
const SOON: Duration = Duration::from_millis(50);
/// Memory that a device may hold without a process more than it ever held before, bytes: what drivers keep varies.
const SLACK: u64 = 512 << 20;

/// Where devices are looked at.
pub trait Probe: Send {
    /// All of them, as they are. Processes are named, whose they are is not looked at.
    fn look(&mut self) -> Vec<DeviceSeen>;
}

/// What was seen, and when.
#[derive(Clone, Debug)]
pub struct Look {
    /// When it was begun.
    pub at: Instant,
    /// What.
    pub sighting: Sighting,
    /// By device: the least memory that it ever held without a process, bytes.
    idle: BTreeMap<String, u64>,
}

/// How devices are looked at.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// When the host may be used at all.
    pub hours: Option<GuestHours>,
    /// A device that others have used is free again after so long without them.
    pub free_after: Duration,
    /// A device whose memory does not come back in this time after a trial is not used again.
    pub release: Duration,
    /// Where attempts are: their processes are ours.
    pub attempts: PathBuf,
}

type Peaks = Arc<Mutex<BTreeMap<Lease, u64>>>;

/// What was seen last, for everybody in the agent.
#[derive(Clone, Debug)]
pub struct Devices {
    looks: watch::Receiver<Option<Look>>,
    again: Arc<Notify>,
    /// By device: why it must not be used.
    faults: Arc<Mutex<BTreeMap<String, String>>>,
    /// The most memory that each attempt was seen to hold on a device, bytes.
    peaks: Peaks,
    release: Duration,
}

/// Whether a device can be used again after a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Its memory is back.
    Done,
    /// It is not known yet.
    Wait,
    /// It did not come back in time: the device is not used until somebody has looked at it.
    Failed,
}

impl Devices {
    /// Looks from now on, for as long as it is polled.
    pub fn start(mut probe: Box<dyn Probe>, rules: Rules) -> (Self, impl Future<Output = ()> + Send) {
        let (tell, looks) = watch::channel(None);
        let (again, faults) = (Arc::new(Notify::new()), Arc::new(Mutex::new(BTreeMap::new())));
        let peaks = Peaks::default();
        let (again_of, faults_of, peaks_of) = (again.clone(), faults.clone(), peaks.clone());
        let devices = Self { looks, again: again_of, faults: faults_of, peaks: peaks_of, release: rules.release };
        let watching = async move {
            let mut idle = BTreeMap::new();
            loop {
                let (rules, faults, peaks) = (rules.clone(), faults.clone(), peaks.clone());
                // A driver may hang: it does so in a thread that nobody waits for but this.
                let looked = tokio::task::spawn_blocking(move || {
                    let look = one(probe.as_mut(), &rules, &faults, &peaks, idle);
                    (probe, look)
                });
                let Ok((back, look)) = looked.await else {
                    tracing::error!("looking at the devices failed; they are not looked at again");
                    return;
                };
                (probe, idle) = (back, look.idle.clone());
                tell.send_replace(Some(look));
                tokio::time::sleep(SOON).await;
                timeout(LOOK, again.notified()).await.ok();
            }
        };
        (devices, watching)
    }

    /// Told of every look.
    pub fn looks(&self) -> watch::Receiver<Option<Look>> {
        self.looks.clone()
    }

    /// The most memory that an attempt was seen to hold on its device, bytes.
    pub fn peak(&self, lease: Lease) -> Option<u64> {
        self.peaks.lock().unwrap_or_else(PoisonError::into_inner).get(&lease).copied()
    }

    /// An attempt is over.
    pub fn forget(&self, lease: Lease) {
        self.peaks.lock().unwrap_or_else(PoisonError::into_inner).remove(&lease);
    }

    /// Why a device must not be used.
    pub fn fault(&self, device: &str) -> Option<String> {
        self.faults().get(device).cloned()
    }

    fn faults(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the memory of a device is back, after a trial on it that was gone at `since`.
    pub fn release(&self, device: &str, since: Instant) -> Release {
        let look = self.looks.borrow();
        let seen = look.as_ref().filter(|look| look.at > since);
        let Some((look, seen)) = seen.and_then(|look| {
            let seen = look.sighting.devices.iter().find(|seen| seen.id == device);
            seen.map(|seen| (look, seen))
        }) else {
            self.again.notify_one();
            // Devices that cannot be looked at cannot be waited for.
            return if since.elapsed() > self.release { Release::Done } else { Release::Wait };
        };
        let (kept, before) = (unclaimed(seen), look.idle.get(device).copied().unwrap_or_default());
        if kept <= before.saturating_add(SLACK) {
            return Release::Done;
        }
        self.again.notify_one();
        if since.elapsed() <= self.release {
            return Release::Wait;
        }
        let fault = format!(
            "{} of its memory did not come back within {} s after a trial, and no process holds it",
            gigabytes(kept - before),
            self.release.as_secs()
        );
        tracing::error!(device, fault, "the device is not used until somebody has looked at it");
        self.faults().insert(device.to_owned(), fault);
        Release::Failed
    }
}

/// Memory that no process is known to hold.
fn unclaimed(seen: &DeviceSeen) -> u64 {
    let held: u64 = seen.processes.iter().map(|process| process.who.memory).sum();
    seen.used.saturating_sub(held)
}

fn one(
    probe: &mut dyn Probe,
    rules: &Rules,
    faults: &Mutex<BTreeMap<String, String>>,
    peaks: &Mutex<BTreeMap<Lease, u64>>,
    mut idle: BTreeMap<String, u64>,
) -> Look {
    let at = Instant::now();
    let mut devices = probe.look();
    let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
    for seen in &mut devices {
        let mut held: BTreeMap<Lease, u64> = BTreeMap::new();
        for process in &mut seen.processes {
            let owner = process::owner(process.who.pid, &rules.attempts);
            process.ours = owner.is_some();
            if let Some(lease) = owner {
                *held.entry(lease).or_default() += process.who.memory;
            }
        }
        let mut peaks = peaks.lock().unwrap_or_else(PoisonError::into_inner);
        for (lease, held) in held {
            let peak = peaks.entry(lease).or_default();
            *peak = held.max(*peak);
        }
        drop(peaks);
        seen.processes.sort_by_key(|process| !process.ours);
        let (kept, running) = (unclaimed(seen), seen.processes.iter().any(|process| process.ours));
        let least = idle.entry(seen.id.clone()).or_insert(kept);
        *least = (*least).min(kept);
        // It came back after all.
        if !running && kept <= least.saturating_add(SLACK) {
            faults.remove(&seen.id);
        }
        if let Some(fault) = faults.get(&seen.id) {
            seen.fault.get_or_insert_with(|| fault.clone());
        }
    }
    let free_after = Some(Span(rules.free_after.as_micros() as i64));
    let closed = rules.hours.as_ref().and_then(GuestHours::closed);
    Look { at, sighting: Sighting { devices, closed, free_after }, idle }
}

#[cfg(test)]
#[path = "../devices_tests.rs"]
mod tests;
