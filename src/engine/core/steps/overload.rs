//! What is refused when not everything can be served: new jobs first, then requests for work, and what finishes or stops
//! work last of all.

use domain::ids::Millis;

use crate::engine::core::Core;
use crate::engine::core::message::Failure;
use crate::engine::core::urgency::Urgency;

/// While something is refused, it is looked at again after so long.
const LOOK_AGAIN_MS: Millis = 100;
/// Requests for work are refused at so many times the delay at which new jobs are.
const LEASE_TIMES: Millis = 8;

impl Core {
    /// The engine took its turn so much later than it meant to, milliseconds: it could not listen meanwhile.
    pub fn record_stall(&mut self, now: Millis, by: Millis) {
        self.pace.record_stall(now, by);
    }

    /// What is asked waited so long before it was heard, milliseconds.
    pub fn record_delay(&mut self, now: Millis, by: Millis) {
        self.pace.record_delay(now, by);
    }

    /// Whether what is as urgent as this is refused now: new jobs first, then requests for work, by how long they
    /// would wait; everything by how much waits, and what finishes or stops work last of all.
    fn refuses(&self, urgency: Urgency) -> bool {
        let queue_max = self.settings.queue_max;
        let (depth_max, delay_max) = match urgency {
            Urgency::Submit => (queue_max / 2, self.settings.delay_max_ms),
            Urgency::Lease => (queue_max, self.settings.delay_max_ms.saturating_mul(LEASE_TIMES)),
            Urgency::Read => (queue_max, Millis::MAX),
            Urgency::Cancel | Urgency::Report => (queue_max.saturating_mul(4), Millis::MAX),
        };
        self.backlog.len() > depth_max || self.delay() > delay_max
    }

    /// How long what comes now would wait for its append to be answered, milliseconds.
    fn delay(&self) -> Millis {
        let waits = self.backlog.since().map_or(0, |since| self.now.saturating_sub(since));
        self.pace.store_ms(self.now).max(self.pace.queue_ms(self.now)).max(waits)
    }

    /// Why something of this urgency cannot be taken on now.
    pub fn refusal(&self, urgency: Urgency) -> Option<Failure> {
        let behind = self.projection.lag(self.now) > self.settings.view_lag_max_ms;
        if urgency == Urgency::Submit && behind {
            return Some(Failure::ViewBehind);
        }
        self.refuses(urgency).then_some(Failure::Overloaded)
    }

    /// When to look again whether what is refused may be taken: nothing else may wake the engine meanwhile.
    pub(in crate::engine::core) fn looks_again(&self) -> Option<Millis> {
        self.refusal(Urgency::Submit).map(|_| self.now.saturating_add(LOOK_AGAIN_MS))
    }
}
