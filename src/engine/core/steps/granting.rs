//! Jobs and their environments. A queued job asks, volatile; the environment grants by priority and age, by event; the
//! grant is owed to its job until the job takes or declines it, and is freed only by what the job's stream says: never
//! by silence. Use is the set of grants, never a number.

use domain::environment::command::EnvironmentCommand;
use domain::environment::event::ReleaseCause;
use domain::ids::{EnvironmentName, JobId, Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;

use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::message::{GrantRequest, Request, Response};
use crate::engine::core::peers::Sent;
use crate::engine::core::residency::{Slot, TimerKind};
use crate::engine::core::waiting::{Origin, Waiting};

/// An environment's driver that does not answer in so long is not waited for.
const ASK_WITHIN_MS: Millis = 2_000;
/// How often an environment asks the jobs that hold its grants whether they still do.
const RECONCILE_MS: Millis = 10_000;

impl Core {
    /// A queued job asks its environment.
    pub(super) fn ask_environment(&mut self, slot: &Slot) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        if job.plan.environment == EnvironmentName::default_environment() {
            return;
        }
        let environment = SubjectId::environment(job.namespace.clone(), &job.plan.environment);
        let grant = GrantRequest {
            job: job.id,
            run: job.head.runs,
            resources: job.plan.resources.clone(),
            priority: job.head.about.priority,
            since: job.head.queued_at.unwrap_or(self.now),
        };
        match self.routing.other_driver(&environment) {
            // Lost, or not answered, it is asked again.
            Some(driver) => {
                let request = Request::AskGrant { environment, grant };
                self.send_to(driver, request, Sent::Grant, ASK_WITHIN_MS);
            }
            None => self.ask_grant(&environment, grant),
        }
    }

    /// Notes what a job asks for; one ask a run.
    pub(super) fn ask_grant(&mut self, environment: &SubjectId, grant: GrantRequest) {
        let known = self.slots.find(environment);
        let ix = known.unwrap_or_else(|| self.open(environment, false));
        self.work_on(ix, |core, slot| {
            slot.asks.put(grant);
            core.grant_next(ix, slot);
        });
    }

    /// After a commit, a load or an ask: the next grant that fits, by priority and age. Nothing overtakes: the first in
    /// order that does not fit holds the others up, so that a large job does not starve.
    pub(super) fn grant_next(&mut self, ix: u32, slot: &mut Slot) {
        if !slot.reading.is_ready()
            || !slot.stage.is_settled()
            || slot.transient
            || !slot.queue.is_empty()
        {
            return;
        }
        let Some(environment) = slot.entity.as_ref().and_then(Entity::environment) else { return };
        if let Some(from) = slot.asks.granted_from(self.now) {
            self.arm_once(ix, slot, from, TimerKind::Reconcile);
            return;
        }
        let Some(ask) = slot.asks.first() else { return };
        if environment.shortage(&ask.resources).is_some()
            && !environment.grants.contains_key(&(ask.job, ask.run))
        {
            return;
        }
        let Some(ask) = slot.asks.take_first() else { return };
        self.counts.grants_tried += 1;
        let command = EnvironmentCommand::Grant {
            job: ask.job,
            run: ask.run,
            resources: ask.resources.clone(),
        };
        let waiting = Waiting::own(Origin::Admission { ask }, command);
        self.backlog.push_back(&mut slot.queue, waiting);
    }

    /// A grant is an event now: it is offered to its job.
    pub(super) fn admitted(&mut self, slot: &mut Slot, ask: GrantRequest, response: &Response) {
        let Some(environment) = slot.entity.as_ref().and_then(Entity::environment) else { return };
        match environment.grants.get(&(ask.job, ask.run)) {
            Some(grant) => {
                let number = grant.number;
                self.offer_grant(slot, ask.job, ask.run, number);
            }
            None if matches!(response, Response::Command { .. }) => slot.asks.put(ask),
            None => {}
        }
    }

    fn offer_grant(&mut self, slot: &Slot, job: JobId, run: u32, number: u64) {
        let subject = SubjectId::job(slot.subject.namespace.clone(), job);
        let origin = Origin::Grant { environment: slot.subject.clone(), run, number };
        self.send(&subject, JobCommand::TakeGrant { number }, origin);
    }

    /// The job's word on a grant: what it does not take is freed.
    pub(super) fn grant_answered(
        &mut self,
        job: &SubjectId,
        environment: &SubjectId,
        run: u32,
        number: u64,
        response: &Response,
    ) {
        let declined = matches!(
            response,
            Response::Command { answer: Answer::Nothing, .. }
                | Response::Refused(Refusal::JobNotFound)
        );
        if declined {
            let command = EnvironmentCommand::Release {
                job: JobId(job.id),
                run,
                number,
                why: ReleaseCause::Declined,
            };
            self.send(environment, command, Origin::Nobody);
        }
    }

    /// A job that is over frees its grant. Should this be lost, the environment asks.
    pub(super) fn give_back_grant(&mut self, slot: &Slot, run: u32, number: u64) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let environment = SubjectId::environment(job.namespace.clone(), &job.plan.environment);
        let command =
            EnvironmentCommand::Release { job: job.id, run, number, why: ReleaseCause::RunOver };
        self.send(&environment, command, Origin::Nobody);
    }

    /// Asks every job that holds a grant whether it still does.
    pub(super) fn reconcile_grants(&mut self, ix: u32, slot: &mut Slot) {
        let Some(environment) = slot.entity.as_ref().and_then(Entity::environment) else { return };
        let held: Vec<_> = environment
            .grants
            .iter()
            .map(|((job, run), grant)| (*job, *run, grant.number))
            .collect();
        for (job, run, number) in &held {
            self.offer_grant(slot, *job, *run, *number);
        }
        self.grant_next(ix, slot);
        if !held.is_empty() || !slot.asks.is_empty() {
            let at = self.now.saturating_add(RECONCILE_MS);
            self.arm_once(ix, slot, at, TimerKind::Reconcile);
        }
    }

    /// After a load of an environment: who holds its grants is asked, and who waited for them asks again.
    pub(super) fn environment_loaded(&mut self, ix: u32, slot: &mut Slot) {
        if slot.entity.as_ref().and_then(Entity::environment).is_none() {
            return;
        }
        slot.asks.wait_for_holders(self.now);
        self.reconcile_grants(ix, slot);
        self.arm_look(ix, slot);
    }

    /// After a commit of an environment: something may fit now.
    pub(super) fn environment_changed(&mut self, ix: u32, slot: &mut Slot) {
        if slot.entity.as_ref().and_then(Entity::environment).is_none() {
            return;
        }
        self.grant_next(ix, slot);
        let at = self.now.saturating_add(RECONCILE_MS);
        self.arm_once(ix, slot, at, TimerKind::Reconcile);
    }
}
