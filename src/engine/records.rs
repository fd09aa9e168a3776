//! Reading one stored record: the events in it, each with its chain, once the whole record fits the stream before it.
//! Always holds: an event that does not fit its chain is handed to nobody. A state takes an event as it is, and one that
//! was written for another state may name nodes that this one does not have. Absent: what an event says.

use crate::event_store::contract::{ChainHash, Record};

/// Why a record does not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokenRecord {
    /// It begins elsewhere than behind the event before it.
    Gap,
    /// It has so many events, and says another number.
    Count(usize),
    /// Its last event has another chain than it says.
    Chain,
}

/// The events of a record that follows event `seq`, as written, each with the chain after it.
pub(super) fn events_of(
    record: &Record,
    seq: u64,
    chain: ChainHash,
) -> Result<Vec<(&[u8], ChainHash)>, BrokenRecord> {
    if record.first != seq + 1 {
        return Err(BrokenRecord::Gap);
    }
    let mut last = chain;
    let events: Vec<_> = record
        .body
        .split(|byte| *byte == b'\n')
        .map(|event| {
            last = domain::history::chain(last, event);
            (event, last)
        })
        .collect();
    if last != record.hash {
        return Err(BrokenRecord::Chain);
    }
    if events.len() as u64 != u64::from(record.count) {
        return Err(BrokenRecord::Count(events.len()));
    }
    Ok(events)
}
