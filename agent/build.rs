//! Links `sweep-noop-trainer` statically, so that the figures of `sweepctl bench dispatch` are the
//! orchestrator's and not the dynamic linker's (0.5 of 1.05 ms per process, measured). The other
//! programs are linked as usual. Without a static C library the no-op trainer is, too.
//!
//! `-C target-feature=+crt-static` cannot be given for one program, so the linker is led to the
//! archives: it takes a text file `libc.so` as a script that names them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

const PROGRAM: &str = "sweep-noop-trainer";
/// What the standard library asks the linker for, and the archives that hold it.
const SCRIPTS: [(&str, &[&str]); 3] =
    [("libgcc_s.so", &["libgcc_eh.a", "libgcc.a"]), ("libm.so", &["libm.a"]), ("libc.so", &["libc.a", "libgcc_eh.a"])];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let native = env::var("HOST") == env::var("TARGET");
    if !native || target("OS") != "linux" || target("ENV") != "gnu" {
        return Ok(());
    }
    let Some(folder) = env::var_os("OUT_DIR").map(PathBuf::from) else { return Ok(()) };
    for (name, archives) in SCRIPTS {
        let Some(paths) = archives.iter().map(|archive| find(archive)).collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let paths: Vec<String> = paths.iter().map(|path| format!("\"{}\"", path.display())).collect();
        fs::write(folder.join(name), format!("GROUP ( {} )\n", paths.join(" ")))?;
    }
    for argument in ["-static", "-no-pie", &format!("-L{}", folder.display())] {
        println!("cargo::rustc-link-arg-bin={PROGRAM}={argument}");
    }
    Ok(())
}

/// Where the C compiler keeps an archive.
fn find(archive: &str) -> Option<PathBuf> {
    let output = Command::new("cc").arg(format!("-print-file-name={archive}")).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let path = Path::new(path.trim());
    path.is_absolute().then(|| path.to_path_buf())
}
