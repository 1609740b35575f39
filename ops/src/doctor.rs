//! `doctor`: looks at a host before it fails, and says of everything that is wrong how to put it right. What all programs
//! look at is here; what only one of them knows is added by it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// Room below which a disk is too full to work on, bytes.
const NO_ROOM: u64 = 1 << 30;
/// Room below which somebody should look, bytes.
const LITTLE_ROOM: u64 = 20 << 30;
/// Clocks further apart than this make logs and leases hard to read.
const CLOCKS: Duration = Duration::from_secs(5);
/// Clocks further apart than this break certificates and tokens.
const FAR: Duration = Duration::from_secs(300);

/// How a finding is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but somebody should know.
    Warning,
    /// Does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// Whether it is well.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where there is nothing to do.
    pub fix: String,
}

/// Everything that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// It is well.
    pub fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.findings.push(Finding { check, level: Level::Ok, found: found.into(), fix: String::new() });
    }

    /// Somebody should know.
    pub fn warn(&mut self, check: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(Finding { check, level: Level::Warning, found: found.into(), fix: fix.into() });
    }

    /// It does not work.
    pub fn problem(&mut self, check: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(Finding { check, level: Level::Problem, found: found.into(), fix: fix.into() });
    }

    /// Whether something does not work.
    pub fn has_problem(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Problem)
    }

    /// For people, a line or two for each.
    pub fn text(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { check, level, found, fix } in &self.findings {
            let level = match level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Problem => "problem",
            };
            let _ = writeln!(text, "{level:<7}  {check:<width$}  {found}");
            if !fix.is_empty() {
                let _ = writeln!(text, "{:<7}  {:<width$}  fix: {fix}", "", "");
            }
        }
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
        let _ = writeln!(text, "{} checks, {problems} problems, {warnings} warnings", self.findings.len());
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("findings are text")
    }

    /// Room on the disk of a folder, or of the nearest one above it that is there.
    pub fn disk(&mut self, check: &'static str, folder: &Path) {
        let Some(there) = folder.ancestors().find(|folder| folder.exists()) else { return };
        match rustix::fs::statvfs(there) {
            Err(error) => self.warn(check, format!("{}: {error}", there.display()), "look at the disk and its mount"),
            Ok(disk) => {
                let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
                let found = format!("{}: {} free of {}", folder.display(), size(free), size(all));
                let fix = "make room, or choose another folder";
                match free {
                    ..NO_ROOM => self.problem(check, found, fix),
                    NO_ROOM..LITTLE_ROOM => self.warn(check, found, fix),
                    LITTLE_ROOM.. => self.ok(check, found),
                }
            }
        }
    }

    /// A file or folder that must be nobody else's business. Nothing is said of what is not there.
    pub fn private(&mut self, check: &'static str, path: &Path) {
        let Ok(found) = fs::metadata(path) else { return };
        let mode = found.permissions().mode() & 0o7777;
        let shown = format!("{} has mode {mode:03o}", path.display());
        let wanted = if found.is_dir() { 700 } else { 600 };
        if mode & 0o077 != 0 {
            let also = if found.is_dir() { "" } else { "; what is in it may be known: replace it" };
            self.problem(check, shown, format!("chmod {wanted} {}{also}", path.display()));
        } else if found.uid() != rustix::process::geteuid().as_raw() && !rustix::process::geteuid().is_root() {
            let fix = "run this as that user (systemd-run -p User=..., sudo -u), or give the file to the right one";
            self.problem(check, format!("{} belongs to user {}", path.display(), found.uid()), fix);
        } else {
            self.ok(check, shown);
        }
    }

    /// How far another host's clock is from ours, with the time the question took.
    pub fn clock(&mut self, ours: Duration, theirs: Duration, took: Duration) {
        let apart = ours.abs_diff(theirs).saturating_sub(took);
        let found = format!("{:.1} s from the coordinator's", apart.as_secs_f64());
        let fix = "let chrony or systemd-timesyncd set the clock of both hosts";
        if apart > FAR {
            self.problem("clock", format!("{found}: certificates and tokens count as expired or not yet valid"), fix);
        } else if apart > CLOCKS {
            self.warn("clock", found, fix);
        } else {
            self.ok("clock", found);
        }
    }

    /// Two releases that should be the same.
    pub fn versions(&mut self, ours: (&str, u32), theirs: (&str, u32)) {
        let found = format!("{} here, {} on the coordinator", ours.0, theirs.0);
        if ours.1 != theirs.1 {
            let found = format!("{found}; they speak protocol {} and {}", ours.1, theirs.1);
            self.problem("version", found, "install the same release on both");
        } else if ours.0 != theirs.0 {
            self.warn("version", found, "install the same release on both when there is time: the coordinator first");
        } else {
            self.ok("version", found);
        }
    }
}

/// Bytes in words.
pub fn size(bytes: u64) -> String {
    match bytes {
        ..0x10_0000 => format!("{bytes} B"),
        0x10_0000..0x4000_0000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(look: impl FnOnce(&mut Findings)) -> (Level, String) {
        let mut findings = Findings::default();
        look(&mut findings);
        let Finding { level, found, fix, .. } = findings.findings.pop().unwrap();
        assert_eq!(level == Level::Ok, fix.is_empty(), "a finding has its fix: {found}");
        (level, found)
    }

    #[test]
    fn private_things_that_are_open_are_problems() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("ca.key");
        fs::write(&key, "x").unwrap();
        for (mode, expected) in [(0o644, Level::Problem), (0o600, Level::Ok), (0o640, Level::Problem)] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(level(|findings| findings.private("key", &key)).0, expected, "{mode:o}");
        }
        let mut nothing = Findings::default();
        nothing.private("key", &folder.path().join("missing"));
        assert!(nothing.findings.is_empty());
    }

    #[test]
    fn clocks_and_releases() {
        let at = Duration::from_secs;
        let clock = |ours, theirs, took| level(|found| found.clock(at(ours), at(theirs), at(took))).0;
        assert_eq!(
            [clock(1000, 1001, 0), clock(1000, 1010, 0), clock(1000, 1010, 6), clock(1000, 2000, 0)],
            [Level::Ok, Level::Warning, Level::Ok, Level::Problem]
        );
        let versions = |ours, theirs| level(|found| found.versions(ours, theirs)).0;
        assert_eq!(versions(("1.0", 3), ("1.0", 3)), Level::Ok);
        assert_eq!(versions(("1.1", 3), ("1.0", 3)), Level::Warning);
        assert_eq!(versions(("2.0", 4), ("1.0", 3)), Level::Problem);
    }

    #[test]
    fn the_end_says_how_it_stands() {
        let mut findings = Findings::default();
        findings.ok("disk", "much");
        findings.warn("clock", "late", "set it");
        assert!(!findings.has_problem());
        findings.problem("trainer", "none", "install it");
        let text = findings.text();
        assert!(findings.has_problem() && text.ends_with("3 checks, 1 problems, 1 warnings\n"), "{text}");
        assert!(text.contains("problem  trainer  none\n                  fix: install it\n"), "{text}");
        assert!(findings.json().starts_with(r#"{"findings":[{"check":"disk","level":"ok","found":"much","fix":""}"#));
        findings.disk("disk", Path::new("/does/not/exist"));
        assert_eq!(findings.findings.len(), 4);
    }
}
