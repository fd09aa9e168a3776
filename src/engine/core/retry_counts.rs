//! What became of retries, by the class of the failure that they followed, for metrics and health.
//! A success says nothing of the failure before it, so each subject remembers the class of what is being retried. That is
//! volatile: after a load it is made anew from what the next attempts are told.
//! Absent: any decision that rests on a count.

use std::collections::BTreeMap;

use domain::job::event::JobEvent;
use domain::job::fact::JobFact;
use domain::job::state::JobState;
use domain::node::change::NodeChange;
use domain::node::status::NodeStatus;
use domain::retry::classify;

/// Classes of the taxonomy, and one for all other words.
const PLACES: usize = classify::CLASSES + 1;
/// How the classes are called that are not in the taxonomy: callers choose them freely.
const OTHER: &str = "other";

/// Retries after failures of one class. Each of a job is counted by the engine that committed it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetriesOfClass {
    /// Waits for another execution that began.
    pub scheduled: u64,
    /// Nodes that completed after a failure of this class, as the newest one.
    pub succeeded: u64,
    /// Failures with no execution or no time left, where there would have been another.
    pub exhausted: u64,
    /// Waits that ended otherwise than by another execution: their job was cancelled, ran out of time, or was given up.
    pub cancelled: u64,
}

/// Retries by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryCounts([RetriesOfClass; PLACES]);

impl Default for RetryCounts {
    fn default() -> Self {
        Self([RetriesOfClass::default(); PLACES])
    }
}

impl RetryCounts {
    /// Each class word with its counts; those that the taxonomy does not have are counted together, as `other`.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, &RetriesOfClass)> {
        classify::words().chain([OTHER]).zip(&self.0)
    }
}

/// The nodes of one subject that failed and may still complete, each with the place of its newest failure's class.
#[derive(Debug, Default)]
pub(crate) struct SlotRetries(BTreeMap<u32, usize>);

impl SlotRetries {
    /// Of a job that came into memory.
    pub(crate) fn of(job: &JobState) -> Self {
        let errors =
            job.handed_on.iter().filter_map(|(ix, told)| Some((*ix, told.error.as_ref()?)));
        Self(errors.map(|(ix, error)| (ix, place_of(&error.class))).collect())
    }

    /// Counts what one event says of retries.
    pub(crate) fn count(&mut self, event: &JobEvent, counts: &mut RetryCounts) {
        if let JobFact::Failure(fact) = &event.fact
            && let Some(failure) = fact.failure()
        {
            let class = &failure.error.class;
            self.failed(
                failure.attempt.node,
                class,
                failure.retry.is_some(),
                failure.used_up,
                counts,
            );
        }
        for failure in event.flow.iter().flat_map(|flow| &flow.failed) {
            let class = &failure.error.class;
            self.failed(failure.node, class, failure.retry.is_some(), failure.used_up, counts);
        }
        if self.0.is_empty() {
            return;
        }
        for change in event.nodes.iter().filter(|change| change.to.is_settled()) {
            self.settled(change, counts);
        }
    }

    fn failed(
        &mut self,
        node: u32,
        class: &str,
        retried: bool,
        used_up: bool,
        counts: &mut RetryCounts,
    ) {
        let place = place_of(class);
        counts.0[place].scheduled += u64::from(retried);
        counts.0[place].exhausted += u64::from(used_up);
        if retried {
            self.0.insert(node, place);
        }
    }

    fn settled(&mut self, change: &NodeChange, counts: &mut RetryCounts) {
        let settled: Vec<u32> = self.0.keys().copied().filter(|ix| change.at.has(*ix)).collect();
        for place in settled.iter().filter_map(|ix| self.0.remove(ix)) {
            let of_class = &mut counts.0[place];
            of_class.succeeded += u64::from(change.to == NodeStatus::Completed);
            of_class.cancelled += u64::from(change.from == NodeStatus::Retrying);
        }
    }
}

fn place_of(class: &str) -> usize {
    classify::place_of(class).unwrap_or(classify::CLASSES)
}
