//! The random commands, and what each must be answered.

use domain::ids::Epoch;
use domain::job::command::{JobCommand, Outcome};
use domain::job::fact::Patch;
use domain::job::outcome::EndingStage;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus::{self, Running};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use orrery_model::random_trees::Chance as _;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::{Walk, failed};
use crate::build::{completes, fails, lease, mark, report};
use crate::moves::next_due;

/// One random command; numbers choose among what there is.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Start,
    Grant,
    Lease(u64),
    Report {
        node: u16,
        old: u8,
        hash: u8,
        says: u8,
    },
    Expire {
        node: u16,
        stale: bool,
    },
    Wake,
    WakeNow(u64),
    Pass(u16),
    ClockBack,
    Cancel,
    Pause,
    Resume,
    Patch(u8),
    /// A node that has not run is changed, or one that may not be.
    Repair {
        node: u16,
        what: u16,
    },
    Marked {
        id: u8,
        body: u8,
        cancel: bool,
    },
    Restore,
    /// Some of what is being evaluated is found, in answers that come in part, twice, or late.
    Evaluate {
        part: u64,
        times: u8,
    },
    /// Answers come once more.
    EvaluateAgain(u16),
}

pub(super) fn some_op() -> impl Strategy<Value = Op> {
    let report = (any::<u16>(), 0u8..12, 0u8..3, 0u8..16);
    prop_oneof![
        2 => Just(Op::Start),
        2 => Just(Op::Grant),
        12 => any::<u64>().prop_map(Op::Lease),
        16 => report.prop_map(|(node, old, hash, says)| Op::Report { node, old, hash, says }),
        3 => (any::<u16>(), prop::bool::weighted(0.2))
            .prop_map(|(node, stale)| Op::Expire { node, stale }),
        6 => Just(Op::Wake),
        2 => any::<u64>().prop_map(Op::WakeNow),
        2 => (0u16..3_000).prop_map(Op::Pass),
        1 => Just(Op::ClockBack),
        1 => prop::bool::weighted(0.4).prop_map(|c| if c { Op::Cancel } else { Op::Wake }),
        2 => Just(Op::Pause),
        3 => Just(Op::Resume),
        1 => any::<u8>().prop_map(Op::Patch),
        3 => (any::<u16>(), any::<u16>()).prop_map(|(node, what)| Op::Repair { node, what }),
        1 => (0u8..3, 0u8..2, prop::bool::weighted(0.1))
            .prop_map(|(id, body, cancel)| Op::Marked { id, body, cancel }),
        1 => Just(Op::Restore),
        6 => (any::<u64>(), 0u8..3).prop_map(|(part, times)| Op::Evaluate { part, times }),
        3 => any::<u16>().prop_map(Op::EvaluateAgain),
    ]
}

impl Walk {
    /// Everything that is due at this time is done, and something is.
    fn wake(&mut self) -> TestCaseResult {
        for _ in 0..1_000 {
            let nodes = (0u32..).take(self.state.nodes.len()).collect();
            let due = next_due(&self.state).is_some_and(|at| at <= self.clock());
            let answer = self.ask(&JobCommand::Wake { nodes })?;
            let nothing = matches!(answer, Ok(Answer::Nothing));
            prop_assert!(answer.is_ok());
            prop_assert_eq!(nothing, !due, "due {:?}: {:?}", next_due(&self.state), answer);
            if nothing {
                return Ok(());
            }
        }
        Err(failed("wake-ups do not end"))
    }

    /// Those of the nodes that these bits choose.
    fn chosen(&self, bits: u64) -> impl Iterator<Item = u32> + use<> {
        let all = (0u32..).take(self.state.nodes.len());
        all.filter(move |ix| bits.rotate_right(*ix) & 1 == 1)
    }

    fn pick(&self, number: u16, status: NodeStatus) -> Option<u32> {
        let found: Vec<u32> = (0u32..)
            .take(self.state.nodes.len())
            .filter(|ix| self.state.nodes[*ix as usize].status == status)
            .collect();
        (!found.is_empty()).then(|| found[usize::from(number) % found.len()])
    }

    /// What a worker answers.
    fn output(&mut self) -> Option<String> {
        let large = "x".repeat(2_100);
        let dice = &mut self.outputs;
        Some(match dice.number_below(16) {
            0 => return None,
            1 => "[1, [2]]".to_owned(),
            2 => "\"text\"".to_owned(),
            3 => "{\"n\": \"none\", \"items\": {}}".to_owned(),
            4 if dice.percent(20) => format!("{{\"items\": [{}0]}}", "0,".repeat(10_000)),
            4..=8 => format!("{{\"n\": 7, \"items\": [1, 2, 3], \"text\": \"{large}\"}}"),
            9 => "{\"n\": 1, \"items\": []}".to_owned(),
            _ => "{\"n\": 4, \"items\": [1, [2, 3], 4]}".to_owned(),
        })
    }

    fn report(&mut self, node: u32, epoch: Epoch, hash: u8, says: u8) -> TestCaseResult {
        let kind = match says {
            0..=5 | 13.. => 0,
            6..=9 => 1,
            _ => 2,
        };
        let outcome = match says {
            0..=5 | 13.. => completes(self.output().as_deref()),
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

    pub(super) fn step(&mut self, op: &Op) -> TestCaseResult {
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
                let nodes = self.chosen(*bits).chain([0, 9_999]).collect();
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
                let nodes = self.chosen(*bits).collect();
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
            Op::Patch(number) => self.patch(*number)?,
            Op::Repair { node, what } => self.repair(*node, *what)?,
            Op::Marked { id, body, cancel } => self.marked(*id, *body, *cancel)?,
            Op::Restore => self.restore()?,
            Op::Evaluate { part, times } => self.finds(*part, *times)?,
            Op::EvaluateAgain(which) => {
                if !self.found.is_empty() {
                    let from = usize::from(*which) % self.found.len();
                    let found = self.found[from..].iter().take(5).cloned().collect();
                    self.ask(&JobCommand::Evaluated(found))?.ok();
                }
            }
        }
        Ok(())
    }

    fn patch(&mut self, number: u8) -> TestCaseResult {
        let patch = Patch {
            priority: Some(number % 10 + 1),
            description: Some(number.is_multiple_of(2).then(|| "text".to_owned())),
            timeout_ms: number.is_multiple_of(7).then_some(Some(20_000)),
            scheduled_at: number.is_multiple_of(11).then_some(None),
            ..Patch::default()
        };
        self.ask(&JobCommand::Patch(Box::new(patch)))?.ok();
        Ok(())
    }

    /// Some of what is being evaluated is found, and said so many times.
    fn finds(&mut self, part: u64, times: u8) -> TestCaseResult {
        let mut found = self.evaluate()?;
        found.retain(|found| part.rotate_right(found.node) & 1 == 1);
        self.found.extend(found.iter().cloned());
        for _ in 0..times {
            self.ask(&JobCommand::Evaluated(found.clone()))?.ok();
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
            if head.stage != EndingStage::Cleaning {
                self.no_lease()?;
            }
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
    pub(super) fn finish(&mut self) -> TestCaseResult {
        for _ in 0..1_000 {
            if self.state.head.status.is_over() {
                return Ok(());
            }
            let all: Vec<u32> = (0u32..).take(self.state.nodes.len()).collect();
            self.step(&Op::Evaluate { part: u64::MAX, times: 1 })?;
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
        Err(failed(format!("it never ends: {:?}", self.state.head)))
    }
}
