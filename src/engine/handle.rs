//! What everything above the engine asks it: typed requests to the core, and reads of streams for what the core does
//! not keep. Cheap to clone.
//! Always holds: an answer to a change leaves only after its append. Absent: work for workers (`work`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ids::{GroupId, JobId, LeaseId, Millis, Namespace, SubjectId};
use domain::job::command::JobCommand;
use domain::job::summary::JobSnapshot;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use tokio::sync::{mpsc, oneshot};

use crate::engine::core::CoreCounts;
use crate::engine::core::entity::Entity;
use crate::engine::core::message::{
    Caller, Command, Failure, Input, Names, QueueFacts, Request, Response, Shown, Ticket,
};
use crate::engine::core::urgency::Urgency;
use crate::engine::executor::{Forward, Message, refusal};
use crate::engine::gauges::{ByGroup, Gauges};
use crate::engine::loader;
use crate::engine::watch::Watchers;
use crate::environment::{Clock, Ids};
use crate::event_store::contract::{EventStore, EventStoreError};
use crate::view::contract::View;

/// Why a request to the engine came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not known whether the change is durable; asking again with the same key tells.
    #[error("the outcome is not known yet")]
    OutcomeUnknown,
    /// The store cannot be reached.
    #[error("the store cannot be reached")]
    Unavailable,
    /// No room.
    #[error("the store is full")]
    Full,
    /// Too much is waiting.
    #[error("too much is waiting")]
    Overloaded,
    /// The view is too far behind for new jobs.
    #[error("the view is too far behind")]
    ViewBehind,
    /// What is stored of this subject cannot be read.
    #[error("stored data cannot be read: {0}")]
    Damaged(String),
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopping,
    /// The core answered something that its request does not ask for: a mistake of the engine, never of whoever asked.
    #[error("the engine answered with {0}, which was not asked for")]
    Unexpected(&'static str),
}

impl Response {
    /// What a read found.
    pub(super) fn into_read(self) -> Result<Option<Shown>, EngineError> {
        if let Self::Read(found) = self {
            return Ok(found);
        }
        Err(self.not_asked_for())
    }

    /// Why an answer is none of those that its request asks for.
    pub(super) fn not_asked_for(self) -> EngineError {
        match self {
            Self::Refused(refusal) => refusal.into(),
            Self::Failed(failure) => failure.into(),
            Self::Command { .. } => EngineError::Unexpected("the outcome of a command"),
            Self::Leases(_) => EngineError::Unexpected("leases"),
            Self::Heartbeat { .. } => EngineError::Unexpected("a lease that is kept"),
            Self::Read(_) => EngineError::Unexpected("a subject"),
            Self::Queues { .. } => EngineError::Unexpected("queues"),
            Self::Workers { .. } => EngineError::Unexpected("workers"),
            Self::Inspection(_) => EngineError::Unexpected("what is kept of a subject"),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OutcomeUnknown => Self::OutcomeUnknown,
            Failure::Unavailable => Self::Unavailable,
            Failure::Full => Self::Full,
            Failure::Overloaded => Self::Overloaded,
            Failure::ViewBehind => Self::ViewBehind,
            Failure::Damaged(reason) => Self::Damaged(reason),
        }
    }
}

impl From<EventStoreError> for EngineError {
    fn from(error: EventStoreError) -> Self {
        match error {
            EventStoreError::Damaged { reason, .. } => Self::Damaged(reason),
            EventStoreError::Full => Self::Full,
            EventStoreError::Unavailable(_) | EventStoreError::Fatal(_) => Self::Unavailable,
        }
    }
}

/// What a command came to, with the subject as it was right after the command, also when it is asked again.
#[derive(Debug, Clone)]
pub struct Changed<T> {
    /// The subject right after the command.
    pub subject: T,
    /// The command was answered before.
    pub replayed: bool,
}

/// An attempt is kept until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// On the engine's clock.
    pub expires_at: Millis,
    /// The next heartbeat is due after so many milliseconds.
    pub heartbeat_ms: u64,
    /// The worker should stop.
    pub cancel: bool,
}

/// New jobs are refused when one in so many of the messages that may wait do so.
const UNHEARD_SHARE: usize = 8;

/// The engine as seen from above.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) inputs: mpsc::Sender<Message>,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) view: Arc<dyn View>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Ids,
    pub(super) gauges: Arc<Gauges>,
    /// The next ticket.
    pub(super) tickets: Arc<AtomicU64>,
    /// The way to other engines; none: there are none.
    pub(super) forward: Option<Arc<dyn Forward>>,
    /// Who waits for a subject to change.
    pub(super) watchers: Arc<Watchers>,
}

impl Engine {
    /// The engine's clock, in milliseconds.
    pub fn now(&self) -> Millis {
        self.clock.now_ms()
    }

    /// Mints ids.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// The documents people query.
    pub fn view(&self) -> &dyn View {
        self.view.as_ref()
    }

    /// The core's numbers after its last turn.
    pub fn counts(&self) -> CoreCounts {
        *self.gauges.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The groups that this engine drives, in their order.
    pub fn driven(&self) -> Vec<GroupId> {
        self.gauges.driven().clone()
    }

    /// The same, for each group.
    pub fn by_group(&self) -> ByGroup {
        self.gauges.by_group().clone()
    }

    /// Whether everything of this engine's groups that is not over has at least been found since it drives them.
    pub fn has_looked(&self) -> bool {
        self.gauges.unscanned_groups().is_empty()
    }

    /// When the core had its last turn, on the engine's clock.
    pub fn turned_at(&self) -> Millis {
        Millis::try_from(self.gauges.turned_at.load(Ordering::Relaxed)).unwrap_or(Millis::MAX)
    }

    /// Whether the last append was answered by the store.
    pub fn store_answers(&self) -> bool {
        self.gauges.store_ok.load(Ordering::Relaxed)
    }

    /// Whether every stream is in the view; false while it is rebuilt.
    pub fn view_is_whole(&self) -> bool {
        self.gauges.view_whole.load(Ordering::Relaxed)
    }

    /// Why something of this urgency would be refused now, known without asking the core: what is refused costs next to
    /// nothing.
    pub fn refusal(&self, urgency: Urgency) -> Option<EngineError> {
        let word = self.gauges.refused.load(Ordering::Relaxed);
        // What waits to be heard does not show in the core.
        let most = self.inputs.max_capacity();
        let unheard = most - self.inputs.capacity();
        let stalled = urgency == Urgency::Submit && unheard > most / UNHEARD_SHARE;
        let failure = refusal(word, urgency).or_else(|| stalled.then_some(Failure::Overloaded));
        failure.map(|failure| self.of_failure(failure))
    }

    /// What keeps the view from following may be what keeps the store from taking more: that is said then.
    fn of_failure(&self, failure: Failure) -> EngineError {
        let full = self.gauges.view_full.load(Ordering::Relaxed);
        if full && failure == Failure::ViewBehind { EngineError::Full } else { failure.into() }
    }

    /// Asks the core, and waits for the answer.
    ///
    /// # Errors
    /// `Stopping` when the engine is gone.
    pub async fn ask(&self, request: Request) -> Result<Response, EngineError> {
        let (reply, answer) = oneshot::channel();
        let (ticket, at) = (self.draw(1), self.now());
        let message = Message::Ask { ticket, request, reply, forwarded: false, at };
        self.inputs.send(message).await.map_err(|_| EngineError::Stopping)?;
        answer.await.map_err(|_| EngineError::Stopping)
    }

    /// The first of so many tickets.
    pub(super) fn draw(&self, tickets: u64) -> Ticket {
        self.tickets.fetch_add(tickets, Ordering::Relaxed)
    }

    /// Asks many things at once: they reach the core together, and their answers come together.
    pub(super) async fn ask_all(
        &self,
        requests: Vec<Request>,
    ) -> Vec<Result<Response, EngineError>> {
        let count = requests.len();
        if count == 0 {
            return Vec::new();
        }
        let (reply, answers) = oneshot::channel();
        let (first, at) = (self.draw(count as u64), self.now());
        let reply = Some(reply);
        let message = Message::AskAll { first, requests, reply, next: None, forwarded: false, at };
        if self.inputs.send(message).await.is_err() {
            return stopping(count);
        }
        answered(answers, count).await
    }

    /// Changes a job: start, pause, resume, cancel, patch.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn command(
        &self,
        namespace: &Namespace,
        job: JobId,
        command: JobCommand,
        caller: Caller,
    ) -> Result<Changed<JobSnapshot>, EngineError> {
        let subject = SubjectId::job(namespace.clone(), job);
        self.changed_job(&subject, Ok(self.ask(job_request(&subject, command, caller)).await?))
            .await
    }

    pub(super) async fn changed_job(
        &self,
        subject: &SubjectId,
        response: Result<Response, EngineError>,
    ) -> Result<Changed<JobSnapshot>, EngineError> {
        match response? {
            Response::Command { answer: Answer::Replayed { seq }, .. } => {
                match loader::load_at(self.store.as_ref(), subject, seq).await? {
                    Some(Entity::Job(job)) => {
                        Ok(Changed { subject: JobSnapshot::of(&job), replayed: true })
                    }
                    Some(Entity::Environment(_)) => Err(Refusal::JobNotFound.into()),
                    None => Err(Refusal::JobDeleted.into()),
                }
            }
            Response::Command { shown: Some(Shown::Job(job)), .. } => {
                Ok(Changed { subject: *job, replayed: false })
            }
            Response::Failed(failure) => Err(self.of_failure(failure)),
            other @ (Response::Command { .. }
            | Response::Refused(_)
            | Response::Leases(_)
            | Response::Heartbeat { .. }
            | Response::Read(_)
            | Response::Queues { .. }
            | Response::Workers { .. }
            | Response::Inspection(_)) => Err(other.not_asked_for()),
        }
    }

    /// One job as its driver has it.
    ///
    /// # Errors
    /// `JobNotFound`, and what keeps the engine from answering.
    pub async fn job(&self, namespace: &Namespace, job: JobId) -> Result<JobSnapshot, EngineError> {
        let subject = SubjectId::job(namespace.clone(), job);
        match self.ask(Request::Read { subject }).await?.into_read()? {
            Some(Shown::Job(job)) => Ok(*job),
            Some(Shown::Environment(_)) | None => Err(Refusal::JobNotFound.into()),
        }
    }

    /// Keeps attempts; an answer each, in order.
    pub async fn heartbeat(
        &self,
        namespace: &Namespace,
        leases: Vec<LeaseId>,
    ) -> Vec<Result<Kept, EngineError>> {
        let requests = leases
            .into_iter()
            .map(|lease| Request::Heartbeat { namespace: namespace.clone(), lease });
        let responses = self.ask_all(requests.collect()).await;
        responses
            .into_iter()
            .map(|response| {
                let response = response?;
                if let Response::Heartbeat { expires_at, heartbeat_ms, cancel } = response {
                    return Ok(Kept { expires_at, heartbeat_ms, cancel });
                }
                Err(response.not_asked_for())
            })
            .collect()
    }

    /// Ends when the core has heard everything that was asked or told before.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn has_heard(&self) -> Result<(), EngineError> {
        let namespace = Namespace::default_namespace();
        self.ask(Request::Queues { namespace, part: Names::NONE }).await.map(drop)
    }

    /// The queues in use at this engine with how much waits there and since when, the first so many by name, as they were
    /// at most 5 s ago.
    pub fn queues_in_use(&self) -> Vec<(Namespace, QueueFacts)> {
        self.gauges.queues_in_use().clone()
    }

    /// Answers everybody who waits for work, now and from now on at once: the engine is about to end.
    pub async fn end_waits(&self) {
        let _ = self.inputs.send(Message::StoreCompleted(Input::Leaving)).await;
    }

    /// Asks the executor to stop: what is under way is finished, new requests get `Stopping`.
    pub async fn stop(&self) {
        let _ = self.inputs.send(Message::Stop).await;
    }
}

/// Answers that come together.
pub(super) async fn answered(
    answers: oneshot::Receiver<Vec<Response>>,
    count: usize,
) -> Vec<Result<Response, EngineError>> {
    match answers.await {
        Ok(responses) => responses.into_iter().map(Ok).collect(),
        Err(_) => stopping(count),
    }
}

pub(super) fn stopping(count: usize) -> Vec<Result<Response, EngineError>> {
    std::iter::repeat_with(|| Err(EngineError::Stopping)).take(count).collect()
}

pub(super) fn job_request(subject: &SubjectId, command: JobCommand, caller: Caller) -> Request {
    Request::Command { subject: subject.clone(), command: Command::Job(command), caller }
}
