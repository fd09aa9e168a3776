//! Work for workers: leases, heartbeats, reports, and the next work after a report.
//! Always holds: a request for work whose asker goes away is taken back, or what was leased to it is given back.

use std::sync::Arc;

use domain::ids::{JobId, LeaseId, Millis, Namespace, SubjectId};
use domain::job::command::{JobCommand, Report};
use domain::subject::answer::Answer;
use tokio::sync::oneshot;

use crate::engine::core::message::{
    Beat, Caller, Granted, LeaseRequest, Request, Response, Ticket,
};
use crate::engine::error::EngineError;
use crate::engine::jobs::job_request;
use crate::engine::mailbox::Message;
use crate::engine::shared::{Shared, stopping};
use crate::engine::undelivered::giving_back;

/// What became of one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportOutcome {
    Recorded,
    /// It counted before.
    Replayed,
    /// It does not count.
    Refused(EngineError),
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

/// A request for work that is not answered yet. Dropped, it is taken back.
#[derive(Debug)]
pub struct LeasePoll {
    shared: Arc<Shared>,
    ticket: Ticket,
    answer: oneshot::Receiver<Response>,
    answered: bool,
}

impl LeasePoll {
    fn of(shared: &Arc<Shared>, ticket: Ticket, answer: oneshot::Receiver<Response>) -> Self {
        Self { shared: Arc::clone(shared), ticket, answer, answered: false }
    }

    /// Waits for the work, perhaps none.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn granted(mut self) -> Result<Vec<Granted>, EngineError> {
        let answer = (&mut self.answer).await;
        self.answered = true;
        answer.map_err(|_| EngineError::Stopping)?.into_leases()
    }
}

impl Drop for LeasePoll {
    /// The asker is gone: nothing is leased to it any more, and what was leased already is given back.
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.answer.close();
        match self.answer.try_recv() {
            Ok(response) => {
                for lease in response.into_leases().unwrap_or_default() {
                    give_back(&self.shared, &lease.namespace, &[lease.lease]);
                }
            }
            // Without room for the word of it, the answer finds nobody, and comes back then.
            Err(_) => self.shared.mailbox.send_now(Message::Gone { ticket: self.ticket }),
        }
    }
}

/// Work for workers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leases(pub(super) Arc<Shared>);

impl Leases {
    /// Asks for work; what is returned waits for it, and holds nothing of the request.
    ///
    /// # Errors
    /// `Stopping` when the engine is gone.
    pub async fn poll(&self, request: LeaseRequest) -> Result<LeasePoll, EngineError> {
        self.send_poll(request, false).await
    }

    /// Work for a worker, perhaps none.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn lease(&self, request: LeaseRequest) -> Result<Vec<Granted>, EngineError> {
        self.poll(request).await?.granted().await
    }

    pub(super) async fn send_poll(
        &self,
        request: LeaseRequest,
        forwarded: bool,
    ) -> Result<LeasePoll, EngineError> {
        let (reply, answer) = oneshot::channel();
        let ticket = self.0.mailbox.draw(1);
        let request = Request::Lease(request);
        let message = Message::Ask { ticket, request, reply, forwarded, at: self.0.now() };
        self.0.mailbox.send(message).await?;
        Ok(LeasePoll::of(&self.0, ticket, answer))
    }

    /// Reports on attempts, and asks for the next work in the same breath: the work that the reports make ready can be
    /// leased by the append that records them. An answer each, in order, and what waits for that work.
    pub async fn report(
        &self,
        namespace: &Namespace,
        reports: Vec<(JobId, Report, Caller)>,
        next: Option<LeaseRequest>,
    ) -> (Vec<ReportOutcome>, Option<LeasePoll>) {
        if reports.is_empty() {
            let poll = match next {
                Some(request) => self.poll(request).await.ok(),
                None => None,
            };
            return (Vec::new(), poll);
        }
        let count = reports.len();
        let requests = reports.into_iter().map(|(job, report, caller)| {
            let subject = SubjectId::job(namespace.clone(), job);
            job_request(&subject, JobCommand::Report(Box::new(report)), caller)
        });
        let requests: Vec<Request> = requests.collect();
        let (reply, answers) = oneshot::channel();
        let ticket = self.0.mailbox.draw(count as u64 + 1);
        let (next, poll) = match next {
            None => (None, None),
            Some(request) => {
                let (reply, answer) = oneshot::channel();
                (Some((request, reply)), Some(LeasePoll::of(&self.0, ticket, answer)))
            }
        };
        let (first, at) = (ticket + 1, self.0.now());
        let reply = Some(reply);
        let message = Message::AskAll { first, requests, reply, next, forwarded: false, at };
        if self.0.mailbox.send(message).await.is_err() {
            return (stopping(count).into_iter().map(outcome).collect(), None);
        }
        let answers = match answers.await {
            Ok(responses) => responses.into_iter().map(Ok).collect(),
            Err(_) => stopping(count),
        };
        (answers.into_iter().map(outcome).collect(), poll)
    }

    /// Keeps attempts; an answer each, in order.
    pub async fn heartbeat(
        &self,
        namespace: &Namespace,
        leases: Vec<(LeaseId, Beat)>,
    ) -> Vec<Result<Kept, EngineError>> {
        let requests = leases.into_iter().map(|(lease, beat)| Request::Heartbeat {
            namespace: namespace.clone(),
            lease,
            beat,
        });
        let responses = self.0.ask_all(requests.collect()).await;
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

    /// Gives back attempts whose answer was not written: uncounted, and without waiting, so that it can be called while
    /// something is dropped. When the engine has too much to do to hear it, the leases run out instead.
    pub fn give_back(&self, namespace: &Namespace, leases: &[LeaseId]) {
        give_back(&self.0, namespace, leases);
    }
}

fn give_back(shared: &Shared, namespace: &Namespace, leases: &[LeaseId]) {
    let requests: Vec<Request> =
        leases.iter().map(|lease| giving_back(namespace, *lease)).collect();
    let first = shared.mailbox.draw(requests.len() as u64);
    let (reply, next, at) = (None, None, shared.now());
    shared.mailbox.send_now(Message::AskAll { first, requests, reply, next, forwarded: false, at });
}

fn outcome(response: Result<Response, EngineError>) -> ReportOutcome {
    match response {
        Ok(Response::Command { answer: Answer::RecordedBefore, .. }) => ReportOutcome::Replayed,
        Ok(
            Response::Command { answer: Answer::Refused(refusal), .. } | Response::Refused(refusal),
        ) => ReportOutcome::Refused(refusal.into()),
        Ok(Response::Command { .. }) => ReportOutcome::Recorded,
        Ok(other) => ReportOutcome::Refused(other.not_asked_for()),
        Err(error) => ReportOutcome::Refused(error),
    }
}
