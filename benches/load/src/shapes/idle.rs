//! `idle`: a job of one node each 100 ms on an engine that has nothing else to do: how long from its submission to a
//! worker's hands, and to its end.

use std::time::Duration;

use super::{Common, Variant};

/// Between two jobs: long enough that each finds the engine idle.
const EVERY: Duration = Duration::from_millis(100);

/// The variant; it shows two rows.
pub(crate) fn idle(common: &Common) -> Vec<Variant> {
    vec![Variant {
        connections: 4,
        open_max: 1_000,
        every: Some(EVERY),
        shows_start: true,
        ..Variant::plain(
            "idle",
            "1 job each 100 ms".to_owned(),
            common.job("bench-idle", &[common.node("a", &[])]),
        )
    }]
}
