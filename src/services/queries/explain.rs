//! Why a job, or one of its nodes, does not go on: what its state says, with what only the engines know of it now: who
//! polls for its work, when leases run out, how its environment stands, and whether its driver has it in memory.
//! Always holds: what the engines do not say in time is left out, and the rest is answered; a job that cannot be read says
//! so. Absent: who drives it (whoever shows this knows), and any payload.

mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::catalog::state::CatalogState;
use domain::ids::{EnvironmentName, JobId, Millis, Namespace, SubjectId};
use domain::job::explain::WaitCode;
use domain::refusal::Refusal;
use domain::time_text::rfc3339;

use self::shapes::{explained, unreadable};
use super::Queries;
use crate::engine::core::message::{Held, Names, QueueFacts, SubjectInspection};
use crate::engine::error::EngineError;
use crate::engine::streams::WakesAt;
use crate::view::resources::pause::PauseResource;

pub use self::shapes::{
    AsksAnswer, AttemptRunning, EndedAnswer, Explained, GrantAnswer, Memory, NodeStands,
    WaitAnswer, WorkersAnswer,
};

impl Queries {
    /// Why a job, or its node with this key, does not go on.
    ///
    /// # Errors
    /// `JobNotFound`, `NodeNotFound`, and what keeps the store from answering.
    pub async fn explain(
        &self,
        namespace: &Namespace,
        job: JobId,
        key: Option<&str>,
    ) -> Result<Explained, EngineError> {
        let subject = SubjectId::job(namespace.clone(), job);
        let now = self.clock.now_ms();
        let read = self.details.with(namespace, job, |detail| {
            let (explained, asked) = explained(detail, key, now)?;
            Some((explained, detail.state.plan.environment.clone(), asked))
        });
        let (mut explained, environment, asked) = match read.await {
            Ok(found) => found.ok_or(EngineError::Refused(Refusal::NodeNotFound))?,
            Err(EngineError::Damaged(_)) => return Ok(unreadable(&subject, now)),
            Err(error) => return Err(error),
        };
        let nodes = explained.waits.iter().flat_map(|wait| &wait.of).copied().collect();
        let inspection = self.engine.streams().inspection(&subject, nodes, None).await.ok();
        explained.memory = self.memory(&subject, inspection.as_ref()).await?;
        if let Some(inspection) = inspection.filter(|inspection| inspection.drives) {
            explained.waits.iter_mut().for_each(|wait| wait.inspection(&inspection));
        }
        let queues: BTreeSet<&str> = explained
            .waits
            .iter()
            .filter_map(|wait| Some(wait.workers.as_ref()?.queue.as_str()))
            .collect();
        let queues = Names::only(queues.into_iter().map(Arc::from).collect());
        if queues.max > 0
            && let Ok(found) = self.engine.cluster().queues_everywhere(namespace, &queues).await
        {
            explained.waits.iter_mut().for_each(|wait| wait.polled(&found.facts, &found.silent));
        }
        if explained.waits.iter().any(|wait| !wait.may_be_paused.is_empty())
            && let Some(catalog) = self.engine.catalogs().now(namespace).await?
        {
            explained.waits.iter_mut().for_each(|wait| wait.is_paused(&catalog, now));
        }
        if let Some(wait) = explained.waits.iter_mut().find(|wait| wait.code == WaitCode::Grant) {
            let grant = self.grant(namespace, job, &environment, asked).await?;
            wait.message = format!("{}; {}", wait.message, grant.words());
            wait.environment = Some(grant);
        }
        Ok(explained)
    }

    async fn memory(
        &self,
        subject: &SubjectId,
        inspection: Option<&SubjectInspection>,
    ) -> Result<Memory, EngineError> {
        let Some(inspection) = inspection.filter(|inspection| inspection.drives) else {
            return Ok(Memory::Unknown);
        };
        Ok(match inspection.held {
            Held::Whole => Memory::Held,
            Held::Loading => Memory::Loading,
            Held::Damaged => Memory::Unreadable,
            Held::Absent => match self.engine.streams().wakes_at(subject).await? {
                Some(WakesAt::At(at)) => Memory::Parked(Some(at)),
                Some(WakesAt::Asked) => Memory::Parked(None),
                None => Memory::Retired,
            },
        })
    }

    async fn grant(
        &self,
        namespace: &Namespace,
        job: JobId,
        name: &EnvironmentName,
        asked: BTreeMap<String, u64>,
    ) -> Result<GrantAnswer, EngineError> {
        let state = self.engine.environments().get(namespace, name).await?;
        let subject = SubjectId::environment(namespace.clone(), name);
        let inspection =
            self.engine.streams().inspection(&subject, Vec::new(), Some(job)).await.ok();
        let asks = inspection
            .filter(|inspection| inspection.drives)
            .and_then(|inspection| inspection.asks);
        let shortage = state.as_ref().and_then(|state| state.shortage(&asked));
        let used = state.as_ref().map(|state| state.use_by_resource()).unwrap_or_default();
        let used = used.into_iter().map(|(resource, amount)| (resource.to_owned(), amount));
        Ok(GrantAnswer {
            name: name.to_string(),
            exists: state.is_some(),
            used: used.collect(),
            capacity: state.as_ref().map(|state| state.capacity.clone()).unwrap_or_default(),
            asked,
            hopeless: shortage.is_some_and(|shortage| shortage.is_hopeless()),
            asks: asks.map(|asks| AsksAnswer { waiting: asks.waiting, before: asks.before }),
        })
    }
}

impl GrantAnswer {
    fn words(&self) -> String {
        if !self.exists {
            return "there is no such environment now".to_owned();
        }
        if self.hopeless {
            return "that is more than it has, so it waits until the capacity grows".to_owned();
        }
        let used = self.capacity.iter().map(|(resource, capacity)| {
            let used = self.used.get(resource).copied().unwrap_or(0);
            format!("{used} of {capacity} {resource} in use")
        });
        let used: Vec<_> = used.collect();
        let before = self.asks.as_ref().and_then(|asks| asks.before);
        let before = before.map(|before| format!(", and {before} jobs are served before it"));
        let used = if used.is_empty() { "it is unlimited".to_owned() } else { used.join(", ") };
        format!("{used}{}", before.unwrap_or_default())
    }
}

impl WaitAnswer {
    /// What the driver keeps of its nodes.
    fn inspection(&mut self, inspection: &SubjectInspection) {
        let leases: BTreeMap<u32, Millis> = inspection.leases.iter().copied().collect();
        for attempt in &mut self.attempts {
            attempt.lease_expires_at = leases.get(&attempt.ix).copied().map(rfc3339);
        }
        let first = self.attempts.iter().filter_map(|attempt| leases.get(&attempt.ix)).min();
        if let (WaitCode::Attempt, Some(first)) = (self.code, first) {
            let which = if self.node_count == 1 { "" } else { "the first " };
            let at = rfc3339(*first);
            self.message = format!("{} ({which}at {at}, unless it is kept)", self.message);
        }
        let before = inspection.before.iter().filter(|(ix, _)| self.of.contains(ix));
        if let Some(workers) = &mut self.workers {
            workers.before = before.map(|(_, before)| *before).min();
        }
    }

    /// What an operator has paused of it.
    fn is_paused(&mut self, catalog: &CatalogState, now: Millis) {
        for target in &self.may_be_paused {
            let pause = catalog.pauses.get(target).filter(|pause| pause.holds_at(now));
            if let Some(pause) = pause {
                let paused = PauseResource::of(target, Some(pause));
                self.message = format!("{}; {}", self.message, paused.words());
                self.paused.push(paused);
            }
        }
    }

    /// What the engines know of its queue.
    fn polled(&mut self, facts: &[QueueFacts], silent: &[u32]) {
        let Some(workers) = &mut self.workers else { return };
        silent.clone_into(&mut workers.silent_engines);
        if let Some(facts) = facts.iter().find(|facts| facts.queue.as_str() == workers.queue) {
            workers.waiting_polls = facts.waiting_polls;
            workers.last_poll_at = facts.last_poll_at.map(rfc3339);
            workers.ready = facts.ready;
            workers.running = facts.running;
        }
        let asked = match (workers.waiting_polls, &workers.last_poll_at) {
            (0, None) => "no worker has asked there in the last minute".to_owned(),
            (0, Some(at)) => format!("no worker waits there now, the last one asked at {at}"),
            (1, _) => "1 request waits there now".to_owned(),
            (many, _) => format!("{many} requests wait there now"),
        };
        self.message = format!("{}; {asked}", self.message);
    }
}
