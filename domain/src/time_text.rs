//! Times as people and programs read them: RFC 3339, UTC, milliseconds. Every document and every lease has several, so
//! they are written digit by digit.
//! Always holds: the same text as chrono's. Absent: reading them, which is the edge's.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

use crate::ids::Millis;

/// Every digit is at its place; only years of four digits have this form.
const FORM: [u8; 24] = *b"0000-00-00T00:00:00.000Z";
const YEAR_MAX: u32 = 9_999;

const SECOND_MS: Millis = 1_000;
const MINUTE_MS: Millis = 60 * SECOND_MS;
const HOUR_MS: Millis = 60 * MINUTE_MS;
const DAY_MS: Millis = 24 * HOUR_MS;

/// RFC 3339, UTC, milliseconds.
pub fn rfc3339(at: Millis) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(at);
    let (time, at) = time.map_or_else(|| (DateTime::default(), 0), |time| (time, at));
    let Some(year) = u32::try_from(time.year()).ok().filter(|year| *year <= YEAR_MAX) else {
        return time.to_rfc3339_opts(SecondsFormat::Millis, true);
    };
    let of_day = at.rem_euclid(DAY_MS);
    let part = |of: Millis, unit: Millis| u32::try_from(of / unit).unwrap_or(0);
    let mut text = FORM;
    digits(&mut text[..4], year);
    digits(&mut text[5..7], time.month());
    digits(&mut text[8..10], time.day());
    digits(&mut text[11..13], part(of_day, HOUR_MS));
    digits(&mut text[14..16], part(of_day % HOUR_MS, MINUTE_MS));
    digits(&mut text[17..19], part(of_day % MINUTE_MS, SECOND_MS));
    digits(&mut text[20..23], part(of_day % SECOND_MS, 1));
    // They are all ASCII.
    std::str::from_utf8(&text).unwrap_or_default().to_owned()
}

/// The last digits of a number, as many as there is room for.
fn digits(room: &mut [u8], mut number: u32) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_chrono(at: Millis) -> String {
        let time = DateTime::<Utc>::from_timestamp_millis(at).unwrap_or_default();
        time.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    #[test]
    fn the_edges_are_written_as_chrono_writes_them() {
        // Before and after 1970, the year 0, the year 10,000, and what is no time at all.
        let year_0 = -62_167_219_200_000;
        let year_10_000 = 253_402_300_800_000;
        for edge in [0, year_0, year_10_000, 951_782_400_000, 4_107_542_400_000] {
            for at in [edge - 1, edge, edge + 1] {
                assert_eq!(rfc3339(at), by_chrono(at), "{at}");
            }
        }
        for at in [Millis::MIN, Millis::MAX] {
            assert_eq!(rfc3339(at), "1970-01-01T00:00:00.000Z");
        }
    }

    proptest! {
        #[test]
        fn any_time_is_written_as_chrono_writes_it(at in -70_000_000_000_000_i64..300_000_000_000_000) {
            prop_assert_eq!(rfc3339(at), by_chrono(at));
        }
    }
}
