//! Whether the clock fits what is stored, before anything is served or deleted: an engine that starts with a wrong clock
//! dates all that follows by it, and lets go of jobs as old that are not.
//! Absent: what the clock does about differences while the engine serves (`environment/discipline`).

use std::time::Duration;

use domain::ids::Millis;
use domain::time_text::rfc3339;

use crate::config::Settings;

/// What is stored may be so much ahead of the clock: more than any clock that is kept right, less than what anybody wants
/// to wait for at a tenth of the rate.
const AHEAD_MAX: Duration = Duration::from_hours(24);
/// An engine may have stood still for at least so long without being asked about it.
const STOOD_STILL_MAX: Duration = Duration::from_hours(24 * 30);

/// Why the engine does not start with this clock.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClockRefused {
    /// What is stored is of the future.
    #[error(
        "the newest event that is stored is of {newest}, and the clock says {now}: {days} days earlier. Set the clock right \
         if it is wrong. If it is right, events were dated by a wrong one: with --accept-clock the engine starts at the time \
         of the newest event and runs a tenth slow until the clock has caught up"
    )]
    StoreAhead {
        /// When the newest event was.
        newest: String,
        /// What the clock says.
        now: String,
        /// How many days lie between the two.
        days: i64,
    },
    /// The clock is so far ahead that retention would let go of everything that is over.
    #[error(
        "the clock says {now}, and the newest event that is stored is of {newest}: {days} days earlier. With this clock all \
         that happens would be dated so, and every job that is over would be old enough to be deleted. Set the clock right if \
         it is wrong; if nothing ran here for so long, start with --accept-clock"
    )]
    ClockAhead {
        /// When the newest event was.
        newest: String,
        /// What the clock says.
        now: String,
        /// How many days lie between the two.
        days: i64,
    },
}

/// Compares the clock with the newest event; an empty store fits any clock.
pub(super) fn check(
    settings: &Settings,
    newest_at: Millis,
    now: Millis,
) -> Result<(), ClockRefused> {
    let kept = settings.retention.finished_keep.unwrap_or(STOOD_STILL_MAX);
    if settings.storage.accept_clock {
        return Ok(());
    }
    compare(newest_at, now, kept.max(STOOD_STILL_MAX))
}

fn compare(newest_at: Millis, now: Millis, stood_still_max: Duration) -> Result<(), ClockRefused> {
    const DAY_MS: Millis = 86_400_000;
    if newest_at <= 0 {
        return Ok(());
    }
    let ms = |span: Duration| Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX);
    let (newest, shown) = (rfc3339(newest_at), rfc3339(now));
    let ahead = newest_at.saturating_sub(now);
    if ahead > ms(AHEAD_MAX) {
        return Err(ClockRefused::StoreAhead { newest, now: shown, days: ahead / DAY_MS });
    }
    let behind = now.saturating_sub(newest_at);
    if behind > ms(stood_still_max) {
        return Err(ClockRefused::ClockAhead { newest, now: shown, days: behind / DAY_MS });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_000;
    const DAY_MS: Millis = 86_400_000;

    fn with(newest_at: Millis) -> Result<(), ClockRefused> {
        compare(newest_at, NOW, STOOD_STILL_MAX)
    }

    #[test]
    fn a_clock_fits_an_empty_store_and_one_that_is_at_most_a_day_ahead_or_a_month_old() {
        for newest_at in [0, NOW, NOW + DAY_MS, NOW - 30 * DAY_MS] {
            assert_eq!(with(newest_at), Ok(()), "{newest_at}");
        }
    }

    #[test]
    fn a_store_of_the_future_and_a_clock_of_the_future_are_refused_with_what_to_do() {
        let ahead = with(NOW + 2 * DAY_MS).map_err(|refused| refused.to_string());
        assert!(ahead.is_err_and(|said| {
            said.contains("2027-01-17T08:00:00")
                && said.contains("2 days")
                && said.contains("--accept-clock")
        }));
        let behind = with(NOW - 31 * DAY_MS).map_err(|refused| refused.to_string());
        assert!(behind.is_err_and(|said| {
            said.contains("31 days earlier")
                && said.contains("deleted")
                && said.contains("--accept-clock")
        }));
    }
}
