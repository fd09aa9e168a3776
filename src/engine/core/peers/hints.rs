//! What other engines told of work that nobody there takes. Volatile and never the truth: it says only whom to ask, and
//! that engine's own state decides what is leased. Forgotten when asked and found wanting, when that engine is silent
//! or leaves, and after a few seconds without a new word.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{ActionType, Millis};

use crate::engine::core::leases::QueueKey;
use crate::engine::core::message::{Announced, EngineId, LeaseRequest};

/// A hint is good for so long; it is told again each second while it holds.
const KEPT_MS: Millis = 5_000;
/// Hints kept at most; what is told beyond it is not noted, and told again.
const HINTS_MAX: usize = 10_000;
/// Requests under way to one engine for one queue: it may have less than what all who wait here would take.
const ASKS_MAX: u64 = 16;

/// One engine's word on one queue.
#[derive(Debug)]
struct Hint {
    /// Empty: of any kind.
    kinds: Vec<Option<ActionType>>,
    until: Millis,
    /// The number of the newest word.
    heard: u64,
    /// Requests that may be under way, and that are.
    asks_max: u64,
    asks: u64,
}

impl Hint {
    fn fits(&self, request: &LeaseRequest) -> bool {
        let wanted = |kind: &Option<ActionType>| {
            kind.as_ref().is_some_and(|kind| request.action_types.contains(kind))
        };
        request.action_types.is_empty() || self.kinds.is_empty() || self.kinds.iter().any(wanted)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Hints {
    by_queue: BTreeMap<QueueKey, BTreeMap<EngineId, Hint>>,
    count: usize,
    heard: u64,
}

impl Hints {
    /// Notes what an engine told.
    pub(crate) fn heard(&mut self, from: EngineId, told: &Announced, now: Millis) {
        self.heard += 1;
        let key = (told.namespace.clone(), told.queue.clone());
        let known = self.by_queue.get(&key).is_some_and(|engines| engines.contains_key(&from));
        if !known && self.count >= HINTS_MAX {
            return;
        }
        self.count += usize::from(!known);
        let engines = self.by_queue.entry(key).or_default();
        let (asks, asks_max) = engines.get(&from).map_or((0, 1), |hint| (hint.asks, hint.asks_max));
        let hint = Hint {
            kinds: told.kinds.clone(),
            until: now.saturating_add(KEPT_MS),
            heard: self.heard,
            asks_max: asks_max.max(told.ready.min(ASKS_MAX)),
            asks,
        };
        engines.insert(from, hint);
    }

    /// Whom to ask for this, besides those who were asked for it; with the number of the word on which that rests. It
    /// counts as asked.
    pub(crate) fn ask(
        &mut self,
        request: &LeaseRequest,
        asked: &BTreeSet<EngineId>,
        now: Millis,
    ) -> Option<(EngineId, u64)> {
        // Without a copy of the names where nobody told anything.
        if self.by_queue.is_empty() {
            return None;
        }
        let key = (request.namespace.clone(), request.queue.clone());
        let engines = self.by_queue.get_mut(&key)?;
        let fits = |(engine, hint): &(&EngineId, &mut Hint)| {
            hint.until > now
                && hint.asks < hint.asks_max
                && !asked.contains(engine)
                && hint.fits(request)
        };
        let (engine, hint) = engines.iter_mut().filter(fits).min_by_key(|(_, hint)| hint.asks)?;
        hint.asks += 1;
        Some((*engine, hint.heard))
    }

    /// An engine that was asked on the word of this number has answered. `whole`: with as much as was asked for, so that
    /// it may have more. Otherwise the hint goes, unless it was told again since.
    pub(crate) fn answered(
        &mut self,
        engine: EngineId,
        request: &LeaseRequest,
        heard: u64,
        whole: bool,
    ) {
        let key = (request.namespace.clone(), request.queue.clone());
        let Some(engines) = self.by_queue.get_mut(&key) else { return };
        let Some(hint) = engines.get_mut(&engine) else { return };
        hint.asks = hint.asks.saturating_sub(1);
        if whole {
            hint.asks_max = hint.asks_max.saturating_add(1).min(ASKS_MAX);
            return;
        }
        if hint.heard != heard {
            return;
        }
        // Other kinds than those that were asked for may be left.
        let all = request.action_types.is_empty() || hint.kinds.is_empty();
        hint.kinds
            .retain(|kind| !kind.as_ref().is_some_and(|kind| request.action_types.contains(kind)));
        if all || hint.kinds.is_empty() {
            engines.remove(&engine);
            self.count -= 1;
        }
        if engines.is_empty() {
            self.by_queue.remove(&key);
        }
    }

    /// Forgets what has not been told again, and what `stays` says no of.
    pub(crate) fn forget(&mut self, now: Millis, stays: impl Fn(EngineId) -> bool) {
        let mut count = 0;
        self.by_queue.retain(|_, engines| {
            engines.retain(|engine, hint| stays(*engine) && hint.until > now);
            count += engines.len();
            !engines.is_empty()
        });
        self.count = count;
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use domain::ids::{Namespace, QueueName, WorkerName};

    use super::*;

    fn told(kinds: &[&str], ready: u64) -> Announced {
        let kind = |kind: &&str| Some(ActionType::parse(kind).expect("a kind"));
        Announced {
            namespace: Namespace::default_namespace(),
            queue: QueueName::default_queue(),
            kinds: kinds.iter().map(kind).collect(),
            ready,
        }
    }

    fn poll(kinds: &[&str]) -> LeaseRequest {
        LeaseRequest {
            namespace: Namespace::default_namespace(),
            queue: QueueName::default_queue(),
            action_types: kinds.iter().map(|k| ActionType::parse(k).expect("a kind")).collect(),
            worker: WorkerName::parse("worker").expect("a name"),
            claim: None,
            lease_ms: 30_000,
            max: 1,
            wait_until: 0,
            correlation: None,
        }
    }

    #[test]
    fn a_hint_goes_when_it_was_found_wanting_unless_it_was_told_again_meanwhile() {
        let (nobody, any) = (BTreeSet::new(), poll(&[]));
        let mut hints = Hints::default();
        hints.heard(1, &told(&["cook"], 1), 0);
        let (engine, heard) = hints.ask(&any, &nobody, 0).expect("a hint");
        assert_eq!(hints.ask(&any, &nobody, 0), None, "one is under way for the one that is ready");
        hints.heard(1, &told(&["cook"], 1), 10);
        hints.answered(engine, &any, heard, false);
        let (engine, heard) = hints.ask(&any, &nobody, 20).expect("the newer word");
        hints.answered(engine, &any, heard, false);
        assert_eq!(hints.ask(&any, &nobody, 20), None);
        assert_eq!(hints.count, 0);
    }

    #[test]
    fn a_hint_is_for_the_kinds_that_were_told_and_for_a_few_seconds() {
        let nobody = BTreeSet::new();
        let mut hints = Hints::default();
        hints.heard(1, &told(&["cook", "wash"], 9), 0);
        assert_eq!(hints.ask(&poll(&["iron"]), &nobody, 0), None);
        let (engine, heard) = hints.ask(&poll(&["cook"]), &nobody, 0).expect("a hint");
        hints.answered(engine, &poll(&["cook"]), heard, false);
        assert_eq!(hints.ask(&poll(&["cook"]), &nobody, 0), None, "that kind was found wanting");
        assert!(hints.ask(&poll(&["wash"]), &nobody, 0).is_some());
        assert_eq!(hints.ask(&poll(&["wash"]), &BTreeSet::from([1]), 0), None, "asked before");
        assert_eq!(hints.ask(&poll(&["wash"]), &nobody, KEPT_MS), None);
        hints.forget(KEPT_MS, |_| true);
        assert_eq!(hints.count, 0);
    }
}
