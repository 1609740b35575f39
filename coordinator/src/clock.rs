//! Wall time that follows tokio's clock: read once, then advanced by a monotonic clock, so that a
//! changed system clock moves no lease, and a paused or simulated runtime pauses it too.

use std::time::SystemTime;

use sweep_core::time::{Span, Timestamp};
use tokio::time::Instant;

/// Tells the core the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    start: Instant,
    /// By how much it runs fast, millionths.
    rate: i64,
}

impl Clock {
    /// Starts at `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self { wall, start: Instant::now(), rate: 0 }
    }

    /// Starts at the system's time.
    pub fn system() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::at(Timestamp(since.as_micros() as i64))
    }

    /// Never tells a time before `least`: the journal's newest entry may be ahead of the system's clock.
    pub fn not_before(self, least: Timestamp) -> Self {
        Self { wall: self.wall.max(least), ..self }
    }

    /// Runs fast by so many millionths, or slow if they are negative: what a simulation wants to know about.
    pub fn with_rate(self, rate: i64) -> Self {
        Self { rate, ..self }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        let micros = self.start.elapsed().as_micros() as i64;
        self.wall + Span(micros + (i128::from(micros) * i128::from(self.rate) / 1_000_000) as i64)
    }
}
