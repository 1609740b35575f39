//! Numbers, times and foreign text as people read them.

use std::borrow::Cow;

use sweep_core::cost::Energy;
use sweep_core::num::Num;

/// Foreign text that can do a terminal no harm: control characters and direction marks are
/// written as escapes.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if is_harmful(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Like [`safe`] for a line of JSON, which it stays.
pub(crate) fn safe_json(line: &str) -> Cow<'_, str> {
    if !line.contains(is_harmful) {
        return Cow::Borrowed(line);
    }
    // All of them have four digits, and JSON has them in its strings only.
    let escape = |c: char| if is_harmful(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(line.chars().map(escape).collect())
}

/// Like [`safe`] for text of many lines: line ends and tabs stay.
pub(crate) fn tidy(text: &str) -> Cow<'_, str> {
    let keep = |c: char| !is_harmful(c) || matches!(c, '\n' | '\t');
    if text.chars().all(keep) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if keep(c) { c.to_string() } else { c.escape_default().to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A length of time: `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn span(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// An amount of memory: `812 MB`, `1.25 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let mega = bytes as f64 / 1e6;
    if mega < 999.5 { format!("{mega:.0} MB") } else { format!("{:.2} GB", mega / 1e3) }
}

/// Kilowatt hours: `0.0123`.
pub(crate) fn kwh(energy: &Energy) -> String {
    number(energy.joules() / 3.6e6)
}

/// Energy with its parts: `0.5 kWh (GPU 0.4, processors 0.1; 0.2 of it idle power)`.
pub(crate) fn kwh_in_words(energy: &Energy) -> String {
    let part = |what: &str, joules: Option<Num>| joules.map(|joules| format!("{what} {}", number(joules.0 / 3.6e6)));
    let parts = [part("GPU", energy.gpu), part("processors", energy.cpu)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let idle = match energy.idle {
        Some(idle) => format!("{} of it would have been drawn anyway", number(idle.0 / 3.6e6)),
        None => "the idle part is not known".to_owned(),
    };
    format!("{} kWh ({}; {idle})", kwh(energy), parts.join(", "))
}

/// How long ago a time (microseconds since 1970) is; `-` for 0, which means never.
pub(crate) fn ago(time: i64) -> String {
    if time == 0 {
        return "-".to_owned();
    }
    match (jiff::Timestamp::now().as_microsecond() - time).max(0) / 1_000_000 {
        0 => "now".to_owned(),
        seconds @ 1..60 => format!("{seconds} s ago"),
        seconds => format!("{} ago", span(seconds as f64)),
    }
}

/// A time (microseconds since 1970) as scripts read it (RFC 3339, UTC); nothing for 0.
pub(crate) fn stamp(time: i64) -> Option<String> {
    if time == 0 {
        return None;
    }
    jiff::Timestamp::from_microsecond(time).ok().map(|time| time.to_string())
}

/// A share (0 to 1) in per cent: `91.25`.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.2}", share * 100.0) } else { share.to_string() }
}

/// Mean and standard deviation of shares in per cent: `91.25 ± 0.40`.
pub(crate) fn percent_with_spread(mean: f64, std: Option<f64>) -> String {
    match std {
        Some(std) => format!("{} ± {}", percent(mean), percent(std)),
        None => percent(mean),
    }
}

/// A number with four significant digits: `0.5235`, `12.35`, `1.2e-7`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() || value == 0.0 => value.to_string(),
        _ if !(1e-4..1e6).contains(&size) => format!("{value:.3e}"),
        _ => {
            let digits = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.digits$}")
        }
    }
}

/// A mean with its standard deviation, both to the digits that the mean is shown with: `1.742 ± 0.078`.
pub(crate) fn number_with_spread(mean: f64, std: Option<f64>) -> String {
    let shown = number(mean);
    let Some(std) = std else { return shown };
    let digits = shown.split_once('.').map_or(0, |(_, digits)| digits.len());
    if shown.contains('e') || !std.is_finite() {
        return format!("{shown} ± {}", number(std));
    }
    format!("{shown} ± {std:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_a_terminal() {
        assert_eq!(safe("ok ü"), "ok ü");
        assert_eq!(safe("a\x1b[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\n");
        let line = r#"{"about":"x y"}"#.replace(' ', "\u{202e}");
        assert_eq!(safe_json(&line), r#"{"about":"x\u202ey"}"#);
        assert_eq!(tidy("a\tb\nc\x07"), "a\tb\nc\\u{7}");
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in [
            (0.0123, "12 ms"),
            (0.9999, "1.0 s"),
            (12.34, "12.3 s"),
            (59.97, "1 min 00 s"),
            (245.0, "4 min 05 s"),
            (7_800.0, "2 h 10 min"),
            (273_600.0, "3 d 4 h"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(span(seconds), text, "{seconds}");
        }
        assert_eq!(ago(0), "-");
        assert_eq!([0, 641_728_512, 999_600_000].map(bytes), ["0 MB", "642 MB", "1.00 GB"]);
        let energy = Energy { cpu: Some(Num(360_000.0)), gpu: Some(Num(1_440_000.0)), idle: Some(Num(720_000.0)) };
        assert_eq!(
            kwh_in_words(&energy),
            "0.5000 kWh (GPU 0.4000, processors 0.1000; 0.2000 of it would have been drawn anyway)"
        );
        let energy = Energy { gpu: None, idle: None, ..energy };
        assert_eq!(kwh_in_words(&energy), "0.1000 kWh (processors 0.1000; the idle part is not known)");
        assert_eq!(stamp(1_000_000).as_deref(), Some("1970-01-01T00:00:01Z"));
    }

    #[test]
    fn numbers_keep_four_digits() {
        for (value, text) in [
            (0.523456, "0.5235"),
            (12.3456, "12.35"),
            (123456.7, "123457"),
            (1.23456e-7, "1.235e-7"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(percent_with_spread(0.9125, Some(0.004)), "91.25 ± 0.40");
        assert_eq!(percent_with_spread(f64::NAN, None), "NaN");
        assert_eq!(number_with_spread(1.74211, Some(0.07839)), "1.742 ± 0.078");
        assert_eq!(number_with_spread(1.234e-9, Some(0.5)), "1.234e-9 ± 0.5000");
        assert_eq!(number_with_spread(0.5, None), "0.5000");
    }
}
