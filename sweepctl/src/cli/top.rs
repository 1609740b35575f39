//! Arguments of `top`.

use std::time::Duration;

use clap::Args;

use super::Shape;

/// Arguments of `top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Print it once and leave; without a terminal it always does
    #[arg(long)]
    pub(crate) once: bool,
    /// How often it is drawn, 0.5 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub(crate) interval: Duration,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.5..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a number of seconds, 0.5 to 3600".to_owned())
}
