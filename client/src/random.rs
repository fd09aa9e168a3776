//! What a client process draws at random: the ids it mints (idempotency keys, claims, names) and the jitter of its
//! waits. A command has no replay to protect, so nobody hands the generator in. Absent: secrets.

use std::time::Duration;

/// A new id, different from every other one.
pub fn fresh_id() -> String {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string()
}

/// The wait before try `tries` (1 is the first repetition): doubles from `base`, stays within `cap`, and is drawn
/// from the upper half, so that many clients do not come back at once.
pub fn backoff(tries: u32, base: Duration, cap: Duration) -> Duration {
    let full = base.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(16))).min(cap);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_stays_between_half_and_the_whole_of_its_step_and_below_the_cap() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(5));
        for tries in 1..200 {
            let wait = backoff(tries, base, cap);
            let step = base.saturating_mul(2_u32.saturating_pow((tries - 1).min(16))).min(cap);
            assert!(wait >= step / 2 && wait <= step, "{tries}: {wait:?}");
        }
    }
}
