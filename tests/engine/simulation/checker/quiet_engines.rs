//! What must hold while the faults are off and everything has had a little time: nothing is overdue, nothing ready
//! waits while somebody polls, and the gauges of the engines are what a recount gives.

use domain::ids::{Millis, SubjectId};
use domain::node::status::NodeStatus;
use orrery::engine::core::Core;

use super::Checker;
use super::job::JobStory;

/// Between a time and the event that says it has come.
const LATE_MAX_MS: Millis = 12_000;
/// A ready node is leased within this, when somebody polls for it all the time (5 s at the end of a failover).
const READY_MAX_MS: Millis = 6_000;

impl JobStory {
    /// What should have happened by now, if anything should.
    fn overdue(&self, now: Millis) -> Option<String> {
        if self.status.is_over() {
            return None;
        }
        let over = |at: Millis| now > at.saturating_add(LATE_MAX_MS);
        if self.ending.is_some() && over(self.ending_until) {
            return Some("invariant 14: the time of an ending is over".to_owned());
        }
        if self.graces.values().any(|until| over(*until)) {
            return Some("invariant 14: the grace of a group is over".to_owned());
        }
        if self.ending.is_none() && self.deadline().is_some_and(over) {
            return Some("invariant 14: the deadline is over".to_owned());
        }
        for (ix, node) in self.nodes.iter().enumerate() {
            match node.status {
                NodeStatus::Retrying if over(node.due) => {
                    return Some(format!("invariant 11: the retry of node {ix} is due"));
                }
                NodeStatus::Waiting if node.delayed && over(node.due) => {
                    return Some(format!("invariant 11: the delay of node {ix} is over"));
                }
                NodeStatus::Ready if self.offers() && now > node.since + READY_MAX_MS => {
                    return Some(format!("invariant 15: node {ix} is ready and nobody gets it"));
                }
                _ => {}
            }
        }
        None
    }
}

impl Checker {
    /// Looks whether anything should have happened before `now`, the clock of the engines.
    pub(crate) fn overdue(&mut self, now: Millis) {
        let found = self.jobs().find_map(|(subject, job)| Some((subject, job.overdue(now)?)));
        if let Some(what) = found.map(|(subject, what)| format!("{what} ({subject})")) {
            self.broken.get_or_insert(what);
        }
    }

    /// The gauges of an engine, when nothing of what it drives is in the middle of an append.
    pub(crate) fn gauges(&mut self, core: &Core, drives: impl Fn(&SubjectId) -> bool) {
        let [pending, ..] = core.kept();
        let (mut ready, mut running) = (0, 0);
        for (subject, stream) in &self.streams {
            if !drives(subject) {
                continue;
            }
            let tends = core.tends(subject);
            if !tends && self.job(subject).is_some_and(|job| job.deleted || job.status.is_over()) {
                continue;
            }
            let Some((seq, live)) = core.committed_state(subject) else { return };
            // It has not read what another engine wrote, or has not taken over yet.
            if !tends || seq != stream.seq {
                return;
            }
            let Some(job) = live.job() else { continue };
            running += u64::from(job.count(NodeStatus::Running));
            ready += u64::from(job.count(NodeStatus::Ready)) * u64::from(job.offers_work());
        }
        let counts = core.counts();
        // What is being appended is offered already.
        let still = pending == 0 && counts.appends_in_flight == 0 && counts.queued == 0;
        if still && (counts.ready, counts.running_attempts) != (ready, running) {
            let (there, runs) = (counts.ready, counts.running_attempts);
            self.break_at(
                "9",
                &format!("ready {there} and running {runs}, recounted {ready} and {running}"),
            );
        }
    }

    /// Whether every job is over.
    pub(crate) fn all_over(&self) -> bool {
        self.jobs().all(|(_, job)| job.status.is_over())
    }

    /// What is not over, for the message of a run that does not come to rest.
    pub(crate) fn open(&self) -> String {
        let open = self.jobs().filter(|(_, job)| !job.status.is_over());
        let told = open.map(|(subject, job)| {
            let nodes: Vec<_> = job.nodes.iter().map(|node| node.status.as_str()).collect();
            format!("{subject} is {} {:?}: {nodes:?}", job.status, job.ending)
        });
        told.collect::<Vec<_>>().join("; ")
    }
}
