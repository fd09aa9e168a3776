//! What other engines of the deployment ask this one. Not part of the public API: its own media type, plain words when it
//! is refused, and no page in the document.
//! Always holds: nothing is read of a body without a signature, and nothing of what it says is done before the signature
//! is right, its time is ours and it names this engine and this life of it, so that a captured body cannot be sent again later; what cannot be read of one item touches no other; answers leave one by one, and while there is none the
//! engine says that it lives. Absent: any deciding, and passing on what was passed on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ids::Millis;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::engine::core::message::EngineId;
use crate::engine::error::EngineError;
use crate::engine::forwarding::wire::{
    Item, MEDIA_TYPE, PeerRequest, RECORD_END, RequestBatch, Said, encode_said,
};
use crate::engine::forwarding::{ALIVE_EVERY_MS, AnswerProof, BODY_BYTES_MAX, PROOF, Unproven};
use crate::environment::Clock;
use crate::http::extract::json::{BodyLimit, read_body};
use crate::http::shedding::RequestPermit;
use crate::http::state::Api;
use crate::telemetry::metrics::FORWARDED;

/// Nobody is answered later, whatever it asks for: the longest poll, and time to be heard.
const WITHIN_MAX: Duration = Duration::from_mins(1);
/// Answers that are there together leave together, up to so many bytes.
const TOGETHER_BYTES: usize = 64 * 1_024;

/// Answers what another engine asks.
pub async fn forward(State(api): State<Api>, mut request: Request) -> Response {
    let Some(others) = api.others() else {
        return refused(StatusCode::NOT_FOUND, "this engine is alone");
    };
    let word = |headers: &HeaderMap, name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    if word(request.headers(), header::CONTENT_TYPE.as_str()).as_deref() != Some(MEDIA_TYPE) {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this is for other engines");
    }
    let proof = word(request.headers(), PROOF).unwrap_or_default();
    let proven = match others.check(&proof, api.engine().now()) {
        Ok(proven) => proven,
        Err(why) => return unproven(why),
    };
    // What it wants has been let in over there, and the core weighs it; here only the bytes count, as they come.
    let admission = match RequestPermit::of_engine(&api) {
        Ok(admission) => Arc::new(admission),
        Err(problem) => return problem.into_response(),
    };
    let limit = BodyLimit::of(&api, Some(Arc::clone(&admission)));
    request.extensions_mut().insert(BodyLimit { bytes_max: BODY_BYTES_MAX, ..limit });
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    if !proven.covers(&body) {
        return unproven(Unproven::Forged);
    }
    match RequestBatch::decode(&body) {
        Ok(batch) if (batch.from, batch.to) == (proven.from, proven.to) => {
            answers(&api, batch, proven.answers)
        }
        Ok(_) => refused(StatusCode::BAD_REQUEST, "the body and its proof name other engines"),
        Err(error) => {
            tracing::warn!(%error, "what another engine asks cannot be read");
            refused(StatusCode::BAD_REQUEST, &error.to_string())
        }
    }
}

/// Nothing of it is read.
fn unproven(why: Unproven) -> Response {
    let (status, outcome) = match why {
        Unproven::Malformed | Unproven::Forged => (StatusCode::UNAUTHORIZED, "forbidden"),
        // It will be seen in a moment; the engine that asks decides by itself until then.
        Unproven::NotSeen => (StatusCode::TOO_EARLY, "not_seen"),
        Unproven::OfAnotherTime { from, off_ms } => {
            tracing::warn!(from, off_ms, "what another engine asks is of another time");
            (StatusCode::BAD_REQUEST, "of_another_time")
        }
        // It was meant for an engine that was at this address before, or for another one that is said to be here.
        Unproven::Misdirected { from, meant_for } => {
            tracing::debug!(
                from,
                meant_for = meant_for.engine,
                "what came here is for another engine"
            );
            (StatusCode::MISDIRECTED_REQUEST, "misdirected")
        }
        Unproven::Repeated { from } => {
            tracing::warn!(from, "what another engine asked was sent again by somebody");
            (StatusCode::BAD_REQUEST, "repeated")
        }
    };
    tracing::debug!(reason = %why, "a request between engines was refused");
    metrics::counter!(FORWARDED, "outcome" => outcome).increment(1);
    refused(status, &why.to_string())
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

/// The answers, as they come.
struct Answers {
    proof: AnswerProof,
    pending: FuturesUnordered<BoxFuture<'static, (u32, Said)>>,
    clock: Arc<dyn Clock>,
}

fn answers(api: &Api, batch: RequestBatch, proof: AnswerProof) -> Response {
    tracing::debug!(from = batch.from, requests = batch.items.len(), "another engine asks");
    let clock = Arc::clone(&api.outside().clock);
    let pending =
        batch.items.into_iter().map(|item| answer(api.clone(), item, batch.from, batch.at).boxed());
    let answers = Answers { proof, pending: pending.collect(), clock: Arc::clone(&clock) };
    let pieces = stream::unfold(answers, |answers| async {
        let (piece, answers) = next_piece(answers).await?;
        Some((Ok::<_, Infallible>(piece), answers))
    });
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], Body::from_stream(pieces)).into_response()
}

async fn next_piece(mut answers: Answers) -> Option<(Bytes, Answers)> {
    let mut piece = Vec::new();
    let alive = Duration::from_millis(ALIVE_EVERY_MS);
    tokio::select! {
        biased;
        next = answers.pending.next() => {
            let (n, said) = next?;
            proven(&mut answers.proof, n, &said, &mut piece);
        }
        () = answers.clock.sleep(alive) => {
            answers.proof.seal(&mut piece, 0);
            piece.push(RECORD_END);
        }
    }
    while piece.len() < TOGETHER_BYTES
        && let Some(Some((n, said))) = answers.pending.next().now_or_never()
    {
        proven(&mut answers.proof, n, &said, &mut piece);
    }
    Some((piece.into(), answers))
}

/// Appends an answer with its proof and its end.
fn proven(proof: &mut AnswerProof, n: u32, said: &Said, piece: &mut Vec<u8>) {
    let begins = piece.len();
    encode_said(n, said, piece);
    piece.pop();
    proof.seal(piece, begins);
    piece.push(RECORD_END);
}

async fn answer(api: Api, item: Item, from: EngineId, sent_at: Millis) -> (u32, Said) {
    let (said, outcome) = match item.asked(sent_at, api.engine().now()) {
        Err(error) => {
            tracing::debug!(%error, "a request of another engine is not understood");
            (Said::NotUnderstood(error.to_string()), "not_understood")
        }
        Ok(asked) => {
            let within = Duration::from_millis(item.within_ms).min(WITHIN_MAX);
            let answer = tokio::select! {
                biased;
                said = done(&api, from, asked) => said.map_err(|error| error.to_string()),
                () = api.outside().clock.sleep(within) => Err("not in time".to_owned()),
            };
            match answer {
                Ok(said) => (said, "answered"),
                Err(why) => (Said::NotAnswered(why), "not_answered"),
            }
        }
    };
    metrics::counter!(FORWARDED, "outcome" => outcome).increment(1);
    (item.n, said)
}

async fn done(api: &Api, from: EngineId, asked: PeerRequest) -> Result<Said, EngineError> {
    Ok(match asked {
        PeerRequest::Request(request) => {
            let mut answers = api.engine().cluster().forwarded(vec![*request]).await?;
            Said::Response(Box::new(answers.pop().ok_or(EngineError::Stopping)?))
        }
        PeerRequest::Announced(queues) => {
            api.engine().cluster().announced(from, queues).await;
            Said::Heard
        }
        PeerRequest::ShownUntil(groups) => {
            Said::ShownUntil(api.engine().views().shown_until_of(&groups))
        }
        // Looked at before: of a group that comes after that nothing may have been read when the rest is shown.
        PeerRequest::Shown(groups) if !api.engine().cluster().drives_all(&groups) => {
            Said::Shown(false)
        }
        PeerRequest::Shown(_) => match api.queries().here_is_shown().await {
            Ok(()) => Said::Shown(true),
            Err(EngineError::ViewBehind) => Said::Shown(false),
            Err(error) => return Err(error),
        },
    })
}
