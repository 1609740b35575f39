//! `bench`: a front for the program `sweep-bench`, which knows the coordinator and the agent from
//! inside and is therefore not part of `sweepctl`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::program;
use crate::fault::Fault;

/// Becomes `sweep-bench`; comes back only when that fails.
pub(crate) fn run(arguments: &[OsString]) -> Result<(), Fault> {
    let path = program("sweep-bench")?;
    let source = Command::new(&path).args(arguments).exec();
    Err(Fault::Program { path, source })
}
