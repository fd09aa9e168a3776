//! Streams that are being read, by group, and how long it took until all that is due in a group had been read that this
//! engine came to drive: what a takeover costs.
//! Always holds: a group counts as read when the look for what is due in it is through, the core has heard of what it found,
//! and nothing of the group is being read. One that is lost before that is not measured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::bounds::GROUPS;
use domain::ids::{GroupId, SubjectId};

use super::Executor;
use crate::telemetry::metrics::GROUP_LOAD_DURATION;

/// What is being read.
#[derive(Debug)]
pub(super) struct Reads {
    /// Streams of each group, by its index.
    reading: [u32; GROUPS as usize],
    /// Groups that are not read yet, with when they came, by the monotonic clock.
    came: BTreeMap<GroupId, Duration>,
    /// Those of them that had not been looked at when the core had its last turn.
    unlooked: BTreeSet<GroupId>,
}

impl Default for Reads {
    fn default() -> Self {
        let reading = [0; GROUPS as usize];
        Self { reading, came: BTreeMap::new(), unlooked: BTreeSet::new() }
    }
}

impl Reads {
    /// These groups are driven now; before, it was those.
    pub(super) fn drives(&mut self, now: &[GroupId], before: &[GroupId], at: Duration) {
        self.came.retain(|group, _| now.contains(group));
        let new = now.iter().filter(|group| !before.contains(group));
        for group in new {
            self.came.insert(*group, at);
            self.unlooked.insert(*group);
        }
    }

    /// A stream is about to be read.
    pub(super) fn begins(&mut self, subject: &SubjectId) {
        self.reading[usize::from(subject.group().index())] += 1;
    }

    /// It was read, or could not be.
    pub(super) fn ends(&mut self, subject: &SubjectId) {
        let reading = &mut self.reading[usize::from(subject.group().index())];
        *reading = reading.saturating_sub(1);
    }

    /// How long each group took that is read now. `unlooked`: those in which what is due was not looked for yet; what a look
    /// found is only known to be heard by the next turn.
    fn are_read(&mut self, unlooked: &BTreeSet<GroupId>, at: Duration) -> Vec<Duration> {
        let before = std::mem::replace(&mut self.unlooked, unlooked.clone());
        let (reading, mut took) = (&self.reading, Vec::new());
        self.came.retain(|group, came| {
            let read = !before.contains(group) && reading[usize::from(group.index())] == 0;
            if read {
                took.push(at.saturating_sub(*came));
            }
            !read
        });
        took
    }
}

impl Executor {
    /// After a turn: what was read meanwhile, and what is in memory.
    pub(super) fn tell_of_groups(&mut self) {
        if !self.reads.came.is_empty() {
            let unlooked = self.gauges.unlooked().clone();
            for took in self.reads.are_read(&unlooked, self.clock.monotonic()) {
                metrics::histogram!(GROUP_LOAD_DURATION).record(took.as_secs_f64());
            }
        }
        let mut by_group = self.gauges.by_group();
        by_group.subjects.clear();
        by_group.subjects.extend_from_slice(self.core.subjects_by_group());
        by_group.reading.clear();
        by_group.reading.extend_from_slice(&self.reads.reading);
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::{JobId, Namespace};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_group_is_read_when_its_look_was_heard_and_nothing_of_it_is_being_read() {
        let subject = SubjectId::job(Namespace::default_namespace(), JobId(Uuid::from_u128(7)));
        let (group, none) = (subject.group(), BTreeSet::new());
        let unlooked = BTreeSet::from([group]);
        let (mut reads, s) = (Reads::default(), Duration::from_secs);
        reads.drives(&[group], &[], s(10));
        assert!(reads.are_read(&unlooked, s(11)).is_empty(), "not looked at");
        assert!(reads.are_read(&none, s(12)).is_empty(), "what the look found may not be heard");
        reads.begins(&subject);
        assert!(reads.are_read(&none, s(13)).is_empty(), "a stream of it is being read");
        reads.ends(&subject);
        assert_eq!(reads.are_read(&none, s(14)), [s(4)]);
        assert!(reads.are_read(&none, s(15)).is_empty(), "once");
        reads.drives(&[], &[group], s(16));
        reads.drives(&[group], &[], s(17));
        reads.drives(&[], &[group], s(18));
        assert!(reads.are_read(&none, s(19)).is_empty(), "lost before it was read");
    }
}
