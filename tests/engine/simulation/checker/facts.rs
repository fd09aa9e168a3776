//! What each fact of a job must fit: leases only of offered nodes, with epochs that grow by one; reports only of the
//! newest lease, as a client sent them; times not before they are due.

use domain::ids::Millis;
use domain::job::event::JobEvent;
use domain::job::fact::{
    AdmissionFact, AttemptFact, AttemptFailure, EndingFact, FailureFact, JobFact, SteeringFact,
};
use domain::job::outcome::EndingCause;
use domain::job::status::JobStatus;
use domain::node::attempt::{AttemptRef, ReportKind};
use domain::node::spec::Timeouts;
use domain::node::status::NodeStatus;
use domain::payload::Hash;
use domain::retry::policy::OnExhausted;

use super::ClientLog;
use super::job::{JobStory, LeaseRow};
use crate::simulation::world::Whose;

/// Leases of one attempt that may be given back uncounted because nobody took the answer.
const UNDELIVERED_MAX: u32 = 3;
/// The longest time for which an attempt may be given back.
const DELAY_MS_MAX: Millis = 24 * 3_600 * 1_000;

pub(super) fn millis(ms: u64) -> Millis {
    Millis::try_from(ms).unwrap_or(Millis::MAX)
}

impl JobStory {
    pub(super) fn fact(
        &mut self,
        event: &JobEvent,
        of: Whose,
        incarnation: u64,
        log: &ClientLog,
    ) -> Result<(), String> {
        match &event.fact {
            JobFact::Admission(fact) => self.admission(fact, event),
            JobFact::Attempt(fact) => self.attempt(fact, event, of, incarnation, log),
            JobFact::Failure(fact) => match fact {
                FailureFact::Failed(_)
                | FailureFact::LeaseExpired(_)
                | FailureFact::AttemptTimedOut(_) => self.attempt_ends(event, of, log),
                FailureFact::RetriesDue => self.retries_due(event),
                FailureFact::NodesTimedOut { .. } => self.nodes_timed_out(event),
            },
            JobFact::Steering(fact) => self.steering(fact, event.by.at, log),
            JobFact::Ending(fact) => {
                self.revokes_some(event, of)?;
                self.ending_fact(fact, event.by.at, of, log)
            }
            JobFact::Flow(_) => self.revokes_some(event, of),
        }
    }

    fn admission(&mut self, fact: &AdmissionFact, event: &JobEvent) -> Result<(), String> {
        match fact {
            AdmissionFact::Started => self.starts(event),
            AdmissionFact::Granted { number, environment } => {
                if self.status != JobStatus::Queued || *environment != self.model.plan.environment {
                    return Err("invariant 3: a grant for a job that is not queued".to_owned());
                }
                self.take_grant(*number);
                Ok(())
            }
            AdmissionFact::GrantDeclined { .. } if self.status == JobStatus::Queued => {
                Err("invariant 16: a grant declined by a job that waits for it".to_owned())
            }
            AdmissionFact::Submitted(_) | AdmissionFact::GrantDeclined { .. } => Ok(()),
        }
    }

    fn attempt(
        &mut self,
        fact: &AttemptFact,
        event: &JobEvent,
        of: Whose,
        incarnation: u64,
        log: &ClientLog,
    ) -> Result<(), String> {
        match fact {
            AttemptFact::Leased { worker, claim, attempts, .. } => {
                if !self.offers() {
                    return Err(format!(
                        "invariant 12/13: leased while {} {:?}",
                        self.status, self.ending
                    ));
                }
                for attempt in attempts {
                    let claim = claim.as_ref().map(ToString::to_string);
                    let row = LeaseRow {
                        by: of,
                        worker: worker.to_string(),
                        claim,
                        attempt: attempt.attempt,
                        left: self.nodes[attempt.node as usize].left.clone(),
                    };
                    self.leases(*attempt, row, event.by.at, incarnation)?;
                }
                Ok(())
            }
            AttemptFact::Completed { .. } | AttemptFact::Released { .. } => {
                self.attempt_ends(event, of, log)
            }
            AttemptFact::DelaysOver => self.delays_over(event),
            AttemptFact::LateReport { node, epoch, .. } => {
                self.late_report(*node, epoch.0, incarnation)
            }
        }
    }

    fn steering(&mut self, fact: &SteeringFact, at: Millis, log: &ClientLog) -> Result<(), String> {
        match fact {
            SteeringFact::Paused { .. } if self.ending.is_some() => {
                Err("invariant 3: paused while ending".to_owned())
            }
            SteeringFact::Paused { .. } => Ok(()),
            SteeringFact::Resumed => self.resumes(at),
            SteeringFact::Patched(patch) => {
                self.timeout_ms = patch.timeout_ms.unwrap_or(self.timeout_ms);
                self.scheduled_at = patch.scheduled_at.unwrap_or(self.scheduled_at);
                self.patches_once(patch, at, log)
            }
            SteeringFact::NodePatched(repair) => {
                self.changes_node(repair);
                Ok(())
            }
        }
    }

    fn ending_fact(
        &mut self,
        fact: &EndingFact,
        at: Millis,
        of: Whose,
        log: &ClientLog,
    ) -> Result<(), String> {
        match fact {
            EndingFact::EndingDecided { why } => self.ending_decided(*why, at),
            EndingFact::Revoked if self.ending.is_some() && at >= self.ending_until => {
                self.revoked(of);
                Ok(())
            }
            EndingFact::Revoked => {
                Err("invariant 14: revoked before the grace was over".to_owned())
            }
            EndingFact::CleanupTimedOut => Ok(()),
            EndingFact::Deleted
                if log.release_appends.contains(&self.id) && self.status.is_over() =>
            {
                self.deleted = true;
                Ok(())
            }
            EndingFact::Deleted => Err("invariant 28: deleted, and nobody let go of it".to_owned()),
        }
    }

    /// An attempt ends: by a report, by silence, or by taking too long.
    fn attempt_ends(&mut self, event: &JobEvent, of: Whose, log: &ClientLog) -> Result<(), String> {
        let at = event.by.at;
        match &event.fact {
            JobFact::Attempt(AttemptFact::Completed { attempt, output, report, .. }) => {
                self.newest(*attempt)?;
                let sent = self.counted(*attempt, ReportKind::Complete, *report, of, log)?;
                if sent != output.as_ref() {
                    return Err("invariant 4: the result is not what was sent".to_owned());
                }
                Ok(())
            }
            JobFact::Failure(FailureFact::Failed(failure)) => {
                self.newest(failure.attempt)?;
                let hash = failure.report.ok_or("invariant 4: a failure without its report")?;
                self.counted(failure.attempt, ReportKind::Fail, hash, of, log)?;
                self.fails(failure, at, of)
            }
            JobFact::Failure(FailureFact::LeaseExpired(failure)) => {
                self.newest(failure.attempt)?;
                self.may_expire(failure.attempt, at, of, log)?;
                self.fails(failure, at, of)
            }
            JobFact::Failure(FailureFact::AttemptTimedOut(failure)) => {
                self.newest(failure.attempt)?;
                let timeouts = self.timeouts(failure.attempt.node);
                let node = &self.nodes[failure.attempt.node as usize];
                let own = timeouts.attempt_ms.is_some_and(|ms| at >= node.started + millis(ms));
                let total = timeouts.total_ms.is_some_and(|ms| at >= node.first_ready + millis(ms));
                if !own && !total {
                    return Err("invariant 14: an attempt timed out before its time".to_owned());
                }
                self.fails(failure, at, of)
            }
            JobFact::Attempt(AttemptFact::Released { attempt, report, undelivered, again_at }) => {
                self.newest(*attempt)?;
                self.counted(*attempt, ReportKind::Release, *report, of, log)?;
                let node = &mut self.nodes[attempt.node as usize];
                node.attempt -= 1;
                node.due = again_at.unwrap_or(0);
                if again_at.is_some_and(|until| until < at || until - at > DELAY_MS_MAX) {
                    return Err("invariant 11: given back for a time that nobody named".to_owned());
                }
                node.undelivered += u32::from(*undelivered);
                if *undelivered && node.undelivered > UNDELIVERED_MAX {
                    return Err("invariant 10: given back uncounted too often".to_owned());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn starts(&self, event: &JobEvent) -> Result<(), String> {
        let early = self.scheduled_at.is_some_and(|due| event.by.at < due);
        if early && &*event.by.actor == "engine" {
            return Err("invariant 14: started by the clock before its time".to_owned());
        }
        if self.status != JobStatus::Pending {
            return Err("invariant 3: started and not pending".to_owned());
        }
        Ok(())
    }

    fn resumes(&mut self, at: Millis) -> Result<(), String> {
        if self.status != JobStatus::Paused || self.ending.is_some() {
            return Err("invariant 3: resumed and not paused".to_owned());
        }
        self.resumed_at = at;
        for node in self.nodes.iter_mut().filter(|node| node.unknown) {
            node.allowed += 1;
        }
        Ok(())
    }

    fn leases(
        &mut self,
        attempt: AttemptRef,
        row: LeaseRow,
        at: Millis,
        incarnation: u64,
    ) -> Result<(), String> {
        let most = self.model.plan.retry_of(self.spec(attempt.node)).executions_max();
        let node = &mut self.nodes[attempt.node as usize];
        if node.status != NodeStatus::Ready {
            return Err(format!("invariant 7: leased while {}", node.status));
        }
        let epoch = attempt.epoch.0;
        // Dense within an incarnation; the first one of a newer incarnation outruns all before.
        let expected = node.epoch.max((epoch >> 32) << 32) + 1;
        if epoch != expected || epoch >> 32 > incarnation || epoch >> 32 == 0 {
            return Err(format!("invariant 5: epoch {epoch:x} after {:x}", node.epoch));
        }
        if attempt.attempt != node.attempt + 1 || attempt.attempt > node.base + most + node.allowed
        {
            let (before, allowed) = (node.attempt, node.allowed);
            return Err(format!(
                "invariant 10: attempt {} after {before}, of {most} and {allowed}",
                attempt.attempt
            ));
        }
        (node.epoch, node.attempt, node.started) = (epoch, attempt.attempt, at);
        node.ended_by = None;
        self.leases.insert((attempt.node, epoch), row);
        Ok(())
    }

    /// What ends an attempt must name the newest lease of a running node.
    fn newest(&self, attempt: AttemptRef) -> Result<(), String> {
        let node = &self.nodes[attempt.node as usize];
        let fits = node.status == NodeStatus::Running
            && node.epoch == attempt.epoch.0
            && node.attempt == attempt.attempt;
        if fits {
            return Ok(());
        }
        Err(format!(
            "invariant 6: epoch {:x} counted, and node {} is {} with epoch {:x}",
            attempt.epoch.0, attempt.node, node.status, node.epoch
        ))
    }

    /// A report that counts was sent by somebody for this very lease, and is the only one of it.
    fn counted<'a>(
        &mut self,
        attempt: AttemptRef,
        kind: ReportKind,
        hash: Hash,
        of: Whose,
        log: &'a ClientLog,
    ) -> Result<Option<&'a domain::payload::Payload>, String> {
        self.ends_attempt(attempt.node, of);
        let key = (attempt.node, attempt.epoch.0);
        if self.reports.insert(key, (kind, hash)).is_some() {
            return Err("invariant 4: an attempt is recorded twice".to_owned());
        }
        let sent = log.sent.get(&(self.id, key.0, key.1)).and_then(|sent| sent.get(&hash));
        let same = sent.filter(|sent| sent.kind == kind);
        // The engine itself gives back what nobody took, under one well-known hash.
        let by_engine = kind == ReportKind::Release && hash == Hash::of(b"undelivered");
        match same {
            Some(sent) => Ok(sent.output.as_ref()),
            None if by_engine => Ok(None),
            None => Err("invariant 4: nobody sent this report".to_owned()),
        }
    }

    fn fails(&mut self, failure: &AttemptFailure, at: Millis, of: Whose) -> Result<(), String> {
        self.ends_attempt(failure.attempt.node, of);
        let spec = self.spec(failure.attempt.node);
        let (policy, once) = (self.model.plan.retry_of(spec), spec.at_most_once);
        let node = &mut self.nodes[failure.attempt.node as usize];
        node.undelivered = 0;
        node.left.error = Some(failure.error.clone());
        if failure.exhausted {
            if policy.on_exhausted != OnExhausted::Pause {
                return Err("invariant 10: left to a person, and no policy says so".to_owned());
            }
            // Who resumes the job gives it as many again.
            (node.base, node.allowed) = (failure.attempt.attempt, 0);
        }
        let Some(retry) = failure.retry else { return Ok(()) };
        if failure.attempt.attempt - node.base >= policy.executions_max() {
            return Err("invariant 10: another execution than the policy allows".to_owned());
        }
        if once && failure.report.is_none() {
            return Err("invariant 10: an unknown outcome runs again by itself".to_owned());
        }
        let asked = failure.error.retry_after_ms.unwrap_or(0);
        let fits = retry.due == at + millis(retry.wait_ms)
            && retry.wait_ms >= asked
            && retry.wait_ms <= policy.max_delay_ms.max(asked);
        if !fits {
            return Err(format!("invariant 11: a wait of {} ms", retry.wait_ms));
        }
        node.due = retry.due;
        Ok(())
    }

    /// Nobody's lease runs out before the time that the same engine gave it.
    fn may_expire(
        &self,
        attempt: AttemptRef,
        at: Millis,
        of: Whose,
        log: &ClientLog,
    ) -> Result<(), String> {
        // An event is never older than the one before it: its time is the engine's own clock, or later.
        let promised = log.promised.get(&(self.id, attempt.node, attempt.epoch.0));
        let until = promised.filter(|(by, _)| *by == of).map(|(_, until)| *until);
        if until.is_some_and(|until| at < until) {
            return Err("invariant 7: a lease ran out before its time".to_owned());
        }
        Ok(())
    }

    pub(super) fn timeouts(&self, node: u32) -> Timeouts {
        self.model.plan.timeouts_of(self.spec(node))
    }

    /// When the job is out of time.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        Some(self.queued_at? + millis(self.timeout_ms?))
    }

    fn ending_decided(&self, why: EndingCause, at: Millis) -> Result<(), String> {
        if why == EndingCause::Deadline && self.deadline().is_none_or(|deadline| at < deadline) {
            return Err("invariant 14: timed out before the deadline".to_owned());
        }
        Ok(())
    }

    fn revoked(&mut self, of: Whose) {
        for ix in (0u32..).take(self.nodes.len()) {
            if self.nodes[ix as usize].status == NodeStatus::Running {
                self.ends_attempt(ix, of);
            }
        }
    }

    fn late_report(&mut self, node: u32, epoch: u64, incarnation: u64) -> Result<(), String> {
        let running = &self.nodes[node as usize];
        let void = epoch >> 32 < incarnation;
        let newest = running.status == NodeStatus::Running && running.epoch == epoch && !void;
        let known = self.leases.contains_key(&(node, epoch));
        if newest
            || !known
            || self.reports.contains_key(&(node, epoch))
            || !self.late.insert((node, epoch))
        {
            return Err("invariant 6: evidence of a report that is none".to_owned());
        }
        Ok(())
    }
}
