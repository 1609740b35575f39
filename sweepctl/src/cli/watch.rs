//! The arguments of `watch`.

use clap::Args;

use super::Shape;

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// Give up after so long, e.g. `90s`, `2h 30m`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<std::time::Duration>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// `90s`, `2h 30m`, `1 day`.
pub(super) fn duration(text: &str) -> Result<std::time::Duration, jiff::Error> {
    std::time::Duration::try_from(text.parse::<jiff::SignedDuration>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_do() {
        assert_eq!(duration("2h 30m").unwrap().as_secs(), 9000);
        assert_eq!(duration("90s").unwrap().as_secs(), 90);
        assert!(duration("-1s").is_err());
    }
}
