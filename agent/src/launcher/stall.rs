//! Tells a trainer that hangs from one that works. A trainer which shows how often it got on has to show something new within a
//! limit; one that shows nothing is never taken to hang.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sweep_core::attempt::PROGRESS_FILE;

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(10);

/// How one trainer gets on.
#[derive(Debug)]
pub(super) struct Stall {
    path: PathBuf,
    limit: Option<Duration>,
    shown: Option<Vec<u8>>,
    looked: Option<Instant>,
    /// For how long nothing new was shown, as far as anybody looked.
    quiet: Duration,
}

impl Stall {
    /// Nothing was looked at yet. Without a limit nothing ever is.
    pub(super) fn new(folder: &Path, limit: Option<Duration>) -> Self {
        Self { path: folder.join(PROGRESS_FILE), limit, shown: None, looked: None, quiet: Duration::ZERO }
    }

    /// It has written a line.
    pub(super) fn heard(&mut self) {
        self.quiet = Duration::ZERO;
    }

    /// For how long it has shown nothing new, once that is too long. To be asked often: time in which nobody looked, because this
    /// process stood still, counts as one look.
    pub(super) fn look(&mut self, now: Instant) -> Option<Duration> {
        let limit = self.limit?;
        let every = (limit / 8).min(LOOK);
        let since = self.looked.map_or(every, |looked| now.saturating_duration_since(looked));
        if since < every {
            return None;
        }
        self.looked = Some(now);
        let shown = fs::read(&self.path).ok();
        if shown.is_none() || shown != self.shown {
            (self.shown, self.quiet) = (shown, Duration::ZERO);
            return None;
        }
        self.quiet += since.min(every);
        (self.quiet >= limit).then_some(self.quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_trainer_that_shows_nothing_new_for_the_whole_limit_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let show = |text: &str| fs::write(folder.path().join(PROGRESS_FILE), text).unwrap();
        let start = Instant::now();
        let mut stall = Stall::new(folder.path(), Some(80 * SECOND));
        let mut at = |seconds: u32| stall.look(start + seconds * SECOND);
        // It shows nothing at all: nothing can be said.
        assert_eq!((at(0), at(100), at(200)), (None, None, None));
        show("1");
        assert_eq!(at(210), None);
        assert!((211..290).all(|second| at(second).is_none()), "less than the limit");
        show("2");
        assert!((290..370).all(|second| at(second).is_none()), "something new");
        assert_eq!(at(370), Some(80 * SECOND));
        assert_eq!(Stall::new(folder.path(), None).look(start + 1000 * SECOND), None);
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PROGRESS_FILE), "1").unwrap();
        let start = Instant::now();
        let mut stall = Stall::new(folder.path(), Some(80 * SECOND));
        let mut at = |seconds: u32| stall.look(start + seconds * SECOND);
        assert_eq!((at(0), at(10), at(20)), (None, None, None));
        // The host slept for an hour, or somebody stopped this process.
        assert_eq!((at(3620), at(3630)), (None, None));
        stall.heard();
        assert_eq!(stall.look(start + 3690 * SECOND), None, "a line is something new");
    }
}
