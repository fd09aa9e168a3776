//! Random commands on random jobs, each step held against the model; beside the live state go one that is replayed
//! from the events as written, one that comes back from a snapshot, and one that is taken back by `undo`.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::Epoch;
use domain::job::command::{JobCommand, Outcome};
use domain::job::decide::{self, JobDecision};
use domain::job::detail::JobDetail;
use domain::job::event::JobEvent;
use domain::job::fact::{AttemptFact, FailureFact, JobFact, Patch};
use domain::job::rows;
use domain::job::spec::JobSpec;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::job::undo::JobUndo;
use domain::node::status::NodeStatus::{self, Failed, Retrying, Running, Waiting};
use domain::payload::Hash;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::context::Context;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::build::{
    T0, checked, completes, context, fails, lease, mark, report, some_job, submission,
};
use crate::handed_on::check_handed_on;
use crate::model::{check_state, check_step, next_due};

/// One random command; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Op {
    Start,
    Grant,
    Lease(u16),
    Report { node: u16, old: u8, hash: u8, says: u8 },
    Expire { node: u16, stale: bool },
    Wake,
    WakeNow(u16),
    Pass(u16),
    ClockBack,
    Cancel,
    Pause,
    Resume,
    Patch(u8),
    Marked { id: u8, body: u8, cancel: bool },
    Restore,
}

fn some_op() -> impl Strategy<Value = Op> {
    let report = (any::<u16>(), 0u8..12, 0u8..3, 0u8..13);
    prop_oneof![
        2 => Just(Op::Start),
        2 => Just(Op::Grant),
        12 => any::<u16>().prop_map(Op::Lease),
        16 => report.prop_map(|(node, old, hash, says)| Op::Report { node, old, hash, says }),
        3 => (any::<u16>(), prop::bool::weighted(0.2))
            .prop_map(|(node, stale)| Op::Expire { node, stale }),
        6 => Just(Op::Wake),
        2 => any::<u16>().prop_map(Op::WakeNow),
        2 => (0u16..3_000).prop_map(Op::Pass),
        1 => Just(Op::ClockBack),
        1 => prop::bool::weighted(0.4).prop_map(|c| if c { Op::Cancel } else { Op::Wake }),
        2 => Just(Op::Pause),
        3 => Just(Op::Resume),
        1 => any::<u8>().prop_map(Op::Patch),
        1 => (0u8..3, 0u8..2, prop::bool::weighted(0.1))
            .prop_map(|(id, body, cancel)| Op::Marked { id, body, cancel }),
        1 => Just(Op::Restore),
    ]
}

/// The live job and its shadows.
struct Walk {
    state: JobState,
    /// Only ever made from events as written.
    replayed: JobState,
    detail: JobDetail,
    /// The state before the events that `undo` can take back.
    before: Hash,
    undo: JobUndo,
    undone_events: Vec<JobEvent>,
    now: i64,
    incarnation: u32,
    /// Every attempt that was granted.
    granted: BTreeSet<(u32, Epoch)>,
    /// What was recorded of each attempt: the report's number and what it said.
    recorded: BTreeMap<(u32, Epoch), (u8, u8)>,
    evidence: BTreeSet<(u32, Epoch)>,
    /// The newest grant offered; a later one has a higher number.
    grants: u64,
    /// First answers.
    answered: BTreeMap<u8, (u8, u64)>,
}

fn written(event: &JobEvent) -> Result<JobEvent, TestCaseError> {
    let text = serde_json::to_string(event);
    let text = text.map_err(|error| TestCaseError::fail(format!("not written: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| TestCaseError::fail(format!("not read again: {error}: {text}")))
}

/// What people see of nodes agrees with the state, and every transition is on one row.
fn check_detail(detail: &JobDetail, event: &JobEvent) -> TestCaseResult {
    prop_assert_eq!(rows::rows(event).count() as u64, rows::count(event), "rows of {:?}", event);
    let blocked = detail.state.blocked_by();
    for ((node, story), causes) in detail.state.nodes.iter().zip(&detail.nodes).zip(blocked) {
        let open = story.attempts.iter().filter(|attempt| attempt.end.is_none()).count();
        prop_assert_eq!(open, usize::from(node.status == Running), "{:?}", event);
        prop_assert_eq!(story.settled_at.is_some(), node.status.is_settled(), "{:?}", event);
        prop_assert!(causes.is_empty() || node.status == NodeStatus::Pending, "{:?}", event);
        let newest = story.attempts.last().map_or_else(Epoch::default, |attempt| attempt.epoch);
        prop_assert_eq!(newest, node.epoch, "{:?}", event);
    }
    Ok(())
}

impl Walk {
    fn submit(spec: JobSpec) -> Result<Self, TestCaseError> {
        let decision = decide::create(&submission(checked(spec)), &context(T0));
        let event = decision.ok().and_then(|decision| decision.event);
        let event = event.ok_or_else(|| TestCaseError::fail("a submission makes a job"))?;
        let make = |event: &JobEvent| {
            JobState::create(event).ok_or_else(|| TestCaseError::fail("no first event"))
        };
        let (state, replayed) = (make(&event)?, make(&written(&event)?)?);
        prop_assert_eq!(state.digest(), replayed.digest());
        check_state(&state)?;
        let detail = JobDetail::create(&event, 0, [0; 32]);
        let detail = detail.ok_or_else(|| TestCaseError::fail("no first event"))?;
        check_detail(&detail, &event)?;
        Ok(Self {
            detail,
            before: state.digest(),
            state,
            replayed,
            undo: JobUndo::default(),
            undone_events: Vec::new(),
            now: T0,
            incarnation: 1,
            granted: BTreeSet::new(),
            recorded: BTreeMap::new(),
            evidence: BTreeSet::new(),
            grants: 0,
            answered: BTreeMap::new(),
        })
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
            Ok(JobDecision { event: Some(event), answer, .. }) => {
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
        // One event, applied and taken back.
        let mut undo = JobUndo::default();
        self.state.apply(event, &mut undo);
        self.state.undo(undo);
        prop_assert_eq!(self.state.digest(), old.digest(), "undo of {:?}", event);
        self.state.apply(event, &mut self.undo);
        self.undone_events.push(event.clone());
        check_step(&old, event, &self.state)?;
        check_failure(&old, event, &self.state)?;
        check_handed_on(&old, event, &self.state)?;
        check_state(&self.state)?;
        // Whoever proves a stored job finds nothing wrong with what the rules decided.
        prop_assert_eq!(old.refuses(event), None, "{:?}", event);
        prop_assert_eq!(self.state.contradictions(), Vec::<String>::new(), "{:?}", event);
        self.replayed.apply(&written(event)?, &mut JobUndo::default());
        self.detail.apply(event, 0, [0; 32]);
        prop_assert_eq!(self.state.digest(), self.detail.state.digest(), "detail of {:?}", event);
        check_detail(&self.detail, event)?;
        prop_assert_eq!(self.state.digest(), self.replayed.digest(), "replay of {:?}", event);
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

    /// Several events under one undo.
    fn take_all_back(&mut self) -> TestCaseResult {
        let after = self.state.digest();
        self.state.undo(std::mem::take(&mut self.undo));
        prop_assert_eq!(self.state.digest(), self.before, "undo of several events");
        for event in std::mem::take(&mut self.undone_events) {
            self.state.apply(&event, &mut JobUndo::default());
        }
        prop_assert_eq!(self.state.digest(), after);
        self.before = after;
        Ok(())
    }

    /// Everything that is due at this time is done, and something is.
    fn wake(&mut self) -> TestCaseResult {
        let nodes: Vec<u32> = (0u32..).take(self.state.nodes.len()).collect();
        let most = 20 * nodes.len() + 20;
        for _ in 0..most {
            let due = next_due(&self.state).is_some_and(|at| at <= self.clock());
            let answer = self.ask(&JobCommand::Wake { nodes: nodes.clone() })?;
            let nothing = matches!(answer, Ok(Answer::Nothing));
            prop_assert!(answer.is_ok());
            prop_assert_eq!(nothing, !due, "due {:?}: {:?}", next_due(&self.state), answer);
            if nothing {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("wake-ups do not end"))
    }

    fn clock(&self) -> i64 {
        self.now.max(self.state.head.newest_at)
    }

    fn pick(&self, number: u16, status: NodeStatus) -> Option<u32> {
        let found: Vec<u32> = (0u32..)
            .take(self.state.nodes.len())
            .filter(|ix| self.state.nodes[*ix as usize].status == status)
            .collect();
        (!found.is_empty()).then(|| found[usize::from(number) % found.len()])
    }

    fn report(&mut self, node: u32, epoch: Epoch, hash: u8, says: u8) -> TestCaseResult {
        let kind = match says {
            0..=5 => 0,
            6..=9 => 1,
            _ => 2,
        };
        let outcome = match says {
            0..=5 => completes(Some("{\"a\": 1}")),
            6..=8 => fails(true),
            9 => fails(false),
            10 => Outcome::Release { undelivered: true },
            11 => Outcome::ReleaseFor { after_ms: u64::from(hash) * 900 },
            _ => Outcome::Release { undelivered: false },
        };
        let key = (node, epoch);
        let current = &self.state.nodes[node as usize];
        let void = epoch.is_void_in(self.incarnation);
        let counts = current.status == Running && current.epoch == epoch && !void;
        let over = self.state.head.status.is_over();
        let spared = says == 10 && current.undelivered >= 3;
        let (seq, moved) = (self.state.head.seq, self.state.nodes.clone());
        let answer = self.ask(&report(node, epoch, u32::from(hash), outcome))?;
        let events = self.state.head.seq - seq;
        if counts {
            if spared {
                prop_assert!(matches!(answer, Ok(Answer::Nothing)) && events == 0);
                return Ok(());
            }
            prop_assert!(matches!(answer, Ok(Answer::Recorded)), "{:?}", answer);
            prop_assert_eq!(events, 1);
            prop_assert!(self.recorded.insert(key, (hash, kind)).is_none(), "counted twice");
            return Ok(());
        }
        prop_assert_eq!(&moved, &self.state.nodes, "a stale report changed a node");
        match self.recorded.get(&key) {
            Some(before) if *before == (hash, kind) => {
                prop_assert!(matches!(answer, Ok(Answer::RecordedBefore)), "{:?}", answer);
                prop_assert_eq!(events, 0);
            }
            Some(_) => {
                prop_assert!(matches!(answer, Err(Refusal::ReportedDifferently)), "{:?}", answer);
                prop_assert_eq!(events, 0);
            }
            None if !over && self.granted.contains(&key) && self.evidence.insert(key) => {
                prop_assert!(matches!(answer, Ok(Answer::Refused(Refusal::LeaseLost))));
                prop_assert_eq!(events, 1, "the first stale report is kept");
            }
            None => {
                prop_assert!(matches!(answer, Err(Refusal::LeaseLost)), "{:?}", answer);
                prop_assert_eq!(events, 0);
            }
        }
        Ok(())
    }

    fn marked(&mut self, id: u8, body: u8, cancel: bool) -> TestCaseResult {
        let command = if cancel {
            JobCommand::Cancel { reason: None }
        } else {
            JobCommand::Patch(Box::new(Patch { priority: Some(3), ..Patch::default() }))
        };
        let mut context = self.context();
        context.command = Some(mark(u32::from(id), u32::from(body)));
        let seq = self.state.head.seq;
        let answer = self.ask_in(&command, &context)?;
        match self.answered.get(&id) {
            Some((before, first)) => {
                prop_assert_eq!(self.state.head.seq, seq, "decided twice");
                if *before == body {
                    let same = matches!(answer, Ok(Answer::Replayed { seq }) if seq == *first);
                    prop_assert!(same, "{:?}", answer);
                } else {
                    prop_assert_eq!(answer.err(), Some(Refusal::IdempotencyKeyReused));
                }
            }
            None if self.state.head.seq > seq => {
                self.answered.insert(id, (body, self.state.head.seq));
            }
            None => {}
        }
        Ok(())
    }

    /// As after a load from a snapshot: everything that follows must be the same as for `replayed`.
    fn restore(&mut self) -> TestCaseResult {
        self.take_all_back()?;
        let text = serde_json::to_string(&self.state);
        let text = text.map_err(|error| TestCaseError::fail(error.to_string()))?;
        self.state =
            serde_json::from_str(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(self.state.digest(), self.before, "a snapshot differs");
        self.incarnation += 1;
        Ok(())
    }

    fn step(&mut self, op: &Op) -> TestCaseResult {
        let status = self.state.head.status;
        match op {
            Op::Start => {
                let answer = self.ask(&JobCommand::Start)?;
                prop_assert_eq!(answer.is_ok(), status == JobStatus::Pending);
            }
            Op::Grant => {
                let takes = status == JobStatus::Queued;
                self.grants += 1;
                let answer = self.ask(&JobCommand::TakeGrant { number: self.grants })?;
                let taken = matches!(answer, Ok(Answer::Done { .. }));
                prop_assert!(!takes || taken, "{:?}", answer);
            }
            Op::Lease(bits) => {
                let all = (0u32..).take(self.state.nodes.len());
                let nodes = all.filter(|ix| bits >> ix & 1 == 1).chain([0, 99]).collect();
                self.ask(&lease(nodes))?.ok();
            }
            Op::Report { node, old, hash, says } => {
                let of = if *old < 8 { self.pick(*node, Running) } else { None };
                let any = u32::from(*node) % u32::try_from(self.state.nodes.len()).unwrap_or(1);
                let node = of.unwrap_or(any);
                let mut epoch = self.state.nodes[node as usize].epoch;
                if *old >= 10 {
                    epoch = Epoch(epoch.0.saturating_sub(1));
                }
                self.report(node, epoch, *hash, *says)?;
            }
            Op::Expire { node, stale } => {
                if let Some(node) = self.pick(*node, Running) {
                    let epoch = self.state.nodes[node as usize].epoch;
                    let epoch = if *stale { Epoch(epoch.0 - 1) } else { epoch };
                    let answer = self.ask(&JobCommand::ExpireLease { node, epoch })?;
                    prop_assert_eq!(matches!(answer, Ok(Answer::Nothing)), *stale);
                }
            }
            Op::Wake => {
                self.now = self.now.max(next_due(&self.state).unwrap_or(self.now));
                self.wake()?;
            }
            Op::WakeNow(bits) => {
                let all = (0u32..).take(self.state.nodes.len());
                let nodes = all.filter(|ix| bits >> ix & 1 == 1).collect();
                self.ask(&JobCommand::Wake { nodes })?.ok();
            }
            Op::Pass(ms) => self.now += i64::from(*ms),
            Op::ClockBack => self.now -= 400,
            Op::Cancel => self.cancel()?,
            Op::Pause => self.pause()?,
            Op::Resume => {
                let resumes = status == JobStatus::Paused && self.state.head.ending.is_none();
                let answer = self.ask(&JobCommand::Resume { reason: None })?;
                prop_assert_eq!(answer.is_ok(), resumes);
                prop_assert!(!resumes || self.state.head.status != JobStatus::Paused);
            }
            Op::Patch(number) => {
                let patch = Patch {
                    priority: Some(number % 10 + 1),
                    description: Some((number % 2 == 0).then(|| "text".to_owned())),
                    timeout_ms: (number % 7 == 0).then_some(Some(20_000)),
                    scheduled_at: (number % 11 == 0).then_some(None),
                    ..Patch::default()
                };
                self.ask(&JobCommand::Patch(Box::new(patch)))?.ok();
            }
            Op::Marked { id, body, cancel } => self.marked(*id, *body, *cancel)?,
            Op::Restore => self.restore()?,
        }
        Ok(())
    }

    fn cancel(&mut self) -> TestCaseResult {
        let status = self.state.head.status;
        let answer = self.ask(&JobCommand::Cancel { reason: None })?;
        let may = !status.is_over() || status == JobStatus::Cancelled;
        prop_assert_eq!(answer.is_ok(), may, "{} {:?}", status, answer);
        if may {
            let head = &self.state.head;
            let ends = [Some(head.status), head.ending].contains(&Some(JobStatus::Cancelled));
            prop_assert!(ends, "cancel is recorded at once");
            self.no_lease()?;
        }
        Ok(())
    }

    fn pause(&mut self) -> TestCaseResult {
        let answer = self.ask(&JobCommand::Pause { reason: None })?;
        if answer.is_ok() {
            prop_assert_eq!(self.state.head.status, JobStatus::Paused);
            self.no_lease()?;
        }
        Ok(())
    }

    fn no_lease(&mut self) -> TestCaseResult {
        let all = (0u32..).take(self.state.nodes.len()).collect();
        let answer = self.ask(&lease(all))?;
        prop_assert!(matches!(answer, Ok(Answer::Leased(attempts)) if attempts.is_empty()));
        Ok(())
    }

    /// Whoever does what can be done brings every job to its end.
    fn finish(&mut self) -> TestCaseResult {
        let all: Vec<u32> = (0u32..).take(self.state.nodes.len()).collect();
        for _ in 0..40 * all.len() + 40 {
            if self.state.head.status.is_over() {
                return Ok(());
            }
            self.step(&Op::Start)?;
            self.step(&Op::Grant)?;
            self.step(&Op::Resume)?;
            self.ask(&lease(all.clone()))?.ok();
            for ix in &all {
                let node = &self.state.nodes[*ix as usize];
                if node.status == Running {
                    let epoch = node.epoch;
                    self.report(*ix, epoch, 1, 0)?;
                    // Where a restore came between, the driver ends the lease.
                    if epoch.is_void_in(self.incarnation) {
                        self.ask(&JobCommand::ExpireLease { node: *ix, epoch })?.ok();
                    }
                }
            }
            self.step(&Op::Wake)?;
        }
        Err(TestCaseError::fail(format!("it never ends: {:?}", self.state.head)))
    }
}

/// What may follow a failed attempt.
fn check_failure(before: &JobState, event: &JobEvent, after: &JobState) -> TestCaseResult {
    let JobFact::Failure(fact) = &event.fact else { return Ok(()) };
    let Some(failure) = fact.failure() else { return Ok(()) };
    let spec = &before.plan.nodes[failure.attempt.node as usize];
    let node = &after.nodes[failure.attempt.node as usize];
    let unknown = !matches!(fact, FailureFact::Failed(_));
    let ending = before.head.ending.is_some();
    if unknown && spec.at_most_once && !ending {
        prop_assert!(failure.retry.is_none());
        prop_assert_eq!((node.status, after.head.status), (Waiting, JobStatus::Paused));
        return Ok(());
    }
    let most = before.plan.retry_of(spec).max_attempts;
    let repeats = failure.retry.is_some();
    prop_assert_eq!(repeats, node.status == Retrying);
    prop_assert!(!repeats || (!ending && failure.attempt.attempt < most), "retried too often");
    prop_assert!(!repeats || failure.error.retryable != Some(false), "retried what is final");
    if repeats {
        prop_assert!(node.due >= event.by.at, "due before it failed");
    } else {
        prop_assert!(node.status.is_settled());
        prop_assert!(ending || node.status == Failed || node.status == NodeStatus::Timeout);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_step_of_a_random_job_agrees_with_the_model(
        spec in some_job(),
        ops in prop::collection::vec(some_op(), 1..70),
    ) {
        let mut walk = Walk::submit(spec)?;
        for op in &ops {
            walk.step(op)?;
        }
        walk.finish()?;
    }
}
