//! Processes as people know them: whose, and what they run. From `/proc`; what cannot be read is said in words.

use std::fs;
use std::path::Path;

use sweep_core::device::Occupant;
use sweep_core::id::Lease;
use sweep_core::program;

use crate::launcher::scan;

/// Who a process is.
pub fn occupant(pid: u32, memory: u64) -> Occupant {
    let user = user(pid).unwrap_or_else(|| "unknown".to_owned());
    let command = command(pid).unwrap_or_else(|| "unknown".to_owned());
    Occupant { pid, user, command, memory }
}

/// The attempt below `attempts` whose trainer it is, or was started by.
pub fn owner(pid: u32, attempts: &Path) -> Option<Lease> {
    scan::owner(&fs::read(format!("/proc/{pid}/environ")).ok()?, attempts)
}

/// Its arguments end with zeros, unless it has written something else over them.
fn command(pid: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    shown(&line).or_else(|| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(program::of_line(&name))
    })
}

fn shown(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\0');
    let name = || if text.contains('\0') { program::name(text.split('\0')) } else { program::of_line(text) };
    (!text.trim().is_empty()).then(name)
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
        assert_eq!(shown(b"/usr/bin/python\0train.py\0--key\0hunter2\0").as_deref(), Some("python train.py"));
        assert_eq!(shown(b"/opt/My App/run\0--key\0hunter2\0").as_deref(), Some("run"));
        assert_eq!(shown(b"python train.py --key hunter2").as_deref(), Some("python train.py"), "it renamed itself");
        assert_eq!(shown(b"\0\0"), None);
        assert_eq!(owner(std::process::id(), Path::new("/nowhere")), None);
    }
}
