//! A job's graph: every node with where it stands, every edge, and the critical path still to go.
//! Always holds: nodes are in the order of the submission, edges in that of their children.

use domain::ids::{JobId, Namespace};
use domain::job::progress;
use domain::node::status::NodeStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::Queries;
use super::progress::outlooks;
use crate::engine::error::EngineError;
use crate::view::resources::words::NodeStatusWord;

/// A job's graph.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Graph)]
pub struct GraphAnswer {
    #[schema(format = "uuid")]
    pub job_id: String,
    /// The job's version.
    pub version: u64,
    /// How many levels there are.
    pub levels: u32,
    /// In the order of the submission.
    pub nodes: Vec<GraphNode>,
    /// From parents to children.
    pub edges: Vec<GraphEdge>,
    /// Keys on the longest way still to go.
    pub critical_path: Vec<String>,
}

/// A node of the graph.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GraphNode)]
pub struct GraphNode {
    pub key: String,
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub node_type: &'static str,
    #[schema(value_type = NodeStatusWord)]
    pub status: NodeStatus,
    /// Edges on the longest path from a root.
    pub level: u32,
    pub attempt: u32,
    pub optional: bool,
    /// People changed it after the submission.
    pub changed: bool,
}

/// An edge of the graph, by keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GraphEdge)]
pub struct GraphEdge {
    pub from: String,
    pub to: String,
}

impl Queries {
    /// A job's graph.
    ///
    /// # Errors
    /// `JobNotFound`, and what keeps the store from answering.
    pub async fn graph(
        &self,
        namespace: &Namespace,
        job: JobId,
    ) -> Result<GraphAnswer, EngineError> {
        let now = self.clock.now_ms();
        let durations = &self.details.durations;
        self.details
            .with(namespace, job, |detail| {
                let (state, plan) = (&detail.state, &detail.state.plan);
                let key = |ix: u32| plan.path(ix);
                let positions = || plan.positions();
                let nodes = positions().map(|ix| {
                    let spec = plan.node(ix);
                    GraphNode {
                        key: key(ix),
                        name: spec.more.as_ref().and_then(|more| more.name.clone()),
                        node_type: spec.node_type().as_str(),
                        status: state.nodes[ix as usize].status,
                        level: plan.level(ix),
                        attempt: state.nodes[ix as usize].attempt,
                        optional: spec.optional,
                        changed: plan.changed(ix).is_some(),
                    }
                });
                let edges = positions().flat_map(|ix| {
                    let parents = plan.parents(ix);
                    parents.map(move |parent| GraphEdge { from: key(parent), to: key(ix) })
                });
                let graph = plan.work_graph(&state.groups);
                let path = progress::critical_path(&graph, &outlooks(state, durations, now));
                GraphAnswer {
                    job_id: state.id.to_string(),
                    version: detail.seq(),
                    levels: positions().map(|ix| plan.level(ix) + 1).max().unwrap_or(0),
                    nodes: nodes.collect(),
                    edges: edges.collect(),
                    critical_path: path.nodes.into_iter().map(key).collect(),
                }
            })
            .await
    }
}
