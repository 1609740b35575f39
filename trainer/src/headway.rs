//! Shows the agent that a trial gets on. Whoever asks the stop flag between two steps, images or pauses is counted by it; a
//! thread of its own writes the count down when it has changed, so that a trainer which hangs shows nothing new, whatever its other
//! threads do.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sweep_core::attempt::PROGRESS_FILE;

use crate::link::Stop;

/// How often the count is written at most.
const LOOK: Duration = Duration::from_secs(1);

/// Shows, from now on until the process ends, in the attempt's folder how often `stop` was asked.
///
/// # Errors
/// When the file or the thread cannot be made.
pub fn show(folder: &Path, stop: &Stop) -> io::Result<()> {
    let mut shown = Shown::new(folder)?;
    let stop = stop.clone();
    std::thread::Builder::new().name("progress".into()).spawn(move || {
        while shown.look(stop.asked_so_often()) {
            std::thread::sleep(LOOK);
        }
    })?;
    Ok(())
}

/// What stands in the file.
#[derive(Debug)]
struct Shown {
    path: PathBuf,
    count: u64,
}

impl Shown {
    fn new(folder: &Path) -> io::Result<Self> {
        let shown = Self { path: folder.join(PROGRESS_FILE), count: 0 };
        shown.write()?;
        Ok(shown)
    }

    /// Not synced, and not in one piece: a reader sees another text, which is all that it looks for.
    fn write(&self) -> io::Result<()> {
        writeln!(File::create(&self.path)?, "{}", self.count)
    }

    /// False once nothing more can be shown. Then there is no file: who cannot write is not taken for one that hangs.
    fn look(&mut self, count: u64) -> bool {
        if count == self.count {
            return true;
        }
        self.count = count;
        let written = self.write().is_ok();
        if !written {
            fs::remove_file(&self.path).ok();
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_shown_when_it_has_changed_and_not_shown_where_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let (stop, path) = (Stop::default(), folder.path().join(PROGRESS_FILE));
        let mut shown = Shown::new(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "0\n");
        stop.check().unwrap();
        stop.check().unwrap();
        assert!(shown.look(stop.asked_so_often()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
        fs::remove_file(&path).unwrap();
        assert!(shown.look(stop.asked_so_often()));
        assert!(!path.exists(), "nothing new, nothing written");
        stop.check().unwrap();
        fs::create_dir(&path).unwrap();
        assert!(!shown.look(stop.asked_so_often()));
    }
}
