//! Who drives which group, as this engine knows it. It may be wrong at any time: the append settles who was first.

use domain::ids::{GroupId, SubjectId};

use crate::engine::core::message::EngineId;

/// This engine's place among the others.
#[derive(Debug)]
pub(crate) struct Routing {
    me: EngineId,
    /// The number by which other engines know this one: another than `me` once it was evicted and rejoined. It drives
    /// its groups under `me` all the same.
    external_id: EngineId,
    /// The driver of each group, by its index; none: nobody known.
    drivers: Vec<Option<EngineId>>,
}

impl Routing {
    /// Nobody drives anything yet.
    pub(crate) fn new(me: EngineId) -> Self {
        let drivers = vec![None; usize::from(domain::bounds::GROUPS)];
        Self { me, external_id: me, drivers }
    }

    pub(crate) fn me(&self) -> EngineId {
        self.me
    }

    pub(crate) fn external_id(&self) -> EngineId {
        self.external_id
    }

    pub(crate) fn is_known_as(&mut self, engine: EngineId) {
        self.external_id = engine;
    }

    /// Whether this is one of the numbers of this engine.
    pub(crate) fn is_own(&self, engine: EngineId) -> bool {
        engine == self.me || engine == self.external_id
    }

    /// Whether this engine drives the subject.
    pub(crate) fn drives(&self, subject: &SubjectId) -> bool {
        self.driver_of(subject) == Some(self.me)
    }

    fn driver_of(&self, subject: &SubjectId) -> Option<EngineId> {
        self.drivers.get(usize::from(subject.group().index())).copied().flatten()
    }

    /// Another engine that drives the subject; none: this one does, or nobody known.
    pub(crate) fn other_driver(&self, subject: &SubjectId) -> Option<EngineId> {
        self.driver_of(subject).filter(|driver| *driver != self.me)
    }

    /// There are groups that nobody is known to drive.
    pub(crate) fn has_undriven(&self) -> bool {
        self.drivers.iter().any(Option::is_none)
    }

    /// Groups changed hands. Answers which this engine drives from now on, or not any more.
    pub(crate) fn change(&mut self, drivers: Vec<Option<EngineId>>) -> Vec<(GroupId, bool)> {
        let before = std::mem::replace(&mut self.drivers, drivers);
        let mine = |drivers: &[Option<EngineId>], group: GroupId| {
            let at = usize::from(group.index());
            drivers.get(at).copied().flatten() == Some(self.me)
        };
        let change = |group| (group, mine(&before, group), mine(&self.drivers, group));
        let changes = GroupId::all().map(change).filter(|(_, before, now)| before != now);
        changes.map(|(group, _, now)| (group, now)).collect()
    }
}
