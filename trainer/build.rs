//! Tells the linker where libtorch lies at run time: the folder that an installed trainer ships with (`../lib/libtorch` beside its `bin/`),
//! then the folder that this build used, which `deploy/package.sh` takes out again.

use std::path::Path;
use std::process::Command;

fn main() {
    if let Some(commit) = commit() {
        println!("cargo:rustc-env=SWEEP_COMMIT={commit}");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let Some(libtorch) = std::env::var_os("LIBTORCH") else {
        println!("cargo:warning=LIBTORCH is not set; run deploy/libtorch.sh");
        return;
    };
    let lib = Path::new(&libtorch).join("lib");
    if !lib.join("libtorch_cpu.so").exists() {
        println!("cargo:warning={} has no libtorch; run deploy/libtorch.sh", lib.display());
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/libtorch/lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if let Ok(version) = std::fs::read_to_string(Path::new(&libtorch).join("build-version")) {
        println!("cargo:rustc-env=SWEEP_LIBTORCH_VERSION={}", version.trim());
    }
}

/// The commit that a release is built from, marked where a tracked file differs from it. Nothing for other builds (every commit
/// would build them again) and outside of a checkout, as in an unpacked archive.
fn commit() -> Option<String> {
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
    // What changes with the commit, and what makes a build differ from it.
    for watched in ["HEAD", "index", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", watched])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    for watched in ["src", "../core/src", "../Cargo.lock", "../Cargo.toml"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}.changed") })
}
