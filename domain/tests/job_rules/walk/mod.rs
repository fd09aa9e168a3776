//! Random commands on random jobs, flat ones and trees, each step held against the naive model; beside the live state go
//! one that is replayed from the events as written, one that comes back from a snapshot, and one that is taken back by `undo`.

mod checks;
mod commands;
mod finds;
mod repairs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::dice::SplitMix64;
use domain::ids::Epoch;
use domain::job::command::JobCommand;
use domain::job::decide::{self, JobDecision};
use domain::job::detail::JobDetail;
use domain::job::event::JobEvent;
use domain::job::fact::{AttemptFact, JobFact};
use domain::job::flow::{Evaluated, Evaluator};
use domain::job::spec::JobSpec;
use domain::job::state::JobState;
use domain::job::undo::JobUndo;
use domain::payload::{Hash, PayloadBytes, StoredPayload};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::context::Context;
use orrery_model::Model;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use self::checks::{check_detail, check_failure};
use crate::build::{T0, checked, context, submission};
use crate::handed_on::check_handed_on;
use crate::moves::{check_lease, it_says_what_it_waits_for, somebody_moves_it};

/// The live job and its shadows.
struct Walk {
    state: JobState,
    model: Model,
    /// Only ever made from events as written.
    replayed: JobState,
    detail: JobDetail,
    /// The state before the events that `undo` can take back.
    before: JobState,
    undo: JobUndo,
    undone_events: Vec<JobEvent>,
    now: i64,
    incarnation: u32,
    /// What lies beside the stream.
    stored: BTreeMap<Hash, Arc<[u8]>>,
    /// What was evaluated, to be said once more.
    found: Vec<Evaluated>,
    /// What workers answer is drawn from here.
    outputs: SplitMix64,
    /// Every attempt that was granted.
    granted: BTreeSet<(u32, Epoch)>,
    /// What was recorded of each attempt: the report's number and what it said.
    recorded: BTreeMap<(u32, Epoch), (u8, u8)>,
    evidence: BTreeSet<(u32, Epoch)>,
    /// The newest grant offered; a later one has a higher number.
    grants: u64,
    /// What was answered first under each key: the body that it came with, and the event.
    answered: BTreeMap<u8, (u8, u64)>,
    /// Events so far, each held against the model.
    steps: u64,
}

fn failed(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

fn written(event: &JobEvent) -> Result<JobEvent, TestCaseError> {
    let text = serde_json::to_string(event).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| failed(format!("{error}: {text}")))
}

impl Walk {
    fn submit(spec: JobSpec, outputs: u64) -> Result<Self, TestCaseError> {
        let decision = decide::create(&submission(checked(spec)), &context(T0)).map_err(failed)?;
        let event = decision.event.ok_or_else(|| failed("a submission makes a job"))?;
        let make =
            |event: &JobEvent| JobState::create(event).ok_or_else(|| failed("no first event"));
        let (state, replayed) = (make(&event)?, make(&written(&event)?)?);
        prop_assert_eq!(state.digest(), replayed.digest());
        let model = Model::begin(&event).map_err(failed)?;
        let detail = JobDetail::create(&event, 0, [0; 32]);
        let detail = detail.ok_or_else(|| failed("no first event"))?;
        check_detail(&detail, &event)?;
        let mut walk = Self {
            detail,
            before: state.clone(),
            state,
            model,
            replayed,
            undo: JobUndo::default(),
            undone_events: Vec::new(),
            now: T0,
            incarnation: 1,
            stored: BTreeMap::new(),
            found: Vec::new(),
            outputs: SplitMix64::new(outputs),
            granted: BTreeSet::new(),
            recorded: BTreeMap::new(),
            evidence: BTreeSet::new(),
            grants: 0,
            answered: BTreeMap::new(),
            steps: 1,
        };
        walk.store(&event, decision.payloads)?;
        walk.stands(&event)?;
        Ok(walk)
    }

    /// What an event names is stored before it.
    fn store(&mut self, event: &JobEvent, payloads: Vec<PayloadBytes>) -> TestCaseResult {
        self.stored.extend(payloads.into_iter().map(|payload| (payload.sha256, payload.bytes)));
        for payload in event.stored_payloads() {
            prop_assert!(
                self.stored.contains_key(&payload.sha256),
                "nobody stored it: {:?}",
                event
            );
        }
        Ok(())
    }

    fn context(&self) -> Context {
        Context { incarnation: self.incarnation, ..context(self.now) }
    }

    fn ask(&mut self, command: &JobCommand) -> Result<Result<Answer, Refusal>, TestCaseError> {
        let context = self.context();
        self.ask_in(command, &context)
    }

    fn ask_in(
        &mut self,
        command: &JobCommand,
        context: &Context,
    ) -> Result<Result<Answer, Refusal>, TestCaseError> {
        match decide::decide(&self.state, command, context) {
            Err(refusal) => Ok(Err(refusal)),
            Ok(JobDecision { event: None, answer, .. }) => Ok(Ok(answer)),
            Ok(JobDecision { event: Some(event), answer, payloads }) => {
                self.store(&event, payloads)?;
                self.happened(&event)?;
                if let Answer::Done { seq } = answer {
                    prop_assert_eq!(seq, self.state.head.seq);
                }
                Ok(Ok(answer))
            }
        }
    }

    fn happened(&mut self, event: &JobEvent) -> TestCaseResult {
        let old = self.state.clone();
        // Whoever proves a stored job finds nothing wrong with what the rules decided.
        prop_assert_eq!(old.refuses(event), None, "{:?}", event);
        // One event, applied and taken back.
        let mut undo = JobUndo::default();
        self.state.apply(event, &mut undo);
        self.state.undo(undo);
        prop_assert!(self.state == old, "undo of {:?}", event);
        self.state.apply(event, &mut self.undo);
        self.undone_events.push(event.clone());
        self.steps += 1;
        prop_assert_eq!(self.state.head.seq, old.head.seq + 1);
        prop_assert!(event.by.at >= old.head.newest_at, "an event older than the one before");
        self.model.take(event).map_err(|wrong| failed(format!("{wrong}: {event:?}")))?;
        check_lease(&old, event, &self.state)?;
        check_failure(&old, event, &self.state)?;
        check_handed_on(&old, event, &self.state)?;
        let event_written = written(event)?;
        self.replayed.apply(&event_written, &mut JobUndo::none());
        self.detail.apply(event, 0, [0; 32]);
        check_detail(&self.detail, event)?;
        self.stands(event)?;
        if let JobFact::Attempt(AttemptFact::Leased { attempts, .. }) = &event.fact {
            for attempt in attempts {
                prop_assert!(self.granted.insert((attempt.node, attempt.epoch)), "an epoch twice");
            }
        }
        if self.undone_events.len() >= 5 {
            self.take_all_back()?;
        }
        Ok(())
    }

    /// What holds of every state.
    fn stands(&self, event: &JobEvent) -> TestCaseResult {
        let state = &self.state;
        self.model.agrees(state).map_err(|wrong| failed(format!("{wrong}: {event:?}")))?;
        prop_assert_eq!(state.contradictions(), Vec::<String>::new(), "{:?}", event);
        prop_assert!(*state == self.detail.state, "detail of {:?}", event);
        prop_assert!(*state == self.replayed, "replay of {:?}", event);
        prop_assert_eq!(state.head.completed_at.is_some(), state.head.status.is_over());
        somebody_moves_it(state)?;
        it_says_what_it_waits_for(state)
    }

    /// Several events under one undo.
    fn take_all_back(&mut self) -> TestCaseResult {
        let after = self.state.clone();
        self.state.undo(std::mem::take(&mut self.undo));
        prop_assert!(self.state == self.before, "undo of several events");
        prop_assert_eq!(self.state.digest(), self.before.digest());
        for event in std::mem::take(&mut self.undone_events) {
            self.state.apply(&event, &mut JobUndo::default());
        }
        prop_assert!(self.state == after, "events applied again");
        self.before = after;
        Ok(())
    }

    /// As after a load from a snapshot: everything that follows must be the same as for `replayed`.
    fn restore(&mut self) -> TestCaseResult {
        self.take_all_back()?;
        let text = serde_json::to_string(&self.state).map_err(failed)?;
        self.state = serde_json::from_str(&text).map_err(failed)?;
        prop_assert_eq!(self.state.digest(), self.before.digest(), "a snapshot differs");
        self.incarnation += 1;
        Ok(())
    }

    /// What is being evaluated beside the committer is found.
    fn evaluate(&self) -> Result<Vec<Evaluated>, TestCaseError> {
        let Some(order) = self.state.evaluation_order() else { return Ok(Vec::new()) };
        for payload in order.stored() {
            prop_assert!(self.stored.contains_key(&payload.sha256), "a payload that nobody stored");
        }
        let mut load = |payload: &StoredPayload| {
            let bytes = self.stored.get(&payload.sha256)?;
            std::str::from_utf8(bytes).ok().map(Arc::from)
        };
        let mut evaluator = Evaluator::new(&order, &mut load);
        let found = order.nodes.iter().map(|asked| evaluator.evaluate(asked));
        found.map(|found| found.map_err(|missing| failed(format!("{missing:?}")))).collect()
    }

    fn clock(&self) -> i64 {
        self.now.max(self.state.head.newest_at)
    }
}
