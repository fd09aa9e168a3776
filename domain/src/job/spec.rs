//! A job as a caller asks for it, unchecked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exact_json::ExactJson;
use crate::ids::Millis;
use crate::node::spec::NodeSpec;
use crate::retry::spec::RetrySpec;

/// What lets a job leave `pending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At once, or at `scheduled_at`.
    #[default]
    Auto,
    /// When somebody asks.
    Manual,
}

/// When a settled job counts as completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompleteWhen {
    /// No node failed or timed out unless it is optional.
    #[default]
    All,
    /// At least one node completed.
    Any,
    /// At least so many nodes completed.
    AtLeast(u32),
    /// At most so many nodes failed or timed out, optional ones not counted.
    TolerateCount(u32),
    /// At most this share of all nodes (0 to 100) failed or timed out, optional ones not counted.
    TolerateAtMostPercent(u8),
}

/// A job as asked for.
#[derive(Debug, Clone, Default)]
pub struct JobSpec {
    /// For people; 1-255 characters.
    pub name: String,
    /// Up to 1,000 characters.
    pub description: Option<String>,
    pub job_type: Option<String>,
    /// 1 (highest) to 10; absent: 5.
    pub priority: Option<u8>,
    /// Unique, at most 20.
    pub tags: Vec<String>,
    /// JSON text as it was received.
    pub input: Option<Box<RawValue>>,
    /// Who asked for it.
    pub triggered_by: Option<String>,
    /// Nothing happens before this time.
    pub scheduled_at: Option<Millis>,
    /// What lets it start.
    pub start: Start,
    /// From entering `queued`; 1 s to 30 days.
    pub timeout_ms: Option<u64>,
    /// Milliseconds, for people.
    pub estimated_duration_ms: Option<u64>,
    pub environment: Option<String>,
    /// What it takes of its environment; empty: one slot.
    pub resources: BTreeMap<String, u64>,
    /// Nodes ready or running at once.
    pub max_parallel: Option<u32>,
    /// The first failure of a node that is not optional cancels the rest.
    pub fail_fast: bool,
    /// The success condition.
    pub complete_when: CompleteWhen,
    /// The job ends, and cancels the rest, as soon as its success condition is decided.
    pub complete_early: bool,
    /// How long all cleanups together may take, milliseconds; absent: [`crate::bounds::CLEANUP_TIMEOUT_MS`].
    pub cleanup_timeout_ms: Option<u64>,
    /// For nodes that have none of their own.
    pub retry: Option<RetrySpec>,
    /// The output, with expressions or without; absent: the outputs of the nodes that have no children.
    pub output: Option<Box<RawValue>>,
    /// Small facts for people and filters.
    pub metadata: BTreeMap<String, ExactJson>,
    /// At least one.
    pub nodes: Vec<NodeSpec>,
}

impl JobSpec {
    /// The ids and names of the kept policies that it and its nodes name.
    pub fn policy_references(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        found.extend(self.retry.as_ref().and_then(RetrySpec::reference));
        for node in &self.nodes {
            node.add_policy_references(&mut found);
        }
        found
    }
}
