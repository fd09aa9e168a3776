//! How long things took, kept as counts: memory does not grow with the number of samples, and a quantile is never
//! below the true one and at most 1/64 above it. Absent: means, which hide what a bench is for.

use std::time::Duration;

/// Buckets of each doubling; a power of two. 64 keep the error under 1.6 %.
const STEPS: u64 = 64;
/// Its logarithm.
const STEPS_BITS: u32 = 6;

/// Counts of durations, in whole microseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Spread {
    counts: Vec<u64>,
    total: u64,
}

impl Spread {
    /// Adds one duration.
    pub(super) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(micros);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// How many were added.
    #[cfg(test)]
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The duration that `per_mille` of all samples do not exceed (nearest rank), none without samples.
    pub(super) fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let rank = (self.total.checked_mul(per_mille)?).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(Duration::from_micros(last_of(bucket)));
            }
        }
        None
    }
}

/// One bucket a microsecond up to `STEPS`, then `STEPS` buckets a doubling.
fn bucket_of(micros: u64) -> usize {
    if micros < STEPS {
        return usize::try_from(micros).unwrap_or_default();
    }
    let shift = micros.ilog2() - STEPS_BITS;
    let bucket = u64::from(shift) * STEPS + (micros >> shift);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The longest duration of a bucket.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((((bucket % STEPS) + STEPS) << shift) | ((1 << shift) - 1)).max(bucket)
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
    fn a_quantile_is_never_below_the_true_one_and_at_most_a_64th_above() {
        let mut samples: Vec<u64> = (0..20_000).map(|n: u64| n * n * 7 % 3_999_983).collect();
        let spread = spread(samples.iter().copied());
        samples.sort_unstable();
        for per_mille in [1_usize, 10, 250, 500, 900, 990, 999, 1_000] {
            let exact = samples[20 * per_mille - 1];
            let shown = spread.quantile(per_mille as u64).expect("a quantile").as_micros();
            let shown = u64::try_from(shown).expect("small");
            assert!(shown >= exact && shown <= exact + exact / 64, "{per_mille}: {exact} {shown}");
        }
    }

    #[test]
    fn every_duration_lies_in_the_bucket_that_is_named_after_it() {
        for micros in (0..2_000).chain([65_535, 65_536, 1 << 40, (1 << 40) + 12_345, u64::MAX]) {
            let bucket = bucket_of(micros);
            assert!(last_of(bucket) >= micros, "{micros}");
            assert!(bucket == 0 || last_of(bucket - 1) < micros, "{micros}");
        }
    }
}
