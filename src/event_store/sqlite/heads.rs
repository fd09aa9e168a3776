//! What the writer knows of recently used streams without asking the file: number, head, newest record's nonce.
//! Always holds: it agrees with the open transaction; a rollback clears it. Bounded: two generations, the older is
//! thrown away when the younger is full.
//! Absent: iteration. It is a hashed map for looking up only.

use std::collections::HashMap;

use domain::ids::SubjectId;

/// Streams in one generation: about 10 MB for both, enough for every stream that has an append in flight.
const GENERATION_MAX: usize = 32_768;

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamHead {
    /// Its internal number.
    pub(super) stream: i64,
    /// The seq of its last event.
    pub(super) seq: u64,
}

#[derive(Debug, Default)]
pub(super) struct StreamHeads {
    young: HashMap<SubjectId, StreamHead>,
    old: HashMap<SubjectId, StreamHead>,
}

impl StreamHeads {
    pub(super) fn get(&self, subject: &SubjectId) -> Option<StreamHead> {
        self.young.get(subject).or_else(|| self.old.get(subject)).copied()
    }

    pub(super) fn set(&mut self, subject: &SubjectId, head: StreamHead) {
        if let Some(there) = self.young.get_mut(subject) {
            *there = head;
            return;
        }
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(subject.clone(), head);
    }

    pub(super) fn forget(&mut self, subject: &SubjectId) {
        self.young.remove(subject);
        self.old.remove(subject);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
