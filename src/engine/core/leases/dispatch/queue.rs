//! One queue: the ready nodes, by what is served first and by what waits longest; and who wants them.
//! Nodes lie in lanes, one a kind and priority, so that within a lane the order of serving is the order of waiting; only
//! the heads of the lanes are compared, and where there are more than a few lanes these are kept in order. Every question
//! is answered from counts and heads, whatever lies behind them.
//! Invariants: `Heads` holds the first of each lane and nothing else, `wanting` mirrors `parked`, `both` counts the kinds
//! that are there and asked for by name (`a_queue_agrees_with_a_naive_one`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use domain::ids::{ActionType, Millis};

use crate::engine::core::message::{LeaseRequest, Ticket};

/// A node one priority step lower is served as if it had become ready so much later: ageing without re-sorting, and
/// the bound on starvation is 9 steps.
const PRIORITY_STEP_MS: Millis = 30_000;

/// The place of what waits since then, with this priority.
pub(crate) fn score(since: Millis, priority: u8) -> Millis {
    since.saturating_add(Millis::from(priority) * PRIORITY_STEP_MS)
}

/// What kind of work a node is; none: it has none.
pub(crate) type Kind = Option<ActionType>;

/// Nodes of one kind and priority.
type Lane = (Kind, u8);

/// A ready node's place in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Smaller is served first.
    score: Millis,
    /// The slot of the job that offers the node.
    pub(crate) slot: u32,
    /// The position of the node in its job.
    pub(crate) node: u32,
    /// 1 (highest) to 10.
    priority: u8,
}

impl Entry {
    /// A node that became ready then.
    pub(crate) fn new(ready_at: Millis, priority: u8, slot: u32, node: u32) -> Self {
        Self { score: score(ready_at, priority), slot, node, priority }
    }

    /// Since when it waits.
    fn ready_at(&self) -> Millis {
        self.score.saturating_sub(Millis::from(self.priority) * PRIORITY_STEP_MS)
    }
}

/// With at most so many lanes their heads are looked at one by one: nearly all queues have one lane, and cost no more memory.
const LANES_FEW: usize = 8;

/// The first of each lane of a queue with many.
#[derive(Debug, Default)]
struct Heads {
    by_score: BTreeSet<(Entry, Kind)>,
    by_age: BTreeSet<(Millis, Entry, Kind)>,
}

impl Heads {
    fn remove(&mut self, entry: Entry, kind: &Kind) {
        self.by_score.remove(&(entry, kind.clone()));
        self.by_age.remove(&(entry.ready_at(), entry, kind.clone()));
    }

    fn insert(&mut self, entry: Entry, kind: &Kind) {
        self.by_score.insert((entry, kind.clone()));
        self.by_age.insert((entry.ready_at(), entry, kind.clone()));
    }
}

/// Kinds of work that are paused, as all queues of a namespace share them.
pub(crate) type StoppedKinds = Arc<BTreeSet<ActionType>>;

/// One queue of a namespace: what it offers, who waits for that, and the sums of both.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lanes: BTreeMap<Lane, BTreeSet<Entry>>,
    /// None where there are few lanes.
    heads: Option<Box<Heads>>,
    ready: u64,
    /// Requests in the order in which they came.
    parked: BTreeMap<u64, (Ticket, LeaseRequest)>,
    /// The same by the kinds that they want; none: any.
    wanting: BTreeMap<Kind, BTreeSet<u64>>,
    both: usize,
    arrivals: u64,
    /// An operator has paused all of it.
    stopped: bool,
    /// Kinds that an operator has paused, in all queues of the namespace; none: nearly always.
    stopped_kinds: Option<StoppedKinds>,
    /// Nodes of those kinds.
    withheld: u64,
}

impl Queue {
    /// Nodes that are ready.
    pub(crate) fn ready(&self) -> u64 {
        self.ready
    }

    /// Requests that wait.
    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Since when the node that waits longest does.
    pub(super) fn oldest(&self) -> Option<Millis> {
        match &self.heads {
            Some(heads) => heads.by_age.first().map(|(ready_at, ..)| *ready_at),
            None => self.lane_heads().map(|(entry, _)| entry.ready_at()).min(),
        }
    }

    /// The first of each lane that is not paused.
    fn lane_heads(&self) -> impl Iterator<Item = (Entry, &Kind)> {
        let open = self.lanes.iter().filter(|((kind, _), _)| !self.has_stopped(kind));
        open.filter_map(|((kind, _), lane)| Some((*lane.first()?, kind)))
    }

    /// Whether work of this kind is paused, here as everywhere.
    fn has_stopped(&self, kind: &Kind) -> bool {
        let (Some(stopped), Some(kind)) = (&self.stopped_kinds, kind) else { return false };
        stopped.contains(kind)
    }

    /// Nodes that are offered: ready, and not paused.
    pub(super) fn offered(&self) -> u64 {
        if self.stopped { 0 } else { self.ready - self.withheld }
    }

    /// What is paused of it from now on. Costs as much as it has lanes, however many nodes lie in them.
    pub(super) fn stop(&mut self, stopped: bool, kinds: Option<&StoppedKinds>) {
        self.stopped = stopped;
        if self.stopped_kinds.as_ref() == kinds {
            return;
        }
        self.stopped_kinds = kinds.cloned();
        let withheld = self.lanes.iter().filter(|((kind, _), _)| self.has_stopped(kind));
        self.withheld = withheld.map(|(_, lane)| lane.len() as u64).sum();
        let both = self.wanting.keys().filter(|kind| kind.is_some() && self.has(kind));
        self.both = both.count();
        self.heads = (self.lanes.len() > LANES_FEW).then(|| Box::new(self.all_heads()));
    }

    fn all_heads(&self) -> Heads {
        let mut heads = Heads::default();
        for (entry, kind) in self.lane_heads() {
            heads.insert(entry, kind);
        }
        heads
    }

    /// What is served first.
    fn first(&self) -> Option<(Entry, Kind)> {
        match &self.heads {
            Some(heads) => heads.by_score.first().cloned(),
            None => self.lane_heads().min().map(|(entry, kind)| (entry, kind.clone())),
        }
    }

    /// The kinds of work that are offered, each once.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        let mut before: Option<&Kind> = None;
        let lanes = (!self.stopped).then(|| self.lanes.keys()).into_iter().flatten();
        lanes
            .map(|(kind, _)| kind)
            .filter(|kind| !self.has_stopped(kind))
            .filter(move |kind| before.replace(*kind) != Some(*kind))
    }

    /// Whether there is work of this kind, which is not paused.
    pub(crate) fn has(&self, kind: &Kind) -> bool {
        !self.has_stopped(kind) && self.lanes.range(lanes_of(kind)).next().is_some()
    }

    /// Whether somebody waits for work of this kind.
    pub(super) fn is_wanted(&self, kind: &Kind) -> bool {
        self.wanting.contains_key(&None) || self.wanting.contains_key(kind)
    }

    /// Whether work and somebody who wants it are both here.
    pub(super) fn is_stalled(&self) -> bool {
        let any = self.wanting.contains_key(&None);
        !self.stopped && if any { self.offered() > 0 } else { self.both > 0 }
    }

    pub(super) fn insert(&mut self, kind: &Kind, entry: Entry) {
        let stopped = self.has_stopped(kind);
        let is_wanted = kind.is_some() && self.wanting.contains_key(kind);
        let is_new = !stopped && is_wanted && !self.has(kind);
        let lane = self.lanes.entry((kind.clone(), entry.priority)).or_default();
        let before = lane.first().copied();
        if !lane.insert(entry) {
            return;
        }
        self.ready += 1;
        self.withheld += u64::from(stopped);
        self.both += usize::from(is_new);
        if before.is_none_or(|before| entry < before) {
            self.head_moves(kind, before, Some(entry));
        }
    }

    /// Answers whether it was there.
    pub(super) fn remove(&mut self, kind: &Kind, entry: Entry) -> bool {
        let key = (kind.clone(), entry.priority);
        let stopped = self.has_stopped(kind);
        let Some(lane) = self.lanes.get_mut(&key) else { return false };
        let was_head = lane.first() == Some(&entry);
        if !lane.remove(&entry) {
            return false;
        }
        let next = lane.first().copied();
        if next.is_none() {
            self.lanes.remove(&key);
            let wanted = !stopped && kind.is_some() && self.wanting.contains_key(kind);
            self.both -= usize::from(wanted && !self.has(kind));
        }
        self.ready -= 1;
        self.withheld -= u64::from(stopped);
        if was_head {
            self.head_moves(kind, Some(entry), next);
        }
        true
    }

    /// The first of a lane is another one now; of many lanes the heads are kept in order.
    fn head_moves(&mut self, kind: &Kind, before: Option<Entry>, now: Option<Entry>) {
        let open = !self.has_stopped(kind);
        if let Some(heads) = &mut self.heads {
            let (before, now) = if open { (before, now) } else { (None, None) };
            if let Some(before) = before {
                heads.remove(before, kind);
            }
            if let Some(now) = now {
                heads.insert(now, kind);
            }
            if self.lanes.len() <= LANES_FEW / 2 {
                self.heads = None;
            }
        } else if self.lanes.len() > LANES_FEW {
            self.heads = Some(Box::new(self.all_heads()));
        }
    }

    /// Takes out what is served first, of these kinds; of any when there are none.
    pub(super) fn take(&mut self, kinds: &[ActionType], max: usize) -> Vec<Entry> {
        let mut taken = Vec::new();
        // What is paused is passed over as a whole, whatever lies in it.
        let max = if self.stopped { 0 } else { max };
        while taken.len() < max {
            let next = if kinds.is_empty() {
                self.first()
            } else {
                let wanted = kinds.iter().map(|kind| Some(kind.clone()));
                wanted.filter_map(|kind| Some((self.first_of(&kind)?, kind))).min()
            };
            let Some((entry, kind)) = next else { break };
            self.remove(&kind, entry);
            taken.push(entry);
        }
        taken
    }

    fn first_of(&self, kind: &Kind) -> Option<Entry> {
        if self.has_stopped(kind) {
            return None;
        }
        let lanes = self.lanes.range(lanes_of(kind));
        lanes.filter_map(|(_, lane)| lane.first().copied()).min()
    }

    /// How many of the same kind are served before an entry; at most `max` are counted.
    pub(crate) fn before(&self, kind: &Kind, entry: Entry, max: usize) -> u64 {
        let lanes = self.lanes.range(lanes_of(kind));
        let before = lanes.flat_map(|(_, lane)| lane.range(..entry).take(max));
        before.take(max).count() as u64
    }

    /// Parks a request; the number under which it waits.
    pub(super) fn park(&mut self, ticket: Ticket, request: LeaseRequest) -> u64 {
        self.arrivals += 1;
        let number = self.arrivals;
        for kind in wanted(&request) {
            let has = kind.is_some() && self.has(&kind);
            let wanting = self.wanting.entry(kind).or_default();
            self.both += usize::from(wanting.is_empty() && has);
            wanting.insert(number);
        }
        self.parked.insert(number, (ticket, request));
        number
    }

    /// Takes a parked request away.
    pub(super) fn unpark(&mut self, number: u64) -> Option<LeaseRequest> {
        let (_, request) = self.parked.remove(&number)?;
        for kind in wanted(&request) {
            let Some(wanting) = self.wanting.get_mut(&kind) else { continue };
            wanting.remove(&number);
            if wanting.is_empty() {
                self.wanting.remove(&kind);
                if kind.is_some() {
                    self.both -= usize::from(self.has(&kind));
                }
            }
        }
        Some(request)
    }

    /// A parked request.
    pub(super) fn parked_as(&self, number: u64) -> Option<&LeaseRequest> {
        self.parked.get(&number).map(|(_, request)| request)
    }

    /// The requests that wait longest.
    pub(super) fn parked_first(&self, max: usize) -> Vec<(Ticket, LeaseRequest)> {
        self.parked.values().take(max).cloned().collect()
    }

    /// Whoever waits longest for work of this kind, when there is some.
    pub(super) fn next_for(&self, kind: &Kind) -> Option<Ticket> {
        if self.stopped || !self.has(kind) {
            return None;
        }
        let of = |kind: &Kind| self.wanting.get(kind).and_then(|numbers| numbers.first().copied());
        let number = [of(&None), of(kind)].into_iter().flatten().min()?;
        self.parked.get(&number).map(|(ticket, _)| *ticket)
    }
}

fn lanes_of(kind: &Kind) -> RangeInclusive<Lane> {
    (kind.clone(), u8::MIN)..=(kind.clone(), u8::MAX)
}

/// The kinds that a request wants, each once; none: any.
fn wanted(request: &LeaseRequest) -> BTreeSet<Kind> {
    if request.action_types.is_empty() {
        return BTreeSet::from([None]);
    }
    request.action_types.iter().cloned().map(Some).collect()
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
