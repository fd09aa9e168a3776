//! Work for workers: leases, reports, and the next work after a report. The part of the handle that workers use.
//! Always holds: a request for work whose asker goes away is taken back, or what was leased to it is given back.

use domain::ids::{JobId, Namespace, SubjectId};
use domain::job::command::{JobCommand, Report};
use domain::subject::answer::Answer;
use tokio::sync::oneshot;

use crate::engine::core::message::{Caller, Granted, LeaseRequest, Request, Response, Ticket};
use crate::engine::executor::Message;
use crate::engine::handle::{Engine, EngineError, answered, job_request, stopping};

/// What became of one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    /// It counts.
    Recorded,
    /// It counted before.
    Replayed,
    /// It does not count.
    Refused(EngineError),
}

/// A request for work that is not answered yet. Dropped, it is taken back.
#[derive(Debug)]
pub struct LeasePoll {
    engine: Engine,
    ticket: Ticket,
    answer: oneshot::Receiver<Response>,
    answered: bool,
}

impl LeasePoll {
    fn of(engine: &Engine, ticket: Ticket, answer: oneshot::Receiver<Response>) -> Self {
        Self { engine: engine.clone(), ticket, answer, answered: false }
    }

    /// Waits for the work, perhaps none.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn granted(mut self) -> Result<Vec<Granted>, EngineError> {
        let answer = (&mut self.answer).await;
        self.answered = true;
        match answer {
            Ok(Response::Leases(granted)) => Ok(granted),
            Ok(Response::Failed(failure)) => Err(failure.into()),
            Ok(Response::Refused(refusal)) => Err(refusal.into()),
            Ok(_) => Ok(Vec::new()),
            Err(_) => Err(EngineError::Stopping),
        }
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
            Ok(Response::Leases(granted)) => {
                for lease in granted {
                    self.engine.give_back(&lease.namespace, &[lease.lease]);
                }
            }
            Ok(_) => {}
            // Without room for the word of it, the answer finds nobody, and comes back then.
            Err(_) => {
                _ = self.engine.inputs.try_send(Message::Gone { ticket: self.ticket });
            }
        }
    }
}

impl Engine {
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
        let ticket = self.draw(1);
        let request = Request::Lease(request);
        let message = Message::Ask { ticket, request, reply, forwarded, at: self.now() };
        self.inputs.send(message).await.map_err(|_| EngineError::Stopping)?;
        Ok(LeasePoll::of(self, ticket, answer))
    }

    /// Reports on attempts, and asks for the next work in the same breath: the work that the reports make ready can be
    /// leased by the append that records them. An answer each, in order, and what waits for that work.
    pub async fn report(
        &self,
        namespace: &Namespace,
        reports: Vec<(JobId, Report, Caller)>,
        next: Option<LeaseRequest>,
    ) -> (Vec<Reported>, Option<LeasePoll>) {
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
        let ticket = self.draw(count as u64 + 1);
        let (next, poll) = match next {
            None => (None, None),
            Some(request) => {
                let (reply, answer) = oneshot::channel();
                (Some((request, reply)), Some(LeasePoll::of(self, ticket, answer)))
            }
        };
        let (first, at) = (ticket + 1, self.now());
        let reply = Some(reply);
        let message = Message::AskAll { first, requests, reply, next, forwarded: false, at };
        if self.inputs.send(message).await.is_err() {
            return (stopping(count).into_iter().map(outcome).collect(), None);
        }
        let reported = answered(answers, count).await.into_iter().map(outcome).collect();
        (reported, poll)
    }
}

fn outcome(response: Result<Response, EngineError>) -> Reported {
    match response {
        Ok(Response::Command { answer: Answer::RecordedBefore, .. }) => Reported::Replayed,
        Ok(
            Response::Command { answer: Answer::Refused(refusal), .. } | Response::Refused(refusal),
        ) => Reported::Refused(refusal.into()),
        Ok(Response::Command { .. }) => Reported::Recorded,
        Ok(Response::Failed(failure)) => Reported::Refused(failure.into()),
        Ok(_) => Reported::Refused(EngineError::Unavailable),
        Err(error) => Reported::Refused(error),
    }
}
