//! Taking away payloads whose record never came, in stores that write the two apart. A pass goes on where the last one
//! ended, a page a step.
//! Always holds: only what is older than any append can be that is still sent is looked at; a step is bounded and no
//! request waits for it. Absent: the judgement, which is the store's.

use std::sync::Arc;

use domain::ids::Millis;

use crate::event_store::contract::PayloadSweep;
use crate::services::lifecycle::{Tick, TickReport};
use crate::telemetry::metrics::PAYLOADS_SWEPT;

/// An engine sends no append that it built more than an hour ago; the second hour is for clocks.
const OLD_MS: Millis = 2 * 3_600_000;
/// Payloads looked at in one step.
const LOOKED_MAX: u32 = 500;
/// Between two steps of a pass, milliseconds: 500 a second are more than a busy engine writes for long.
const STEP_MS: Millis = 1_000;
/// Between two passes, milliseconds.
const PASS_MS: Millis = 600_000;

/// The tick `payloads`.
#[derive(Debug)]
pub struct Payloads {
    store: Arc<dyn PayloadSweep>,
}

impl Payloads {
    /// Of this store.
    pub fn new(store: Arc<dyn PayloadSweep>) -> Self {
        Self { store }
    }
}

impl Tick for Payloads {
    fn name(&self) -> &'static str {
        "payloads"
    }

    async fn tick(&self, now: Millis) -> TickReport {
        match self.store.sweep(now.saturating_sub(OLD_MS), LOOKED_MAX).await {
            Ok(swept) => {
                metrics::counter!(PAYLOADS_SWEPT).increment(swept.removed);
                if swept.removed > 0 {
                    tracing::info!(
                        removed = swept.removed,
                        "payloads that no record names are gone"
                    );
                }
                let wait = if swept.through { PASS_MS } else { STEP_MS };
                let next = Some(now.saturating_add(wait));
                TickReport { did: swept.looked_at, next_due: next, failure: None }
            }
            Err(error) => TickReport {
                did: 0,
                next_due: Some(now.saturating_add(PASS_MS)),
                failure: Some(error.to_string()),
            },
        }
    }
}
