//! The other engines that live, what they told of work, and whether they answer.

use std::collections::BTreeSet;

use domain::ids::Millis;

use super::hints::Hints;
use super::outbox::SentLease;
use super::silence::Silence;
use crate::engine::core::message::{Announced, EngineId, LeaseRequest};

/// Old hints are looked for so often.
const SWEPT_EVERY_MS: Millis = 10_000;

/// The other engines.
#[derive(Debug)]
pub(crate) struct KnownPeers {
    /// Those that live, in order.
    engines: Vec<EngineId>,
    hints: Hints,
    silence: Silence,
    /// When old hints were looked for last.
    swept_at: Millis,
}

impl KnownPeers {
    pub(crate) fn new(now: Millis) -> Self {
        let (hints, silence) = (Hints::default(), Silence::default());
        Self { engines: Vec::new(), hints, silence, swept_at: now }
    }

    /// Who lives. Nothing that anybody told who is gone counts. Answers whether that is news.
    pub(crate) fn change(&mut self, engines: BTreeSet<EngineId>, now: Millis) -> bool {
        let engines: Vec<EngineId> = engines.into_iter().collect();
        if engines == self.engines {
            return false;
        }
        self.hints.forget(now, |engine| engines.contains(&engine));
        self.silence.forget_others(&engines);
        self.engines = engines;
        true
    }

    pub(crate) fn are_none(&self) -> bool {
        self.engines.is_empty()
    }

    pub(crate) fn all(&self) -> &[EngineId] {
        &self.engines
    }

    /// An engine told of work. Answers whether it counts.
    pub(crate) fn told(&mut self, from: EngineId, told: &Announced, now: Millis) -> bool {
        let lives = self.engines.contains(&from);
        if lives {
            self.hints.heard(from, told, now);
        }
        lives
    }

    /// Whom to ask for work, besides those who were asked for it, and on which hint. It counts as asked.
    pub(crate) fn whom_to_ask(
        &mut self,
        request: &LeaseRequest,
        asked: &BTreeSet<EngineId>,
        now: Millis,
    ) -> Option<(EngineId, u64)> {
        self.hints.ask(request, asked, now)
    }

    /// An engine has leased as much, `whole`: all that it was asked for, or has not answered.
    pub(crate) fn has_leased(
        &mut self,
        sent: &SentLease,
        answered: bool,
        whole: bool,
        now: Millis,
    ) {
        if !answered {
            // It is down, or cut off, or slow: it tells of itself when it is there again.
            self.hints.forget(now, |engine| engine != sent.to);
        }
        self.hints.answered(sent.to, &sent.request, sent.hint, whole);
    }

    /// A question about a claim was answered in time, or not.
    pub(crate) fn heard(&mut self, engine: EngineId, answered: bool) {
        self.silence.heard(engine, answered);
    }

    /// Whether an engine has not answered for so long that it is asked without being waited for.
    pub(crate) fn is_silent(&self, engine: EngineId) -> bool {
        self.silence.is_silent(engine)
    }

    /// Lets go of old hints, now and then.
    pub(crate) fn sweep(&mut self, now: Millis) {
        if now >= self.swept_at.saturating_add(SWEPT_EVERY_MS) {
            self.swept_at = now;
            self.hints.forget(now, |_| true);
        }
    }
}
