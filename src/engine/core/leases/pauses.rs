//! What operators have paused, as far as this engine has read the catalogs of the namespaces in which somebody asks for
//! work. Nothing is leased in a namespace before its catalog was read, and, where other engines write, not on a look that is
//! older than a second.
//! Always holds: what is told later, but was read earlier, changes nothing (`seq`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::catalog::paused::PauseTarget;
use domain::catalog::state::CatalogState;
use domain::ids::{Millis, Namespace};

use super::dispatch::Stops;
use crate::engine::core::message::{LeaseRequest, Ticket};

/// A look is made anew, beside the work, when the last one is so old.
const AGAIN_MS: Millis = 500;
/// Who asks for work waits for a look when the last one is so old.
const OLD_MS: Millis = 900;
/// What nothing is paused of and nobody asks for is forgotten.
const KEPT_MS: Millis = 60_000;

/// What is known of a namespace.
#[derive(Debug, Default)]
struct Known {
    /// Events of its catalog when it was read last; none: it never was.
    seq: Option<u64>,
    /// With the time at which each is over by itself.
    pauses: Vec<(PauseTarget, Option<Millis>)>,
    /// Queues and kinds of work that are paused now.
    stops: Stops,
    /// Job types that are.
    job_types: BTreeSet<Arc<str>>,
    /// When the newest look that came back was asked for.
    read_at: Millis,
    /// When the look that is under way was asked for.
    asked_at: Option<Millis>,
    /// When somebody asked for work last.
    used_at: Millis,
    watched_at: Option<Millis>,
    /// Who waits for a look.
    waiting: Vec<(Ticket, LeaseRequest)>,
}

/// How a request for work finds what is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PausesAre {
    Known,
    /// A new look is to be asked for; it is not waited for.
    Ageing,
    /// A new look is to be waited for, and asked for unless one is under way.
    Old {
        asks: bool,
    },
}

/// What changes of a namespace.
#[derive(Debug)]
pub(crate) struct PausesChanged {
    pub(crate) stops: Stops,
    /// Job types that were paused and are not, or the other way round.
    pub(crate) job_types: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
pub(crate) struct Pauses {
    known: BTreeMap<Namespace, Known>,
    /// When each namespace of which something is paused is looked at again.
    watched: BTreeSet<(Millis, Namespace)>,
    /// Namespaces of which a job type is paused.
    with_job_types: usize,
    swept_at: Millis,
}

impl Pauses {
    /// How a request for work in this namespace finds them. `alone`: nobody else writes, and what is written here is heard.
    pub(crate) fn are(&mut self, namespace: &Namespace, now: Millis, alone: bool) -> PausesAre {
        if !self.known.contains_key(namespace) {
            self.known.insert(namespace.clone(), Known::default());
        }
        let Some(known) = self.known.get_mut(namespace) else { return PausesAre::Known };
        known.used_at = now;
        let asks = known.asked_at.is_none();
        let age = now.saturating_sub(known.read_at);
        match known.seq {
            None => PausesAre::Old { asks },
            Some(_) if alone || age < AGAIN_MS => PausesAre::Known,
            Some(_) if age >= OLD_MS => PausesAre::Old { asks },
            Some(_) if asks => PausesAre::Ageing,
            Some(_) => PausesAre::Known,
        }
    }

    /// A look is asked for.
    pub(crate) fn asks(&mut self, namespace: &Namespace, now: Millis) {
        if let Some(known) = self.known.get_mut(namespace) {
            known.asked_at = Some(now);
        }
    }

    /// Waits for the look that is under way.
    pub(crate) fn wait(&mut self, ticket: Ticket, request: LeaseRequest) {
        if let Some(known) = self.known.get_mut(&request.namespace) {
            known.waiting.push((ticket, request));
        }
    }

    /// Who waited for a look that came back, or did not.
    pub(crate) fn take_waiting(&mut self, namespace: &Namespace) -> Vec<(Ticket, LeaseRequest)> {
        self.known
            .get_mut(namespace)
            .map(|known| std::mem::take(&mut known.waiting))
            .unwrap_or_default()
    }

    /// The asker is gone. Answers whether it waited for a look.
    pub(crate) fn is_gone(&mut self, ticket: Ticket) -> bool {
        let mut waiting = self.known.values_mut().map(|known| &mut known.waiting);
        waiting.any(|waiting| {
            let before = waiting.len();
            waiting.retain(|(waits, _)| *waits != ticket);
            waiting.len() < before
        })
    }

    /// The look that is under way came to nothing.
    pub(crate) fn not_read(&mut self, namespace: &Namespace, now: Millis) {
        if let Some(known) = self.known.get_mut(namespace) {
            known.asked_at = None;
            self.watch(namespace, now, false);
        }
    }

    /// The look that is under way came back: a catalog, or that there is none.
    pub(crate) fn read(
        &mut self,
        namespace: &Namespace,
        catalog: Option<&CatalogState>,
        now: Millis,
        alone: bool,
    ) -> Option<PausesChanged> {
        let known = self.known.get_mut(namespace)?;
        if let Some(asked_at) = known.asked_at.take() {
            known.read_at = asked_at;
        }
        self.heard(namespace, catalog, now, alone)
    }

    /// A catalog as it is at some moment. What was known of a later one stays.
    pub(crate) fn heard(
        &mut self,
        namespace: &Namespace,
        catalog: Option<&CatalogState>,
        now: Millis,
        alone: bool,
    ) -> Option<PausesChanged> {
        let known = self.known.get_mut(namespace)?;
        let seq = catalog.map_or(0, |catalog| catalog.seq);
        if known.seq.is_some_and(|known| known > seq) {
            return None;
        }
        known.seq = Some(seq);
        let all = catalog.into_iter().flat_map(|catalog| &catalog.pauses);
        known.pauses = all.map(|(target, pause)| (target.clone(), pause.until)).collect();
        self.changed(namespace, now, alone)
    }

    /// Namespaces that are to be looked at now: whether a look is to be asked for, and what is over by itself.
    pub(crate) fn due(
        &mut self,
        now: Millis,
        alone: bool,
    ) -> Vec<(Namespace, bool, Option<PausesChanged>)> {
        let mut due = Vec::new();
        while let Some((_, namespace)) = self.watched.first().filter(|(at, _)| *at <= now) {
            let namespace = namespace.clone();
            let known = self.known.get(&namespace);
            let old = known.is_some_and(|known| {
                known.asked_at.is_none() && now.saturating_sub(known.read_at) >= AGAIN_MS
            });
            let changed = self.changed(&namespace, now, alone);
            due.push((namespace, old && !alone, changed));
        }
        due
    }

    /// When `due` has something to say.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.watched.first().map(|(at, _)| *at)
    }

    /// Whether jobs of this type are paused.
    pub(crate) fn stops_jobs(&self, namespace: &Namespace, job_type: Option<&str>) -> bool {
        let Some(job_type) = job_type.filter(|_| self.with_job_types > 0) else { return false };
        self.known.get(namespace).is_some_and(|known| known.job_types.contains(job_type))
    }

    /// Forgets namespaces of which nothing is paused and in which nobody asks.
    pub(crate) fn sweep(&mut self, now: Millis) {
        if now < self.swept_at.saturating_add(KEPT_MS) {
            return;
        }
        self.swept_at = now;
        self.known.retain(|_, known| {
            !known.pauses.is_empty()
                || !known.waiting.is_empty()
                || known.asked_at.is_some()
                || now < known.used_at.saturating_add(KEPT_MS)
        });
    }

    /// What holds now of what is known.
    fn changed(
        &mut self,
        namespace: &Namespace,
        now: Millis,
        alone: bool,
    ) -> Option<PausesChanged> {
        let known = self.known.get_mut(namespace)?;
        known.pauses.retain(|(_, until)| until.is_none_or(|until| until > now));
        let (mut stops, mut kinds, mut job_types) =
            (Stops::default(), BTreeSet::new(), BTreeSet::new());
        for (target, _) in &known.pauses {
            match target {
                PauseTarget::Queue(queue) => _ = stops.queues.insert(queue.clone()),
                PauseTarget::ActionType(kind) => _ = kinds.insert(kind.clone()),
                PauseTarget::JobType(job_type) => _ = job_types.insert(Arc::clone(job_type)),
            }
        }
        stops.kinds = (!kinds.is_empty()).then(|| Arc::new(kinds));
        self.with_job_types -= usize::from(!known.job_types.is_empty());
        self.with_job_types += usize::from(!job_types.is_empty());
        let before = std::mem::replace(&mut known.job_types, job_types);
        let job_types: BTreeSet<_> =
            before.symmetric_difference(&known.job_types).cloned().collect();
        let same = known.stops == stops && job_types.is_empty();
        known.stops.clone_from(&stops);
        self.watch(namespace, now, alone);
        (!same).then_some(PausesChanged { stops, job_types })
    }

    /// Notes when a namespace is looked at again: where something is paused.
    fn watch(&mut self, namespace: &Namespace, now: Millis, alone: bool) {
        let Some(known) = self.known.get_mut(namespace) else { return };
        let ends = known.pauses.iter().filter_map(|(_, until)| *until).min();
        let look = (!alone && !known.pauses.is_empty())
            .then(|| now.max(known.read_at.saturating_add(AGAIN_MS)).max(now.saturating_add(1)));
        let at = [ends, look].into_iter().flatten().min();
        if let Some(before) = std::mem::replace(&mut known.watched_at, at) {
            self.watched.remove(&(before, namespace.clone()));
        }
        self.watched.extend(at.map(|at| (at, namespace.clone())));
    }
}
