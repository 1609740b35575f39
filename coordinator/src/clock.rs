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
}

impl Clock {
    /// Starts at `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self { wall, start: Instant::now() }
    }

    /// Starts at the system's time.
    pub fn system() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::at(Timestamp(since.as_micros() as i64))
    }

    /// Never tells a time before `least`: the journal's newest entry may be ahead of the system's clock.
    pub fn not_before(self, least: Timestamp) -> Self {
        Self { wall: self.wall.max(least), start: self.start }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.wall + Span(self.start.elapsed().as_micros() as i64)
    }
}
