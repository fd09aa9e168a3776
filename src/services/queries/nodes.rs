//! Nodes with their attempts, as people see them.
//! Always holds: `blocked_by` names what keeps a node from ever starting by itself, never what it merely waits for;
//! payloads are the text they arrived as. Lists leave out details of errors that are stored beside the stream, and all
//! but the newest attempts; one node shows everything.

mod answers;
mod group;

use domain::ids::{JobId, Millis, Namespace, SubjectId};
use domain::job::detail::JobDetail;
use domain::job::story::AttemptStory;
use domain::node::attempt::AttemptError;
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;
use domain::payload::Payload;
use domain::refusal::Refusal;
use domain::time_text::rfc3339;

pub use self::answers::{AttemptAnswer, ErrorAnswer, NodeAnswer, RetryAnswer};
use self::answers::{NodeChangedAnswer, ShownPayload};
use super::Queries;
use crate::engine::error::EngineError;
use crate::view::resources::policy::UsedRetryResource;

/// Attempts that a list shows of each node: the newest.
const LISTED_ATTEMPTS_MAX: usize = 10;
/// Attempts that one node shows: the newest.
const SHOWN_ATTEMPTS_MAX: usize = 1_000;

/// Which nodes of a job.
#[derive(Debug, Clone, Default)]
pub struct NodeQuery {
    /// Any of these states; empty: all.
    pub statuses: Vec<NodeStatus>,
    /// What their paths begin with.
    pub path_prefix: Option<String>,
    /// Matching nodes passed over, in the order of the submission.
    pub skip: usize,
    /// At most so many.
    pub take: usize,
}

/// A page of nodes.
#[derive(Debug)]
pub struct NodesPage {
    /// In the order of the submission.
    pub nodes: Vec<NodeAnswer>,
    /// How many match in all.
    pub total: u64,
    /// The job's version that is shown.
    pub version: u64,
    /// When it was so.
    pub as_of: Millis,
}

impl Queries {
    /// A page of a job's nodes.
    ///
    /// # Errors
    /// `JobNotFound`, and what keeps the store from answering.
    pub async fn nodes(
        &self,
        namespace: &Namespace,
        job: JobId,
        query: NodeQuery,
    ) -> Result<NodesPage, EngineError> {
        let now = self.clock.now_ms();
        let mut page = self
            .details
            .with(namespace, job, |detail| {
                let wanted = |ix: &u32| {
                    let status = detail.state.nodes[*ix as usize].status;
                    let prefix = query.path_prefix.as_deref();
                    let fits = |prefix: &str| detail.state.plan.path(*ix).starts_with(prefix);
                    (query.statuses.is_empty() || query.statuses.contains(&status))
                        && prefix.is_none_or(fits)
                };
                let all: Vec<u32> = (0..).take(detail.state.nodes.len()).filter(wanted).collect();
                let blocked = detail.state.blocked_by();
                let shown = all.iter().skip(query.skip).take(query.take);
                let nodes = shown
                    .map(|ix| answer(detail, *ix, &blocked[*ix as usize], LISTED_ATTEMPTS_MAX, now))
                    .collect();
                NodesPage { nodes, total: all.len() as u64, version: detail.seq(), as_of: now }
            })
            .await?;
        let subject = SubjectId::job(namespace.clone(), job);
        for node in &mut page.nodes {
            node.input = ShownPayload::default();
            self.fill(&subject, &mut node.output).await?;
        }
        Ok(page)
    }

    /// One node with everything.
    ///
    /// # Errors
    /// `JobNotFound`, `NodeNotFound`, and what keeps the store from answering.
    pub async fn node(
        &self,
        namespace: &Namespace,
        job: JobId,
        key: &str,
    ) -> Result<(NodeAnswer, u64), EngineError> {
        let now = self.clock.now_ms();
        let found = self
            .details
            .with(namespace, job, |detail| {
                let ix = detail.state.plan.position(key)?;
                let blocked = detail.state.blocked_by();
                let mut node = answer(detail, ix, &blocked[ix as usize], SHOWN_ATTEMPTS_MAX, now);
                node.output.raw = node.output.raw.or_else(|| group::output(detail, ix));
                let runs = detail.state.nodes[ix as usize].status == NodeStatus::Running;
                Some((node, detail.seq(), runs.then_some(ix)))
            })
            .await?;
        let (mut node, version, running) =
            found.ok_or(EngineError::Refused(Refusal::NodeNotFound))?;
        let subject = SubjectId::job(namespace.clone(), job);
        self.fill(&subject, &mut node.input).await?;
        self.fill(&subject, &mut node.output).await?;
        if let Some(ix) = running {
            self.hear(&subject, ix, &mut node).await;
        }
        for attempt in node.attempts.iter_mut().rev().take(LISTED_ATTEMPTS_MAX) {
            self.fill(&subject, &mut attempt.details).await?;
        }
        let errors = node.attempts.iter_mut().filter_map(|attempt| attempt.error.as_mut());
        for error in errors.chain(node.error.as_mut()) {
            self.fill(&subject, &mut error.details).await?;
        }
        Ok((node, version))
    }

    /// What a running attempt said since the job's newest event, if its driver says so in time.
    async fn hear(&self, subject: &SubjectId, ix: u32, node: &mut NodeAnswer) {
        let asked = self.engine.streams().inspection(subject, vec![ix], None).await;
        let Some(heard) = asked.ok().and_then(|inspection| inspection.heard.into_iter().next())
        else {
            return;
        };
        let newest = node.attempts.last_mut();
        let Some(attempt) = newest.filter(|attempt| attempt.epoch == heard.epoch.0) else { return };
        attempt.progress = heard.progress.or(attempt.progress);
        if heard.details.is_some() {
            attempt.details = ShownPayload::of(heard.details.as_ref());
        }
    }

    async fn fill(&self, subject: &SubjectId, shown: &mut ShownPayload) -> Result<(), EngineError> {
        if let Some(stored) = shown.stored.take() {
            shown.raw = Some(self.engine.streams().stored(subject, stored).await?);
        }
        Ok(())
    }
}

fn answer(
    detail: &JobDetail,
    ix: u32,
    blocked: &[u32],
    attempts_max: usize,
    now: Millis,
) -> NodeAnswer {
    let (state, story) = (&detail.state.nodes[ix as usize], &detail.nodes[ix as usize]);
    let (plan, spec) = (&detail.state.plan, detail.state.plan.node(ix));
    let key = |at: &u32| plan.path(*at);
    let at = |ms: Millis| (ms > 0).then(|| rfc3339(ms));
    let more = spec.more.as_deref();
    let newest = story.attempts.last();
    let ended = newest.map(|attempt| attempt.end.as_ref().map_or(now, |end| end.at));
    let last_end = newest.and_then(|attempt| attempt.end.as_ref());
    let retrying = last_end.filter(|_| state.status == NodeStatus::Retrying);
    NodeAnswer {
        key: plan.path(ix),
        name: more.and_then(|more| more.name.clone()),
        node_type: spec.node_type().as_str(),
        status: state.status,
        level: plan.level(ix),
        depends_on: plan.parents(ix).map(|parent| key(&parent)).collect(),
        dependency_condition: spec.condition,
        skip_on_failure: spec.skip_on_failure,
        optional: spec.optional,
        at_most_once: spec.at_most_once,
        blocked_by: blocked.iter().map(key).collect(),
        held: state.marks.queued,
        hold: state.hold.map(Hold::as_str),
        bypassed: state.marks.bypassed,
        handled: state.marks.handled,
        members: group::members(detail, ix),
        outcome_unknown: state.hold == Some(Hold::OutcomeUnknown),
        queue: spec.queue.to_string(),
        action_type: spec.action_type.as_ref().map(ToString::to_string),
        priority: detail.state.priority_of(ix),
        attempt: state.attempt,
        input: ShownPayload::of(input_of(detail, ix)),
        output: ShownPayload::of(story.output.as_ref()),
        error: story.error.as_deref().map(error_answer),
        warnings: story.warnings.clone(),
        artifacts: story.artifacts.clone(),
        retry: retrying.and_then(|end| {
            let why = end.verdict.clone();
            end.retry.map(|due| retry_answer(due.due, due.wait_ms, why))
        }),
        retry_policy: plan.own_retry(spec).map(UsedRetryResource::from),
        changed: plan.changed(ix).map(NodeChangedAnswer::of),
        delayed_until: (state.hold == Some(Hold::Delay)).then(|| rfc3339(state.due)),
        since: rfc3339(state.since),
        ready_at: at(state.first_ready),
        started_at: at(state.started),
        completed_at: story.settled_at.map(rfc3339),
        duration_ms: newest
            .zip(ended)
            .map(|(attempt, ended)| u64::try_from(ended - attempt.started_at).unwrap_or(0)),
        tags: more.map(|more| more.tags.clone()).unwrap_or_default(),
        metadata: more.map(|more| more.metadata.clone()).unwrap_or_default(),
        attempts_total: story.attempts.len() as u64,
        attempts: newest_of(&story.attempts, attempts_max)
            .iter()
            .map(|attempt| attempt_answer(attempt, now))
            .collect(),
    }
}

/// What was evaluated for it, or what the submission says.
fn input_of(detail: &JobDetail, ix: u32) -> Option<&Payload> {
    let evaluated = detail.nodes[ix as usize].input.as_ref();
    evaluated.or_else(|| detail.state.plan.node(ix).input.as_ref())
}

fn newest_of(attempts: &[AttemptStory], max: usize) -> &[AttemptStory] {
    &attempts[attempts.len().saturating_sub(max)..]
}

fn attempt_answer(attempt: &AttemptStory, now: Millis) -> AttemptAnswer {
    let end = attempt.end.as_ref();
    let until = end.map_or(now, |end| end.at);
    let heard = attempt.heard.as_deref();
    AttemptAnswer {
        attempt: attempt.attempt,
        epoch: attempt.epoch.0,
        worker: attempt.worker.to_string(),
        lease_ms: attempt.lease_ms,
        started_at: rfc3339(attempt.started_at),
        completed_at: end.map(|end| rfc3339(end.at)),
        duration_ms: u64::try_from(until - attempt.started_at).unwrap_or(0),
        outcome: end.map_or("running", |end| end.outcome),
        progress: heard.and_then(|heard| heard.progress),
        details: ShownPayload::of(heard.and_then(|heard| heard.details.as_ref())),
        outcome_unknown: end.is_some_and(|end| end.outcome_unknown),
        error: end.and_then(|end| end.error.as_deref()).map(error_answer),
        retry: end.and_then(|end| end.retry).map(|due| retry_answer(due.due, due.wait_ms, None)),
        verdict: end.and_then(|end| end.verdict.clone()),
        late_reports: attempt.late_reports,
    }
}

fn error_answer(error: &AttemptError) -> ErrorAnswer {
    ErrorAnswer {
        error_type: error.error_type.clone(),
        message: error.message.clone(),
        class: error.class.clone(),
        code: error.code.clone(),
        status: error.status,
        retryable: error.retryable,
        retry_after_ms: error.retry_after_ms,
        details: ShownPayload::of(error.details.as_ref()),
    }
}

fn retry_answer(due: Millis, wait_ms: u64, why: Option<String>) -> RetryAnswer {
    RetryAnswer { due_at: rfc3339(due), wait_ms, why }
}
