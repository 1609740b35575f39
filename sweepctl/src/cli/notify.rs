//! The arguments of `admin notify`.

use clap::Subcommand;

use super::Shape;

/// What can be asked about webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Notify {
    /// Send a test to every receiver and say what came back (exit code 1: one did not take it)
    #[command(after_help = "Examples:\n  sweepctl admin notify test\n  sweepctl admin notify test --json")]
    Test {
        #[command(flatten)]
        shape: Shape,
    },
    /// List receivers, what waits for them, and why the last one failed
    #[command(after_help = "Examples:\n  sweepctl admin notify list")]
    List {
        #[command(flatten)]
        shape: Shape,
    },
}

impl Notify {
    /// The shape of its output.
    pub(crate) fn shape(&self) -> &Shape {
        match self {
            Self::Test { shape } | Self::List { shape } => shape,
        }
    }
}
