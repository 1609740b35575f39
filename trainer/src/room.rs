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
/// [`PATIENCE`] while the disk is full. Other errors go through `otherwise`.
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
                    say(format_args!("warning: no room for {}, waiting: {error}", path.display()));
                }
                stop.pause(PAUSE)?;
            }
            Err(error) => return Err(otherwise(error)),
        }
    }
}
