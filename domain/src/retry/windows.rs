//! Times of day at which a retry may begin: a wait that ends outside of them is prolonged to the next opening.
//! A window is told in local time, so it follows summer time: where the clock is set forward over its opening it opens with
//! the first time that there is, where the clock is set back it is open whenever the clock shows a time of it.
//! Invariant: a prolonged wait ends inside a window, and no earlier than it would have (`every_time_is_moved_into_a_window`).

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::ids::Millis;

/// How far ahead an opening is looked for: a window on one day of the week opens within eight days, unless summer time
/// takes its hour; then a week later.
const DAYS_AHEAD: u64 = 16;
/// Where the clock is set forward it goes on within three hours (all zones since 1970; a day was left out once, in Samoa).
const GAP_MINUTES_MAX: i64 = 24 * 60 + 180;

/// A part of the day, in a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// It opens with this time of day.
    pub from: NaiveTime,
    /// It is closed from this time of day on. Before `from`: on the next day.
    pub to: NaiveTime,
    /// A name of the IANA database.
    pub zone: Tz,
    /// On which days it opens; empty: on all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
}

/// When the window that is open at a time, or the next one, opened or opens, and when it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// No earlier than the time that was asked for.
    pub from: Millis,
    /// The first time after it that is outside.
    pub until: Millis,
}

/// The time zone of this name of the IANA database.
pub fn zone_named(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// The first time from `at` on that is in one of the windows, and until when; none: they do not open any more.
pub fn next_opening(windows: &[Window], at: Millis) -> Option<Opening> {
    let at = DateTime::<Utc>::from_timestamp_millis(at)?;
    windows.iter().filter_map(|window| window.next_opening(at)).min_by_key(|open| open.from)
}

impl Window {
    fn next_opening(&self, at: DateTime<Utc>) -> Option<Opening> {
        let from = if self.is_open(at) { at } else { self.opens_after(at)? };
        let until = self.closes_after(from);
        Some(Opening { from: from.timestamp_millis(), until: until.timestamp_millis() })
    }

    fn is_open(&self, at: DateTime<Utc>) -> bool {
        let local = at.with_timezone(&self.zone).naive_local();
        let (today, time) = (local.date(), local.time());
        if self.from < self.to {
            return self.opens_on(today) && (self.from..self.to).contains(&time);
        }
        let yesterday = today.pred_opt().is_some_and(|day| self.opens_on(day));
        (time >= self.from && self.opens_on(today)) || (time < self.to && yesterday)
    }

    fn opens_on(&self, day: NaiveDate) -> bool {
        self.days.is_empty() || self.days.contains(&day.weekday())
    }

    fn opens_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first = at.with_timezone(&self.zone).date_naive().pred_opt()?;
        let days = (0..DAYS_AHEAD).filter_map(|ahead| first.checked_add_days(Days::new(ahead)));
        let openings = days.filter(|day| self.opens_on(*day)).flat_map(|day| self.instants(day));
        openings.filter(|opening| *opening > at && self.is_open(*opening)).min()
    }

    /// When the clock shows the opening of this day: once, twice where it is set back, or, where it is set forward over it,
    /// the first time that there is.
    fn instants(&self, day: NaiveDate) -> Vec<DateTime<Utc>> {
        let mut local = day.and_time(self.from);
        for _ in 0..GAP_MINUTES_MAX {
            let found = self.zone.from_local_datetime(&local);
            let all = [found.earliest(), found.latest()].into_iter().flatten();
            let all: Vec<DateTime<Utc>> = all.map(|at| at.with_timezone(&Utc)).collect();
            if !all.is_empty() {
                return all;
            }
            // Gaps begin and end on whole minutes.
            local += TimeDelta::minutes(1);
        }
        Vec::new()
    }

    /// The first whole minute after an open time at which it is closed, or its closing time where that is earlier.
    fn closes_after(&self, open: DateTime<Utc>) -> DateTime<Utc> {
        let local = open.with_timezone(&self.zone).naive_local();
        let same_day = local.time() < self.to;
        let day = if same_day { Some(local.date()) } else { local.date().succ_opt() };
        let found = day.map(|day| self.zone.from_local_datetime(&day.and_time(self.to)));
        let closings = found.into_iter().flat_map(|found| [found.earliest(), found.latest()]);
        let closings = closings.flatten().map(|at| at.with_timezone(&Utc));
        let first = closings.filter(|closing| *closing > open).min();
        // Where the clock jumps over the closing time it is closed with the jump.
        first.unwrap_or_else(|| {
            let mut after = open;
            for _ in 0..GAP_MINUTES_MAX {
                after += TimeDelta::minutes(1);
                if !self.is_open(after) {
                    break;
                }
            }
            after
        })
    }
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
