//! The agent's state folder: one agent at a time, its lasting id, and whether the host was started
//! again since. The attempt folders below it are left to `attempts`.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sweep_core::id::AgentId;
use uuid::Uuid;

/// Held locked while the agent lives; trainers look at it.
pub const LOCK_FILE: &str = "agent.lock";
const ID_FILE: &str = "agent-id";
const BOOT_FILE: &str = "boot-id";
/// Changes with every start of the host.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Trainers look at the lock by locking it for a moment: that is not another agent.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another agent has it.
    #[error("another agent is running with the state folder {}", .0.display())]
    Taken(PathBuf),
    /// Not readable, not writable, no room.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The id file holds something else.
    #[error("{} does not hold an agent id; if it cannot be restored, remove it: the agent then gets a new id", .0.display())]
    BadId(PathBuf),
}

/// A state folder that belongs to this process for as long as this value lives.
#[derive(Debug)]
pub struct StateFolder {
    /// Where it is; absolute.
    pub path: PathBuf,
    /// The lasting id of the agent.
    pub agent: AgentId,
    /// Every process of the agent's earlier life is gone, because the host was started again.
    pub rebooted: bool,
    _lock: File,
}

impl StateFolder {
    /// Makes and locks a state folder.
    ///
    /// # Errors
    /// When another agent has it or the disk refuses.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        // A new one is its owner's alone: the agent's key and what trainers write are in it.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail(path))?;
        let path = path.canonicalize().map_err(fail(path))?;
        let lock = lock(&path)?;
        let agent = agent_id(&path.join(ID_FILE))?;
        let boot_file = path.join(BOOT_FILE);
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let before = fs::read_to_string(&boot_file).ok();
        let rebooted = before.as_ref().is_some_and(|before| *before != boot);
        if before.is_none_or(|before| before != boot) {
            replace(&boot_file, boot.as_bytes())?;
        }
        Ok(Self { path, agent, rebooted, _lock: lock })
    }
}

fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join(LOCK_FILE);
    let mut options = File::options();
    options.append(true).create(true);
    let file = options.open(&path).map_err(fail(&path))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => return Err(StateError::Taken(folder.into())),
            Err(TryLockError::Error(source)) => return Err(fail(&path)(source)),
        }
    }
}

fn agent_id(path: &Path) -> Result<AgentId, StateError> {
    match fs::read_to_string(path) {
        Ok(text) => (text.trim().parse()).map_err(|_| StateError::BadId(path.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let agent = AgentId::from(Uuid::now_v7());
            replace(path, format!("{agent}\n").as_bytes())?;
            Ok(agent)
        }
        Err(source) => Err(fail(path)(source)),
    }
}

/// Writes beside and renames, so that a crash leaves the old file or the new one.
fn replace(path: &Path, text: &[u8]) -> Result<(), StateError> {
    let beside = path.with_extension("tmp");
    fs::write(&beside, text).map_err(fail(&beside))?;
    File::open(&beside).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&beside, path)).map_err(fail(path))
}

fn fail(path: &Path) -> impl FnOnce(io::Error) -> StateError + '_ {
    move |source| StateError::Io { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_its_owners_alone_and_one_that_is_there_stays_as_it_is() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let new = folder.path().join("lab/agent");
        StateFolder::open(&new).unwrap();
        assert_eq!((mode(&new), mode(&folder.path().join("lab"))), (0o700, 0o700));
        let old = folder.path().join("old");
        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o750)).unwrap();
        StateFolder::open(&old).unwrap();
        assert_eq!(mode(&old), 0o750, "doctor says what to do");
    }

    #[test]
    fn the_id_lasts_and_a_second_agent_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateFolder::open(folder.path()).unwrap();
        let second = StateFolder::open(folder.path()).unwrap_err();
        assert!(matches!(second, StateError::Taken(_)), "{second}");
        let id = first.agent;
        drop(first);
        let again = StateFolder::open(folder.path()).unwrap();
        assert_eq!(again.agent, id);
        assert!(!again.rebooted);
        drop(again);
        fs::write(folder.path().join(BOOT_FILE), "another boot\n").unwrap();
        assert!(StateFolder::open(folder.path()).unwrap().rebooted);
        fs::write(folder.path().join(ID_FILE), "nonsense").unwrap();
        let bad = StateFolder::open(folder.path()).unwrap_err();
        assert!(matches!(bad, StateError::BadId(_)), "{bad}");
    }
}
