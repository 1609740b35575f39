//! Finds the processes of an attempt by a mark in their environment. The mark is there from the
//! first instruction, is inherited by everything a trainer starts and goes when the process goes:
//! unlike a process id in a file it is never stale, never torn, and never names a stranger.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use sweep_core::id::Lease;

/// Names the attempt folder's state folder and lease: `<attempt folder>`.
pub const FOLDER_VAR: &str = "SWEEP_ATTEMPT_DIR";
/// The slot of the attempt.
pub const SLOT_VAR: &str = "SWEEP_SLOT";

/// The processes of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Their ids.
    pub pids: Vec<Pid>,
    /// The slot they were started on.
    pub slot: Option<u32>,
}

/// Every living process of every attempt below `attempts`.
pub fn all(attempts: &Path) -> BTreeMap<Lease, Found> {
    let mut found: BTreeMap<Lease, Found> = BTreeMap::new();
    for (pid, environment) in processes() {
        let Some((lease, slot)) = mark(&environment, attempts) else {
            continue;
        };
        let entry = found.entry(lease).or_default();
        entry.pids.push(pid);
        entry.slot = entry.slot.or(slot);
    }
    found
}

/// The living processes of one attempt.
pub fn of(attempts: &Path, lease: Lease) -> Vec<Pid> {
    all(attempts).remove(&lease).map(|found| found.pids).unwrap_or_default()
}

/// Whether a process of the group lives; one that is dead and not yet waited for by its parent
/// does not.
pub fn group_lives(group: Pid) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else {
        return true;
    };
    let mut stats = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.any(|stat| {
        // pid (name, which may hold anything) state parent group ...
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let state = fields.next();
        let id = fields.nth(1).and_then(|id| id.parse().ok());
        id == Some(group.as_raw_pid()) && !matches!(state, Some("Z" | "X"))
    })
}

/// The kernel's letter for what a process does: running, sleeping, waiting for a disk, stopped, ...
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Signals processes; those that are gone already do not matter.
pub fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        kill_process(*pid, signal).ok();
    }
}

/// Processes whose environment may be read: a dead one that is not yet waited for has none.
fn processes() -> impl Iterator<Item = (Pid, Vec<u8>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        Some((Pid::from_raw(number)?, environment))
    })
}

fn mark(environment: &[u8], attempts: &Path) -> Option<(Lease, Option<u32>)> {
    let value = |name: &str| {
        environment
            .split(|byte| *byte == 0)
            .filter_map(|entry| std::str::from_utf8(entry).ok())
            .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    };
    let folder = Path::new(value(FOLDER_VAR)?);
    if folder.parent() != Some(attempts) {
        return None;
    }
    let lease = folder.file_name()?.to_str()?.parse().ok()?;
    Some((lease, value(SLOT_VAR).and_then(|slot| slot.parse().ok())))
}

/// The attempt below `attempts` that an environment belongs to.
pub fn owner(environment: &[u8], attempts: &Path) -> Option<Lease> {
    mark(environment, attempts).map(|(lease, _)| lease)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use sweep_core::id::{SweepId, TrialId};

    #[test]
    fn a_marked_process_is_found_until_it_is_gone() {
        let trial = TrialId::derive(SweepId::derive("scan", ""), &std::process::id().to_string());
        let lease = Lease { trial, attempt: 7 };
        let attempts = Path::new("/nowhere/attempts");
        // It lives for as long as its input is open. Its environment can be read for certain once it
        // has said something: a process that has only just been started may still have none.
        let mut child = Command::new("sh")
            .args(["-c", "echo ready; read end"])
            .env(FOLDER_VAR, attempts.join(lease.to_string()))
            .env(SLOT_VAR, "3")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        let expected = Found { pids: vec![pid], slot: Some(3) };
        assert_eq!(all(attempts).get(&lease), Some(&expected));
        assert_eq!(of(Path::new("/elsewhere"), lease), vec![]);
        assert!(group_lives(pid));
        signal(&[pid], Signal::KILL);
        child.wait().unwrap();
        assert_eq!(of(attempts, lease), vec![]);
        assert!(!group_lives(pid));
    }
}
