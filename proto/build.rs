//! Compiles the `.proto` files without `protoc`, and refuses a method that does not say who may call it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use prost_reflect::{DescriptorPool, Value};

const FILES: [&str; 8] = [
    "sweep/v1/common.proto",
    "sweep/v1/access.proto",
    "sweep/v1/agents.proto",
    "sweep/v1/blobs.proto",
    "sweep/v1/sweeps.proto",
    "sweep/v1/sharing.proto",
    "sweep/v1/machines.proto",
    "sweep/v1/upkeep.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=sweep");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let table = permissions(&compiler.descriptor_pool())?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("permissions.rs"), table)?;
    tonic_prost_build::configure().bytes(".sweep.v1").compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// A Rust array of `(path, permission)` for every method.
fn permissions(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let extension = pool.get_extension_by_name("sweep.v1.permission").ok_or("no extension sweep.v1.permission")?;
    let mut table = String::from("[\n");
    for service in pool.services() {
        for method in service.methods() {
            let options = method.options();
            let value = options.get_extension(&extension);
            let Value::EnumNumber(number @ 1..) = value.as_ref() else {
                return Err(format!("{} does not declare (permission): say who may call it", method.full_name()).into());
            };
            writeln!(table, "    (\"/{}/{}\", {number}),", service.full_name(), method.name())?;
        }
    }
    table.push(']');
    Ok(table)
}
