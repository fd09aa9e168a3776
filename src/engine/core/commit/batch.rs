//! The batch that gathers in a turn, how many batches are on their way, and the records that are to be written again.

use std::collections::BTreeSet;

use domain::ids::Millis;

use super::in_flight::{InFlight, Stage, Unanswered};
use crate::engine::core::message::Output;
use crate::event_store::contract::{AppendItem, AppendNotice};

/// An append of unknown outcome is written again after so long.
const AGAIN_MS: Millis = 250;

/// How far a batch may grow before it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchBounds {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// What is on its way to the store, over all subjects.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    /// Slots with an open round. Empty outside a turn: a round that stayed open would keep its answers back.
    open: Vec<u32>,
    items: Vec<AppendItem>,
    /// For the drivers of subjects that are written to here without being driven here.
    notices: Vec<AppendNotice>,
    /// Events and bytes of the open rounds; the batch is closed when either is enough.
    events: usize,
    bytes: usize,
    /// Batches that have not come back.
    in_flight: usize,
    /// Slots whose append is written again, and when; the same time stands in their [`Stage`].
    unknown: BTreeSet<(Millis, u32)>,
}

impl Commits {
    /// A slot has opened a round.
    pub(crate) fn opened(&mut self, ix: u32) {
        self.open.push(ix);
    }

    pub(crate) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The slots whose rounds are to be closed now; the sums begin anew with them.
    pub(crate) fn take_open(&mut self) -> Vec<u32> {
        (self.events, self.bytes) = (0, 0);
        std::mem::take(&mut self.open)
    }

    /// A round grew.
    pub(crate) fn grew(&mut self, events: usize, bytes: usize) {
        self.events += events;
        self.bytes += bytes;
    }

    pub(crate) fn is_full(&self, bounds: BatchBounds) -> bool {
        self.events >= bounds.events || self.bytes >= bounds.bytes
    }

    pub(crate) fn push(&mut self, item: AppendItem) {
        self.items.push(item);
    }

    /// Whoever drives this subject, or may by now, is told of what is written to it.
    pub(crate) fn notify(&mut self, notice: AppendNotice) {
        self.notices.push(notice);
    }

    /// The batch that has gathered; none where no record is in it. Notices without a record stay for `take_notices`.
    pub(crate) fn take_batch(&mut self) -> Option<Output> {
        if self.items.is_empty() {
            return None;
        }
        let notices = std::mem::take(&mut self.notices);
        // The next batch is as long as this one, as a rule.
        let next = Vec::with_capacity(self.items.len());
        let items = std::mem::replace(&mut self.items, next);
        Some(self.sends(notices, items))
    }

    /// Notices that no record of this engine waits for.
    pub(crate) fn take_notices(&mut self) -> Option<Output> {
        let notices = std::mem::take(&mut self.notices);
        (!notices.is_empty()).then(|| self.sends(notices, Vec::new()))
    }

    /// A batch of its own, beside the one that gathers.
    pub(crate) fn sends(&mut self, notices: Vec<AppendNotice>, items: Vec<AppendItem>) -> Output {
        self.in_flight += 1;
        Output::Append { notices, items }
    }

    /// A batch came back, whatever became of it.
    pub(crate) fn came_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Batches on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes a slot's append out of its stage: its outcome is known, or nobody waits for it any more. Without this the
    /// record would be written again for a slot that has moved on.
    pub(crate) fn settle(&mut self, ix: u32, stage: &mut Stage) -> Option<InFlight> {
        let in_flight = stage.take_in_flight()?;
        if let Some(at) = in_flight.again_at() {
            self.unknown.remove(&(at, ix));
        }
        Some(in_flight)
    }

    /// Nobody knows whether a slot's append is durable: it is written again until somebody does. Who waits for it is
    /// told, once; none where no append of the slot is on its way.
    pub(crate) fn is_unknown(
        &mut self,
        ix: u32,
        stage: &mut Stage,
        now: Millis,
    ) -> Option<Unanswered> {
        let again_at = now.saturating_add(AGAIN_MS);
        let in_flight = stage.in_flight_mut()?;
        if let Some(before) = in_flight.writes_again_at(again_at) {
            self.unknown.remove(&(before, ix));
        }
        self.unknown.insert((again_at, ix));
        Some(in_flight.nobody_waits())
    }

    /// The next slot whose append is to be written again by now.
    pub(crate) fn next_unknown(&mut self, now: Millis) -> Option<u32> {
        self.unknown.first().filter(|(at, _)| *at <= now)?;
        self.unknown.pop_first().map(|(_, ix)| ix)
    }

    /// When an append is written again next.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.unknown.first().map(|(at, _)| *at)
    }
}
