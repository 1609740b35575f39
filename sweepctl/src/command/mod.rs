//! One file per command: ask, then print. What was asked for is in `cli`, how it looks in `output`.

pub(crate) mod admin;
pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod dataset;
pub(crate) mod doctor;
pub(crate) mod estimate;
pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod hold;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod maintenance;
pub(crate) mod notify;
pub(crate) mod plan;
pub(crate) mod plot;
pub(crate) mod queue;
pub(crate) mod report;
mod reuse;
pub(crate) mod shares;
pub(crate) mod show;
mod state_dict;
pub(crate) mod submit;
pub(crate) mod top;
pub(crate) mod up;
pub(crate) mod upkeep;
pub(crate) mod verify_resume;
pub(crate) mod version;
pub(crate) mod watch;
pub(crate) mod why;

use std::path::PathBuf;
use std::time::Duration;

use crate::fault::Fault;

/// First pause before a lost coordinator is called again; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two calls.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Waits a little longer each time, for a coordinator that is away.
#[derive(Debug)]
struct Patience {
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { pause: FIRST_PAUSE }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// A program of this release: beside this one, else in PATH.
fn program(name: &'static str) -> Result<PathBuf, Fault> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|dir| dir.join(name));
    let mut candidates = beside.into_iter().chain(in_path);
    candidates.find(|path| path.is_file()).ok_or(Fault::ProgramMissing { program: name })
}
