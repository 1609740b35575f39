//! Says which commit a release is built from, and which fold is compiled in: a number over the sources of `sweep-core` and of the snapshots, and over the versions of
//! all libraries. A snapshot of another fold is not used, because the same events may have come to another state there.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

#[path = "../proto/commit.rs"]
mod commit;

const SOURCES: [&str; 3] = ["../core/src", "../Cargo.lock", "src/journal/snapshot.rs"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    commit::tell(&["src", "../proto/commit.rs", "../Cargo.toml"]);
    let mut files = BTreeMap::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        read(Path::new(source), &mut files)?;
    }
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    println!("cargo::rustc-env=SWEEP_FOLD={:016x}", hasher.finish());
    Ok(())
}

/// Every file at or below a path.
fn read(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    if !path.is_dir() {
        files.insert(path.to_owned(), fs::read(path)?);
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        read(&entry?.path(), files)?;
    }
    Ok(())
}
