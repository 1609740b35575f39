//! Tells the linker where libtorch lies at run time: the folder that an installed trainer ships with (`../lib/libtorch` beside its `bin/`),
//! then the folder that this build used, which `deploy/package.sh` takes out again.

use std::path::Path;

#[path = "../proto/commit.rs"]
mod commit;

fn main() {
    commit::tell(&["src", "../core/src", "../proto/commit.rs", "../Cargo.lock", "../Cargo.toml"]);
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
