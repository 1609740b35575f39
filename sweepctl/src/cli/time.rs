//! Lengths of time and moments, as people write them: one way for all commands.

use std::time::Duration;

/// Hours of a day.
const DAY: u64 = 24;
/// More than anybody means, days.
const LONGEST: u64 = 100_000;

/// A moment, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Since 1970.
    At(i64),
    /// From now.
    In(i64),
}

impl When {
    /// Microseconds since 1970.
    pub(crate) fn after(self, now: i64) -> i64 {
        match self {
            Self::At(time) => time,
            Self::In(span) => now.saturating_add(span),
        }
    }

    /// Microseconds since 1970, if a length of time is how long ago it was.
    pub(crate) fn before(self, now: i64) -> i64 {
        match self {
            Self::At(time) => time,
            Self::In(span) => now.saturating_sub(span),
        }
    }
}

/// `90s`, `30m`, `2h 30m`, `7d`, `1d 12h`; a day has 24 hours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || "a length of time is numbers with s, m, h or d, such as `90s`, `30m`, `2h 30m`, `2d` or `1d 12h`".to_owned();
    let text = text.trim();
    let letters = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(letters);
    let unit = rest.trim_start();
    let days = ["days", "day", "d"].into_iter().find_map(|word| unit.strip_prefix(word));
    let (days, rest) = match days.filter(|rest| !rest.starts_with(|letter: char| letter.is_ascii_alphabetic())) {
        Some(rest) => (number.parse::<u64>().ok().filter(|days| *days <= LONGEST).ok_or_else(wrong)?, rest.trim()),
        None => (0, text),
    };
    let whole = Duration::from_secs(days * DAY * 3600);
    if days > 0 && rest.is_empty() {
        return Ok(whole);
    }
    let rest = rest.parse::<jiff::SignedDuration>().ok().and_then(|rest| Duration::try_from(rest).ok());
    rest.filter(|rest| rest.as_secs() <= LONGEST * DAY * 3600).map(|rest| whole + rest).ok_or_else(wrong)
}

/// The same in microseconds.
pub(crate) fn time(text: &str) -> Result<i64, String> {
    Ok(i64::try_from(duration(text)?.as_micros()).unwrap_or(i64::MAX))
}

/// A moment, or in how long.
pub(crate) fn when(text: &str) -> Result<When, String> {
    let at = text.parse::<jiff::Timestamp>().map(|time| When::At(time.as_microsecond()));
    at.or_else(|_| time(text).map(When::In)).map_err(|_| {
        "a time such as `2026-12-01T18:00:00Z` (or with +01:00 at the end), or a length of time from now, such as `30m`, `2h` or `2d`"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_do() {
        let seconds = |text: &str| duration(text).map(|time| time.as_secs());
        for (text, expected) in [
            ("90s", 90),
            ("30m", 1800),
            ("2h 30m", 9000),
            ("2h30m", 9000),
            ("1.5h", 5400),
            ("2 hours", 7200),
            ("2d", 172_800),
            ("7 days", 604_800),
            ("1d 12h", 129_600),
            ("1d12h", 129_600),
            ("PT2H", 7200),
            (" 8h ", 28_800),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "d", "2", "soon", "-1s", "2 decades", "1d soon", "99999999999d", "1d 1d", "2dd"] {
            let error = seconds(text).unwrap_err();
            assert!(error.contains("s, m, h or d") && error.contains("`1d 12h`"), "{text}: {error}");
        }
        assert_eq!((time("7d"), time("24h")), (Ok(604_800_000_000), Ok(86_400_000_000)));
        assert_eq!((when("2h"), when("2d")), (Ok(When::In(7_200_000_000)), Ok(When::In(172_800_000_000))));
        assert_eq!(when("1970-01-01T01:00:02+01:00"), Ok(When::At(2_000_000)));
        assert!(when("2026-12-01 18:00").is_err() && when("tomorrow").is_err());
    }
}
