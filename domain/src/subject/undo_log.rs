//! What changes took the place of, so that a state whose append does not commit can be taken back to the committed one:
//! one log of former values, put back from the newest on. A replay keeps none.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Former values in the order in which they were changed. `W` says of which field or key each one is.
#[derive(Debug)]
pub struct UndoLog<W> {
    /// None: what is applied is never taken back.
    was: Option<Vec<W>>,
}

impl<W> Default for UndoLog<W> {
    fn default() -> Self {
        Self { was: Some(Vec::new()) }
    }
}

impl<W> UndoLog<W> {
    /// For events that are never taken back.
    pub(crate) fn none() -> Self {
        Self { was: None }
    }

    /// Notes a former value, which is looked up only if it is to be kept.
    pub(crate) fn note(&mut self, was: impl FnOnce() -> W) {
        if let Some(log) = &mut self.was {
            log.push(was());
        }
    }

    /// Sets the key of a map.
    pub(crate) fn insert<K: Ord + Clone, V>(
        &mut self,
        map: &mut BTreeMap<K, V>,
        key: K,
        value: V,
        was: impl FnOnce(K, Option<V>) -> W,
    ) {
        match map.entry(key) {
            Entry::Vacant(free) => {
                self.note(|| was(free.key().clone(), None));
                free.insert(value);
            }
            Entry::Occupied(mut taken) => {
                let before = taken.insert(value);
                self.note(|| was(taken.key().clone(), Some(before)));
            }
        }
    }

    /// Removes the key of a map.
    pub(crate) fn remove<K: Ord, V>(
        &mut self,
        map: &mut BTreeMap<K, V>,
        key: &K,
        was: impl FnOnce(K, Option<V>) -> W,
    ) {
        if let Some((key, before)) = map.remove_entry(key) {
            self.note(|| was(key, Some(before)));
        }
    }

    /// Sets the key of a map, or removes it.
    pub(crate) fn set<K: Ord + Clone, V>(
        &mut self,
        map: &mut BTreeMap<K, V>,
        key: K,
        value: Option<V>,
        was: impl FnOnce(K, Option<V>) -> W,
    ) {
        match value {
            Some(value) => self.insert(map, key, value, was),
            None => self.remove(map, &key, was),
        }
    }

    /// Puts a key into a set, or takes it out.
    pub(crate) fn keep<K: Ord + Copy>(
        &mut self,
        set: &mut BTreeSet<K>,
        key: K,
        kept: bool,
        was: impl FnOnce(K) -> W,
    ) {
        let changed = if kept { set.insert(key) } else { set.remove(&key) };
        if changed {
            self.note(|| was(key));
        }
    }

    /// The former values, the newest first.
    pub(crate) fn newest_first(self) -> impl Iterator<Item = W> {
        self.was.unwrap_or_default().into_iter().rev()
    }
}

/// Gives the key of a map its former value.
pub(crate) fn put_back<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(value) => _ = map.insert(key, value),
        None => _ = map.remove(&key),
    }
}

/// Puts a key back out of a set, or into it.
pub(crate) fn turn_back<K: Ord>(set: &mut BTreeSet<K>, key: K) {
    if !set.remove(&key) {
        set.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Was {
        Number(u8, Option<char>),
        Member(u8),
    }

    #[test]
    fn former_values_come_back_in_reverse() {
        let (mut numbers, mut members) = (BTreeMap::from([(1, 'a')]), BTreeSet::from([7]));
        let (before_numbers, before_members) = (numbers.clone(), members.clone());
        let mut log = UndoLog::default();
        log.insert(&mut numbers, 1, 'b', Was::Number);
        log.insert(&mut numbers, 2, 'c', Was::Number);
        log.remove(&mut numbers, &1, Was::Number);
        log.remove(&mut numbers, &9, Was::Number);
        log.insert(&mut numbers, 1, 'd', Was::Number);
        log.keep(&mut members, 7, false, Was::Member);
        log.keep(&mut members, 8, true, Was::Member);
        log.keep(&mut members, 8, true, Was::Member);
        assert_eq!((numbers.len(), members.len()), (2, 1));
        for was in log.newest_first() {
            match was {
                Was::Number(key, before) => put_back(&mut numbers, key, before),
                Was::Member(key) => turn_back(&mut members, key),
            }
        }
        assert_eq!((numbers, members), (before_numbers, before_members));
    }

    #[test]
    fn one_that_keeps_nothing_gives_nothing_back() {
        let mut log = UndoLog::none();
        log.insert(&mut BTreeMap::from([(1, 'a')]), 1, 'b', Was::Number);
        assert_eq!(log.newest_first().count(), 0);
    }
}
