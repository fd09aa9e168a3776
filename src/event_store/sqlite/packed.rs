//! How bodies of records lie in the file: as what differs from usual events, when that is less (`environment::packing`).
//! A row says with which dictionary; without one the body is as it was written, as all bodies of format 2 are.
//! Always holds: a body is read back byte for byte. Dictionaries are only ever added. Absent: hashes, which are of the
//! body as it was written and compared where it is read.

use std::sync::Arc;

use rusqlite::Row;

use super::row_checksums;
use crate::environment::packing;

/// Dictionaries by number, from 1.
static DICTIONARIES: [&[u8]; 1] = [include_bytes!("dictionary.jsonl")];
/// The number of the one that is packed with.
const NEWEST: i64 = 1;
/// A body is no longer: one command's events, and more than that.
const BODY_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// A body as it is stored, and with which dictionary; none: as it is.
pub(super) fn pack(body: &[u8]) -> Option<(Vec<u8>, i64)> {
    packing::pack(body, DICTIONARIES[0]).map(|packed| (packed, NEWEST))
}

/// The body in a column, with what the column of its dictionary says.
pub(super) fn body(row: &Row<'_>, column: usize, number: usize) -> rusqlite::Result<Arc<[u8]>> {
    let stored = row.get_ref(column)?.as_blob()?;
    match row.get::<_, Option<i64>>(number)? {
        None => Ok(Arc::from(stored)),
        Some(number) => unpacked(stored, number)
            .map(Arc::from)
            .ok_or_else(|| row_checksums::not_as_written("the body of a record")),
    }
}

/// What was packed with this dictionary, when it can be read.
pub fn unpacked(stored: &[u8], number: i64) -> Option<Vec<u8>> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    packing::unpack(stored, DICTIONARIES.get(at)?, BODY_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_record_takes_less_than_half_its_room() {
        let body = br#"{"by":{"v":1,"at":1795986100836,"actor":"worker","correlation":"01a2291d-125d-7691-95b7-5249d8a4d750"},"job":[["running","completed"]],"nodes":[{"from":"running","to":"completed","at":[[0,0]]}],"end":{"output":{"json":{"ok":true}}},"fact":{"completed":{"attempt":{"node":0,"attempt":1,"epoch":4294967297},"output":{"json":{"ok":true}},"report":"8bcf15cc2a20f7fe8e1a3f1f301c6b4d018e8fbecb1fcb15866538d97cf86a8d"}}}"#;
        let packed = pack(body);
        assert!(packed.as_ref().is_some_and(|(packed, _)| packed.len() * 2 < body.len()));
        let back = packed.and_then(|(packed, number)| unpacked(&packed, number));
        assert_eq!(back.as_deref(), Some(&body[..]));
    }

    #[test]
    fn an_unknown_dictionary_gives_nothing() {
        let packed = pack(&[b'a'; 500]).map(|(packed, _)| packed).unwrap_or_default();
        assert!(!packed.is_empty());
        for number in [i64::MIN, -1, 0, 2, i64::MAX] {
            assert_eq!(unpacked(&packed, number), None);
        }
    }
}
