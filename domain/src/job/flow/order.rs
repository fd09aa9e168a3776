//! What an evaluation reads, gathered from a state while it is at hand: what is small as a value, what may be large by
//! its payload. It goes on without the state, so that payloads can be fetched beside the committer.
//! Always holds: what several nodes read is gathered once. Absent: any IO.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::expression::{Key, NodePart, Value};
use crate::ids::{JobId, Millis};
use crate::job::members::GroupState;
use crate::job::outcome::JobError;
use crate::job::plan::{NodeFlow, Plan};
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;
use crate::payload::{Payload, StoredPayload};

use super::evaluate::{Evaluated, EvaluatedAs, expression_error};
use super::failure::error_of_end;

/// Stands in an order for the job's own output, where a node's position stands otherwise.
pub const OUTPUT_OF_JOB: u32 = u32::MAX;

/// Bytes of stored payloads that one order reads.
const READ_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// What an evaluation may look at.
pub trait FlowView {
    fn plan(&self) -> &Arc<Plan>;
    fn job_id(&self) -> JobId;
    /// How the job ends, once that is decided.
    fn job_end(&self) -> Option<JobStatus>;
    /// The first failure that the job itself keeps.
    fn first_error(&self) -> Option<&Arc<JobError>>;
    fn node_status(&self, ix: u32) -> NodeStatus;
    /// Since when a node stands where it stands.
    fn node_since(&self, ix: u32) -> Millis;
    fn node_attempts(&self, ix: u32) -> u32;
    /// In which run of the groups around it a node is: groups that are tried again begin the next one, and so does a change
    /// of the node itself.
    fn node_run(&self, ix: u32) -> u32 {
        let changed = self.plan().changed(ix).map_or(0, |changed| changed.number);
        self.plan().containers(ix).map(|group| self.node_attempts(group)).sum::<u32>() + changed
    }
    /// The output, if it is kept.
    fn node_output(&self, ix: u32) -> Option<&Payload>;
    fn node_error(&self, ix: u32) -> Option<&Arc<JobError>>;
    /// Whether a node that ran because of its failure completed.
    fn is_handled(&self, ix: u32) -> bool;
    /// The group at this position, if it has started.
    fn group_at(&self, ix: u32) -> Option<GroupState>;
}

/// Nodes whose expressions are to be evaluated, and all that they read.
#[derive(Debug, Clone)]
pub struct EvaluationOrder {
    pub plan: Arc<Plan>,
    pub nodes: Vec<Asked>,
    pub(super) job_id: JobId,
    /// Outputs by position.
    pub(super) outputs: BTreeMap<u32, Source>,
}

/// A node that is to be evaluated.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its position, or [`OUTPUT_OF_JOB`].
    pub node: u32,
    /// Since when it waits for this, to know an answer that comes too late.
    pub since: Millis,
    /// In which run of the groups around it.
    pub run: u32,
    pub(super) known: Vec<(Arc<str>, NodePart, KnownPart)>,
    pub(super) job: JobFacts,
}

/// What of a job a cleanup may read.
#[derive(Debug, Clone, Default)]
pub(super) struct JobFacts {
    pub(super) status: Option<Value>,
    pub(super) error: Option<Value>,
}

/// One thing that is read of a node.
#[derive(Debug, Clone)]
pub(super) enum KnownPart {
    Is(Value),
    /// Its output, by position.
    Output(u32),
}

/// An output, or what it is made of.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Nothing,
    Json(Payload),
    /// Of the members of a group that went over a list.
    List(Vec<Source>),
    /// Of the members of any other group.
    Object(Vec<(Arc<str>, Source)>),
}

impl EvaluationOrder {
    /// For these nodes.
    pub fn gather(view: &dyn FlowView, nodes: impl IntoIterator<Item = u32>) -> Self {
        let plan = Arc::clone(view.plan());
        let mut order =
            Self { plan, nodes: Vec::new(), job_id: view.job_id(), outputs: BTreeMap::new() };
        for node in nodes {
            order.add(view, node);
        }
        order
    }

    /// The payloads that have to be fetched before it is evaluated.
    pub fn stored(&self) -> BTreeSet<StoredPayload> {
        let mut stored = BTreeSet::new();
        let mut note = |payload: &Payload| {
            if let Payload::Stored(payload) = payload {
                stored.insert(*payload);
            }
        };
        for source in self.outputs.values() {
            source.each(&mut note);
        }
        for asked in &self.nodes {
            let of_job = asked.node == OUTPUT_OF_JOB;
            let own = if of_job {
                self.plan.output.as_ref()
            } else {
                let node = self.plan.node(asked.node);
                node.input.as_ref().filter(|_| node.computes_input())
            };
            own.into_iter().for_each(&mut note);
            let Some(flow) = flow_of(&self.plan, asked.node) else { continue };
            if flow.reads_job_input {
                self.plan.input.iter().for_each(&mut note);
            }
            if flow.reads_item && !of_job {
                let list = self.plan.item_of(asked.node).map(|(expansion, _)| &expansion.list);
                list.into_iter().for_each(&mut note);
            }
        }
        stored
    }

    /// The answers to an order that reads more than may be read at once. `stored`: what has to be fetched for it.
    pub fn refused(&self, stored: &BTreeSet<StoredPayload>) -> Option<Vec<Evaluated>> {
        let bytes: u64 = stored.iter().map(|payload| payload.bytes).sum();
        if bytes <= READ_BYTES_MAX {
            return None;
        }
        let message = format!(
            "the expressions read {bytes} bytes at once; at most {READ_BYTES_MAX} are allowed"
        );
        let refused = self.nodes.iter().map(|asked| Evaluated {
            node: asked.node,
            since: asked.since,
            run: asked.run,
            is: EvaluatedAs::Failed(expression_error("budget", &message)),
        });
        Some(refused.collect())
    }

    fn add(&mut self, view: &dyn FlowView, node: u32) {
        let plan = Arc::clone(&self.plan);
        let of_job = node == OUTPUT_OF_JOB;
        let mut known = Vec::new();
        for read in flow_of(&plan, node).map_or(&[][..], |flow: &NodeFlow| &flow.reads) {
            let of = if of_job { read.node } else { plan.seen_from(node, read.node) };
            let is = match read.part {
                NodePart::Output => {
                    self.outputs.entry(of).or_insert_with(|| source(view, &plan, of));
                    KnownPart::Output(of)
                }
                NodePart::Status => KnownPart::Is(Value::text(view.node_status(of).as_str())),
                NodePart::Attempts => KnownPart::Is(Value::Int(i64::from(view.node_attempts(of)))),
                // A group that completed may have members that failed.
                NodePart::Error => {
                    let failed =
                        matches!(view.node_status(of), NodeStatus::Failed | NodeStatus::Timeout);
                    let error = view.node_error(of).filter(|_| failed);
                    KnownPart::Is(error_value(error.map(AsRef::as_ref)))
                }
            };
            known.push((Arc::clone(&read.key), read.part, is));
        }
        let cleans = !of_job && plan.node(node).cleanup().is_some();
        let end = view.job_end().filter(|_| cleans);
        let job = JobFacts {
            status: end.map(|end| Value::text(end.as_str())),
            error: end.map(|end| error_value(error_of_end(view, end).as_deref())),
        };
        let (since, run) =
            if of_job { (0, 0) } else { (view.node_since(node), view.node_run(node)) };
        self.nodes.push(Asked { node, since, run, known, job });
    }
}

/// What the expressions of a node, or of the job's own output, read.
pub(super) fn flow_of(plan: &Plan, node: u32) -> Option<&NodeFlow> {
    if node == OUTPUT_OF_JOB {
        return plan.output_flow.as_deref();
    }
    plan.node(node).flow.as_deref()
}

impl Source {
    /// Recursion goes as deep as groups are nested.
    fn each(&self, note: &mut dyn FnMut(&Payload)) {
        match self {
            Self::Nothing => {}
            Self::Json(payload) => note(payload),
            Self::List(items) => items.iter().for_each(|item| item.each(note)),
            Self::Object(fields) => fields.iter().for_each(|(_, field)| field.each(note)),
        }
    }
}

/// The output of a node; of a group, what its members gave.
fn source(view: &dyn FlowView, plan: &Plan, ix: u32) -> Source {
    let is_group = plan.node(ix).group().is_some();
    let Some(group) = view.group_at(ix).filter(|_| is_group) else {
        return view.node_output(ix).cloned().map_or(Source::Nothing, Source::Json);
    };
    // A group that did not complete has no output, as any node that did not.
    if view.node_status(ix) != NodeStatus::Completed && !view.node_status(ix).is_at_work() {
        return Source::Nothing;
    }
    let members = group.members(plan, ix);
    if group.expansion.is_some() {
        return Source::List(members.map(|member| source(view, plan, member)).collect());
    }
    let named = |member| (Arc::from(plan.node(member).key.as_str()), source(view, plan, member));
    Source::Object(members.map(named).collect())
}

fn error_value(error: Option<&JobError>) -> Value {
    let Some(error) = error else { return Value::Null };
    let field = |name: &str, value: &str| (Key::Text(Arc::from(name)), Value::text(value));
    let mut fields = vec![
        field("class", &error.class),
        field("type", &error.error_type),
        field("message", &error.message),
    ];
    if let Some(node) = &error.node {
        fields.push(field("node", node));
    }
    Value::map(fields)
}
