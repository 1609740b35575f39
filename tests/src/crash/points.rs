//! The steps of the protocol at which a program may die, and how one is told from where it died. The letters are those of
//! `docs/reliability.md`.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::receiver::HERE;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The coordinator.
    Coordinator,
    /// The agent.
    Agent,
    /// A trainer.
    Trainer,
}

/// What it was about, as far as it is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A coordinator that has never served.
    First,
    /// A coordinator that has a journal and does not serve yet.
    Starting,
    /// A coordinator that can be called.
    Serving,
    /// A coordinator that was told to stop.
    Stopping,
    /// An agent with attempts.
    Busy,
    /// An agent without; or a trainer.
    Idle,
}

/// Where a program died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Which.
    pub program: Program,
    /// What it was about.
    pub moment: Moment,
    /// The number of the place.
    pub number: u32,
    /// `before` the call, `after` it, or when `half` was written.
    pub when: String,
    /// `write`, `sync`, `name`, `remove`, `folder`, `cut`, `read`, `read-all`, `send`, `receive`, `child`, `end`.
    pub call: String,
    /// Of which file, below the folder of the lab.
    pub path: String,
    /// How what is written begins.
    pub words: String,
    /// The call on a file that was done before.
    pub last: (String, String),
    /// How often it had sent something.
    pub sent: u32,
}

impl Death {
    fn is(&self, program: Program, call: &str, part: &str) -> bool {
        self.program == program && self.call == call && self.path.contains(part)
    }

    /// A coordinator whose newest commit is on the disk, and nobody knows yet.
    fn is_untold(&self) -> bool {
        let (call, path) = &self.last;
        let is_committed = call == "sync" && path.ends_with("sweep.db-wal");
        self.is(C, "send", "") && self.when == "before" && is_committed
    }
}

/// A step at which something was lost, or could have been.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Whose.
    pub of: Program,
    /// As in the table.
    pub name: &'static str,
    /// What had been done.
    pub what: &'static str,
    is: fn(&Death) -> bool,
}

const C: Program = Program::Coordinator;
const A: Program = Program::Agent;
const W: Program = Program::Trainer;

/// All of them but two: W7, a trainer that ends while no agent is there, is in [`super::Outcome::alone`]; A12 is looked at where an agent joins.
pub const STEPS: [Step; 31] = [
    step(C, "C1", "a request was read, nothing is decided", |d| d.is(C, "receive", "")),
    step(C, "C2", "a commit is written in part", |d| d.is(C, "write", "sweep.db-wal") && d.when == "half"),
    step(
        C,
        "C3, C4, C13",
        "committed, and nobody is told: the caller, the agent of a lease, the one that has to leave",
        Death::is_untold,
    ),
    step(C, "C5", "an upload is complete, and has no name", |d| d.is(C, "name", "/blobs/") && d.when == "before"),
    step(C, "C6", "it has its name, and no event", |d| d.is(C, "name", "/blobs/") && d.when == "after"),
    step(C, "C7", "a checkpoint that nobody needs is still there", |d| {
        d.is(C, "remove", "/blobs/") && d.when == "before"
    }),
    step(C, "C8", "it is gone, and others not yet", |d| d.is(C, "remove", "/blobs/") && d.when == "after"),
    step(C, "C9", "tables are made", |d| d.is(C, "write", "sweep.db") && d.moment == Moment::First),
    step(C, "C10", "a receiver of news is told, and that is not written down", |d| d.is(C, "receive", HERE)),
    step(C, "C11", "a journal is read at the start", |d| d.program == C && d.moment == Moment::Starting),
    step(C, "C12", "on the way to a stop that was asked for", |d| d.program == C && d.moment == Moment::Stopping),
    step(C, "C14", "a snapshot of the state is written in part", |d| d.is(C, "write", "snapshot.bin")),
    step(C, "C15", "it is written, and has no name", |d| d.is(C, "name", "snapshot.bin") && d.when == "before"),
    step(C, "C16", "it has its name, and its folder is not synced", |d| {
        d.is(C, "name", "snapshot.bin") && d.when == "after"
    }),
    step(A, "A1", "a lease came, and its order is not written", |d| d.is(A, "write", "order.json") && d.when == "half"),
    step(A, "A2", "the order is written, and nothing started", |d| d.is(A, "cut", "order.json") && d.when == "after"),
    step(A, "A3", "a trainer is started, and nothing noted", |d| d.is(A, "child", "") && d.when == "after"),
    step(A, "A4", "trainers run", |d| d.program == A && d.moment == Moment::Busy),
    step(A, "A5", "lines are read, and not reported", |d| d.is(A, "send", "") && d.when == "before"),
    step(A, "A6", "a report is sent, and its answer not heard", |d| d.is(A, "send", "") && d.when == "after"),
    step(A, "A7", "in the middle of an upload", |d| d.is(A, "read", "/ckpt/")),
    step(A, "A8", "uploaded, and not reported", |d| d.program == A && d.call == "receive" && d.last.0 == "read-all"),
    step(A, "A9", "a trainer has ended, and that is not said", |d| d.is(A, "end", "")),
    step(A, "A10", "a settled attempt is tidied away", |d| d.is(A, "remove", "") || d.is(A, "name", "/spare/")),
    step(A, "A11", "an agent takes its attempts over", |d| d.program == A && d.moment == Moment::Busy && d.sent == 0),
    step(W, "W1", "nothing is said yet", |d| d.program == W && d.last.0.is_empty()),
    step(W, "W2", "in the middle of a line", |d| d.is(W, "write", "events.jsonl") && d.when == "half"),
    step(W, "W3", "in the middle of a checkpoint", |d| d.is(W, "write", "/ckpt/") && d.when == "half"),
    step(W, "W4", "a checkpoint is written, and has no name", |d| d.is(W, "name", "/ckpt/") && d.when == "before"),
    step(W, "W5", "it has its name, and its line is not written", |d| d.is(W, "name", "/ckpt/") && d.when == "after"),
    step(W, "W6", "the last epoch is said, and the end in part", |d| {
        d.is(W, "write", "events.jsonl") && d.words.contains("\"done\"")
    }),
];

const fn step(of: Program, name: &'static str, what: &'static str, is: fn(&Death) -> bool) -> Step {
    Step { of, name, what, is }
}

impl Step {
    /// How many of these were at this step.
    pub fn hits(&self, deaths: &[Death]) -> usize {
        deaths.iter().filter(|death| (self.is)(death)).count()
    }
}

/// Every end that was noted, in the order of their program.
pub(super) fn read(folder: &Path, root: &Path) -> Result<Vec<Death>> {
    let path = folder.join("deaths");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let root = root.display().to_string();
    text.lines().map(|line| parse(line, &root).with_context(|| format!("{line:?}"))).collect()
}

fn parse(line: &str, root: &str) -> Result<Death> {
    let parts: Vec<&str> = line.split('\t').collect();
    let [program, number, when, call, path, words, last, last_path, sent] = parts[..] else {
        anyhow::bail!("not a line about an end");
    };
    let program = match program {
        "sweep-coordinator" => C,
        "sweep-agent" => A,
        _ => W,
    };
    let below = |path: &str| path.strip_prefix(root).unwrap_or(path).to_owned();
    Ok(Death {
        program,
        moment: Moment::Idle,
        number: number.parse()?,
        when: when.to_owned(),
        call: call.to_owned(),
        path: below(path),
        words: words.to_owned(),
        last: (last.to_owned(), below(last_path)),
        sent: sent.parse()?,
    })
}
