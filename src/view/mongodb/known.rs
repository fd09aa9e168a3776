//! Which documents this engine has seen in the database: they are changed, all others are first tried as inserts,
//! which cost the server a fifth.
//! Always holds: being wrong costs one more statement, never a wrong document. Bounded: two generations.
//! Absent: iteration. It is a hashed set for looking up only.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use domain::ids::SubjectId;

/// Documents in one generation: about 10 MB for both.
const GENERATION_MAX: usize = 65_536;

/// A page of this number of a subject's nodes, or its document.
type Which = (SubjectId, Option<u32>);

/// Documents that are there.
#[derive(Debug, Default)]
pub(super) struct Known {
    generations: Mutex<(HashSet<Which>, HashSet<Which>)>,
}

impl Known {
    pub(super) fn has(&self, which: &Which) -> bool {
        let all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        all.0.contains(which) || all.1.contains(which)
    }

    pub(super) fn saw(&self, which: Which) {
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if all.0.contains(&which) {
            return;
        }
        if all.0.len() >= GENERATION_MAX {
            all.1 = std::mem::take(&mut all.0);
        }
        all.0.insert(which);
    }

    pub(super) fn clear(&self) {
        *self.generations.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }
}
