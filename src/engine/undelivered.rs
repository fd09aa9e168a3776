//! What gives back an attempt that was leased and never reached its worker.

use domain::ids::{LeaseId, Namespace, SubjectId};
use domain::job::command::{JobCommand, Outcome, Report};
use domain::payload::Hash;

use crate::engine::core::message::{Caller, Request};

/// Gives back an attempt that never reached its worker, uncounted.
pub(super) fn giving_back(namespace: &Namespace, lease: LeaseId) -> Request {
    let report = Report {
        node: lease.node,
        epoch: lease.epoch,
        hash: Hash::of(b"undelivered"),
        outcome: Outcome::Release { undelivered: true },
    };
    let subject = SubjectId::job(namespace.clone(), lease.job);
    let command = JobCommand::Report(Box::new(report)).into();
    Request::Command { subject, command, caller: Caller::engine() }
}
