//! What an answer claims must be durable when it leaves its engine, and a refusal must rest on how things stood after
//! the request had arrived: an engine that does not drive any more must not speak of the past.

use std::collections::BTreeSet;

use domain::ids::{LeaseId, Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use orrery::engine::core::message::{Failure, Granted, Response, Shown};

use super::job::JobStory;
use super::{AttemptKey, Checker};
use crate::harness::jobs;
use crate::simulation::calls::{Asked, Call};
use crate::simulation::world::Whose;

impl Checker {
    /// An answer to a client leaves its engine.
    pub(crate) fn answer(&mut self, of: Whose, call: &Call, response: &Response) {
        let outcome = self.judge(of, call, response);
        let outcome = outcome.and_then(|()| self.answers_first(call, response));
        let named = |what: String| format!("{what} (answer {response:?} to {:?})", call.asked);
        self.hold(outcome.map_err(named));
        self.acknowledges(call, response);
    }

    /// What this answer tells about its subject, everybody must be shown who asks from now on.
    fn acknowledges(&mut self, call: &Call, response: &Response) {
        let Some(subject) = &call.subject else { return };
        let seq = match (response, &call.asked) {
            (
                Response::Command {
                    answer: Answer::Done { seq } | Answer::Replayed { seq }, ..
                },
                _,
            ) => Some(*seq),
            (Response::Read(Some(Shown::Job(shown))), _) => Some(shown.head.seq),
            (Response::Command { .. }, Asked::Report { lease, .. }) => {
                self.job(subject).and_then(|job| job.ended_at(*lease))
            }
            _ => None,
        };
        let known = self.acknowledged.entry(subject.clone()).or_default();
        *known = (*known).max(seq.unwrap_or(0));
    }

    /// The same claim gives the same leases, as long as they run, where every engine hears every other one in time; and
    /// whatever happens where there is one engine, also after it was killed.
    fn same_leases(&mut self, of: Whose, call: &Call, granted: &[Granted]) -> Result<(), String> {
        let Asked::Lease { worker, claim: Some(claim), .. } = &call.asked else { return Ok(()) };
        let key = (worker.to_string(), claim.to_string());
        let now: BTreeSet<AttemptKey> =
            granted.iter().map(|one| (one.lease.job, one.lease.node, one.lease.epoch.0)).collect();
        let before = self.log.claims.get(&key).cloned().unwrap_or_default();
        let runs = |(job, node, epoch): &AttemptKey| {
            let story = self.job(&SubjectId::job(jobs::namespace(), *job));
            story.is_some_and(|story| {
                let node = &story.nodes[*node as usize];
                node.status == NodeStatus::Running && node.epoch == *epoch
            })
        };
        let missing = before.iter().filter(|one| runs(one)).any(|one| !now.contains(one));
        if missing && self.gentle && !granted.is_empty() {
            return Err("invariant 21: the same claim, and other leases".to_owned());
        }
        if self.alone
            && !granted.is_empty()
            && self.leased_before(of, &key).any(|one| !now.contains(&one))
        {
            return Err(
                "invariant 21: the same claim, and other leases than before the crash".to_owned()
            );
        }
        self.log.claims.entry(key).or_default().extend(now);
        Ok(())
    }

    /// Attempts that run under a claim and were leased in an earlier life of the only engine.
    fn leased_before<'a>(
        &'a self,
        of: Whose,
        (worker, claim): &'a (String, String),
    ) -> impl Iterator<Item = AttemptKey> + 'a {
        let jobs = self.streams.keys().filter_map(|subject| self.job(subject));
        let rows = jobs.flat_map(|job| job.leases.iter().map(move |(at, row)| (job, *at, row)));
        let before = rows.filter(move |(job, (node, epoch), row)| {
            let story = &job.nodes[*node as usize];
            row.by.life < of.life
                && row.worker == format!("worker {worker}")
                && row.claim.as_ref() == Some(claim)
                && story.status == NodeStatus::Running
                && story.epoch == *epoch
                && *epoch >> 32 > self.incarnation
        });
        before.map(|(job, (node, epoch), _)| (job.id, node, epoch))
    }

    fn judge(&mut self, of: Whose, call: &Call, response: &Response) -> Result<(), String> {
        self.count(match response {
            Response::Refused(refusal) => refusal.code(),
            Response::Command { answer: Answer::RecordedBefore, .. } => "answer: recorded before",
            Response::Command { answer: Answer::Replayed { .. }, .. } => "answer: replayed",
            Response::Failed(Failure::OutcomeUnknown) => "answer: outcome unknown",
            Response::Failed(Failure::Full) => "answer: full",
            Response::Failed(Failure::Overloaded) => "answer: overloaded",
            Response::Failed(Failure::ViewBehind) => "answer: view behind",
            Response::Failed(Failure::Unavailable) => "answer: unavailable",
            Response::Failed(Failure::Damaged(_)) => "answer: damaged",
            _ => "answer: others",
        });
        if let Response::Failed(Failure::Damaged(reason)) = response {
            return Err(format!("invariant 18: {reason}"));
        }
        match response {
            Response::Command { answer, shown } => self.command(call, answer, shown.as_ref()),
            Response::Refused(refusal) => self.refusal(call, refusal),
            Response::Leases(granted) => {
                for one in granted {
                    self.granted(call, one)?;
                    // The times of what was leased elsewhere are with who drives it.
                    let subject = SubjectId::job(one.namespace.clone(), one.lease.job);
                    let row = (one.lease.node, one.lease.epoch.0);
                    let row = self.job(&subject).and_then(|job| job.leases.get(&row));
                    if row.is_some_and(|row| row.by == of) {
                        self.promise(of, one.lease, one.expires_at);
                    }
                }
                self.same_leases(of, call, granted)
            }
            Response::Heartbeat { expires_at, .. } => {
                let Asked::Heartbeat { lease, .. } = &call.asked else {
                    return Err("invariant 6: a heartbeat nobody sent".to_owned());
                };
                self.kept(of, call, *lease)?;
                if !call.relayed {
                    self.promise(of, *lease, *expires_at);
                }
                Ok(())
            }
            Response::Read(shown) => self.read_answer(call, shown.as_ref()),
            Response::Queues { .. }
            | Response::Workers { .. }
            | Response::Inspection(_)
            | Response::Failed(_) => Ok(()),
        }
    }

    /// An engine says until when it keeps an attempt, on its own clock.
    fn promise(&mut self, of: Whose, lease: LeaseId, until: Millis) {
        self.log.promised.insert((lease.job, lease.node, lease.epoch.0), (of, until));
    }

    fn command(&self, call: &Call, answer: &Answer, shown: Option<&Shown>) -> Result<(), String> {
        let subject = call.subject.as_ref().ok_or("invariant 2: an answer about nothing")?;
        let head = self.head(subject);
        match answer {
            Answer::Done { seq } | Answer::Replayed { seq } => {
                if *seq > head {
                    return Err(format!("invariant 1: answered {seq}, and {head} is durable"));
                }
                let repeated = matches!(answer, Answer::Replayed { .. });
                if let Some(job) = self.job(subject) {
                    if let (true, Some(mark)) = (repeated, &call.mark)
                        && job.commands.get(&mark.id).is_none_or(|(first, _)| first != seq)
                    {
                        return Err("invariant 21: another event answered it first".to_owned());
                    }
                    if !repeated {
                        promised(job, call, *seq)?;
                    }
                    if let (false, Some(Shown::Job(shown))) = (repeated, shown) {
                        return as_it_was(job, shown.head.seq, shown.head.status);
                    }
                }
                Ok(())
            }
            Answer::AsFirst(_) if self.job(subject).is_some_and(|job| job.deleted) => Ok(()),
            Answer::AsFirst(_) => {
                Err("invariant 28: a job is deleted that nobody let go of".to_owned())
            }
            Answer::Recorded | Answer::RecordedBefore => {
                let Asked::Report { lease, hash, .. } = &call.asked else {
                    return Err("invariant 4: recorded what nobody reported".to_owned());
                };
                let job = self.job(subject).ok_or("invariant 1: recorded in no job")?;
                match job.reports.get(&(lease.node, lease.epoch.0)) {
                    Some((_, recorded)) if recorded == hash => Ok(()),
                    Some(_) => Err("invariant 21: another report is recorded".to_owned()),
                    None => Err("invariant 1: recorded, and not durable".to_owned()),
                }
            }
            Answer::Leased(_) => Err("invariant 6: leases without a request".to_owned()),
            Answer::Refused(refusal) => self.refusal(call, refusal),
            Answer::Nothing => Ok(()),
        }
    }

    fn granted(&self, call: &Call, granted: &Granted) -> Result<(), String> {
        let LeaseId { job, node, epoch } = granted.lease;
        let subject = SubjectId::job(granted.namespace.clone(), job);
        let row = self.job(&subject).and_then(|job| job.leases.get(&(node, epoch.0)));
        let Some(row) = row else {
            return Err("invariant 1: a lease that is not durable".to_owned());
        };
        let Asked::Lease { worker, claim, queue, .. } = &call.asked else {
            return Err("invariant 6: leases nobody asked for".to_owned());
        };
        if claim.is_none() {
            self.is_of_queue(queue, granted)?;
        }
        if row.worker != format!("worker {worker}")
            || row.claim != claim.as_ref().map(ToString::to_string)
            || row.attempt != granted.attempt
        {
            return Err("invariant 6: somebody else's lease".to_owned());
        }
        let job = self.job(&subject).ok_or("invariant 1: a lease of no job")?;
        job.is_told_rightly(granted, &self.log)
    }

    /// A lease that is kept was the newest, unless somebody else has ended it and this engine cannot know.
    fn kept(&self, of: Whose, call: &Call, lease: LeaseId) -> Result<(), String> {
        let subject = call.subject.as_ref().ok_or("invariant 6: no subject")?;
        let job = self.job(subject).ok_or("invariant 6: a lease of no job")?;
        if !job.leases.contains_key(&(lease.node, lease.epoch.0)) {
            return Err("invariant 6: kept what was never leased".to_owned());
        }
        let node = &job.nodes[lease.node as usize];
        let runs = node.status == NodeStatus::Running && node.epoch == lease.epoch.0;
        let since = call.arrived.map_or(0, |(_, head)| head);
        // What this engine itself had ended before the heartbeat came, it must know.
        let known = node.ended_by == Some(of) && job.ended_before(lease, since) && !call.relayed;
        if !runs && known { Err("invariant 6: kept what it had ended".to_owned()) } else { Ok(()) }
    }

    fn refusal(&self, call: &Call, refusal: &Refusal) -> Result<(), String> {
        let Some(subject) = &call.subject else { return Ok(()) };
        let since = call.arrived.map_or(0, |(_, head)| head);
        match refusal {
            Refusal::JobNotFound | Refusal::EnvironmentNotFound
                if Self::is_job(subject) && since > 0 =>
            {
                Err("invariant 1: refused as unknown, and it exists".to_owned())
            }
            Refusal::LeaseLost => {
                let (Asked::Report { lease, .. } | Asked::Heartbeat { lease, .. }) = &call.asked
                else {
                    return Err("invariant 6: a lost lease nobody spoke of".to_owned());
                };
                let Some(job) = self.job(subject) else { return Ok(()) };
                let node = &job.nodes[lease.node as usize];
                let runs = node.status == NodeStatus::Running && node.epoch == lease.epoch.0;
                let row = (lease.node, lease.epoch.0);
                let recorded = match &call.asked {
                    Asked::Report { hash, .. } => {
                        job.reports.get(&row).is_some_and(|(_, recorded)| recorded == hash)
                            && job.ended_before(*lease, since)
                    }
                    _ => false,
                };
                let recorded = recorded && !job.deleted;
                // A restore makes every lease from before void.
                let void = lease.epoch.0 >> 32 <= self.incarnation;
                if (runs && !void) || recorded {
                    Err("invariant 6: a stale refusal".to_owned())
                } else {
                    Ok(())
                }
            }
            Refusal::ReportedDifferently => {
                let Asked::Report { lease, hash, .. } = &call.asked else {
                    return Err("invariant 21: reported differently by nobody".to_owned());
                };
                let job = self.job(subject).ok_or("invariant 4: recorded in no job")?;
                let recorded = job.reports.get(&(lease.node, lease.epoch.0));
                match recorded {
                    Some((_, recorded)) if recorded != hash => Ok(()),
                    _ => Err("invariant 21: refused its own report".to_owned()),
                }
            }
            Refusal::JobDeleted if self.job(subject).is_some_and(|job| job.deleted) => Ok(()),
            Refusal::JobDeleted => Err("invariant 28: refused as deleted".to_owned()),
            Refusal::JobState { current, .. } => {
                let job = self.job(subject).ok_or("invariant 3: the state of no job")?;
                if job.was_between(*current, since) {
                    Ok(())
                } else {
                    Err(format!("invariant 3: refused as {current}, which was before it was asked"))
                }
            }
            Refusal::VersionMismatch { current, .. } if *current < since => {
                Err("invariant 3: a version that was before it was asked".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn read_answer(&self, call: &Call, shown: Option<&Shown>) -> Result<(), String> {
        let (Some(subject), Some((_, since))) = (&call.subject, call.arrived) else {
            return Ok(());
        };
        match shown {
            None if since > 0 => Err("invariant 1: read as absent, and it exists".to_owned()),
            Some(Shown::Job(shown)) => {
                let job = self.job(subject).ok_or("invariant 1: shown, and not durable")?;
                if shown.head.seq < call.acknowledged {
                    let (is, was) = (shown.head.seq, call.acknowledged);
                    return Err(format!("invariant 1: shown at {is}, and {was} was acknowledged"));
                }
                as_it_was(job, shown.head.seq, shown.head.status)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What was promised by "it is done".
fn promised(job: &JobStory, call: &Call, seq: u64) -> Result<(), String> {
    let Asked::Errand { command, .. } = &call.asked else { return Ok(()) };
    let at = usize::try_from(seq - 1).expect("a short history");
    let Some((status, ending)) = job.statuses.get(at).copied() else { return Ok(()) };
    let holds = match command {
        JobCommand::Cancel { .. } => [Some(status), ending].contains(&Some(JobStatus::Cancelled)),
        JobCommand::Pause { .. } => status == JobStatus::Paused,
        JobCommand::Resume { .. } => status != JobStatus::Paused,
        JobCommand::Start => status != JobStatus::Pending,
        _ => true,
    };
    if holds { Ok(()) } else { Err(format!("invariant 12/13: done, and the job is {status}")) }
}

/// What is shown is how it was after some event.
fn as_it_was(job: &JobStory, seq: u64, status: JobStatus) -> Result<(), String> {
    let at = usize::try_from(seq).expect("a short history").checked_sub(1);
    let was = at.and_then(|at| job.statuses.get(at)).map(|(status, _)| *status);
    if was == Some(status) {
        Ok(())
    } else {
        Err(format!("invariant 1: shown as {status} at {seq}, durable is {was:?}"))
    }
}

impl JobStory {
    /// Whether the job had this status at some time since that event.
    fn was_between(&self, status: JobStatus, since: u64) -> bool {
        let from = usize::try_from(since.saturating_sub(1)).expect("a short history");
        self.statuses.iter().skip(from).any(|(was, _)| *was == status)
    }
}
