//! Places: under the limit of a group, then under that of the job. Who could start waits for one, and gets it by priority,
//! then in the caller's order; the members of a sequential group get the only one in their order.

use std::collections::BTreeSet;

use super::Draft;
use crate::job::members::{self, Ledger};
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;

/// Who waits for a place, with this event's changes.
#[derive(Debug)]
pub(super) struct PlaceQueue<K> {
    /// Who has come.
    joined: BTreeSet<K>,
    /// Who was there and is not any more.
    left: BTreeSet<K>,
}

impl<K> Default for PlaceQueue<K> {
    fn default() -> Self {
        Self { joined: BTreeSet::new(), left: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> PlaceQueue<K> {
    fn join(&mut self, before: &BTreeSet<K>, key: K) {
        if !before.contains(&key) || self.left.contains(&key) {
            self.joined.insert(key);
        }
    }

    pub(super) fn leave(&mut self, before: &BTreeSet<K>, key: K) {
        self.joined.remove(&key);
        if before.contains(&key) {
            self.left.insert(key);
        }
    }

    /// Those who have come, ascending.
    pub(super) fn joined(&self) -> impl Iterator<Item = K> + '_ {
        self.joined.iter().copied()
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self, before: &BTreeSet<K>) -> bool {
        self.joined.is_empty() && before.len() == self.left.len()
    }
}

impl Draft<'_> {
    /// A node that could start: as soon as there is a place in its group, and then in the job.
    pub(in crate::job::decide) fn want_place(&mut self, ix: u32) {
        let plan = self.plan();
        let limited = |group: &u32| {
            let group = plan.node(*group).group();
            group.is_some_and(|group| group.in_order || group.max_parallel.is_some())
        };
        match plan.container(ix).filter(limited) {
            Some(group) => {
                members::queue_node(&mut self.book, ix, false);
                self.gated.join(&self.state.gated, (group, ix));
                self.pending.gates.insert(group);
                self.pending.places = true;
            }
            None => self.pass_gate(ix),
        }
    }

    /// A node that has its group's place.
    fn pass_gate(&mut self, ix: u32) {
        let plan = self.book.plan();
        if !plan.node(ix).is_leased() {
            self.start(ix);
            return;
        }
        if plan.container(ix).is_some() {
            members::queue_node(&mut self.book, ix, true);
        }
        self.held.join(&self.state.held, ix);
        self.pending.places = true;
    }

    /// Gives the free places of a group to members that could start.
    pub(super) fn fill_gate(&mut self, group: u32) {
        let plan = self.plan();
        let (Some(spec), Some(state)) = (plan.node(group).group(), self.book.group(group)) else {
            return;
        };
        if !self.is_open(group) {
            return;
        }
        let limit = if spec.in_order { Some(1) } else { spec.max_parallel };
        let Some(limit) = limit else { return };
        let places = limit.saturating_sub(state.counts.placed) as usize;
        if places == 0 {
            return;
        }
        let range = (group, 0)..=(group, u32::MAX);
        let chosen: Vec<u32> = if spec.in_order {
            let next = state.member(&plan, group, state.passed);
            let waits = |ix: &u32| {
                let key = (group, *ix);
                self.gated.joined.contains(&key)
                    || (self.state.gated.contains(&key) && !self.gated.left.contains(&key))
            };
            next.filter(waits).into_iter().collect()
        } else {
            let before = self.state.gated.range(range.clone());
            let most = if self.state.plan.own_priorities { usize::MAX } else { places };
            let before = before.filter(|key| !self.gated.left.contains(key)).take(most);
            let joined = self.gated.joined.range(range).take(most);
            let all = before.chain(joined).map(|(_, ix)| *ix);
            self.first_of(all, places)
        };
        for ix in chosen {
            self.gated.leave(&self.state.gated, (group, ix));
            self.pass_gate(ix);
            self.pending.gates.insert(group);
        }
    }

    /// The first by priority, then by position.
    fn first_of(&self, candidates: impl Iterator<Item = u32>, places: usize) -> Vec<u32> {
        // Without priorities of their own the first by position are the best: 20,000 held nodes are not looked at again
        // for each place. (Those who wait and those who have come are each in order, and are merged.)
        if !self.state.plan.own_priorities {
            let mut all: Vec<u32> = candidates.collect();
            if all.len() > places {
                all.select_nth_unstable(places);
                all.truncate(places);
            }
            all.sort_unstable();
            return all;
        }
        let mut ranked: Vec<(u8, u32)> = candidates.map(|ix| (self.priority_of(ix), ix)).collect();
        if ranked.len() > places {
            ranked.select_nth_unstable(places);
            ranked.truncate(places);
        }
        let mut chosen: Vec<u32> = ranked.into_iter().map(|(_, ix)| ix).collect();
        chosen.sort_unstable();
        chosen
    }

    fn priority_of(&self, ix: u32) -> u8 {
        let own = self.book.plan().node(ix).more.as_ref().and_then(|more| more.priority);
        own.unwrap_or(self.state.head.about.priority)
    }

    /// Gives the job's free places to nodes that could start.
    pub(super) fn fill_places(&mut self) {
        let taken = self.book.count(NodeStatus::Ready) + self.running();
        let limit = self.state.plan.max_parallel;
        let places = limit.map_or(u32::MAX, |most| most.saturating_sub(taken)) as usize;
        if places > 0 && !self.held.is_empty(&self.state.held) {
            let most = if self.state.plan.own_priorities { usize::MAX } else { places };
            let before = self.state.held.iter().filter(|ix| !self.held.left.contains(ix));
            let joined = self.held.joined.iter().take(most);
            let all = before.take(most).chain(joined).copied();
            for ix in self.first_of(all, places) {
                self.move_node_alone(ix, NodeStatus::Ready);
            }
        }
        let unplaced: Vec<u32> = self.held.joined().collect();
        for ix in unplaced {
            let placed = self.book.plan().container(ix).is_some();
            self.stay_queued(ix, placed);
            self.held.join(&self.state.held, ix);
        }
        let unplaced: Vec<(u32, u32)> = self.gated.joined().collect();
        for key in unplaced {
            self.stay_queued(key.1, false);
            self.gated.join(&self.state.gated, key);
        }
        self.pending.places = false;
    }

    /// A retry that is due without a free place goes on waiting, now for a place.
    fn stay_queued(&mut self, ix: u32, placed: bool) {
        if self.node_status(ix) == NodeStatus::Retrying {
            self.wait(ix, Hold::Limit);
        }
        if !self.book.node(ix).marks.queued {
            members::queue_node(&mut self.book, ix, placed);
        }
    }
}
