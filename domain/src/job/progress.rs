//! How far a job is, what is still to go, and when it should end: percent weighted by expected durations, the critical
//! path by one walk in topological order, an end with its spread from the history of the same action types.
//! Invariants: 100 percent means that every node has settled; the path's length equals that of the longest of all
//! paths (`the_critical_path_is_the_longest_of_all_paths`).
//! Absent on purpose: reading states or clocks. Callers say what each node is like and how late it is.

use serde::{Deserialize, Serialize};

use crate::ids::Millis;
use crate::node::graph::Graph;
use crate::node::status::NodeStatus;

/// Expected duration, in milliseconds, of a node of which nothing is known: all such nodes weigh the same.
pub const UNKNOWN_DURATION_MS: u64 = 1_000;
/// So many measured durations outweigh the caller's own estimate.
pub const MEASURED_MIN: u64 = 3;
/// Spread of an estimate without history, as a share of it: guesses are commonly off by half.
const GUESS_SPREAD: f64 = 0.5;
/// The spread shown is so many standard deviations to each side: about 19 of 20 ends lie inside.
const DEVIATIONS_SHOWN: f64 = 2.0;

/// Mean and spread of durations, one number at a time (Welford).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DurationStats {
    /// How many were measured.
    pub count: u64,
    /// Their mean, in milliseconds.
    pub mean_ms: f64,
    /// The sum of their squared distances from the mean.
    pub m2: f64,
}

impl DurationStats {
    /// Takes one more duration.
    pub fn add(&mut self, duration_ms: u64) {
        self.count += 1;
        let off = float(duration_ms) - self.mean_ms;
        self.mean_ms += off / float(self.count);
        self.m2 += off * (float(duration_ms) - self.mean_ms);
    }

    /// As if all durations of the other had been taken too.
    pub fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if count == 0 {
            return;
        }
        let off = other.mean_ms - self.mean_ms;
        let share = float(other.count) / float(count);
        self.mean_ms += off * share;
        self.m2 += other.m2 + off * off * float(self.count) * share;
        self.count = count;
    }

    /// Variance of what they were drawn from, in square milliseconds; 0 for fewer than two.
    pub fn variance(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.m2 / float(self.count - 1)).max(0.0) }
    }
}

/// How long a node should take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Counted in milliseconds.
    pub ms: u64,
    pub variance: f64,
}

impl Expected {
    /// From the history of its action type when that is long enough, else from the caller's estimate.
    pub fn of(estimated_duration_ms: Option<u64>, history: Option<&DurationStats>) -> Self {
        match history {
            Some(stats) if stats.count >= MEASURED_MIN => {
                Self { ms: whole(stats.mean_ms), variance: stats.variance() }
            }
            Some(_) | None => {
                let ms = estimated_duration_ms.unwrap_or(UNKNOWN_DURATION_MS);
                Self { ms, variance: (float(ms) * GUESS_SPREAD).powi(2) }
            }
        }
    }
}

/// What a node is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeOutlook {
    /// Where it stands.
    pub status: NodeStatus,
    /// How long one execution should take.
    pub expected: Expected,
    /// How long its running attempt has run, in milliseconds; 0 when none runs.
    pub elapsed_ms: u64,
    /// How long it must wait before it may start, where that is known (a retry's due time), in milliseconds.
    pub wait_ms: u64,
}

impl NodeOutlook {
    /// What is still to go, in milliseconds; 0 for a settled node and for one that runs longer than expected.
    pub fn remaining_ms(&self) -> u64 {
        if self.status.is_settled() {
            return 0;
        }
        self.expected.ms.saturating_sub(self.elapsed_ms).saturating_add(self.wait_ms)
    }

    /// Every node weighs at least a millisecond, so that those that take no time count too.
    fn weight(&self) -> u64 {
        self.expected.ms.max(1)
    }

    fn done(&self) -> u64 {
        if self.status.is_settled() { self.weight() } else { self.elapsed_ms.min(self.expected.ms) }
    }
}

/// The longest way still to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// Positions of nodes that have not settled, each a parent of the next; empty when all have.
    pub nodes: Vec<u32>,
    /// How long it takes, in milliseconds.
    pub ms: u64,
}

/// When a job should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstimatedEnd {
    /// The most likely value.
    pub at: Millis,
    pub low: Millis,
    pub high: Millis,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// 0 to 100, in tenths; 100 only when every node has settled.
    pub percent: f64,
    /// The longest way still to go.
    pub path: CriticalPath,
    /// Absent when every node has settled.
    pub end: Option<EstimatedEnd>,
}

/// Looks at the whole job. `nodes` has one entry for each of the graph's. `parallel_max` is how many nodes can run at
/// once (the job's own limit, or what its workers manage), none when that is not known: with more work than places the
/// end follows from the work. Every parent counts, also where one would be enough (`any`): the estimate is cautious.
pub fn progress(
    graph: &Graph,
    nodes: &[NodeOutlook],
    parallel_max: Option<u32>,
    now: Millis,
) -> Progress {
    let path = critical_path(graph, nodes);
    let end = estimated_end(nodes, &path, parallel_max, now);
    Progress { percent: percent(nodes), path, end }
}

/// Done work as a share of all, weighted by expected durations, in tenths of a percent, cut.
pub fn percent(nodes: &[NodeOutlook]) -> f64 {
    if nodes.iter().all(|node| node.status.is_settled()) {
        return 100.0;
    }
    let sum = |of: fn(&NodeOutlook) -> u64| {
        nodes.iter().fold(0_u128, |sum, node| sum + u128::from(of(node)))
    };
    let (done, all) = (sum(NodeOutlook::done), sum(NodeOutlook::weight));
    let tenths = u32::try_from(done.saturating_mul(1_000) / all.max(1)).unwrap_or(u32::MAX);
    f64::from(tenths.min(999)) / 10.0
}

/// The path of unsettled nodes that takes longest; of equally long ones, the one through lower levels and positions.
pub fn critical_path(graph: &Graph, nodes: &[NodeOutlook]) -> CriticalPath {
    // By position: when its longest way ends, and the parent through which that leads.
    let mut ends = vec![(0_u64, None::<u32>); nodes.len()];
    let mut last: Option<(u64, u32)> = None;
    for &ix in graph.order() {
        let node = &nodes[ix as usize];
        if node.status.is_settled() {
            continue;
        }
        let (start, through) = graph
            .parents(ix)
            .iter()
            .filter(|parent| !nodes[**parent as usize].status.is_settled())
            .map(|parent| (ends[*parent as usize].0, Some(*parent)))
            .fold(
                (0, None),
                |best, way| if best.1.is_none() || way.0 > best.0 { way } else { best },
            );
        let end = start.saturating_add(node.remaining_ms());
        ends[ix as usize] = (end, through);
        if last.is_none_or(|(longest, _)| end > longest) {
            last = Some((end, ix));
        }
    }
    let ms = last.map_or(0, |(end, _)| end);
    let mut path = Vec::new();
    let mut here = last.map(|(_, ix)| ix);
    while let Some(ix) = here {
        path.push(ix);
        here = ends[ix as usize].1;
    }
    path.reverse();
    CriticalPath { nodes: path, ms }
}

fn estimated_end(
    nodes: &[NodeOutlook],
    path: &CriticalPath,
    parallel_max: Option<u32>,
    now: Millis,
) -> Option<EstimatedEnd> {
    if path.nodes.is_empty() {
        return None;
    }
    let work = nodes.iter().fold(0_u64, |sum, node| sum.saturating_add(node.remaining_ms()));
    let by_work = parallel_max.map_or(0, |places| work / u64::from(places.max(1)));
    let ms = path.ms.max(by_work);
    let variance: f64 = path.nodes.iter().map(|ix| nodes[*ix as usize].expected.variance).sum();
    let spread = whole(variance.sqrt() * DEVIATIONS_SHOWN);
    let at = |ms: u64| now.saturating_add(Millis::try_from(ms).unwrap_or(Millis::MAX));
    Some(EstimatedEnd {
        at: at(ms),
        low: at(ms.saturating_sub(spread)),
        high: at(ms.saturating_add(spread)),
    })
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole milliseconds are wanted; the cast saturates, and no duration is negative"
)]
fn whole(ms: f64) -> u64 {
    ms.round() as u64
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
