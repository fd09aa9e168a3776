//! How long things took: running sums, enough for a mean and a maximum without keeping a value each.
//! The distribution is in the metrics; this is what GET /services shows without a metrics store.

use std::time::Duration;

use super::snapshot::DurationSnapshot;

/// Sums over what took time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DurationSums {
    count: u64,
    sum: Duration,
    max: Duration,
    last: Duration,
}

impl DurationSums {
    pub(super) fn add(&mut self, took: Duration) {
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
        self.max = self.max.max(took);
        self.last = took;
    }

    pub(super) fn snapshot(&self) -> DurationSnapshot {
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a mean for people; 2^53 operations lose nothing before"
        )]
        let count = self.count.max(1) as f64;
        DurationSnapshot {
            mean_ms: ms(self.sum) / count,
            max_ms: ms(self.max),
            last_ms: ms(self.last),
        }
    }
}
