//! Entries of an index that lie in memory until many of them are filed into the file's own index at once: an id that
//! says nothing about its time has a page of its own in a large index, so that filing it alone writes that page for it
//! alone. What they lead to is durable before they are here; after a start they are read from there again.
//! Always holds: who looks here first and then into one committed state of the file finds every entry that was there
//! at the beginning of the look. The owner files soon after `FILED_FROM_MAX`, so that memory stays bounded.
//! Absent: the file, and any meaning of shelf, key and row.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};

/// Entries from which on they are filed in a small index: below, all of it changes with every round anyway.
const FILED_FROM_MIN: u64 = 16_384;
/// Entries from which on they are filed in any index: about 10 MB.
const FILED_FROM_MAX: u64 = 262_144;
/// They are filed when they are this part of what is filed: then a page of the index takes some twenty at once.
const FILED_FROM_PART: u64 = 8;

/// One entry: where it stands, and the row that it leads to. Several rows may have one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnfiledEntry {
    /// Entries of one shelf lie together.
    pub shelf: u8,
    /// In the order of the keys.
    pub key: i64,
    /// A row of the file; rows grow with time.
    pub row: i64,
}

/// The entries that are not filed. Shared by who writes and who reads.
#[derive(Debug)]
pub struct Unfiled {
    entries: RwLock<BTreeSet<UnfiledEntry>>,
    /// The last row that is committed.
    committed: AtomicI64,
}

impl Unfiled {
    /// These entries, of rows up to `committed`.
    pub fn new(entries: impl IntoIterator<Item = UnfiledEntry>, committed: i64) -> Self {
        let entries = RwLock::new(entries.into_iter().collect());
        Self { entries, committed: AtomicI64::new(committed) }
    }

    /// One more, whose row may not be committed yet.
    pub fn put(&self, entry: UnfiledEntry) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(entry);
    }

    /// Takes entries away. Answers whether there was any of them.
    pub fn take(&self, taken: &[UnfiledEntry]) -> bool {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut any = false;
        for entry in taken {
            any |= entries.remove(entry);
        }
        any
    }

    /// Takes all of them away.
    pub fn clear(&self) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Rows up to here are committed.
    pub fn committed(&self, row: i64) {
        self.committed.store(row, Ordering::Release);
    }

    /// The last row that was committed before this call.
    pub fn last_committed(&self) -> i64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Whether this entry is here.
    pub fn has(&self, entry: UnfiledEntry) -> bool {
        self.read(|entries| entries.contains(&entry))
    }

    /// The entries of a key.
    pub fn of(&self, shelf: u8, key: i64) -> Vec<UnfiledEntry> {
        let (first, last) = (
            UnfiledEntry { shelf, key, row: i64::MIN },
            UnfiledEntry { shelf, key, row: i64::MAX },
        );
        self.read(|entries| entries.range(first..=last).copied().collect())
    }

    /// The entries of a shelf from a key on, at most `max`.
    pub fn from(&self, shelf: u8, key: i64, max: usize) -> Vec<UnfiledEntry> {
        let (first, last) = (
            UnfiledEntry { shelf, key, row: i64::MIN },
            UnfiledEntry { shelf, key: i64::MAX, row: i64::MAX },
        );
        self.read(|entries| entries.range(first..=last).take(max).copied().collect())
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.read(|entries| entries.len() as u64)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn after(&self, after: Option<UnfiledEntry>, max: usize) -> Vec<UnfiledEntry> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.read(|entries| entries.range((from, Unbounded)).take(max).copied().collect())
    }

    /// The smallest row of all entries but these.
    fn least_row_without(&self, filed: &[UnfiledEntry]) -> Option<i64> {
        let is_left = |entry: &&UnfiledEntry| filed.binary_search(entry).is_err();
        self.read(|entries| entries.iter().filter(is_left).map(|entry| entry.row).min())
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeSet<UnfiledEntry>) -> T) -> T {
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How far the filing has come: rounds through all entries in the order of their keys, a slice a transaction, so that
/// none of them takes long. It belongs to who writes.
#[derive(Debug)]
pub struct Filing {
    /// Entries in the index of the file.
    filed: u64,
    /// Entries of one slice.
    slice_max: usize,
    /// A round is under way.
    under_way: bool,
    /// The last one that was filed in it.
    after: Option<UnfiledEntry>,
    /// What the open transaction files; none: it has not asked.
    slice: Option<Vec<UnfiledEntry>>,
}

impl Filing {
    /// Of an index that has so many entries.
    pub fn new(filed: u64, slice_max: usize) -> Self {
        Self { filed, slice_max, under_way: false, after: None, slice: None }
    }

    /// What the open transaction is to file, in order; nothing, most of the time. With the last slice of a round comes
    /// the row up to which all entries are filed then; `last` is the newest row.
    pub fn next(&mut self, unfiled: &Unfiled, last: i64) -> (&[UnfiledEntry], Option<i64>) {
        let from = (self.filed / FILED_FROM_PART).clamp(FILED_FROM_MIN, FILED_FROM_MAX);
        self.under_way |= unfiled.len() >= from;
        if !self.under_way {
            return (&[], None);
        }
        let slice = self.slice.insert(unfiled.after(self.after, self.slice_max));
        let is_last = slice.len() < self.slice_max;
        let filed_to = || match unfiled.least_row_without(slice) {
            Some(least) => least.saturating_sub(1),
            None => last,
        };
        let filed_to = is_last.then(filed_to);
        (slice, filed_to)
    }

    /// The transaction is committed.
    pub fn committed(&mut self, unfiled: &Unfiled) {
        let Some(slice) = self.slice.take() else { return };
        unfiled.take(&slice);
        self.filed += slice.len() as u64;
        self.under_way = slice.len() == self.slice_max;
        self.after = slice.last().copied().filter(|_| self.under_way);
    }

    /// The transaction is rolled back: the slice comes again.
    pub fn rolled_back(&mut self) {
        self.slice = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: i64, row: i64) -> UnfiledEntry {
        UnfiledEntry { shelf: 0, key, row }
    }

    /// Keys that say nothing about when their row came.
    fn scattered(rows: std::ops::RangeInclusive<i64>) -> Vec<UnfiledEntry> {
        rows.map(|row| entry(row.wrapping_mul(0x5DEE_CE66_D1CE_4E5B), row)).collect()
    }

    #[test]
    fn nothing_is_filed_while_there_are_few() {
        let unfiled = Unfiled::new(scattered(1..=1_000), 1_000);
        let mut filing = Filing::new(0, 100);
        assert_eq!(filing.next(&unfiled, 1_000), (&[][..], None));
        filing.committed(&unfiled);
        assert_eq!(unfiled.len(), 1_000);
    }

    #[test]
    fn a_round_files_each_once_in_order_and_says_to_where_when_it_is_through() {
        let rows = 20_000;
        let unfiled = Unfiled::new(scattered(1..=rows), rows);
        let mut filing = Filing::new(0, 1_000);
        let (mut filed, mut last, mut failed) = (Vec::new(), rows, false);
        let filed_to = loop {
            let (slice, filed_to) = filing.next(&unfiled, last);
            filed.extend_from_slice(slice);
            assert!(!slice.is_empty());
            if filed.len() == 3_000 && !failed {
                // A slice of a transaction that was rolled back comes again.
                failed = true;
                filed.truncate(2_000);
                filing.rolled_back();
                continue;
            }
            filing.committed(&unfiled);
            if let Some(filed_to) = filed_to {
                break filed_to;
            }
            // Others come meanwhile, before and behind what is being filed.
            last += 1;
            unfiled.put(entry(if last % 2 == 0 { i64::MIN } else { i64::MAX - 1 }, last));
        };
        assert!(filed.is_sorted_by(|one, next| one < next), "each once, in order");
        let left = unfiled.from(0, i64::MIN, usize::MAX);
        assert!(
            left.iter().all(|entry| entry.row > filed_to),
            "what is left is told from the rest"
        );
        assert_eq!(filed.len() + left.len(), usize::try_from(last).unwrap_or(0));
        assert!(filed_to >= rows);
    }

    #[test]
    fn a_large_index_waits_for_more_and_never_for_too_many() {
        let unfiled = Unfiled::new(scattered(1..=20_000), 20_000);
        assert!(Filing::new(1_000_000, 10).next(&unfiled, 20_000).0.is_empty());
        let unfiled = Unfiled::new(scattered(1..=262_144), 262_144);
        assert_eq!(Filing::new(u64::MAX, 10).next(&unfiled, 262_144).0.len(), 10);
    }
}
