//! How long things took, kept as counts: memory does not grow with the number of samples, and a quantile is never
//! below the true one and at most 1 % above it. Absent: means, which hide what a bench is for.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Decimal digits that are kept of a duration.
const DIGITS: u8 = 2;

/// Counts of durations, in whole microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Spread(Histogram<u64>);

impl Default for Spread {
    #[expect(clippy::expect_used, reason = "only more than five digits are refused")]
    fn default() -> Self {
        Self(Histogram::new(DIGITS).expect("a histogram of two digits"))
    }
}

impl Spread {
    /// Adds one duration.
    pub(crate) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // It grows with what it is given; there is nothing that it could not take.
        let _ = self.0.record(micros);
    }

    /// How many were added.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.0.len()
    }

    /// The duration that `per_mille` of all samples do not exceed (nearest rank), none without samples.
    pub(crate) fn quantile(&self, per_mille: u32) -> Option<Duration> {
        let micros = self.0.value_at_quantile(f64::from(per_mille) / 1_000.0);
        (!self.0.is_empty()).then(|| Duration::from_micros(micros))
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn spread(micros: impl IntoIterator<Item = u64>) -> Spread {
        let mut spread = Spread::default();
        for value in micros {
            spread.record(Duration::from_micros(value));
        }
        spread
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(Spread::default().quantile(500), None);
        assert_eq!(Spread::default().total(), 0);
    }

    #[test]
    fn small_quantiles_are_exact_by_the_nearest_rank() {
        let spread = spread(1..=50);
        assert_eq!(spread.total(), 50);
        for (per_mille, micros) in [(0, 1), (20, 1), (500, 25), (510, 26), (990, 50), (1_000, 50)] {
            assert_eq!(
                spread.quantile(per_mille),
                Some(Duration::from_micros(micros)),
                "{per_mille}"
            );
        }
    }

    #[test]
    fn a_quantile_is_never_below_the_true_one_and_at_most_a_hundredth_above() {
        let mut samples: Vec<u64> = (0..20_000).map(|n: u64| n * n * 7 % 3_999_983).collect();
        let spread = spread(samples.iter().copied());
        samples.sort_unstable();
        for per_mille in [1_u32, 10, 250, 500, 900, 990, 999, 1_000] {
            let exact = samples[20 * per_mille as usize - 1];
            let shown = spread.quantile(per_mille).expect("a quantile").as_micros();
            let shown = u64::try_from(shown).expect("small");
            assert!(shown >= exact && shown <= exact + exact / 100, "{per_mille}: {exact} {shown}");
        }
    }
}
