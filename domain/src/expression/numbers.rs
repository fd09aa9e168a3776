//! Ints and doubles beside each other: they are compared on one number line and never added to one another.
//! Always holds: an int beyond 2^53 is compared with a double as the double next to it, as other evaluators do.

use std::cmp::Ordering;

/// Two to the power of 63, the first double beyond every int.
const INT_END: f64 = 9_223_372_036_854_775_808.0;

/// The whole part of a double, where there is an int for it.
#[expect(clippy::cast_possible_truncation, reason = "the range is looked at first")]
fn truncated(double: f64) -> Option<i64> {
    (-INT_END..INT_END).contains(&double).then_some(double as i64)
}

/// The int that is equal to this double.
#[expect(clippy::float_cmp, reason = "a whole number is equal to its whole part")]
pub(super) fn whole(double: f64) -> Option<i64> {
    truncated(double).filter(|_| double.trunc() == double)
}

/// A double without its fraction; the ends of the ints' range are left out, as the language's definition has it.
pub(super) fn int_of(double: f64) -> Option<i64> {
    (double > -INT_END).then_some(double).and_then(truncated)
}

/// The double next to an int.
#[expect(
    clippy::cast_precision_loss,
    reason = "double(x) rounds, as the language's definition has it"
)]
pub(super) fn double_of(int: i64) -> f64 {
    int as f64
}

/// The order of an int and a double; none where the double is no number. The int is taken as the double next to it.
pub(super) fn compare(int: i64, double: f64) -> Option<Ordering> {
    double_of(int).partial_cmp(&double)
}

/// A double as `string(x)` gives it: without a fraction of zero, with an exponent where it would be all zeros.
pub(super) fn text_of(double: f64) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return if double > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let plain = double == 0.0 || (1e-6..1e21).contains(&double.abs());
    if plain { format!("{double}") } else { format!("{double:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_and_doubles_stand_on_one_line() {
        for (int, double, order) in [
            (1, 1.0, Ordering::Equal),
            (1, 1.5, Ordering::Less),
            (-1, -1.5, Ordering::Greater),
            (i64::MAX, 9_223_372_036_854_775_808.0, Ordering::Equal),
            (i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal),
            (9_007_199_254_740_993, 9_007_199_254_740_992.0, Ordering::Equal),
            (9_007_199_254_740_993, 9_007_199_254_740_994.0, Ordering::Less),
            (0, f64::NEG_INFINITY, Ordering::Greater),
        ] {
            assert_eq!(compare(int, double), Some(order), "{int} and {double}");
        }
        assert_eq!(compare(0, f64::NAN), None);
    }

    #[test]
    fn only_whole_doubles_are_ints() {
        assert_eq!(
            (whole(3.0), whole(3.5), whole(1e19), whole(f64::NAN)),
            (Some(3), None, None, None)
        );
        assert_eq!((int_of(-3.9), int_of(-9_223_372_036_854_775_808.0)), (Some(-3), None));
    }

    #[test]
    fn doubles_are_written_as_people_write_them() {
        for (double, text) in
            [(2.0, "2"), (-0.0045, "-0.0045"), (6.022e23, "6.022e23"), (1e-9, "1e-9")]
        {
            assert_eq!(text_of(double), text);
        }
    }
}
