//! Times and durations: RFC 3339 and `1h30m`, sums and differences, their parts. Times reach from year 1 to year 9999,
//! durations about 292 years either way, both to the nanosecond.
//! Always holds: the same on every machine. Absent: a clock, and time zones by name, whose rules change with laws: an offset
//! such as `+02:00` does not.

use chrono::{DateTime, Datelike, FixedOffset, TimeDelta, Timelike, Utc};

use super::error::Mistake;
use super::operators;
use super::value::Value;

const SECOND_NANOS: i64 = 1_000_000_000;
/// Further digits of a fraction are below a nanosecond, also of an hour.
const FRACTION_DIGITS_READ: usize = 18;
/// Year 1 and the last second of year 9999, in seconds since 1970.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// What can be asked of a time; the last four of a duration, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

pub(super) fn timestamp(text: &str) -> Result<DateTime<Utc>, Mistake> {
    // A space in place of the T is a form of other standards.
    let parsed = DateTime::parse_from_rfc3339(text).ok().filter(|_| !text.contains(' '));
    let at = parsed.ok_or_else(|| {
        Mistake::of_type(
            "timestamp takes RFC 3339 within year 9999, such as \"2026-01-31T12:00:00Z\"",
        )
    })?;
    in_range(at.to_utc())
}

pub(super) fn timestamp_of_seconds(seconds: i64) -> Result<DateTime<Utc>, Mistake> {
    DateTime::from_timestamp(seconds, 0).map_or_else(|| Err(out_of_range()), in_range)
}

fn in_range(at: DateTime<Utc>) -> Result<DateTime<Utc>, Mistake> {
    if (SECONDS_MIN..=SECONDS_MAX).contains(&at.timestamp()) { Ok(at) } else { Err(out_of_range()) }
}

fn out_of_range() -> Mistake {
    Mistake::overflow("a timestamp lies within the years 1 to 9999")
}

fn too_long() -> Mistake {
    Mistake::overflow("a duration has at most 64 bits of nanoseconds, about 292 years")
}

/// A time and a duration later, or earlier.
pub(super) fn moved(at: DateTime<Utc>, nanos: i64, back: bool) -> Result<DateTime<Utc>, Mistake> {
    let delta = TimeDelta::nanoseconds(nanos);
    let moved = if back { at.checked_sub_signed(delta) } else { at.checked_add_signed(delta) };
    moved.map_or_else(|| Err(out_of_range()), in_range)
}

/// How much later the first one is.
pub(super) fn between(later: DateTime<Utc>, earlier: DateTime<Utc>) -> Result<i64, Mistake> {
    later.signed_duration_since(earlier).num_nanoseconds().ok_or_else(too_long)
}

/// The sum of two durations, or their difference.
pub(super) fn sum(left: i64, right: i64, minus: bool) -> Result<i64, Mistake> {
    let sum = if minus { left.checked_sub(right) } else { left.checked_add(right) };
    sum.ok_or_else(too_long)
}

/// Numbers with units: `1h30m`, `-1.5s`, `0`.
pub(super) fn duration(text: &str) -> Result<i64, Mistake> {
    let wrong = || {
        Mistake::of_type(
            "duration takes numbers with the units h, m, s, ms, us, ns, such as \"1h30m\" or \"-1.5s\"",
        )
    };
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(wrong());
    }
    let mut nanos: i128 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(wrong());
        }
        let (unit, behind) = unit(behind).ok_or_else(wrong)?;
        let amount =
            if whole.is_empty() { 0 } else { whole.parse::<i64>().map_err(|_| too_long())? };
        nanos += i128::from(amount) * i128::from(unit) + fraction_of(fraction, unit);
        if nanos > i128::from(i64::MAX) + 1 {
            return Err(too_long());
        }
        rest = behind;
    }
    i64::try_from(if text.starts_with('-') { -nanos } else { nanos }).map_err(|_| too_long())
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// What a fraction of a unit is, to the nanosecond below.
fn fraction_of(digits: &str, unit: i64) -> i128 {
    let mut nanos = 0;
    let mut of = 1;
    for digit in digits.bytes().take(FRACTION_DIGITS_READ) {
        nanos = nanos * 10 + i128::from(digit - b'0');
        of *= 10;
    }
    nanos * i128::from(unit) / of
}

fn unit(text: &str) -> Option<(i64, &str)> {
    // The longer ones first, so that `ms` is not read as `m`.
    let units = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", SECOND_NANOS),
        ("m", 60 * SECOND_NANOS),
        ("h", 3_600 * SECOND_NANOS),
    ];
    units.into_iter().find_map(|(name, nanos)| Some((nanos, text.strip_prefix(name)?)))
}

/// Seconds with their fraction: `60.001s`.
pub(super) fn duration_text(nanos: i64) -> String {
    let (seconds, fraction) = (nanos / SECOND_NANOS, (nanos % SECOND_NANOS).unsigned_abs());
    let sign = if nanos < 0 && seconds == 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{seconds}s");
    }
    let fraction = format!("{fraction:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}

/// A part of a time (in a zone), or of a duration.
pub(super) fn part(part: Part, of: &Value, zone: Option<&Value>) -> Result<Value, Mistake> {
    let number = match (of, zone) {
        (Value::Timestamp(at), None) => part_of_time(part, &at.fixed_offset()),
        (Value::Timestamp(at), Some(Value::Text(zone))) => {
            part_of_time(part, &at.with_timezone(&offset(zone)?))
        }
        (Value::Duration(nanos), None) => part_of_duration(part, *nanos)?,
        (Value::Timestamp(_), Some(zone)) => {
            return Err(operators::wrong("the zone", "a string", zone));
        }
        _ => {
            return Err(operators::wrong(
                "the parts of times",
                "a timestamp, and some a duration without a zone",
                of,
            ));
        }
    };
    Ok(Value::Int(number))
}

fn part_of_time(part: Part, at: &DateTime<FixedOffset>) -> i64 {
    match part {
        Part::FullYear => i64::from(at.year()),
        Part::Month => i64::from(at.month0()),
        Part::Date => i64::from(at.day()),
        Part::DayOfMonth => i64::from(at.day0()),
        Part::DayOfWeek => i64::from(at.weekday().num_days_from_sunday()),
        Part::DayOfYear => i64::from(at.ordinal0()),
        Part::Hours => i64::from(at.hour()),
        Part::Minutes => i64::from(at.minute()),
        Part::Seconds => i64::from(at.second()),
        Part::Milliseconds => i64::from(at.timestamp_subsec_millis()),
    }
}

fn part_of_duration(part: Part, nanos: i64) -> Result<i64, Mistake> {
    let seconds = nanos / SECOND_NANOS;
    match part {
        Part::Hours => Ok(seconds / 3_600),
        Part::Minutes => Ok(seconds / 60),
        Part::Seconds => Ok(seconds),
        // The others convert the whole; this one is the part below a second.
        Part::Milliseconds => Ok(nanos % SECOND_NANOS / 1_000_000),
        Part::FullYear
        | Part::Month
        | Part::Date
        | Part::DayOfMonth
        | Part::DayOfWeek
        | Part::DayOfYear => Err(Mistake::of_type("a duration has no date")),
    }
}

/// `UTC`, or an offset with or without its plus.
fn offset(zone: &str) -> Result<FixedOffset, Mistake> {
    let wrong = || {
        Mistake::of_type(
            "a zone is \"UTC\" or an offset such as \"+02:00\"; the rules of zones with names change",
        )
    };
    if zone == "UTC" {
        return FixedOffset::east_opt(0).ok_or_else(wrong);
    }
    let unsigned = zone.strip_prefix(['-', '+']).unwrap_or(zone);
    let [h1, h2, b':', m1, m2] = unsigned.as_bytes() else { return Err(wrong()) };
    if ![h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let two = |tens: &u8, ones: &u8| i32::from(tens - b'0') * 10 + i32::from(ones - b'0');
    let (hours, minutes) = (two(h1, h2), two(m1, m2));
    let seconds = hours * 3_600 + minutes * 60;
    let offset = FixedOffset::east_opt(if zone.starts_with('-') { -seconds } else { seconds });
    offset.filter(|_| minutes < 60).ok_or_else(wrong)
}
