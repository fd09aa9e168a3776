//! That nothing of a node comes before its time: a retry, the end of a delay, a time-out.

use domain::job::event::JobEvent;
use domain::node::status::NodeStatus;

use super::facts::millis;
use super::job::JobStory;

impl JobStory {
    pub(super) fn retries_due(&self, event: &JobEvent) -> Result<(), String> {
        let moved = event.nodes.iter().filter(|change| {
            change.from == NodeStatus::Retrying && change.to != NodeStatus::Cancelled
        });
        for ix in moved.flat_map(|change| change.at.iter()) {
            if event.by.at < self.nodes[ix as usize].due {
                return Err("invariant 11: a retry before it is due".to_owned());
            }
        }
        Ok(())
    }

    pub(super) fn delays_over(&self, event: &JobEvent) -> Result<(), String> {
        let moved = event.nodes.iter().filter(|change| {
            change.from == NodeStatus::Waiting && change.to != NodeStatus::Cancelled
        });
        let moved = moved.flat_map(|change| change.at.iter()).chain(event.held.iter());
        for ix in moved {
            let node = &self.nodes[ix as usize];
            if node.delayed && event.by.at < node.due {
                return Err("invariant 11: offered again before its time".to_owned());
            }
        }
        Ok(())
    }

    pub(super) fn nodes_timed_out(&self, event: &JobEvent) -> Result<(), String> {
        let late = event.nodes.iter().filter(|change| change.to == NodeStatus::Timeout);
        for ix in late.flat_map(|change| change.at.iter()) {
            let (node, timeouts) = (&self.nodes[ix as usize], self.timeouts(ix));
            // A group that ends already does so when its members have ended.
            if self.graces.contains_key(&ix) {
                continue;
            }
            let attempt = timeouts.attempt_ms.filter(|_| self.has_members_at_work(ix));
            let attempt = attempt.is_some_and(|ms| event.by.at >= node.started + millis(ms));
            let since = node.since.max(self.resumed_at);
            let queue = timeouts.queue_ms.is_some_and(|ms| event.by.at >= since + millis(ms));
            let total =
                timeouts.total_ms.is_some_and(|ms| event.by.at >= node.first_ready + millis(ms));
            if !queue && !total && !attempt {
                return Err("invariant 14: a node timed out before its time".to_owned());
            }
        }
        Ok(())
    }
}
