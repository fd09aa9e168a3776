//! What the core knows of a job.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::job::decide::{self, JobDecision};
use domain::job::event::JobEvent;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::job::summary::JobSnapshot;
use domain::job::undo::JobUndo;
use domain::node::status::NodeStatus;
use domain::payload::StoredPayload;
use domain::refusal::Refusal;
use domain::subject::answer::{Answer, FirstAnswer};
use domain::subject::context::Context;
use domain::subject::envelope::{CommandMark, Envelope};

use super::{Counted, Growth, Kind, NEVER, body};
use crate::engine::core::urgency::Urgency;
use crate::view::contract::{Columns, JobColumns};
use crate::view::resources::job::JobResource;

impl Kind for JobState {
    type Event = JobEvent;
    type Command = JobCommand;
    type Undo = JobUndo;
    type Shown = JobSnapshot;

    fn decide(
        state: Option<&Self>,
        command: &JobCommand,
        context: &Context,
    ) -> Result<JobDecision, Refusal> {
        match state {
            Some(state) => decide::decide(state, command, context),
            None => decide::create(command, context),
        }
    }

    fn create(event: &JobEvent) -> Option<Self> {
        JobState::create(event)
    }

    fn apply(&mut self, event: &JobEvent, undo: &mut JobUndo) {
        JobState::apply(self, event, undo);
    }

    fn undo(&mut self, undo: JobUndo) {
        JobState::undo(self, undo);
    }

    fn no_undo() -> JobUndo {
        JobUndo::none()
    }

    fn envelope(event: &JobEvent) -> &Envelope {
        &event.by
    }

    fn makes_subject(command: &JobCommand) -> bool {
        command.makes_subject()
    }

    fn is_idempotent(command: &JobCommand) -> bool {
        command.is_idempotent()
    }

    fn urgency(command: &JobCommand) -> Urgency {
        match command {
            JobCommand::Report(_) => Urgency::Report,
            JobCommand::Lease(_) => Urgency::Lease,
            // Letting go of old jobs can wait as well as new ones can.
            JobCommand::Submit(_) | JobCommand::Delete { .. } => Urgency::Submit,
            JobCommand::Start
            | JobCommand::Pause { .. }
            | JobCommand::Resume { .. }
            | JobCommand::Cancel { .. }
            | JobCommand::Patch(_)
            | JobCommand::PatchNode { .. }
            | JobCommand::TakeGrant { .. }
            | JobCommand::ExpireLease { .. }
            | JobCommand::Evaluated(_)
            | JobCommand::Wake { .. } => Urgency::Cancel,
        }
    }

    fn shows_subject(command: &JobCommand, answer: &Answer) -> bool {
        command.shows_subject() && matches!(answer, Answer::Done { .. })
    }

    fn may_use_reserve(command: &JobCommand) -> bool {
        !command.makes_subject()
    }

    fn growth<'a>(state: Option<&Self>, command: &'a JobCommand) -> Option<Growth<'a>> {
        match (command, state) {
            (JobCommand::Submit(submission), None) => Some(Growth::LiveJob(&submission.spec)),
            (JobCommand::PatchNode { patch, .. }, Some(_)) => patch.queue().map(Growth::Queue),
            _ => None,
        }
    }

    fn after_deletion(
        first: &Arc<FirstAnswer>,
        command: &JobCommand,
        mark: Option<&CommandMark>,
    ) -> Option<Result<Answer, Refusal>> {
        Some(decide::after_deletion(first, command, mark))
    }

    fn subject(&self) -> SubjectId {
        JobState::subject(self)
    }

    fn newest_at(&self) -> Millis {
        self.head.newest_at
    }

    fn is_over(&self) -> bool {
        self.head.status.is_over()
    }

    /// A queued job must be in memory, since it waits for a grant that may come any time; offered nodes, running attempts and
    /// expressions that are evaluated keep it there too: nobody else asks again for an evaluation that came to nothing.
    fn next_due(&self) -> Option<Millis> {
        if self.head.status.is_over() {
            return Some(NEVER);
        }
        let busy = self.count(NodeStatus::Running) > 0
            || (self.offers_work() && self.count(NodeStatus::Ready) > 0);
        let evaluates = !self.evaluating.is_empty();
        if busy || evaluates || self.head.ending.is_some() || self.head.status == JobStatus::Queued
        {
            return None;
        }
        Some(JobState::next_due(self).unwrap_or(NEVER))
    }

    fn deleted_at(&self) -> Option<Millis> {
        self.head.deleted.then_some(self.head.updated_at)
    }

    const STREAM_GOES: bool = true;

    fn counted(&self) -> Option<Counted> {
        let lives = !self.head.status.is_over() && !self.head.deleted;
        lives.then_some(Counted::LiveJob(self.head.status))
    }

    fn shown(&self) -> JobSnapshot {
        JobSnapshot::of(self)
    }

    fn listed(&self) -> Option<(Columns, String)> {
        let shown = JobResource::as_changed(&JobSnapshot::of(self));
        Some((Columns::Job(Box::new(columns(self))), body(&shown)?))
    }

    fn refuses(&self, event: &JobEvent) -> Option<String> {
        JobState::refuses(self, event)
    }

    fn contradictions(&self) -> Vec<String> {
        JobState::contradictions(self)
    }

    fn stored_payloads(event: &JobEvent) -> Vec<StoredPayload> {
        event.stored_payloads()
    }

    fn newest_incarnation(&self) -> u64 {
        self.nodes.iter().map(|node| node.epoch.0 >> 32).max().unwrap_or(0)
    }
}

fn columns(job: &JobState) -> JobColumns {
    JobColumns {
        name: job.head.about.name.clone(),
        status: job.head.status.as_str(),
        job_type: job.plan.job_type.clone(),
        environment: job.plan.environment.to_string(),
        parent_job_id: None,
        triggered_by: job.plan.triggered_by.clone(),
        error_class: job.head.error.as_ref().map(|error| error.class.clone()),
        priority: job.head.about.priority,
        tags: job.head.about.tags.clone(),
        created_at: job.head.created_at,
        updated_at: job.head.updated_at,
    }
}
