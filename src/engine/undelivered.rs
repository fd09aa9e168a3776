//! Giving back what was leased and never reached its worker: the part of the handle that the HTTP layer calls when a
//! client goes away. Always holds: it does not wait, so that it can be called while something is dropped.

use domain::ids::{LeaseId, Namespace, SubjectId};
use domain::job::command::{JobCommand, Outcome, Report};
use domain::payload::Hash;

use crate::engine::core::message::{Caller, Request};
use crate::engine::executor::Message;
use crate::engine::handle::{Engine, job_request};

impl Engine {
    /// Gives back attempts whose answer was not written: uncounted, and without waiting. When the engine has too much
    /// to do to hear it, the leases run out instead.
    pub fn give_back(&self, namespace: &Namespace, leases: &[LeaseId]) {
        let asked = leases.iter().map(|lease| giving_back(namespace, *lease));
        let requests: Vec<Request> = asked.collect();
        let first = self.draw(requests.len() as u64);
        let message = Message::AskAll {
            first,
            requests,
            reply: None,
            next: None,
            forwarded: false,
            at: self.now(),
        };
        let _ = self.inputs.try_send(message);
    }
}

/// Gives back an attempt that never reached its worker, uncounted.
pub(super) fn giving_back(namespace: &Namespace, lease: LeaseId) -> Request {
    let report = Report {
        node: lease.node,
        epoch: lease.epoch,
        hash: Hash::of(b"undelivered"),
        outcome: Outcome::Release { undelivered: true },
    };
    let subject = SubjectId::job(namespace.clone(), lease.job);
    job_request(&subject, JobCommand::Report(Box::new(report)), Caller::engine())
}
