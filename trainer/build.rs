//! Tells the linker where libtorch lies at run time: the folder this build used, and the folder an
//! installed trainer ships with (`../lib/libtorch` beside its `bin/`).

use std::path::Path;

fn main() {
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
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/libtorch/lib");
    if let Ok(version) = std::fs::read_to_string(Path::new(&libtorch).join("build-version")) {
        println!("cargo:rustc-env=SWEEP_LIBTORCH_VERSION={}", version.trim());
    }
    println!("cargo:rustc-env=SWEEP_LIBTORCH_DIR={}", Path::new(&libtorch).display());
}
