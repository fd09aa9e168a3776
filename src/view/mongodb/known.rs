//! Which documents this engine has seen in the database: they are changed, all others are first tried as inserts,
//! which cost the server a fifth.
//! Always holds: being wrong costs one more statement, never a wrong document. Bounded: two generations.
//! Absent: iteration. It is a hashed set for looking up only.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use domain::ids::SubjectId;

/// Subjects in one generation: about 10 MB for both.
const GENERATION_MAX: usize = 65_536;

/// Subjects whose documents are there.
#[derive(Debug, Default)]
pub(super) struct Known {
    generations: Mutex<(HashSet<SubjectId>, HashSet<SubjectId>)>,
}

impl Known {
    pub(super) fn has(&self, subject: &SubjectId) -> bool {
        let all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        all.0.contains(subject) || all.1.contains(subject)
    }

    pub(super) fn saw(&self, subject: &SubjectId) {
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if all.0.contains(subject) {
            return;
        }
        if all.0.len() >= GENERATION_MAX {
            all.1 = std::mem::take(&mut all.0);
        }
        all.0.insert(subject.clone());
    }

    pub(super) fn clear(&self) {
        *self.generations.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }
}
