//! Work for workers: leasing, heartbeats and reports, in batches with an answer per item.
//! Always holds: a long poll whose client goes away holds no lease; what was leased and could not be answered is
//! given back. Absent: which node goes to whom, and whether a report counts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ids::{Namespace, SubjectId, WorkerName};
use domain::job::command::{Outcome, Report};
use domain::payload::{Hash, Payload};
use serde_json::value::RawValue;

use crate::engine::core::heartbeat_ms;
use crate::engine::core::message::{Granted, LeaseRequest};
use crate::engine::error::EngineError;
use crate::engine::leases::{self, Kept};
use crate::http::commands::by_worker;
use crate::http::delivery::Undelivered;
use crate::http::extract::headers::{ApiCaller, IdempotencyKey};
use crate::http::extract::json::ValidJson;
use crate::http::extract::path::QueuePath;
use crate::http::lease_tokens::HeldLease;
use crate::http::parked::park;
use crate::http::problem::{Code, Problem};
use crate::http::routes::json;
use crate::http::schemas::lease::{LeaseBody, NextWorkBody, WorkWanted};
use crate::http::schemas::lease_answer::{
    HeartbeatResult, HeartbeatsAnswer, LeaseAnswer, LeaseFacts, LeasesAnswer, PreviousError,
    Reported, ReportsAnswer,
};
use crate::http::schemas::report::{
    CompleteBody, FailBody, HeartbeatBody, ReleaseBody, ReportItem,
};
use crate::http::schemas::time;
use crate::http::state::Api;
use crate::http::waiters::WaiterPermit;

/// The worker of next work that names none, after reports of which none has a lease.
const UNNAMED: &str = "unnamed";

/// Lease work
///
/// Waits for the first node at most `wait_ms`; 200 with no leases when there was none. A claim, or an
/// Idempotency-Key in its place, makes a repeated request give the same leases.
#[utoipa::path(
    post, path = "/api/v1/queues/{queue}/lease", tag = "leases", operation_id = "leaseWork",
    params(("queue" = String, Path, description = "The queue")),
    request_body(content = LeaseBody, description = "Who asks for how much",
        example = json!({"worker": "host-7", "max": 10, "wait_ms": 1000, "lease_ms": 30000})),
    responses((status = 200, description = "The leases, perhaps none", body = LeasesAnswer)),
)]
pub async fn lease(
    State(api): State<Api>,
    caller: ApiCaller,
    QueuePath(queue): QueuePath,
    key: IdempotencyKey,
    body: ValidJson<LeaseBody>,
) -> Result<Response, Problem> {
    let wanted = body.value.into_wanted(queue, &key, api.settings())?;
    let place = place(&api, &caller, wanted.wait_ms)?;
    let request = lease_request(&api, &caller, wanted)?;
    let holder = Holder::of(&request);
    let poll = api.engine().leases().poll(request).await?;
    Ok(park(async move {
        let granted = poll.granted().await?;
        drop(place);
        let (leases, undelivered) = Box::pin(delivery(&api, &holder, granted)).await?;
        Ok(undelivered.sent_with(&LeasesAnswer { leases }))
    }))
}

/// A place for a request that would wait for work.
fn place(api: &Api, caller: &ApiCaller, wait_ms: u64) -> Result<Option<WaiterPermit>, Problem> {
    (wait_ms > 0).then(|| api.long_poll(caller)).transpose()
}

/// Report completed attempts
///
/// The same report again gets the first answer again, also after a restart; a stale one is refused and changes
/// nothing. With `lease` the next work comes in the same answer.
#[utoipa::path(
    post, path = "/api/v1/leases/complete", tag = "leases", operation_id = "completeLeases",
    request_body(content = CompleteBody, description = "What was completed",
        example = json!({"items": [{"lease": "0192aa00-0000-7000-8000-000000000001.0.1", "output": {"receipt": 1}}], "lease": {"queue": "shop", "worker": "host-7", "max": 1}})),
    responses((status = 200, description = "What became of each", body = ReportsAnswer<'static>)),
)]
pub async fn complete(
    State(api): State<Api>,
    caller: ApiCaller,
    body: ValidJson<CompleteBody>,
) -> Result<Response, Problem> {
    reported(api, caller, body.value.items.0, body.value.lease).await
}

/// Report failed attempts
///
/// Whether another attempt follows is decided by the retry policy.
#[utoipa::path(
    post, path = "/api/v1/leases/fail", tag = "leases", operation_id = "failLeases",
    request_body(content = FailBody, description = "What failed",
        example = json!({"items": [{"lease": "0192aa00-0000-7000-8000-000000000001.0.1", "error": {"type": "CardDeclined", "message": "the bank said no", "retryable": false}}]})),
    responses((status = 200, description = "What became of each", body = ReportsAnswer<'static>)),
)]
pub async fn fail(
    State(api): State<Api>,
    caller: ApiCaller,
    body: ValidJson<FailBody>,
) -> Result<Response, Problem> {
    reported(api, caller, body.value.items.0, body.value.lease).await
}

/// Give attempts back
///
/// They are not counted, and their nodes are offered again at once, or after `after_ms`.
#[utoipa::path(
    post, path = "/api/v1/leases/release", tag = "leases", operation_id = "releaseLeases",
    request_body(content = ReleaseBody, description = "What is given back",
        example = json!({"items": [{"lease": "0192aa00-0000-7000-8000-000000000001.0.1", "after_ms": 60000}]})),
    responses((status = 200, description = "What became of each", body = ReportsAnswer<'static>)),
)]
pub async fn release(
    State(api): State<Api>,
    caller: ApiCaller,
    body: ValidJson<ReleaseBody>,
) -> Result<Response, Problem> {
    reported(api, caller, body.value.items.0, None).await
}

/// Keep attempts
///
/// Each heartbeat renews its lease by its length; `cancel` asks the worker to stop and report. The newest `details` are given
/// to the next attempt, should there be one.
#[utoipa::path(
    post, path = "/api/v1/leases/heartbeat", tag = "leases", operation_id = "heartbeatLeases",
    request_body(content = HeartbeatBody, description = "What is still worked on",
        example = json!({"items": [{"lease": "0192aa00-0000-7000-8000-000000000001.0.1", "progress": 0.5, "details": {"row": 81000}}]})),
    responses((status = 200, description = "What became of each", body = HeartbeatsAnswer<'static>)),
)]
pub async fn heartbeat(
    State(api): State<Api>,
    caller: ApiCaller,
    body: ValidJson<HeartbeatBody>,
) -> Result<Response, Problem> {
    let (mut texts, mut read, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for (position, item) in body.value.items.0.into_iter().enumerate() {
        let (text, beat) = item.read(position);
        let held = api.held(&caller.namespace, &text);
        read.push(held.and_then(|held| beat.map(|beat| known.push((held.id, beat)))));
        texts.push(text);
    }
    let mut kept = api.engine().leases().heartbeat(&caller.namespace, known).await.into_iter();
    let outcomes: Vec<Result<Kept, Problem>> = read
        .into_iter()
        .map(|lease| {
            lease.and_then(|()| kept.next().ok_or_else(unanswered)?.map_err(Problem::from))
        })
        .collect();
    let results = texts.iter().zip(&outcomes).map(|(lease, outcome)| match outcome {
        Ok(kept) => HeartbeatResult {
            lease,
            expires_at: Some(time::format(kept.expires_at)),
            cancel: kept.cancel,
            error: None,
        },
        Err(problem) => HeartbeatResult {
            lease,
            expires_at: None,
            cancel: false,
            error: Some(problem.body(Some(&caller.correlation), None)),
        },
    });
    Ok(json(StatusCode::OK, &HeartbeatsAnswer { results: results.collect() }))
}

fn unanswered() -> Problem {
    Problem::new(Code::InternalError, "an item of the batch got no answer")
}

/// Reports, then leases the next work: a report is never lost because there was none.
async fn reported(
    api: Api,
    caller: ApiCaller,
    items: Vec<impl ReportItem>,
    next: Option<NextWorkBody>,
) -> Result<Response, Problem> {
    let next = next.map(|next| next.into_wanted(api.settings())).transpose()?;
    let payload_bytes_max = api.settings().bounds.payload_bytes_max;
    let mut texts = Vec::with_capacity(items.len());
    let mut refused = Vec::with_capacity(items.len());
    let mut reports = Vec::with_capacity(items.len());
    let mut first = None;
    for (position, item) in items.into_iter().enumerate() {
        let (text, outcome) = item.read(position, payload_bytes_max);
        match api.held(&caller.namespace, &text).and_then(|lease| Ok((lease, outcome?))) {
            Ok((HeldLease { id, worker }, outcome)) => {
                let hash = report_hash(&outcome);
                let report = Report { node: id.node, epoch: id.epoch, hash, outcome };
                reports.push((id.job, report, by_worker(&worker, &caller)));
                first.get_or_insert(worker);
                refused.push(None);
            }
            Err(problem) => refused.push(Some(problem)),
        }
        texts.push(text);
    }
    // Without a place to wait there is no next work.
    let place = place(&api, &caller, next.as_ref().map_or(0, |next| next.wait_ms));
    let next = next.filter(|_| place.is_ok());
    // Whoever names no worker asks as the holder of the first lease.
    let next = next.map(|wanted| WorkWanted { worker: wanted.worker.or(first), ..wanted });
    let next = next.and_then(|wanted| lease_request(&api, &caller, wanted).ok());
    let holder = next.as_ref().map(Holder::of);
    let claims = next.as_ref().is_some_and(|next| next.claim.is_some());
    let (answers, poll) = api.scheduler().report_attempts(&caller.namespace, reports, next).await;
    let mut answers = answers.into_iter();
    let outcomes = refused.into_iter().map(|refusal| match refusal {
        Some(problem) => Reported::Refused(problem),
        None => match answers.next() {
            Some(leases::ReportOutcome::Recorded) => Reported::Recorded,
            Some(leases::ReportOutcome::Replayed) => Reported::Replayed,
            Some(leases::ReportOutcome::Refused(error)) => Reported::Refused(error.into()),
            None => Reported::Refused(unanswered()),
        },
    });
    let reported = AllReported { outcomes: outcomes.collect(), texts, caller };
    let (Some(poll), Some(holder)) = (poll, holder) else {
        return Ok(reported.answer(Vec::new(), Undelivered::default()));
    };
    Ok(park(async move {
        let leased = poll.granted().await;
        drop(place);
        // What was reported is reported: trouble with the next work must not hide it.
        let (leases, undelivered) = match leased {
            Ok(granted) => Box::pin(delivery(&api, &holder, granted)).await.unwrap_or_default(),
            // What runs under the claim is not known yet: without leases the answer would say that nothing does. Asked
            // again, what was reported is replayed.
            Err(error @ EngineError::Unavailable) if claims => return Err(error.into()),
            Err(_) => (Vec::new(), Undelivered::default()),
        };
        Ok(reported.answer(leases, undelivered))
    }))
}

/// What became of each report, while the next work is waited for.
struct AllReported {
    outcomes: Vec<Reported>,
    texts: Vec<String>,
    caller: ApiCaller,
}

impl AllReported {
    fn answer(&self, leases: Vec<LeaseAnswer>, undelivered: Undelivered) -> Response {
        let results = self.outcomes.iter().zip(&self.texts);
        let results =
            results.map(|(outcome, lease)| outcome.result(lease, &self.caller.correlation));
        undelivered.sent_with(&ReportsAnswer { results: results.collect(), leases })
    }
}

/// Knows a report again, whichever connection it comes by.
fn report_hash(outcome: &Outcome) -> Hash {
    let text = match outcome {
        Outcome::Complete { output, warnings, artifacts } => {
            serde_json::to_vec(&("complete", output, warnings, artifacts))
        }
        Outcome::Fail { error, details } => serde_json::to_vec(&("fail", error, details)),
        Outcome::Release { .. } => serde_json::to_vec(&"release"),
        Outcome::ReleaseFor { after_ms } => serde_json::to_vec(&("release", after_ms)),
    };
    Hash::of(&text.unwrap_or_default())
}

fn lease_request(
    api: &Api,
    caller: &ApiCaller,
    wanted: WorkWanted,
) -> Result<LeaseRequest, Problem> {
    let unnamed = || WorkerName::parse(UNNAMED).map_err(|_| unanswered());
    Ok(LeaseRequest {
        namespace: caller.namespace.clone(),
        queue: wanted.queue,
        action_types: wanted.action_types,
        worker: wanted.worker.map_or_else(unnamed, Ok)?,
        claim: wanted.claim,
        lease_ms: wanted.lease_ms,
        max: wanted.max as usize,
        wait_until: api.engine().now().saturating_add_unsigned(wanted.wait_ms),
        correlation: Some(caller.correlation.clone()),
    })
}

/// Whom leases are handed to.
struct Holder {
    namespace: Namespace,
    worker: WorkerName,
}

impl Holder {
    /// Whoever asks for work.
    fn of(request: &LeaseRequest) -> Self {
        Self { namespace: request.namespace.clone(), worker: request.worker.clone() }
    }
}

/// The text of a payload, which may be stored beside its job's stream.
async fn read(
    api: &Api,
    job: &SubjectId,
    payload: Option<&Payload>,
) -> Result<Option<Arc<RawValue>>, Problem> {
    match payload {
        Some(payload) => Ok(Some(api.engine().streams().raw(job, payload).await?)),
        None => Ok(None),
    }
}

/// Leases, with their inputs, and the guard that gives them back unless the answer is written.
async fn delivery(
    api: &Api,
    Holder { namespace, worker }: &Holder,
    granted: Vec<Granted>,
) -> Result<(Vec<LeaseAnswer>, Undelivered), Problem> {
    let leases = granted.iter().map(|granted| granted.lease).collect();
    let undelivered = Undelivered::of(api.engine(), namespace, leases);
    let mut answers = Vec::with_capacity(granted.len());
    for granted in &granted {
        let work = &granted.work;
        let subject = SubjectId::job(granted.namespace.clone(), granted.lease.job);
        let input = read(api, &subject, work.input.as_ref()).await?;
        let details = read(api, &subject, work.details.as_ref()).await?;
        let previous = match work.previous.as_deref() {
            Some(error) => {
                let why = read(api, &subject, error.details.as_ref()).await?;
                Some(PreviousError::of(error, why))
            }
            None => None,
        };
        answers.push(LeaseAnswer::from(LeaseFacts {
            lease: granted.lease,
            token: api.leases().issue(namespace, granted.lease, worker),
            node: &work.node,
            attempt: granted.attempt,
            run: granted.run,
            action_type: work.action_type.as_ref(),
            input,
            previous,
            max_attempts: work.max_attempts,
            deadline: work.deadline,
            details,
            expires_at: granted.expires_at,
            heartbeat_ms: heartbeat_ms(granted.lease_ms, api.settings().cancel_grace),
            trace_id: &granted.trace_id,
        }));
    }
    Ok((answers, undelivered))
}
