//! The event of a job: who, when, why, what happened (`fact`), and every transition that it causes. Due times and drawn
//! waits are in it, so that a replay assigns and never evaluates.

use serde::{Deserialize, Serialize};

use crate::job::fact::JobFact;
use crate::job::flow::Flow;
use crate::job::outcome::{Ending, JobEnd};
use crate::job::status::JobStatus;
use crate::node::attempt::Heard;
use crate::node::change::{NodeChange, Ranges};
use crate::subject::envelope::Envelope;

/// An event of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobEvent {
    /// Who, when, why.
    pub by: Envelope,
    /// The job's own transitions, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub job: Vec<(JobStatus, JobStatus)>,
    /// The nodes' transitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeChange>,
    /// Nodes that could start and are held by the job's `max_parallel`.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub held: Ranges,
    /// What was evaluated, came to be, or ended without an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Box<Flow>>,
    /// What heartbeats said since the event before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard: Vec<Heard>,
    /// A decision that the job ends as soon as its running attempts have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// How the job ended, with the transition that ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<JobEnd>,
    pub fact: JobFact,
}

impl JobEvent {
    /// One that moves nothing.
    pub(crate) fn bare(by: Envelope, fact: JobFact) -> Self {
        Self {
            by,
            job: Vec::new(),
            nodes: Vec::new(),
            held: Ranges::default(),
            flow: None,
            heard: Vec::new(),
            ending: None,
            end: None,
            fact,
        }
    }
}
