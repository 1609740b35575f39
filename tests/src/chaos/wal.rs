//! The end of SQLite's write-ahead log, as far as somebody has to know it who tears it: which frames are of the journal, and how
//! much of the end may be lost. <https://sqlite.org/fileformat2.html#walformat>

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The head of the file, and of each frame.
const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
/// From 4,000 frames on they are copied into the database (`wal_autocheckpoint` of the journal), after a sync: no
/// power loss takes the end of such a log, and without it the database would be a mixture.
const MOST: u64 = 3_500;

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Changes whenever the log begins again.
    salt: [u8; 8],
    /// Bytes up to the last frame that is of this log.
    end: u64,
    frames: u64,
}

impl Place {
    /// The end of a log; nothing where there is none. Its process must be dead.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(log: &Path) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        match File::open(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?.read_to_end(&mut bytes)?,
        };
        Ok(read(&bytes))
    }

    /// Loses the last bytes of the log. False, and nothing is lost, where a power loss could not have done it or something from before
    /// `since` would be lost.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn tear(self, log: &Path, since: Option<Self>, bytes: u64) -> io::Result<bool> {
        let end = self.end.saturating_sub(bytes);
        let first = since.filter(|since| since.salt == self.salt).map_or(HEAD as u64, |since| since.end);
        let may = self.frames > 0 && self.frames <= MOST && end >= first;
        if may {
            File::options().write(true).open(log)?.set_len(end)?;
        }
        Ok(may)
    }
}

fn read(bytes: &[u8]) -> Option<Place> {
    let page = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?) as usize;
    let salt: [u8; 8] = bytes.get(16..24)?.try_into().ok()?;
    let frames = bytes.get(HEAD..)?.chunks_exact(page.checked_add(FRAME_HEAD)?);
    // What follows the last one is of an earlier round, with other salts.
    let frames = frames.take_while(|frame| frame[8..16] == salt).count();
    Some(Place { salt, end: (HEAD + frames * (page + FRAME_HEAD)) as u64, frames: frames as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of frames with these salts.
    fn log(salts: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        bytes[8..12].copy_from_slice(&512_u32.to_be_bytes());
        bytes[16..24].fill(7);
        for salt in salts {
            let mut frame = vec![0; FRAME_HEAD + 512];
            frame[8..16].fill(*salt);
            bytes.extend(frame);
        }
        bytes
    }

    #[test]
    fn only_the_end_of_this_log_is_lost_and_nothing_from_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(Place::of(&path).unwrap(), None);
        std::fs::write(&path, log(&[7, 7])).unwrap();
        let since = Place::of(&path).unwrap();
        std::fs::write(&path, [log(&[7, 7, 7, 6, 7]), vec![0; 9]].concat()).unwrap();
        let place = Place::of(&path).unwrap().unwrap();
        assert_eq!((place.frames, place.end), (3, 32 + 3 * 536));
        assert!(!place.tear(&path, since, 537).unwrap());
        assert!(place.tear(&path, since, 20).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 32 + 3 * 536 - 20);
        assert_eq!(Place::of(&path).unwrap().unwrap().frames, 2, "the torn one is none");
        // Everything in a log that has begun again is from later.
        let other = since.map(|since| Place { salt: [1; 8], ..since });
        assert!(place.tear(&path, other, 3 * 536).unwrap());
        let long = Place { frames: MOST + 1, ..place };
        assert!(!long.tear(&path, None, 20).unwrap());
    }
}
