//! `completions`: a script for the user's shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::fault::Fault;
use crate::output::Out;

/// Prints the script.
pub(crate) fn run(out: &Out, shell: Shell) -> Result<(), Fault> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sweepctl", &mut script);
    out.print(script)
}
