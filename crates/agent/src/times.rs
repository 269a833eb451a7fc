//! Times as the wire and people see them.

use broker::Timestamp;

/// RFC 3339 in UTC, whole seconds: `2026-01-01T00:00:00Z`.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_second(time.as_seconds())
        .map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}

/// RFC 3339 in UTC with milliseconds: `2026-01-01T00:00:00.000Z`.
pub(crate) fn rfc3339_millis(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.as_millis())
        .map_or_else(|_| "1970-01-01T00:00:00.000Z".to_owned(), |t| format!("{t:.3}"))
}

/// Reads RFC 3339.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp::from_millis(t.as_millisecond()))
}

/// The local time of day, `21:40`.
pub(crate) fn local_clock(time: Timestamp) -> String {
    local(time, "%H:%M")
}

/// RFC 3339 in the person's own time zone, `2026-01-01T21:40:05+02:00`.
pub(crate) fn local_rfc3339(time: Timestamp) -> String {
    local(time, "%Y-%m-%dT%H:%M:%S%:z")
}

/// Local time as RFC 3164 §4.1.2 has it: `Jan  1 21:40:05`.
pub(crate) fn local_stamp(time: Timestamp) -> String {
    local(time, "%b %e %H:%M:%S")
}

fn local(time: Timestamp, format: &str) -> String {
    jiff::Timestamp::from_millisecond(time.as_millis())
        .map(|t| t.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_has_the_forms_scripts_rely_on() {
        let time = Timestamp::from_millis(1_767_225_600_042);
        assert_eq!(rfc3339(time), "2026-01-01T00:00:00Z");
        assert_eq!(rfc3339_millis(time), "2026-01-01T00:00:00.042Z");
        assert_eq!(parse(&rfc3339_millis(time)), Some(time));
        assert_eq!(rfc3339_millis(Timestamp::from_seconds(0)), "1970-01-01T00:00:00.000Z");
    }
}
