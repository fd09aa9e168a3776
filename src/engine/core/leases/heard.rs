//! What workers said in heartbeats of one subject's running attempts, the newest of each. Volatile: it is lost with this
//! engine unless an event of the job has carried it, and no event is made for it.
//! Always holds: of details that a durable event has, nothing is kept here.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::{Epoch, LeaseId};
use domain::node::attempt::Heard;
use domain::payload::{Payload, PayloadBytes};
use serde_json::value::RawValue;

/// Attempts of which one event carries something; the rest goes with the next.
const CARRIED_MAX: usize = 100;
/// Bytes of details that one event carries. One alone always goes.
const CARRIED_BYTES_MAX: u64 = 512 * 1_024;

/// What is to go with an event: what stands in it, and what of it is stored beside the stream.
pub(crate) type Carried = Vec<(Heard, Option<PayloadBytes>)>;

/// The newest word of each running attempt.
#[derive(Debug, Default)]
pub(crate) struct SlotHeard {
    newest: BTreeMap<u32, Newest>,
    /// Nodes with details that no event has, in the order in which they came.
    unsaid: BTreeMap<u64, u32>,
    /// The next place in that order.
    next_place: u64,
    /// Of all details that are kept.
    bytes: u64,
}

#[derive(Debug)]
struct Newest {
    epoch: Epoch,
    progress: Option<f64>,
    details: Option<Details>,
}

#[derive(Debug)]
struct Details {
    payload: Payload,
    stored: Option<PayloadBytes>,
    /// The place among those that no event has; none: an event that was decided has them.
    unsaid: Option<u64>,
}

impl SlotHeard {
    /// Bytes of details that are kept here.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A heartbeat said how far an attempt is.
    pub(crate) fn hear_progress(&mut self, lease: LeaseId, progress: f64) {
        self.of(lease).progress = Some(progress);
    }

    /// A heartbeat said more. `known`: what the job's events have of it already.
    pub(crate) fn hear_details(
        &mut self,
        lease: LeaseId,
        raw: &Arc<RawValue>,
        known: Option<&Payload>,
    ) {
        let (payload, stored) = Payload::copied(raw);
        let place = self.next_place;
        let newest = self.of(lease);
        let before = newest.details.as_ref();
        if before.map(|details| &details.payload).or(known) == Some(&payload) {
            return;
        }
        let (new, old) = (payload.len(), newest.bytes());
        let place = before.and_then(|details| details.unsaid).unwrap_or(place);
        newest.details = Some(Details { payload, stored, unsaid: Some(place) });
        self.bytes = self.bytes + new - old;
        self.unsaid.insert(place, lease.node);
        self.next_place += 1;
    }

    /// The newest word of this attempt; that of an earlier one is gone.
    fn of(&mut self, lease: LeaseId) -> &mut Newest {
        if self.newest.get(&lease.node).is_some_and(|newest| newest.epoch != lease.epoch) {
            self.forget(lease.node);
        }
        let fresh = || Newest { epoch: lease.epoch, progress: None, details: None };
        self.newest.entry(lease.node).or_insert_with(fresh)
    }

    /// What goes with the next event: what is known of the nodes that it concerns, then what others said beside their
    /// progress and no event has.
    pub(crate) fn next(&self, concerned: &[u32]) -> Carried {
        let mut carried = Carried::new();
        if self.newest.is_empty() {
            return carried;
        }
        let mut bytes = 0;
        let others = self.unsaid.values().filter(|node| !concerned.contains(node));
        for heard in concerned.iter().chain(others).filter_map(|node| self.unsaid_of(*node)) {
            bytes += heard.0.details.as_ref().map_or(0, Payload::len);
            let has_room = carried.len() < CARRIED_MAX && bytes <= CARRIED_BYTES_MAX;
            if !has_room && !carried.is_empty() {
                break;
            }
            carried.push(heard);
        }
        carried
    }

    fn unsaid_of(&self, node: u32) -> Option<(Heard, Option<PayloadBytes>)> {
        let Newest { epoch, progress, details } = self.newest.get(&node)?;
        let details = details.as_ref().filter(|details| details.unsaid.is_some());
        if progress.is_none() && details.is_none() {
            return None;
        }
        let payload = details.map(|details| details.payload.clone());
        let heard = Heard { node, epoch: *epoch, progress: *progress, details: payload };
        Some((heard, details.and_then(|details| details.stored.clone())))
    }

    /// An event that was decided has this.
    pub(crate) fn is_said(&mut self, heard: &Heard) {
        let newest = self.newest.get_mut(&heard.node).filter(|one| one.epoch == heard.epoch);
        let details = newest.and_then(|newest| newest.details.as_mut());
        if let (Some(details), Some(_)) = (details, &heard.details)
            && let Some(place) = details.unsaid.take()
        {
            self.unsaid.remove(&place);
        }
    }

    /// An event that has this is durable.
    pub(crate) fn is_durable(&mut self, heard: &Heard) {
        let Some(newest) = self.newest.get_mut(&heard.node) else { return };
        let is_it = newest.epoch == heard.epoch;
        let gone = newest
            .details
            .take_if(|details| is_it && Some(&details.payload) == heard.details.as_ref());
        let Some(gone) = gone else { return };
        self.bytes -= gone.payload.len();
        if let Some(place) = gone.unsaid {
            self.unsaid.remove(&place);
        }
    }

    /// Events that were decided came to nothing: whatever they had is to be said again.
    pub(crate) fn is_all_unsaid(&mut self) {
        for (node, newest) in &mut self.newest {
            if let Some(details) = newest.details.as_mut().filter(|one| one.unsaid.is_none()) {
                details.unsaid = Some(self.next_place);
                self.unsaid.insert(self.next_place, *node);
                self.next_place += 1;
            }
        }
    }

    /// No attempt of the node runs any more.
    pub(crate) fn forget(&mut self, node: u32) {
        let Some(gone) = self.newest.remove(&node) else { return };
        self.bytes -= gone.bytes();
        if let Some(place) = gone.details.and_then(|details| details.unsaid) {
            self.unsaid.remove(&place);
        }
    }

    /// The newest word of a node's attempt, with the text of its details.
    pub(crate) fn shown(&self, node: u32) -> Option<Heard> {
        let Newest { epoch, progress, details } = self.newest.get(&node)?;
        let details = details.as_ref().and_then(Details::text);
        Some(Heard { node, epoch: *epoch, progress: *progress, details })
    }
}

impl Newest {
    fn bytes(&self) -> u64 {
        self.details.as_ref().map_or(0, |details| details.payload.len())
    }
}

impl Details {
    /// As text, however long: they are stored nowhere yet.
    fn text(&self) -> Option<Payload> {
        let Some(stored) = &self.stored else { return Some(self.payload.clone()) };
        let text = String::from_utf8(stored.bytes.to_vec()).ok()?;
        Some(Payload::Inline(Arc::from(RawValue::from_string(text).ok()?)))
    }
}
