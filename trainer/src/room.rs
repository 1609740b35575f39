//! Waits out a full disk: training state stays in memory, and work goes on when there is room.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::TrainError;
use crate::link::Stop;
use crate::log::say;

/// How long a trainer waits for room before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the disk (or a quota) is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Runs `write` (which must leave nothing behind when it fails) until it works, for at most
/// [`PATIENCE`] while the disk is full, and once only for a trial that shall end. Other errors go through `otherwise`.
pub fn wait_for_room<T>(
    path: &Path,
    stop: &Stop,
    mut write: impl FnMut() -> io::Result<T>,
    otherwise: impl FnOnce(io::Error) -> TrainError,
) -> Result<T, TrainError> {
    let began = Instant::now();
    let mut told = None::<Instant>;
    loop {
        match write() {
            Ok(value) => return Ok(value),
            Err(error) if is_full(&error) => {
                if began.elapsed() >= PATIENCE {
                    return Err(TrainError::DiskFull { path: path.to_path_buf(), waited_s: PATIENCE.as_secs() });
                }
                if told.is_none_or(|at| at.elapsed() >= Duration::from_secs(30)) {
                    told = Some(Instant::now());
                    // Who has to leave does not wait: see `Stop::pause`.
                    let then = if stop.cause().is_none() { "waiting" } else { "leaving without it" };
                    say(format_args!("warning: no room for {}, {then}: {error}", path.display()));
                }
                stop.pause(PAUSE)?;
            }
            Err(error) => return Err(otherwise(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_to_leave_tries_once_and_does_not_wait_for_room() {
        let (stop, mut tries) = (Stop::default(), 0);
        stop.ask();
        let full = || {
            tries += 1;
            Err::<(), _>(io::ErrorKind::StorageFull.into())
        };
        let began = Instant::now();
        let left = wait_for_room(Path::new("last-0-7"), &stop, full, TrainError::Emit);
        assert!(matches!(left, Err(TrainError::Stopped)), "{left:?}");
        assert!(tries == 1 && began.elapsed() < PAUSE);
        let written = wait_for_room(Path::new("last-0-7"), &stop, || Ok(7), TrainError::Emit);
        assert!(matches!(written, Ok(7)), "{written:?}");
    }
}
