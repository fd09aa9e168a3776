//! Streams that are being read, by group, and how long it took until all that is due in a group had been read that this
//! engine came to drive: what a takeover costs, and since when the view may lack something of it.
//! Always holds: a group counts as read when the look for what is due in it is through, the core has heard of what it found,
//! and nothing of the group is being read. One that is lost before that is not measured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::bounds::GROUPS;
use domain::ids::{GroupId, Millis, SubjectId};

use super::Executor;
use crate::engine::core::CoreCounts;
use crate::engine::gauges::{BEHIND_MS, UNHEARD_MS};
use crate::telemetry::metrics::GROUP_LOAD_DURATION;

/// Queues in use that are told of beside the core's own answers: more names help nobody who looks at metrics.
const QUEUES_TOLD_MAX: usize = 200;
/// How often the queues in use are told of, milliseconds.
const QUEUES_TOLD_MS: Millis = 5_000;
/// What is being read.
#[derive(Debug)]
pub(super) struct Reads {
    /// Streams of each group, by its index.
    reading: [u32; GROUPS as usize],
    /// Groups that are not read yet, with when they came, by the monotonic clock.
    came: BTreeMap<GroupId, Duration>,
    /// Those of them that had not been looked at before what came last was heard.
    unscanned_groups: BTreeSet<GroupId>,
    /// What the groups that came hold and the view may lack begins then.
    unshown: Option<Millis>,
    /// When the last of them was read.
    read_at: Option<Millis>,
}

impl Default for Reads {
    fn default() -> Self {
        let reading = [0; GROUPS as usize];
        let (came, unscanned_groups) = (BTreeMap::new(), BTreeSet::new());
        Self { reading, came, unscanned_groups, unshown: None, read_at: None }
    }
}

impl Reads {
    /// These groups are driven now; before, it was those. `at`: by the monotonic clock, `now_ms` by the engine's.
    pub(super) fn drives(
        &mut self,
        now: &[GroupId],
        before: &[GroupId],
        (at, now_ms): (Duration, Millis),
    ) {
        self.came.retain(|group, _| now.contains(group));
        let new = now.iter().filter(|group| !before.contains(group));
        for group in new {
            self.came.insert(*group, at);
            self.unscanned_groups.insert(*group);
            self.begins_after(now_ms.saturating_sub(UNHEARD_MS));
        }
    }

    /// What came is not older than what was stored last, but for what a view may lag behind.
    pub(super) fn begins_after(&mut self, newest_at: Millis) {
        let from = newest_at.saturating_sub(BEHIND_MS);
        let before = self.unshown.unwrap_or(from);
        (self.unshown, self.read_at) = (Some(before.min(from)), None);
    }

    /// A stream is about to be read.
    pub(super) fn begins(&mut self, subject: &SubjectId) {
        self.reading[usize::from(subject.group().index())] += 1;
    }

    /// It was read, or could not be: then its group is not read before the next look.
    pub(super) fn ends(&mut self, subject: &SubjectId, read: bool) {
        if !read {
            self.unscanned_groups.insert(subject.group());
        }
        let reading = &mut self.reading[usize::from(subject.group().index())];
        *reading = reading.saturating_sub(1);
    }

    /// How long each group took that is read now.
    fn are_read(&mut self, at: Duration) -> Vec<Duration> {
        let (reading, unscanned_groups, mut took) =
            (&self.reading, &self.unscanned_groups, Vec::new());
        self.came.retain(|group, came| {
            let read =
                !unscanned_groups.contains(group) && reading[usize::from(group.index())] == 0;
            if read {
                took.push(at.saturating_sub(*came));
            }
            !read
        });
        took
    }
}

impl Reads {
    /// Since when the view may lack something of the groups that came. `unread_since`: the oldest subject that came into
    /// memory and is not shown since.
    fn unshown(&mut self, unread_since: Option<Millis>, now: Millis) -> Option<Millis> {
        if self.unshown.is_some() && self.came.is_empty() {
            let read_at = *self.read_at.get_or_insert(now);
            if unread_since.is_none_or(|since| since > read_at) {
                (self.unshown, self.read_at) = (None, None);
            }
        }
        self.unshown
    }
}

impl Executor {
    /// Before what has come is heard: what a look found is sent before the group counts as looked at, and so is among it.
    pub(super) fn note_unscanned(&mut self) {
        if !self.reads.came.is_empty() {
            self.reads.unscanned_groups.clone_from(&self.gauges.unscanned_groups());
        }
    }

    /// Now and then: which queues are in use, so far as anybody is told.
    pub(super) fn tell_of_queues(&mut self, now: Millis) {
        if now >= self.queues_told_at.saturating_add(QUEUES_TOLD_MS) {
            self.queues_told_at = now;
            *self.gauges.queues_in_use() = self.core.queues_in_use(QUEUES_TOLD_MAX);
        }
    }

    /// After a turn: what was read meanwhile, and what is in memory.
    pub(super) fn tell_of_groups(&mut self, counts: &CoreCounts) {
        for took in self.reads.are_read(self.clock.monotonic()) {
            metrics::histogram!(GROUP_LOAD_DURATION).record(took.as_secs_f64());
        }
        let unshown = self.reads.unshown(counts.unread_since, self.clock.now_ms());
        *self.gauges.acquired_view_gap() = unshown;
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
        let group = subject.group();
        let (mut reads, s) = (Reads::default(), Duration::from_secs);
        reads.drives(&[group], &[], (s(10), 0));
        assert!(reads.are_read(s(12)).is_empty(), "not looked at");
        reads.unscanned_groups.clear();
        reads.begins(&subject);
        assert!(reads.are_read(s(13)).is_empty(), "a stream of it is being read");
        reads.ends(&subject, true);
        assert_eq!(reads.are_read(s(14)), [s(4)]);
        assert!(reads.are_read(s(15)).is_empty(), "once");
        reads.drives(&[], &[group], (s(16), 0));
        reads.drives(&[group], &[], (s(17), 0));
        reads.drives(&[], &[group], (s(18), 0));
        reads.unscanned_groups.clear();
        assert!(reads.are_read(s(19)).is_empty(), "lost before it was read");
    }

    #[test]
    fn what_a_taken_group_holds_counts_as_unshown_until_all_of_it_is_read_and_shown() {
        let subject = SubjectId::job(Namespace::default_namespace(), JobId(Uuid::from_u128(7)));
        let group = subject.group();
        let (mut reads, s) = (Reads::default(), Duration::from_secs);
        assert_eq!(reads.unshown(None, 99_000), None);
        reads.drives(&[group], &[], (s(10), 100_000));
        let since = Some(100_000 - UNHEARD_MS - BEHIND_MS);
        assert_eq!(reads.unshown(None, 100_001), since, "not read");
        reads.unscanned_groups.clear();
        reads.begins(&subject);
        reads.ends(&subject, false);
        assert!(reads.are_read(s(12)).is_empty(), "it could not be read");
        assert_eq!(reads.unshown(None, 100_002), since);
        reads.unscanned_groups.clear();
        assert_eq!(reads.are_read(s(13)).len(), 1);
        assert_eq!(reads.unshown(Some(100_001), 100_003), since, "not shown");
        assert_eq!(reads.unshown(Some(100_004), 100_005), None, "what came later is another's");
    }
}
