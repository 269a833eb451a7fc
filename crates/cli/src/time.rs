//! Times as the wire has them (RFC 3339) and as people say them; durations as they are typed.
//!
//! Only what this command needs: whole seconds, the proleptic Gregorian calendar, offsets, no time zones.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z by the wall clock.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A duration as it is typed (`90s`, `10m`, `12h`, `30d`, or `0`), in seconds.
pub(crate) fn duration(text: &str) -> Result<u32, String> {
    let seconds = || {
        if text == "0" {
            return Some(0);
        }
        let factor = match text.bytes().last()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86400,
            _ => return None,
        };
        let count = &text[..text.len() - 1];
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        count.parse::<u32>().ok()?.checked_mul(factor)
    };
    seconds().ok_or_else(|| "write it as 90s, 10m, 12h or 30d".to_owned())
}

/// A point in time as it is typed for `--since`: RFC 3339, a date, or a duration back from `now`. Gives RFC 3339 UTC.
pub(crate) fn since(text: &str, now: i64) -> Result<String, String> {
    if let Ok(seconds) = duration(text) {
        return Ok(format_utc(now - i64::from(seconds)));
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    parse(&whole).map(format_utc).ok_or_else(|| {
        "write a time such as 2026-01-31T08:00:00Z, a date such as 2026-01-31, or a duration such as 2h".to_owned()
    })
}

/// RFC 3339 §5.6 as seconds since the epoch; a fraction is cut off. `None` if it is anything else.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !separators.iter().all(|&(at, byte)| bytes.get(at) == Some(&byte)) || !matches!(bytes.get(10), Some(b'T' | b't'))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if day < 1 || day > month_length(year, month)? || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    if bytes.get(at) == Some(&b'.') {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        at += 1 + digits;
    }
    let offset = match (bytes.get(at)?, bytes.len() - at) {
        (b'Z' | b'z', 1) => 0,
        (sign @ (b'+' | b'-'), 6) if bytes[at + 3] == b':' => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    Some(days_before(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset)
}

fn leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn month_length(year: i64, month: i64) -> Option<i64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap(year) { 29 } else { 28 }),
        _ => None,
    }
}

/// Days from 1970-01-01 to the first day of `year`.
fn days_to_year(year: i64) -> i64 {
    let before = year - 1;
    before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 719_162
}

fn days_before(year: i64, month: i64, day: i64) -> i64 {
    days_to_year(year) + (1..month).filter_map(|month| month_length(year, month)).sum::<i64>() + day - 1
}

/// Seconds since the epoch as RFC 3339 UTC, kept within the years 0001 to 9999.
pub(crate) fn format_utc(seconds: i64) -> String {
    let seconds = seconds.clamp(days_to_year(1) * 86400, days_to_year(10_000) * 86400 - 1);
    let (days, time) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // A year has at least 365 days, so this is never too early; a few steps back reach the year.
    let mut year = (1970 + days.div_euclid(365)).min(9999);
    while days_to_year(year) > days {
        year -= 1;
    }
    while days_to_year(year + 1) <= days {
        year += 1;
    }
    let mut left = days - days_to_year(year);
    let mut month = 1;
    while let Some(length) = month_length(year, month).filter(|&length| left >= length) {
        left -= length;
        month += 1;
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", left + 1)
}

/// A length of time in words: `40 s`, `4 min`, `3 h`, `2 days`.
pub(crate) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..100 => format!("{seconds} s"),
        seconds @ ..6000 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86400),
    }
}

/// When `time` is, seen from `now`: `in 4 min`, `3 h ago`; the text itself if it is no time.
pub(crate) fn relative(time: &str, now: i64) -> String {
    match parse(time).map(|at| at - now) {
        None => time.to_owned(),
        Some(0) => "now".to_owned(),
        Some(left) if left > 0 => format!("in {}", span(left)),
        Some(left) => format!("{} ago", span(-left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("12h", 43200), ("30d", 2_592_000), ("0s", 0), ("0", 0)] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "s", "10", "-1s", "+1s", "1.5h", "1w", "10 m", "99999999999s", "4294967295d", "1é", "é"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_round_trip() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-01-01T00:00:00Z", 1_767_225_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("1969-12-31T23:59:59Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
            assert_eq!(format_utc(seconds), text);
        }
        for day in (-200_000..2_900_000).step_by(997) {
            assert_eq!(parse(&format_utc(day * 86400 + 86399)), Some(day * 86400 + 86399));
        }
        assert_eq!(parse("2026-01-01T01:30:00.250+01:30"), Some(1_767_225_600));
        assert_eq!(format_utc(i64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(format_utc(i64::MIN), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026",
            "2026-01-01",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00ZZ",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+1:00",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn since_takes_times_dates_and_durations() {
        assert_eq!(since("1h", 7200).unwrap(), "1970-01-01T01:00:00Z");
        assert_eq!(since("2026-01-31", 0).unwrap(), "2026-01-31T00:00:00Z");
        assert_eq!(since("2026-01-31T08:00:00+02:00", 0).unwrap(), "2026-01-31T06:00:00Z");
        assert!(since("yesterday", 0).is_err());
    }

    #[test]
    fn times_in_words() {
        let now = 1_767_225_600;
        assert_eq!(relative("2026-01-01T00:04:10Z", now), "in 4 min");
        assert_eq!(relative("2025-12-31T21:00:00Z", now), "3 h ago");
        assert_eq!(relative("2026-01-01T00:00:00Z", now), "now");
        assert_eq!(relative("2026-01-11T00:00:00Z", now), "in 10 days");
        assert_eq!(relative("soon", now), "soon");
        assert_eq!(span(-5), "0 s");
    }
}
