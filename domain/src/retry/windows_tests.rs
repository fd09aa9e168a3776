//! Windows by example, over both changes of summer time, and every time against a naive look at each minute.

use proptest::prelude::*;

use super::*;

fn window(from: &str, to: &str, zone: Tz, days: &[Weekday]) -> Window {
    let time = |text: &str| {
        NaiveTime::parse_from_str(text, "%H:%M").unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    Window { from: time(from), to: time(to), zone, days: days.to_vec() }
}

fn at(text: &str) -> Millis {
    let parsed = DateTime::parse_from_rfc3339(text);
    parsed.unwrap_or_else(|error| panic!("{error}: {text}")).timestamp_millis()
}

#[track_caller]
fn opens(window: &Window, asked: &str, from: &str, until: &str) {
    let expected = Some(Opening { from: at(from), until: at(until) });
    assert_eq!(next_opening(std::slice::from_ref(window), at(asked)), expected);
}

#[test]
fn a_time_inside_stays_and_one_outside_waits_for_the_next_opening() {
    let day = window("09:00", "17:00", Tz::UTC, &[]);
    opens(&day, "2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z", "2026-03-02T17:00:00Z");
    opens(&day, "2026-03-02T16:59:59.999Z", "2026-03-02T16:59:59.999Z", "2026-03-02T17:00:00Z");
    opens(&day, "2026-03-02T17:00:00Z", "2026-03-03T09:00:00Z", "2026-03-03T17:00:00Z");
    opens(&day, "2026-03-02T03:00:00Z", "2026-03-02T09:00:00Z", "2026-03-02T17:00:00Z");
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_opens() {
    let night = window("22:00", "06:00", Tz::UTC, &[Weekday::Fri]);
    opens(&night, "2026-03-06T12:00:00Z", "2026-03-06T22:00:00Z", "2026-03-07T06:00:00Z");
    opens(&night, "2026-03-07T05:00:00Z", "2026-03-07T05:00:00Z", "2026-03-07T06:00:00Z");
    opens(&night, "2026-03-06T05:00:00Z", "2026-03-06T22:00:00Z", "2026-03-07T06:00:00Z");
    opens(&night, "2026-03-07T06:00:00Z", "2026-03-13T22:00:00Z", "2026-03-14T06:00:00Z");
}

#[test]
fn of_several_windows_the_first_to_open_counts() {
    let both = [window("08:00", "09:00", Tz::UTC, &[]), window("20:00", "21:00", Tz::UTC, &[])];
    let found = next_opening(&both, at("2026-03-02T10:00:00Z"));
    assert_eq!(found.map(|open| open.from), Some(at("2026-03-02T20:00:00Z")));
}

/// In Berlin the clock goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
#[test]
fn a_window_follows_local_time_over_summer_time() {
    let morning = window("08:00", "09:00", Tz::Europe__Berlin, &[]);
    opens(&morning, "2026-03-28T12:00:00Z", "2026-03-29T06:00:00Z", "2026-03-29T07:00:00Z");
    opens(&morning, "2026-10-24T12:00:00Z", "2026-10-25T07:00:00Z", "2026-10-25T08:00:00Z");
    let night = window("01:00", "05:00", Tz::Europe__Berlin, &[]);
    opens(&night, "2026-03-28T12:00:00Z", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z");
    opens(&night, "2026-10-24T12:00:00Z", "2026-10-24T23:00:00Z", "2026-10-25T04:00:00Z");
}

#[test]
fn a_window_whose_opening_the_clock_jumps_over_opens_with_the_first_time_there_is() {
    let jumped = window("02:30", "04:00", Tz::Europe__Berlin, &[]);
    opens(&jumped, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z");
    // One that lies wholly in the missing hour does not open on that day.
    let missing = window("02:15", "02:45", Tz::Europe__Berlin, &[]);
    opens(&missing, "2026-03-28T12:00:00Z", "2026-03-30T00:15:00Z", "2026-03-30T00:45:00Z");
}

#[test]
fn a_window_in_the_hour_that_comes_twice_opens_twice() {
    let twice = window("02:15", "02:45", Tz::Europe__Berlin, &[]);
    opens(&twice, "2026-10-24T12:00:00Z", "2026-10-25T00:15:00Z", "2026-10-25T00:45:00Z");
    opens(&twice, "2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:45:00Z");
}

proptest! {
    /// Minute by minute, over a whole year with its two changes.
    #[test]
    fn every_time_is_moved_into_a_window(
        from in 0u32..1_440, length in 1u32..1_439, minute in 0i64..525_600,
        zone in prop::sample::select(vec![
            Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Asia__Kathmandu,
        ]),
        day in prop::option::of(0usize..7),
    ) {
        let time = |minute: u32| NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0);
        let (Some(opens), Some(closes)) = (time(from), time((from + length) % 1_440)) else {
            return Err(TestCaseError::fail("times of day"));
        };
        let week = [
            Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun,
        ];
        let days = day.map(|day| week[day]).into_iter().collect();
        let window = Window { from: opens, to: closes, zone, days };
        let start = at("2026-01-01T00:00:00Z") + minute * 60_000;
        let found = next_opening(std::slice::from_ref(&window), start);
        let found = found.ok_or_else(|| TestCaseError::fail("it opens"))?;
        prop_assert!(found.from >= start && found.until > found.from);
        let is_open = |ms: Millis| DateTime::from_timestamp_millis(ms).is_some_and(|at| window.is_open(at));
        prop_assert!(is_open(found.from), "it begins inside");
        prop_assert!(!is_open(found.until), "it is closed at its end");
        prop_assert!(is_open(found.until - 1), "and open until then");
        // Nothing before it was open.
        let before = (found.from - start) / 60_000;
        prop_assert!((0..before).all(|minutes| !is_open(start + minutes * 60_000)), "{found:?}");
    }
}
