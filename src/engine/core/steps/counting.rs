//! What the core tells of itself, for metrics, health and tests.

use domain::ids::{Namespace, SubjectId};

use crate::engine::core::message::QueueFacts;
use crate::engine::core::{Core, CoreCounts, kinds};

impl Core {
    /// Numbers for metrics and tests.
    pub fn counts(&self) -> CoreCounts {
        CoreCounts {
            subjects: self.slots.len(),
            queued: self.backlog.len(),
            appends_in_flight: self.commits.in_flight(),
            view_lag_ms: self.projection.lag(self.now),
            unshown_since: self.projection.unshown_since(),
            unread_since: self.projection.unread_since(),
            ready: self.dispatch.ready(),
            waiting_polls: self.dispatch.waiting_polls(),
            running_attempts: self.dispatch.running(),
            stalled_queues: self.dispatch.stalled_queues(),
            live_jobs: self.tenants.live_jobs(),
            ..self.counts
        }
    }

    /// Queues in use, at most `max`, in the order of their names: what a few counters say of each.
    pub fn queues_in_use(&self, max: usize) -> Vec<(Namespace, QueueFacts)> {
        self.dispatch.queues_in_use(max)
    }

    /// Subjects in memory of each group, by its index.
    pub fn subjects_by_group(&self) -> &[u32] {
        self.slots.by_group()
    }

    /// A subject's state as this engine has it, with the seq it shows; none while an append of it is under way. For
    /// tests and checks: replay must give the same.
    pub fn committed_state(&self, subject: &SubjectId) -> Option<(u64, &kinds::Entity)> {
        let slot = self.slots.find(subject).and_then(|ix| self.slots.get(ix))?;
        let entity = slot.entity.as_ref().filter(|_| slot.stage.is_settled())?;
        Some((slot.seq, entity))
    }

    /// Whether a subject is in memory with everything volatile that its driver keeps of it: offers, lease times. For
    /// tests and checks.
    pub fn tends(&self, subject: &SubjectId) -> bool {
        let slot = self.slots.find(subject).and_then(|ix| self.slots.get(ix));
        slot.is_some_and(|slot| !slot.transient)
    }

    /// The sizes of what is kept for a while: lease requests under way, claims, timers, commands sent to other engines.
    pub fn kept(&self) -> [usize; 4] {
        let leases = self.polls.len() + self.claims.pending();
        [leases, self.claims.running(), self.timers.len(), self.outbox.len()]
    }
}
