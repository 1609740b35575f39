//! How much energy trials take. Pure: counters are read elsewhere ([`rapl`]), time is told.
//!
//! Of each device (a processor package with its memory, or a GPU) there is a counter of joules. Between two
//! readings, `joules` apart by `seconds`, with `n` trials running on the device:
//!
//! ```text
//! share of each trial = joules / n                          what was drawn while it ran
//! of that idle        = min(idle power * seconds, joules) / n    what the device would have drawn anyway
//! idle power          = the lowest mean power of a stretch of IDLE_STRETCH without trials
//! ```
//!
//! Joules of a stretch without trials are nobody's. Without an idle stretch nothing is known about idle power and
//! `idle` is absent, not 0; without a counter there is no energy at all.

pub mod meters;
pub mod rapl;

use std::collections::BTreeMap;

use sweep_core::id::Lease;

/// Seconds that an idle stretch must last to count: the first moments after a trial are not idle yet.
const IDLE_STRETCH: f64 = 10.0;

/// A counter of joules that never goes back.
pub trait Counter: Send {
    /// Joules since some moment; nothing if it cannot be read now.
    fn joules(&mut self) -> Option<f64>;
}

/// What an attempt took so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Its share of what the devices drew while it ran.
    pub joules: f64,
    /// The part of it that they would have drawn anyway; absent while that is not known.
    pub idle: Option<f64>,
}

/// One device and its trials.
pub struct Meter {
    counter: Box<dyn Counter>,
    running: BTreeMap<Lease, Drawn>,
    /// Reading and time, seconds, of the last look.
    last: Option<(f64, f64)>,
    /// Joules and seconds of the stretch without trials up to now.
    stretch: (f64, f64),
    /// Lowest mean power of a stretch, watts.
    idle: Option<f64>,
}

impl Meter {
    /// A device without trials.
    pub fn new(counter: Box<dyn Counter>) -> Self {
        Self { counter, running: BTreeMap::new(), last: None, stretch: (0.0, 0.0), idle: None }
    }

    /// Reads the counter at `now` (seconds) and gives everybody their share since the last look.
    pub fn look(&mut self, now: f64) {
        let Some(joules) = self.counter.joules() else {
            // What is drawn until it can be read again is in the next difference.
            return;
        };
        let Some((before, since)) = self.last.replace((joules, now)) else {
            return;
        };
        let (joules, seconds) = ((joules - before).max(0.0), (now - since).max(0.0));
        if self.running.is_empty() {
            self.stretch = (self.stretch.0 + joules, self.stretch.1 + seconds);
            if self.stretch.1 >= IDLE_STRETCH {
                let power = self.stretch.0 / self.stretch.1;
                self.idle = Some(self.idle.map_or(power, |idle| idle.min(power)));
                self.stretch = (0.0, 0.0);
            }
            return;
        }
        let share = 1.0 / self.running.len() as f64;
        let idle = self.idle.map(|power| (power * seconds).min(joules));
        for energy in self.running.values_mut() {
            energy.joules += joules * share;
            if let Some(idle) = idle {
                energy.idle = Some(energy.idle.unwrap_or(0.0) + idle * share);
            }
        }
    }

    /// A trial starts on the device.
    pub fn start(&mut self, lease: Lease, now: f64) {
        self.look(now);
        self.stretch = (0.0, 0.0);
        self.running.insert(lease, Drawn::default());
    }

    /// What a trial has taken so far.
    pub fn so_far(&self, lease: Lease) -> Option<Drawn> {
        self.running.get(&lease).copied().filter(|_| self.last.is_some())
    }

    /// A trial has left the device.
    pub fn stop(&mut self, lease: Lease, now: f64) -> Option<Drawn> {
        self.look(now);
        let energy = self.so_far(lease);
        self.running.remove(&lease);
        energy
    }
}

#[cfg(test)]
#[path = "../energy_tests.rs"]
mod tests;
