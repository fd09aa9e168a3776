//! A job that decides and applies one command after the other, and proves each step: what an event says can follow, be taken
//! back and be replayed, and what it names is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::Millis;
use domain::job::command::{JobCommand, Outcome};
use domain::job::decide::{self, JobDecision};
use domain::job::event::JobEvent;
use domain::job::flow::{Evaluated, Evaluator};
use domain::job::plan::CheckedSpec;
use domain::job::spec::JobSpec;
use domain::job::state::JobState;
use domain::job::undo::JobUndo;
use domain::node::attempt::AttemptRef;
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;
use domain::payload::{Hash, Payload, PayloadBytes, StoredPayload};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;

use crate::build::{T0, checked, completes, context, fails, lease, report, submission};

/// A job that lives: its state, its events, its time. Unless it is a large one, each of its steps is proven: the state agrees
/// with itself, whoever proves a stored job finds nothing wrong with the event, it can be taken back, and what is replayed
/// from the events as written is the same.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) state: JobState,
    pub(crate) events: Vec<JobEvent>,
    pub(crate) now: Millis,
    /// Only ever made from events as written; none: steps are not proven.
    replayed: Option<JobState>,
    /// What lies beside the stream.
    stored: BTreeMap<Hash, Arc<[u8]>>,
}

impl Live {
    pub(crate) fn submit(spec: JobSpec) -> Self {
        Self::submit_checked(checked(spec))
    }

    pub(crate) fn submit_checked(spec: CheckedSpec) -> Self {
        let mut live = Self::of(spec);
        live.replayed = JobState::create(&written(&live.events[0]));
        live.agrees();
        live
    }

    /// Without a proof of each step, which looks at every node.
    pub(crate) fn submit_large(spec: JobSpec) -> Self {
        Self::of(checked(spec))
    }

    fn of(spec: CheckedSpec) -> Self {
        let decision = decide::create(&submission(spec), &context(T0));
        let Ok(JobDecision { event: Some(event), payloads, .. }) = decision else {
            panic!("a checked submission makes a job")
        };
        let Some(state) = JobState::create(&event) else { panic!("a first event makes a state") };
        let mut live =
            Self { state, events: vec![event], now: T0, replayed: None, stored: BTreeMap::new() };
        live.store(payloads);
        live
    }

    fn store(&mut self, payloads: Vec<PayloadBytes>) {
        self.stored.extend(payloads.into_iter().map(|payload| (payload.sha256, payload.bytes)));
        for payload in self.events.last().into_iter().flat_map(JobEvent::stored_payloads) {
            assert!(self.stored.contains_key(&payload.sha256), "a payload that nobody stored");
        }
    }

    pub(crate) fn decide(&self, command: &JobCommand) -> Result<JobDecision, Refusal> {
        decide::decide(&self.state, command, &context(self.now))
    }

    /// Decides and applies.
    pub(crate) fn ask(&mut self, command: &JobCommand) -> Result<Answer, Refusal> {
        let decision = self.decide(command)?;
        if let Some(event) = decision.event {
            self.happens(event, decision.payloads);
        }
        Ok(decision.answer)
    }

    fn happens(&mut self, event: JobEvent, payloads: Vec<PayloadBytes>) {
        let Some(replayed) = &mut self.replayed else {
            self.state.apply(&event, &mut JobUndo::default());
            self.events.push(event);
            return;
        };
        assert_eq!(self.state.refuses(&event), None, "{event:?}");
        replayed.apply(&written(&event), &mut JobUndo::none());
        let (before, mut undo) = (self.state.digest(), JobUndo::default());
        self.state.apply(&event, &mut undo);
        self.state.undo(undo);
        assert_eq!(self.state.digest(), before, "undo of {event:?}");
        self.state.apply(&event, &mut JobUndo::default());
        self.events.push(event);
        self.store(payloads);
        self.agrees();
    }

    fn agrees(&self) {
        let event = self.events.last();
        assert_eq!(self.state.contradictions(), Vec::<String>::new(), "{event:?}");
        let replayed = self.replayed.as_ref().map(JobState::digest);
        assert_eq!(Some(self.state.digest()), replayed, "replay of {event:?}");
    }

    pub(crate) fn at(&self, key: &str) -> u32 {
        match self.state.plan.position(key) {
            Some(ix) => ix,
            None => panic!("no node {key}"),
        }
    }

    pub(crate) fn status(&self, key: &str) -> NodeStatus {
        self.state.nodes[self.at(key) as usize].status
    }

    pub(crate) fn hold(&self, key: &str) -> Option<Hold> {
        self.state.nodes[self.at(key) as usize].hold
    }

    /// Where all nodes stand that have left pending, by path; `~` stands for a bypassed one.
    pub(crate) fn stand(&self) -> String {
        let nodes = self.state.plan.positions().zip(&self.state.nodes);
        let moved = nodes.filter(|(_, node)| node.status != NodeStatus::Pending);
        let told = moved.map(|(ix, node)| {
            let bypassed = if node.marks.bypassed { "~" } else { "" };
            format!("{} {bypassed}{}", self.state.plan.path(ix), node.status)
        });
        told.collect::<Vec<_>>().join(", ")
    }

    /// The paths of the nodes that stand so.
    pub(crate) fn those(&self, status: NodeStatus) -> Vec<String> {
        let nodes = self.state.plan.positions().zip(&self.state.nodes);
        let those = nodes.filter(|(_, node)| node.status == status);
        those.map(|(ix, _)| self.state.plan.path(ix)).collect()
    }

    /// Leases one node that must be ready.
    pub(crate) fn lease(&mut self, key: &str) -> AttemptRef {
        let ix = self.at(key);
        match self.ask(&lease(vec![ix])) {
            Ok(Answer::Leased(attempts)) if attempts.len() == 1 => attempts[0],
            other => panic!("{key} is not leased: {other:?}; {}", self.stand()),
        }
    }

    pub(crate) fn report(&mut self, of: AttemptRef, outcome: Outcome) -> Result<Answer, Refusal> {
        self.ask(&report(of.node, of.epoch, 1, outcome))
    }

    fn reported(&mut self, key: &str, outcome: Outcome) {
        let attempt = self.lease(key);
        assert!(matches!(self.report(attempt, outcome), Ok(Answer::Recorded)));
    }

    pub(crate) fn complete(&mut self, key: &str) {
        self.reported(key, completes(None));
    }

    pub(crate) fn complete_with(&mut self, key: &str, output: &str) {
        self.reported(key, completes(Some(output)));
    }

    pub(crate) fn fail(&mut self, key: &str) {
        self.reported(key, fails(false));
    }

    /// Fails as another execution might not.
    pub(crate) fn fail_once(&mut self, key: &str) {
        self.reported(key, fails(true));
    }

    pub(crate) fn cancel(&mut self) {
        assert!(self.ask(&JobCommand::Cancel { reason: None }).is_ok());
    }

    /// What is being evaluated beside the committer is found.
    pub(crate) fn found(&self) -> Vec<Evaluated> {
        let Some(order) = self.state.evaluation_order() else { return Vec::new() };
        for payload in order.stored() {
            assert!(self.stored.contains_key(&payload.sha256), "a payload that nobody stored");
        }
        let mut load = |payload: &StoredPayload| {
            let bytes = self.stored.get(&payload.sha256)?;
            std::str::from_utf8(bytes).ok().map(Arc::from)
        };
        let mut evaluator = Evaluator::new(&order, &mut load);
        let found = order.nodes.iter().map(|asked| evaluator.evaluate(asked));
        found.map(|found| found.unwrap_or_else(|missing| panic!("{missing:?}"))).collect()
    }

    /// What waits for evaluations gets them, until nobody waits for one. Answers how many there were.
    pub(crate) fn evaluate(&mut self) -> usize {
        let mut count = 0;
        loop {
            let found = self.found();
            if found.is_empty() {
                return count;
            }
            count += found.len();
            let answer = self.ask(&JobCommand::Evaluated(found));
            assert!(matches!(answer, Ok(Answer::Done { .. })), "{answer:?}");
        }
    }

    /// The JSON of a payload.
    pub(crate) fn text(&self, payload: Option<&Payload>) -> String {
        match payload {
            None => "none".to_owned(),
            Some(Payload::Inline(raw)) => raw.get().to_owned(),
            Some(Payload::Stored(stored)) => {
                String::from_utf8_lossy(&self.stored[&stored.sha256]).into_owned()
            }
        }
    }

    /// What the worker of a node gets.
    pub(crate) fn input(&self, key: &str) -> String {
        self.text(self.state.input_of(self.at(key)))
    }

    /// The job's own output.
    pub(crate) fn output(&self) -> String {
        self.text(self.state.head.output.as_ref())
    }

    /// The node that the job's error names, and its class.
    pub(crate) fn error(&self) -> (Option<&str>, &str) {
        let error = self.state.head.error.as_deref();
        error.map_or((None, ""), |error| (error.node.as_deref(), error.class.as_str()))
    }

    /// Wakes the job at a time, until nothing is left to do.
    pub(crate) fn wake_at(&mut self, now: Millis) {
        self.now = now;
        for _ in 0..=10 * self.state.nodes.len() + 10 {
            let nodes: Vec<u32> = (0u32..).take(self.state.nodes.len()).collect();
            match self.ask(&JobCommand::Wake { nodes }) {
                Ok(Answer::Nothing) => return,
                Ok(_) => {}
                Err(refusal) => panic!("a wake-up is never refused: {refusal}"),
            }
        }
        panic!("wake-ups do not end");
    }
}

/// The event as it is stored and read again.
pub(crate) fn written(event: &JobEvent) -> JobEvent {
    let text = serde_json::to_string(event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
