//! Processes as people know them: whose, and what they run. From `/proc`; what cannot be read is said in words.

use std::fs;
use std::path::Path;

use sweep_core::device::Occupant;
use sweep_core::id::Lease;

use crate::launcher::scan;

/// Longest command line that is passed on, characters.
const COMMAND: usize = 120;

/// Who a process is.
pub fn occupant(pid: u32, memory: u64) -> Occupant {
    let user = user(pid).unwrap_or_else(|| "unknown".to_owned());
    let command = command(pid).unwrap_or_else(|| format!("process {pid}"));
    Occupant { pid, user, command, memory }
}

/// The attempt below `attempts` whose trainer it is, or was started by.
pub fn owner(pid: u32, attempts: &Path) -> Option<Lease> {
    scan::owner(&fs::read(format!("/proc/{pid}/environ")).ok()?, attempts)
}

fn command(pid: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    shown(&line)
        .or_else(|| fs::read_to_string(format!("/proc/{pid}/comm")).ok().and_then(|name| shown(name.as_bytes())))
}

/// Arguments with spaces between them, on one line, not longer than people read.
fn shown(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let clean: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let clean = clean.trim();
    let mut short: String = clean.chars().take(COMMAND).collect();
    if short.len() < clean.len() {
        short.push_str("...");
    }
    (!short.is_empty()).then_some(short)
}

fn user(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.to_owned();
    let book = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(name(&book, &uid).unwrap_or(uid))
}

fn name(book: &str, uid: &str) -> Option<String> {
    let mut lines = book.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&uid)).map(|fields| fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_user_and_a_command() {
        let own = occupant(std::process::id(), 7);
        assert_eq!((own.pid, own.memory), (std::process::id(), 7));
        assert!(own.command.contains("sweep_agent"), "{}", own.command);
        assert!(!own.user.is_empty() && own.user != "unknown");
        assert_eq!(name("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n", "1000").as_deref(), Some("ann"));
        assert_eq!(shown(b"python\0train.py\0--name\0a\nb\0").as_deref(), Some("python train.py --name a b"));
        assert_eq!(shown("é".repeat(200).as_bytes()).map(|text| text.chars().count()), Some(COMMAND + 3));
        assert_eq!(owner(std::process::id(), Path::new("/nowhere")), None);
    }
}
