//! Arguments of `top`.

use std::time::Duration;

use clap::Args;

use super::{Shape, duration};

/// Arguments of `top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Print it once and leave; without a terminal it always does
    #[arg(long)]
    pub(crate) once: bool,
    /// How often it is drawn, 0.5 s to 1 h, e.g. `2s`, `1m`; a number is seconds
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub(crate) interval: Duration,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e6).contains(seconds));
    let interval = seconds.map_or_else(|| duration(text), |seconds| Ok(Duration::from_secs_f64(seconds)))?;
    let fits = (Duration::from_millis(500)..=Duration::from_secs(3600)).contains(&interval);
    if fits { Ok(interval) } else { Err("from `0.5s` to `1h`".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_lengths_of_time() {
        assert_eq!(["2", "0.5", "2s", "1m"].map(|text| interval(text).unwrap().as_millis()), [2000, 500, 2000, 60_000]);
        for wrong in ["0", "0.1", "2h", "-1", "NaN", "soon", ""] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
