//! What is driven: each shape is one or more variants, the hardest first, and a variant is data. One file a family.
//! Absent: driving and measuring; a shape only says which jobs there are, how they come, and who takes them.

mod aged;
mod backlog;
mod chain;
mod dag;
mod data;
mod fan;
mod idle;
mod many;
mod map;
mod recorded;
mod single;

use std::time::Duration;

use serde_json::{Value, json};

pub(super) use aged::{aged, filling};
pub(super) use backlog::backlog;
pub(super) use chain::chain;
pub(super) use dag::dag;
pub(super) use data::data;
pub(super) use fan::fan;
pub(super) use idle::idle;
pub(super) use many::many;
pub(super) use map::map;
pub(super) use recorded::recorded;
pub(super) use single::single;

use super::wire::JobText;

/// One way to load the engine.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) shape: &'static str,
    pub(super) name: String,
    pub(super) job: JobText,
    /// Connections that submit, each one request at a time.
    pub(super) connections: usize,
    /// Jobs of one request; 1 goes to `POST /jobs`, more to `POST /jobs/batch`.
    pub(super) batch: usize,
    /// Jobs that may be open at once.
    pub(super) open_max: usize,
    /// Connections that take work.
    pub(super) workers: usize,
    /// Leases of one request for work.
    pub(super) lease_max: usize,
    /// A job is due each time this has passed; none: as soon as there is room for it.
    pub(super) every: Option<Duration>,
    /// Wall seconds that a worker sleeps for each recorded second; none: it answers at once.
    pub(super) sleep_scale: Option<f64>,
    /// How long leases are good; none: the engine's usual.
    pub(super) lease_ms: Option<u64>,
    /// Also shows the time to the job's start.
    pub(super) shows_start: bool,
    /// Submissions carry an Idempotency-Key, from which the job's id follows.
    pub(super) keyed: bool,
    /// So many jobs are stored before it begins.
    pub(super) stored_before: Option<u64>,
}

impl Variant {
    /// One connection that submits, one that takes work, one job open, and nothing else: what a shape differs from.
    fn plain(shape: &'static str, name: String, job: JobText) -> Self {
        Self {
            shape,
            name,
            job,
            connections: 1,
            batch: 1,
            open_max: 1,
            workers: 1,
            lease_max: 10,
            every: None,
            sleep_scale: None,
            lease_ms: None,
            shows_start: false,
            keyed: false,
            stored_before: None,
        }
    }
}

/// What all variants of a run have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    /// The queue of all nodes.
    pub(super) queue: String,
    /// Whether attempts are made to fail, so that jobs must bear it.
    pub(super) fails: bool,
}

impl Common {
    /// A node that carries its job's number.
    fn node(&self, key: &str, parents: &[String]) -> Value {
        json!({
            "key": key, "queue": self.queue, "depends_on": parents,
            "input": { "job": JobText::number() },
        })
    }

    /// The job of these nodes.
    fn job(&self, name: &str, nodes: &[Value]) -> JobText {
        let mut job = json!({ "name": name, "job_type": "bench", "nodes": nodes });
        if self.fails {
            job["retry"] = json!({ "strategy": "immediate", "max_attempts": 1_000 });
        }
        JobText::of(&job)
    }
}

/// A job's graph, as the tests look at it.
#[cfg(test)]
pub(super) fn graph(job: &JobText) -> Vec<(String, Vec<String>)> {
    let mut text = Vec::new();
    job.write(1, &mut text);
    let job: Value = serde_json::from_slice(&text).unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = job["nodes"].as_array().cloned().unwrap_or_default();
    let read = |node: &Value| {
        let parents = node["depends_on"].as_array().cloned().unwrap_or_default();
        (word(&node["key"]), parents.iter().map(word).collect())
    };
    nodes.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn common() -> Common {
        Common { queue: "bench-q".to_owned(), fails: false }
    }

    #[test]
    fn every_shape_is_jobs_of_known_nodes_with_room_for_each_request() {
        let variants =
            [single(&common()), chain(&common()), fan(&common()), dag(&common()), idle(&common())];
        for variant in variants.iter().flatten() {
            let graph = graph(&variant.job);
            assert_eq!(graph.len(), variant.job.steps(), "{}", variant.name);
            for (position, (key, parents)) in graph.iter().enumerate() {
                let known =
                    |parent: &String| graph[..position].iter().any(|(key, _)| key == parent);
                assert!(parents.iter().all(known), "{} {key}", variant.name);
            }
            assert!(variant.batch >= 1 && variant.batch <= variant.open_max, "{}", variant.name);
            assert!((1..=1_000).contains(&variant.lease_max), "{}", variant.name);
        }
    }

    #[test]
    fn jobs_whose_attempts_are_made_to_fail_retry_at_once() {
        let common = Common { fails: true, ..common() };
        let mut text = Vec::new();
        dag(&common)[0].job.write(1, &mut text);
        let job: Value = serde_json::from_slice(&text).unwrap_or_default();
        assert_eq!(job["retry"]["strategy"], "immediate");
    }
}
