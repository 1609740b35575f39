//! What a program asks the disk for, in order (`tests/syncs/syncs.c`): that a file is synced before it gets its name, and its folder
//! after, can only be seen from outside.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One line of the note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A file or folder was synced.
    Sync(PathBuf),
    /// A file got another name.
    Name(PathBuf, PathBuf),
}

/// Where calls are noted.
#[derive(Clone, Debug)]
pub struct Syncs {
    library: PathBuf,
    note: PathBuf,
}

impl Syncs {
    /// Builds the library in `folder`.
    ///
    /// # Errors
    /// When there is no C compiler, which building this project needs anyway.
    pub fn new(folder: &Path) -> Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("syncs/syncs.c");
        let (library, note) = (folder.join("syncs.so"), folder.join("syncs.txt"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl");
        let done = compiler.status().context("cc")?;
        ensure!(done.success(), "cc: {done}");
        Ok(Self { library, note })
    }

    /// What a program that is to be looked at gets into its environment.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("SYNCS", &self.note)]
    }

    /// Everything asked so far.
    ///
    /// # Errors
    /// When nothing was noted.
    pub fn asked(&self) -> Result<Vec<Asked>> {
        let text = std::fs::read_to_string(&self.note).context("nothing was noted")?;
        let lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let asked = lines.map(|parts| match parts[..] {
            ["sync", path, _] => Ok(Asked::Sync(path.into())),
            ["name", from, to] => Ok(Asked::Name(from.into(), to.into())),
            _ => anyhow::bail!("an unknown line: {parts:?}"),
        });
        asked.collect()
    }
}

/// Names that were given to a file that was not synced before, or in a folder that was not synced after, of those that end like
/// `suffix`; and how many names there were.
pub fn wrong(asked: &[Asked], is_of_interest: impl Fn(&Path) -> bool) -> (Vec<String>, usize) {
    let mut synced: BTreeSet<&Path> = BTreeSet::new();
    let (mut wrong, mut names) = (Vec::new(), 0);
    for (at, line) in asked.iter().enumerate() {
        match line {
            Asked::Sync(path) => drop(synced.insert(path)),
            Asked::Name(from, to) if is_of_interest(to) => {
                names += 1;
                if !synced.contains(from.as_path()) {
                    wrong.push(format!("{} got its name before its content was synced", to.display()));
                }
                let folder = to.parent().unwrap_or(to);
                if !asked[at..].iter().any(|later| matches!(later, Asked::Sync(path) if path == folder)) {
                    wrong.push(format!("the folder of {} was not synced after it got its name", to.display()));
                }
            }
            Asked::Name(..) => {}
        }
    }
    (wrong, names)
}
