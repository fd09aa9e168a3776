//! Times on the wire: RFC 3339, out always UTC with `Z` and milliseconds. The engine counts milliseconds, so finer
//! fractions are cut on the way in.

use chrono::DateTime;
use domain::ids::Millis;
use domain::time_text::rfc3339;

/// What is accepted, for error messages.
pub const ALLOWED: &str = "a time in RFC 3339 such as 2026-01-31T12:00:00Z, from 1970 to 9999";

/// Last millisecond of the year 9999: RFC 3339 has four digits for the year.
const LAST_MS: Millis = 253_402_300_799_999;

/// Milliseconds since 1970, if the text is a time.
pub fn parse(text: &str) -> Option<Millis> {
    let ms = DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis();
    (0..=LAST_MS).contains(&ms).then_some(ms)
}

/// The time as text.
pub fn format(ms: Millis) -> String {
    rfc3339(ms.clamp(0, LAST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(parse("1970-01-01T01:00:01.2345+01:00"), Some(1_234));
        assert_eq!(format(1_234), "1970-01-01T00:00:01.234Z");
        for wrong in ["2026-01-31", "2026-01-31T12:00:00", "12", "1969-12-31T23:59:59Z"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
