//! What engines leave for one another in the store: a wake-up is never later than what its job waits for, and an append notice
//! is not taken away before what it tells of was there, or had a minute to come. Seen when it is done: what comes of it
//! may take until somebody happens to look.

use std::collections::BTreeMap;

use domain::ids::{Millis, SubjectId};
use domain::job::outcome::EndingStage;
use domain::job::spec::Start;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;
use orrery::event_store::contract::{AppendNotice, WakeUpMove};

use super::Checker;
use super::facts::millis;
use super::job::JobStory;

/// An engine waits a minute on its own clock, which may run a tenth too fast.
const NOTICES_KEPT_MS: Millis = 54_000;

impl JobStory {
    /// When something must happen to it at the latest; none: only when somebody asks for it.
    fn wakes_at(&self) -> Option<Millis> {
        let stops = self.ending.is_some() && self.model.stage != EndingStage::Cleaning;
        let evaluates = self.model.nodes.iter().any(|node| node.hold == Some(Hold::Evaluating));
        let busy = self.many(&[NodeStatus::Running]) > 0
            || (self.offers() && self.many(&[NodeStatus::Ready]) > 0);
        if busy || stops || evaluates || self.status == JobStatus::Queued {
            return Some(Millis::MIN);
        }
        let start = match (self.status, self.model.plan.start) {
            (JobStatus::Pending, Start::Auto) => Some(self.scheduled_at.unwrap_or(Millis::MIN)),
            _ => None,
        };
        let start = start.or_else(|| self.ending.map(|_| self.ending_until));
        let of_nodes = (0u32..).zip(&self.nodes).flat_map(|(ix, node)| {
            let waits = [NodeStatus::Ready, NodeStatus::Retrying, NodeStatus::Waiting];
            let timeouts = self.timeouts(ix);
            let total = timeouts.total_ms.filter(|_| waits.contains(&node.status));
            let total = total.filter(|_| node.first_ready > 0);
            let attempt = timeouts.attempt_ms.filter(|_| self.has_members_at_work(ix));
            let timed = node.status == NodeStatus::Retrying
                || (node.status == NodeStatus::Waiting && node.delayed);
            let timed = timed && self.status != JobStatus::Paused;
            [
                total.map(|ms| node.first_ready + millis(ms)),
                attempt.map(|ms| node.started + millis(ms)),
                timed.then_some(node.due),
            ]
        });
        let deadline = self.deadline().filter(|_| self.ending.is_none());
        of_nodes.flatten().chain(start).chain(deadline).min()
    }
}

impl Checker {
    /// A wake-up was moved, by an engine whose clock shows `clock` and which knows so many events of the subject.
    pub(crate) fn marked(&mut self, moved: &WakeUpMove, clock: Millis, knows: u64) {
        // What others wrote meanwhile is told by an append notice, or found by a look.
        if self.head(&moved.subject) != knows {
            return;
        }
        let Some(job) = self.job(&moved.subject) else { return };
        let late = match moved.due {
            None => !job.status.is_over(),
            Some(due) => {
                let wakes_at = job.wakes_at().filter(|_| !job.status.is_over());
                due > clock && wakes_at.is_some_and(|at| due > at)
            }
        };
        if late {
            let what = format!("{}: a wake-up that is too late", moved.subject);
            self.break_at("29", &what);
        }
    }

    /// The view was given a document of this seq, and shows what it shows: nothing where it knows of a deletion.
    pub(crate) fn shows(&mut self, subject: &SubjectId, seq: u64, shown: Option<u64>) {
        let newest = self.given.entry(subject.clone()).or_default();
        *newest = (*newest).max(seq);
        let newest = *newest;
        if shown.is_some_and(|shown| shown < newest) {
            let what = format!("{subject} is shown as it was before event {newest}");
            self.break_at("26", &what);
        }
    }

    /// Append notices were written.
    pub(crate) fn noticed(&mut self, notices: &[AppendNotice], now: Millis) {
        for notice in notices {
            let laid = self.notices.entry(notice.subject.clone()).or_default();
            laid.entry(notice.seq).or_insert(now);
        }
    }

    /// Clocks are put forward, which engines that run never see outside of here: append notices that lie there may have had their
    /// minute.
    pub(crate) fn clocks_jump(&mut self) {
        self.notices
            .values_mut()
            .flat_map(BTreeMap::values_mut)
            .for_each(|since| *since = Millis::MIN);
    }

    /// An append notice is taken away, with those of the subject that tell of less.
    pub(crate) fn notice_cleared(&mut self, notice: &AppendNotice, now: Millis) {
        let Some(laid) = self.notices.get_mut(&notice.subject) else { return };
        // The store keeps the highest; one that is higher stays.
        if laid.keys().next_back().is_some_and(|highest| *highest > notice.seq) {
            return;
        }
        let laid = std::mem::take(laid);
        let (head, gone) = (self.head(&notice.subject), self.is_gone(&notice.subject));
        let early = laid.range(head + 1..).any(|(_, since)| now < since + NOTICES_KEPT_MS);
        if early && !gone {
            let what =
                format!("{}: an append notice is cleared before its event came", notice.subject);
            self.break_at("28", &what);
        }
    }

    fn is_gone(&self, subject: &SubjectId) -> bool {
        self.job(subject).is_some_and(|job| job.deleted)
    }
}
