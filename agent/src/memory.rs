//! What this agent has seen of the coordinator's journal: the newest place that any answer named. It is told with every
//! call, so that a coordinator which was started on an older copy of its journal notices. A file that is lost or a few
//! seconds old only makes that weaker.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sweep_core::lineage::Position;
use tokio::time::Instant;

/// The file in the agent's state folder.
const FILE: &str = "seen.json";
/// A place in the same history is written down so often.
const OFTEN: Duration = Duration::from_millis(200);

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    path: Option<PathBuf>,
    seen: Option<Position>,
    written: Option<(Instant, Position)>,
}

impl Memory {
    /// Of an agent with a state folder. A file that cannot be read counts as none: nothing depends on it.
    pub fn open(state: &Path) -> Self {
        let path = state.join(FILE);
        let seen = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).inspect_err(|error| {
                tracing::warn!(path = %path.display(), %error, "what was seen of the journal is forgotten");
            }),
            Err(_) => Ok(None),
        };
        Self(Arc::new(Mutex::new(Known { path: Some(path), seen: seen.unwrap_or_default(), written: None })))
    }

    /// The newest place seen.
    pub fn seen(&self) -> Option<Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen
    }

    /// Takes what an answer says. A place before one that was seen is not taken: it is what the next call contradicts.
    pub fn note(&self, told: Option<Position>) {
        let Some(told) = told else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = match known.seen {
            Some(seen) if seen.journal == told.journal && seen.place() >= told.place() => seen,
            _ => told,
        };
        known.seen = Some(newest);
        if let Some((when, what)) = known.written {
            let is_same = (what.journal, what.generation, what.run) == (newest.journal, newest.generation, newest.run);
            if what == newest || is_same && when.elapsed() < OFTEN {
                return;
            }
        }
        known.written = Some((Instant::now(), newest));
        if let Some(path) = &known.path
            && let Err(error) = write(path, newest)
        {
            tracing::warn!(path = %path.display(), %error, "what was seen of the journal cannot be written down");
        }
    }
}

/// In one piece, and not synced: that would hold up calls, and a power cut costs only what the last seconds would have proved.
fn write(path: &Path, seen: Position) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    serde_json::to_writer(&mut file, &seen)?;
    file.flush()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(journal: u128, generation: u32, events: u64) -> Option<Position> {
        Some(Position { journal: Uuid::from_u128(journal), generation, events, run: Some(Uuid::from_u128(5)) })
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_place_of_a_history_is_kept_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::open(folder.path());
        assert_eq!(memory.seen(), None);
        let check = |told, kept| {
            memory.note(told);
            assert_eq!(memory.seen(), kept, "told {told:?}");
        };
        check(at(1, 0, 7), at(1, 0, 7));
        check(None, at(1, 0, 7));
        check(at(1, 0, 5), at(1, 0, 7));
        check(at(1, 1, 3), at(1, 1, 3));
        check(at(1, 0, 9), at(1, 1, 3));
        // Another lab's coordinator has a history of its own.
        check(at(2, 0, 1), at(2, 0, 1));
        assert_eq!(Memory::open(folder.path()).seen(), at(2, 0, 1));
        // What came too soon after the last writing is written later.
        let memory = Memory::open(folder.path());
        for events in 1..=100 {
            memory.note(at(3, 0, events));
        }
        tokio::time::advance(OFTEN).await;
        memory.note(at(3, 0, 100));
        assert_eq!(Memory::open(folder.path()).seen(), at(3, 0, 100));
        fs::write(folder.path().join(FILE), "torn").unwrap();
        assert_eq!(Memory::open(folder.path()).seen(), None);
    }
}
