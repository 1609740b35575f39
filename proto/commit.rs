//! For build scripts: the commit that a release is built from.

use std::path::Path;
use std::process::Command;

/// Hands it to the crate as `SWEEP_COMMIT`, marked where a tracked file differs from it. Nothing for other builds (every commit
/// would build them again) and outside of a checkout, as in an unpacked archive. `sources`: what makes a build differ.
pub(crate) fn tell(sources: &[&str]) {
    if let Some(commit) = commit(sources) {
        println!("cargo::rustc-env=SWEEP_COMMIT={commit}");
    }
}

fn commit(sources: &[&str]) -> Option<String> {
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return None;
    }
    let git = |arguments: &[&str]| {
        let said = Command::new("git").args(arguments).output().ok().filter(|said| said.status.success())?;
        Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
    };
    // An archive may have been unpacked inside of another checkout.
    let top = std::fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if Path::new(env!("CARGO_MANIFEST_DIR")).parent()? != top {
        return None;
    }
    for watched in ["HEAD", "index", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", watched])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for watched in sources {
        println!("cargo::rerun-if-changed={watched}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}.changed") })
}
