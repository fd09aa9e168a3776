//! What becomes of calls to the storage: they act late, in another order, in part, or not at all, and their answers
//! come late or never. The in-memory store and view themselves do the acting.
//! Always holds: a call acts at one moment; what was appended is read by the checker at that very moment.

use domain::ids::{Millis, SubjectId};
use orrery::engine::core::message::{Input, Output};
use orrery::event_store::contract::{
    AppendItem, AppendNotice, Appended, EventStore as _, EventStoreError, Record,
};
use orrery::view::contract::View as _;
use orrery_testing::event_store::AppendFault;

use super::bugs::Bug;
use super::world::{Happening, Whose, World};
use crate::harness::lab::{carry, wait};
use crate::harness::view_document::One as _;

/// After so long without an answer an append counts as unknown.
const APPEND_DEADLINE_MS: Millis = 1_000;
/// Evaluations of a thousand that are answered twice.
const EVALUATED_AGAIN: u64 = 300;
/// A record comes so long after its append notice at most: longer than it takes a driver to see the append notice and to let go again.
const APART_MAX_MS: Millis = 20_000;

fn unavailable() -> EventStoreError {
    EventStoreError::Unavailable("a fault".to_owned())
}

impl World {
    pub(crate) fn storage_wait(&mut self) -> Millis {
        let latency = self.mix.storage.latency_ms;
        self.dice.wait(0, latency)
    }

    /// An append leaves an engine. A slow one acts when its writer has given up on it.
    pub(crate) fn sends_append(&mut self, of: Whose, output: Output) {
        let Output::Append { items, .. } = &output else { return };
        let subjects: Vec<SubjectId> = items.iter().map(|item| item.subject.clone()).collect();
        if self.has(Bug::AnswerBeforeAppend) {
            // The engine is told that it is durable before anybody has tried.
            let outcome = Ok(vec![Appended::Committed; subjects.len()]);
            self.after(0, Happening::Back { of, input: Input::Appended { subjects, outcome } });
            let wait = 20 + self.storage_wait();
            return self.after(wait, Happening::Storage { of, output, replies: false });
        }
        let slow = self.mix.storage.slow;
        let (wait, replies) = if self.dice.chance(slow) {
            let wait = self.dice.wait(1, self.mix.storage.slow_ms);
            (wait, wait <= APPEND_DEADLINE_MS)
        } else {
            (self.storage_wait(), true)
        };
        if !replies {
            self.checker.count("fault: late append");
            let input = Input::Appended { subjects, outcome: Err(unavailable()) };
            self.after(APPEND_DEADLINE_MS, Happening::Back { of, input });
        }
        self.after(wait, Happening::Storage { of, output, replies });
    }

    pub(crate) fn reaches_storage(&mut self, of: Whose, output: Output, replies: bool) {
        let input = match output {
            Output::Append { notices, items } => self.appends(of, notices, items, replies),
            Output::Flush { documents } if self.dice.chance(self.mix.storage.flushes) => {
                self.checker.count("fault: flush");
                let shown = documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
                let part = self.dice.index(documents.len() + 1);
                let landed: Vec<_> = documents.into_iter().take(part).collect();
                let flushed: Vec<_> = landed.iter().map(|d| (d.subject.clone(), d.seq)).collect();
                wait(self.view.flush(landed)).expect("the view takes what it gets");
                self.looks_at_view(&flushed);
                Some(Input::Flushed { shown, durable: false })
            }
            Output::Flush { documents } => {
                let flushed: Vec<_> =
                    documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
                let input = carry(&self.store, &self.view, Output::Flush { documents });
                self.looks_at_view(&flushed);
                input
            }
            Output::Snapshot { ref subject, ref snapshot } => {
                self.checker.snapshot(subject, snapshot);
                self.calls_storage(of, output)
            }
            output => self.calls_storage(of, output),
        };
        if let (Some(input), true) = (input, replies) {
            // The answer to an earlier order of the same job may come close to this one.
            if let Input::Evaluated { subject, result: Ok(found) } = &input
                && !self.calm
                && self.dice.chance(EVALUATED_AGAIN)
            {
                let again =
                    Input::Evaluated { subject: subject.clone(), result: Ok(found.clone()) };
                self.comes_back(of, again);
            }
            self.comes_back(of, input);
        }
    }

    /// A document is never older than one that was shown before.
    fn looks_at_view(&mut self, flushed: &[(SubjectId, u64)]) {
        for (subject, seq) in flushed {
            let shown = wait(self.view.get(subject)).ok().flatten();
            self.checker.shows(subject, *seq, shown.map(|document| document.seq));
        }
    }

    fn calls_storage(&mut self, of: Whose, output: Output) -> Option<Input> {
        let fails = self.mix.storage.calls;
        if !self.dice.chance(fails) {
            return self.carries(of, output);
        }
        self.checker.count("fault: call");
        let failed = match &output {
            Output::Load { subject, .. } => {
                Some(Input::Loaded { subject: subject.clone(), result: Err(unavailable()) })
            }
            Output::LoadTail { subject, after, .. } => Some(Input::Tail {
                subject: subject.clone(),
                after: *after,
                result: Err(unavailable()),
            }),
            Output::MoveWakeUps { moves } => {
                Some(Input::WakeUpsMoved { moves: moves.clone(), result: Err(unavailable()) })
            }
            Output::Evaluate { subject, .. } => {
                Some(Input::Evaluated { subject: subject.clone(), result: Err(unavailable()) })
            }
            Output::ReadCatalog { namespace } => Some(Input::CatalogRead {
                namespace: namespace.clone(),
                result: Err(unavailable()),
            }),
            Output::Remove { subject, .. } => {
                Some(Input::Removed { subject: subject.clone(), result: Err(unavailable()) })
            }
            _ => None,
        };
        if self.dice.chance(500) {
            self.carries(of, output);
        }
        failed
    }

    /// Carries a call out, with a look at what engines leave for one another.
    fn carries(&mut self, of: Whose, output: Output) -> Option<Input> {
        if let Output::ClearNotices { notices } = &output {
            for notice in notices {
                self.checker.notice_cleared(notice, self.now);
            }
        }
        let input = carry(&self.store, &self.view, output);
        if let Some(Input::WakeUpsMoved { moves, result: Ok(held) }) = &input {
            let clock = self.members[of.at].clock(self.now);
            let core = self.members[of.at].core.as_ref().filter(|_| self.lives(of));
            for moved in moves.iter().zip(held).filter(|(_, held)| **held).map(|(moved, _)| moved) {
                let knows = core.and_then(|core| core.committed_state(&moved.subject));
                if let Some((seq, _)) = knows {
                    self.checker.marked(moved, clock, seq);
                }
            }
        }
        input
    }

    /// Append notices first; what happens between the two may be a crash.
    fn appends(
        &mut self,
        of: Whose,
        notices: Vec<AppendNotice>,
        items: Vec<AppendItem>,
        replies: bool,
    ) -> Option<Input> {
        let subjects: Vec<SubjectId> = items.iter().map(|item| item.subject.clone()).collect();
        if !notices.is_empty() {
            let fails = self.mix.storage.calls;
            let failed = self.dice.chance(fails);
            if !failed || self.dice.chance(500) {
                self.checker.noticed(&notices, self.now);
                wait(self.store.write_notices(notices)).expect("the store is there");
            }
            if failed {
                return Some(Input::Appended { subjects, outcome: Err(unavailable()) });
            }
            let output = Output::Append { notices: Vec::new(), items };
            self.follows_notice(of, output, subjects, replies);
            return None;
        }
        if self.has(Bug::UnknownAppliedAgain) {
            self.apply_again(&items);
        }
        let fault = self.append_fault();
        self.store.lay_down([fault]);
        let outcome = wait(self.store.append(items));
        for subject in &subjects {
            self.checker.read(&self.store, subject, of);
        }
        Some(Input::Appended { subjects, outcome })
    }

    /// A record follows the append notice that tells of it: at once, or when its writer has long given up on it.
    fn follows_notice(
        &mut self,
        of: Whose,
        output: Output,
        subjects: Vec<SubjectId>,
        replies: bool,
    ) {
        let apart = self.mix.storage.apart;
        if !self.dice.chance(apart) {
            let wait = self.storage_wait();
            return self.after(wait, Happening::Storage { of, output, replies });
        }
        self.checker.count("fault: a record long after its append notice");
        let wait = self.dice.wait(1, APART_MAX_MS);
        let in_time = wait <= APPEND_DEADLINE_MS;
        if replies && !in_time {
            let input = Input::Appended { subjects, outcome: Err(unavailable()) };
            self.after(APPEND_DEADLINE_MS, Happening::Back { of, input });
        }
        self.after(wait, Happening::Storage { of, output, replies: replies && in_time });
    }

    fn append_fault(&mut self) -> AppendFault {
        let (fails, full) = (self.mix.storage.appends, self.mix.storage.full);
        if self.dice.chance(full) {
            return AppendFault::Full;
        }
        if !self.dice.chance(fails) {
            return AppendFault::Nothing;
        }
        self.checker.count("fault: append");
        self.dice.pick(&[
            AppendFault::FailsBefore,
            AppendFault::ReplyLost,
            AppendFault::LandsInPart,
            AppendFault::UnknownBefore,
            AppendFault::UnknownAfter,
        ])
    }

    /// Planted: a record that is written again after an unknown outcome is applied again where it landed before.
    fn apply_again(&mut self, items: &[AppendItem]) {
        for item in items {
            let part = wait(self.store.read(&item.subject, 1, usize::MAX)).expect("the store");
            let landed = part.records.iter().any(|record| record.nonce == item.record.nonce);
            let Some(last) = part.records.last().filter(|_| landed) else { continue };
            let hash = item
                .record
                .body
                .split(|byte| *byte == b'\n')
                .fold(last.hash, domain::history::chain);
            let first = last.first + u64::from(last.count);
            let record =
                Record { first, nonce: item.record.nonce + 1, hash, ..item.record.clone() };
            let item = AppendItem { record, ..item.clone() };
            wait(self.store.append(vec![item])).expect("the store");
        }
    }
}
