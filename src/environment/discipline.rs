//! How the engine's time follows its source: the pure arithmetic behind the clock.
//! Always holds: once the engine serves, time never goes back: it works off a difference by running at most a tenth fast
//! or slow, and stands at the source's time as soon as the difference is gone. Only a source that is far ahead (a
//! machine that was suspended, a wall clock that was set late) is stepped to, forward. Before serving the source sets
//! the clock, so that what it was started with counts for nothing, but never before an event.
//! Absent: any reading of a real clock (`clock.rs` does that), so that every case can be tested.

use std::time::Duration;

/// A difference is worked off by one part in this many: 10 % fast or slow, the rate error that liveness tolerates.
pub const SLEW_DIVISOR: i128 = 10;

/// A source that is further ahead, in milliseconds, is stepped to: working off 5 s takes 50 s, and what waits for its
/// time would be late by as much all the while.
pub const STEP_AHEAD_MS: i64 = 5_000;

const NANOS_PER_MS: i128 = 1_000_000;

/// A stretch of time on which the engine's clock is one function of the monotonic reading; replaced, never
/// mutated, when the source is sampled or a floor is learnt, so that a reading needs no write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Discipline {
    from: i128,
    engine_at_from: i128,
    source_at_from: i128,
    /// The newest event time that is known.
    floor: i128,
    serving: bool,
}

impl Discipline {
    /// The engine's time equals the source's at the monotonic reading `at`.
    pub(super) fn start(at: Duration, source_ms: i64) -> Self {
        let source = i128::from(source_ms) * NANOS_PER_MS;
        Self {
            from: nanos(at),
            engine_at_from: source,
            source_at_from: source,
            floor: i128::MIN,
            serving: false,
        }
    }

    /// The engine's time in milliseconds since 1970 at the monotonic reading `at`.
    pub(super) fn now_ms(&self, at: Duration) -> i64 {
        saturating_ms(self.engine(nanos(at)))
    }

    /// How far the engine's time is ahead of its source at `at`, in milliseconds; negative when behind.
    pub(super) fn ahead_ms(&self, at: Duration) -> i64 {
        let at = nanos(at);
        saturating_ms(self.engine(at) - self.source(at))
    }

    /// The newest event time that was loaded: the engine's time must not be before it. Before serving the clock
    /// steps there; afterwards the floor becomes the source until then unmatched, approached at the allowed rate.
    pub(super) fn with_floor(&self, at: Duration, floor_ms: i64) -> Self {
        let mut next = self.cut(nanos(at));
        let floor = i128::from(floor_ms) * NANOS_PER_MS;
        next.floor = next.floor.max(floor);
        if next.engine_at_from < floor {
            if next.serving {
                next.source_at_from = next.source_at_from.max(floor);
            } else {
                next.engine_at_from = floor;
            }
        }
        next
    }

    /// From `at` on the clock never goes back, and steps only to a source that is far ahead.
    pub(super) fn serving(&self, at: Duration) -> Self {
        Self { serving: true, ..self.cut(nanos(at)) }
    }

    /// A new sample of the source. Before serving the clock steps to it, also back: the start was a guess. Answers also
    /// by how much it stepped forward while serving, in milliseconds, 0 when it did not.
    pub(super) fn sampled(&self, at: Duration, source_ms: i64) -> (Self, i64) {
        let mut next = self.cut(nanos(at));
        next.source_at_from = i128::from(source_ms) * NANOS_PER_MS;
        if !next.serving {
            next.engine_at_from = next.source_at_from.max(next.floor);
            return (next, 0);
        }
        let behind = next.source_at_from - next.engine_at_from;
        if behind <= i128::from(STEP_AHEAD_MS) * NANOS_PER_MS {
            return (next, 0);
        }
        next.engine_at_from = next.source_at_from;
        (next, saturating_ms(behind))
    }

    fn cut(&self, at: i128) -> Self {
        let from = at.max(self.from);
        Self { from, engine_at_from: self.engine(from), source_at_from: self.source(from), ..*self }
    }

    fn source(&self, at: i128) -> i128 {
        self.source_at_from + (at - self.from).max(0)
    }

    fn engine(&self, at: i128) -> i128 {
        let passed = (at - self.from).max(0);
        let behind = self.source_at_from - self.engine_at_from;
        let slew = passed / SLEW_DIVISOR;
        self.engine_at_from + passed + behind.clamp(-slew, slew)
    }
}

fn nanos(at: Duration) -> i128 {
    // A u128 of nanoseconds passes i128 after 10^21 years of uptime.
    i128::try_from(at.as_nanos()).unwrap_or(i128::MAX)
}

fn saturating_ms(nanos: i128) -> i64 {
    let ms = nanos.div_euclid(NANOS_PER_MS);
    i64::try_from(ms).unwrap_or(if ms < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_clock_runs_with_its_source() {
        let clock = Discipline::start(ms(5), 1_000);
        assert_eq!(clock.now_ms(ms(5)), 1_000);
        assert_eq!(clock.now_ms(ms(1_005)), 2_000);
        assert_eq!(clock.ahead_ms(ms(1_005)), 0);
    }

    #[test]
    fn a_floor_before_serving_is_stepped_to_and_worked_off_slowly() {
        let clock = Discipline::start(ms(0), 1_000).with_floor(ms(0), 1_500).serving(ms(0));
        assert_eq!(clock.now_ms(ms(0)), 1_500);
        assert_eq!(clock.now_ms(ms(1_000)), 2_400, "a tenth slow while ahead");
        assert_eq!(clock.ahead_ms(ms(5_000)), 0);
        assert_eq!(clock.now_ms(ms(6_000)), 7_000, "with the source once the difference is gone");
    }

    #[test]
    fn a_small_difference_while_serving_is_worked_off() {
        let serving = Discipline::start(ms(0), 1_000).serving(ms(0));
        let (clock, stepped) = serving.sampled(ms(100), 1_100 + STEP_AHEAD_MS);
        assert_eq!((clock.now_ms(ms(100)), stepped), (1_100, 0));
        assert_eq!(clock.now_ms(ms(1_100)), 2_200, "a tenth fast while behind");
        assert_eq!(clock.ahead_ms(ms(100)), -STEP_AHEAD_MS);
    }

    #[test]
    fn a_source_far_ahead_is_stepped_to_and_one_far_behind_is_waited_for() {
        let serving = Discipline::start(ms(0), 1_000).serving(ms(0));
        let (clock, stepped) = serving.sampled(ms(100), 1_101 + STEP_AHEAD_MS);
        assert_eq!((clock.now_ms(ms(100)), stepped), (1_101 + STEP_AHEAD_MS, STEP_AHEAD_MS + 1));
        assert_eq!(clock.ahead_ms(ms(100)), 0);
        let (clock, stepped) = serving.sampled(ms(100), -1_000_000);
        assert_eq!((clock.now_ms(ms(100)), stepped), (1_100, 0), "it never goes back");
        assert_eq!(clock.now_ms(ms(1_100)), 2_000, "a tenth slow while ahead");
        assert_eq!(clock.ahead_ms(ms(100)), 1_001_100);
    }

    #[test]
    fn before_serving_the_source_sets_a_wall_clock_that_is_wrong_but_not_behind_an_event() {
        for wrong in [-300_000, 300_000] {
            let (clock, _) = Discipline::start(ms(0), 1_000_000 + wrong).sampled(ms(10), 1_000_000);
            assert_eq!((clock.now_ms(ms(10)), clock.ahead_ms(ms(10))), (1_000_000, 0));
        }
        let (clock, _) = Discipline::start(ms(0), 0).with_floor(ms(0), 5_000).sampled(ms(0), 1_000);
        assert_eq!(clock.now_ms(ms(0)), 5_000);
    }

    #[test]
    fn a_floor_in_the_past_changes_nothing() {
        let clock = Discipline::start(ms(0), 1_000).with_floor(ms(0), 900);
        assert_eq!(clock.now_ms(ms(0)), 1_000);
    }

    #[derive(Clone, Debug)]
    enum ClockStep {
        Floor(i64),
        Sample(i64),
        Serve,
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = ClockStep> {
        prop_oneof![
            (0..1_000_000_i64).prop_map(ClockStep::Floor),
            (0..1_000_000_i64).prop_map(ClockStep::Sample),
            Just(ClockStep::Serve),
            (0..10_000_u64).prop_map(ClockStep::Pass),
        ]
    }

    proptest! {
        #[test]
        fn only_a_sample_before_serving_sets_time_back_and_serving_time_keeps_its_rate_or_says_how_far_it_stepped(steps in proptest::collection::vec(step(), 1..60)) {
            let (mut clock, mut at, mut serving) = (Discipline::start(ms(0), 500_000), 0_u64, false);
            for step in steps {
                let (before, was_at) = (clock.now_ms(ms(at)), at);
                let sets = !serving && matches!(step, ClockStep::Sample(_));
                let mut stepped = 0;
                match step {
                    ClockStep::Floor(floor) => clock = clock.with_floor(ms(at), floor),
                    ClockStep::Sample(source) => (clock, stepped) = clock.sampled(ms(at), source),
                    ClockStep::Serve => { clock = clock.serving(ms(at)); serving = true; }
                    ClockStep::Pass(passed) => at += passed,
                }
                let after = clock.now_ms(ms(at));
                prop_assert!(after >= before || sets);
                if serving {
                    let passed = i64::try_from(at - was_at).unwrap_or(i64::MAX);
                    prop_assert!(((after - before) - stepped - passed).abs() <= passed / 10 + 1);
                    prop_assert!(stepped == 0 || stepped > STEP_AHEAD_MS);
                }
            }
        }
    }
}
