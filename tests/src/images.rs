//! Real images for tests that want them. Never part of the project: without them such a test says so
//! and passes.

use std::path::PathBuf;

/// The folder that holds `imagenette-small`, `cifar10-small` and `tiny-imagenet-small`:
/// `$SWEEP_TEST_DATA`, or `shared/data` beside the workspace.
pub fn root() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let named = std::env::var_os("SWEEP_TEST_DATA").filter(|value| !value.is_empty());
    let root = named.map_or_else(|| PathBuf::from(beside), PathBuf::from);
    root.canonicalize().ok().filter(|root| root.is_dir())
}
