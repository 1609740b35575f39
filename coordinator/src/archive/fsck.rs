//! Looks at everything that is stored and says what is wrong with it, with what to do about it. Changes nothing, and
//! works beside a coordinator that runs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use sweep_core::audit::Auditor;
use sweep_core::retain;
use sweep_core::state::State;
use sweep_ops::doctor::{Findings, size};

use super::{BLOBS, JOURNAL, blob_in};
use crate::doctor::chain;
use crate::journal::examine::Examined;
use crate::journal::{JournalError, Replayed};

/// What to do about a journal that is not good.
const RESTORE: &str =
    "stop the coordinator, then `sweep-coordinator restore BACKUP`: the present journal is kept beside it";
/// What to do about one that this release is too old for.
const UPGRADE: &str = "look with the release that wrote it, or a later one: nothing is wrong with the journal";
/// Nobody refers to a blob of this age any more, and nobody is about to.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// Broken rules, and checkpoints, that are named.
const MOST: usize = 5;

/// Looks at a data folder, or at a copy of one. `quick` looks for checkpoints but does not read them.
pub async fn look(folder: &Path, quick: bool) -> Findings {
    let mut found = Findings::default();
    let journal = folder.join(JOURNAL);
    if !journal.is_file() {
        found.problem("journal", format!("{} is not there", journal.display()), "is --data right?");
        return found;
    }
    match look_at_journal(&journal, &mut found).await {
        Err(error @ (JournalError::Newer { .. } | JournalError::NewerEvent { .. })) => {
            found.problem("journal", chain(&error), UPGRADE);
        }
        Err(error) => found.problem("journal", chain(&error), RESTORE),
        Ok((Replayed { state, events, .. }, auditor)) => {
            found.ok("events", format!("{events} events, each as it was written"));
            judge(&state, &auditor, &mut found);
            let blobs = folder.join(BLOBS);
            let (keep, live) = (retain::keep(&state), retain::resumes(&state));
            drop(state);
            let work = move || checkpoints(&blobs, &keep, &live, quick, SystemTime::now());
            match tokio::task::spawn_blocking(work).await {
                Ok(mut more) => found.findings.append(&mut more.findings),
                Err(error) => found.problem("checkpoints", error.to_string(), "report this: it is a bug"),
            }
        }
    }
    found
}

async fn look_at_journal(path: &Path, found: &mut Findings) -> Result<(Replayed, Auditor), JournalError> {
    let mut examined = Examined::open(path).await?;
    match examined.pages().await?.as_slice() {
        [] => found.ok("pages", format!("{} is a sound SQLite file", path.display())),
        wrong => found.problem("pages", wrong.join("; "), RESTORE),
    }
    let (replayed, auditor, differ) = examined.everything().await?;
    examined.close().await;
    match differ.first() {
        None => found.ok("curves", "each epoch is shown as it was reported"),
        Some(first) => {
            let text = format!("{} attempts are not shown as they were reported; the first is {first}", differ.len());
            found.problem("curves", text, "report this with the journal; results and decisions come from the events");
        }
    }
    Ok((replayed, auditor))
}

fn judge(state: &State, auditor: &Auditor, found: &mut Findings) {
    match state.check() {
        Ok(()) => found.ok("state", format!("{} sweeps; what is counted is right", state.sweeps.len())),
        Err(index) => {
            let fix = "report this with the journal: it is a bug";
            found.problem("state", format!("`{index}` is not what a recount gives"), fix);
        }
    }
    let audit = auditor.all();
    match audit.violations.as_slice() {
        [] => found.ok("history", format!("legal: {} attempts, {} epoch reports", audit.attempts, audit.epochs)),
        broken => {
            let name = |one: &sweep_core::audit::Violation| format!("event {}: {}: {}", one.event, one.rule, one.what);
            let some: Vec<String> = broken.iter().take(MOST).map(name).collect();
            let text = format!("{} rules broken; {}", broken.len(), some.join("; "));
            found.problem("history", text, "report this with the journal: it is a bug, or another program wrote it");
        }
    }
}

/// `keep` are those that trials refer to, `live` those of them that a trial which is not over would go on from.
fn checkpoints(
    blobs: &Path,
    keep: &BTreeSet<String>,
    live: &BTreeSet<String>,
    quick: bool,
    now: SystemTime,
) -> Findings {
    let mut found = Findings::default();
    let (mut missing, mut wrong, mut bytes) = (Vec::new(), Vec::new(), 0);
    for sha256 in keep {
        let path = blob_in(blobs, sha256);
        match (path.metadata(), quick) {
            (Err(_), _) => missing.push(sha256),
            (Ok(file), true) => bytes += file.len(),
            (Ok(file), false) => match digest(&path) {
                Ok(digest) if digest == *sha256 => bytes += file.len(),
                Ok(_) | Err(_) => wrong.push(sha256),
            },
        }
    }
    let named = |all: &[&String]| {
        let needed = all.iter().filter(|sha256| live.contains(**sha256)).count();
        let some: Vec<&str> = all.iter().take(MOST).map(|sha256| sha256.as_str()).collect();
        format!("{} ({needed} that a trial would go on from): {}", all.len(), some.join(", "))
    };
    if missing.is_empty() && wrong.is_empty() {
        let how = if quick { "there" } else { "there, and have the right SHA-256" };
        found.ok("checkpoints", format!("{} of {} are {how}", keep.len(), size(bytes)));
    }
    let fix = "put them into blobs/ from a backup made with --with-blobs";
    if !missing.is_empty() {
        found.problem("checkpoints", format!("missing: {}", named(&missing)), fix);
    }
    if !wrong.is_empty() {
        found.problem("checkpoints", format!("damaged: {}", named(&wrong)), fix);
    }
    left_over(blobs, keep, now, &mut found);
    found
}

/// Files that no trial refers to, and that should have been cleaned away.
fn left_over(blobs: &Path, keep: &BTreeSet<String>, now: SystemTime, found: &mut Findings) {
    let shelves = std::fs::read_dir(blobs).into_iter().flatten().flatten();
    let files = shelves.filter_map(|shelf| std::fs::read_dir(shelf.path()).ok()).flatten().flatten();
    let (mut count, mut bytes) = (0, 0);
    for file in files {
        let is_known = file.file_name().to_str().is_some_and(|name| keep.contains(name));
        let Ok(about) = file.metadata() else { continue };
        let age = about.modified().ok().and_then(|modified| now.duration_since(modified).ok());
        if !is_known && age.is_some_and(|age| age > OLD) {
            (count, bytes) = (count + 1, bytes + about.len());
        }
    }
    match count {
        0 => found.ok("left-overs", "no file older than a day that nothing refers to"),
        _ => {
            let text = format!("{count} files older than a day, {}, that nothing refers to", size(bytes));
            found.warn("left-overs", text, "a coordinator that runs removes them every five minutes; does it run?");
        }
    }
}

/// The SHA-256 of a file, in hex.
pub(crate) fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hasher.update(&piece[..read]),
        }
    }
}
