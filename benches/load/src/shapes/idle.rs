//! `idle`: a job of one node each 100 ms on an engine that has nothing else to do: how long from its submission to a
//! worker's hands, and to its end.

use std::time::Duration;

use super::{Common, Variant};

/// Between two jobs: long enough that each finds the engine idle.
const EVERY: Duration = Duration::from_millis(100);

/// The variant; it shows two rows.
pub(crate) fn idle(common: &Common) -> Vec<Variant> {
    vec![Variant {
        shape: "idle",
        name: "1 job each 100 ms".to_owned(),
        job: common.job("bench-idle", &[common.node("a", &[])]),
        connections: 4,
        batch: 1,
        open_max: 1_000,
        workers: 1,
        lease_max: 10,
        every: Some(EVERY),
        sleep_scale: None,
        lease_ms: None,
        shows_start: true,
        keyed: false,
        stored_before: None,
    }]
}
