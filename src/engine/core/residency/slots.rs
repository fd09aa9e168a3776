//! The subjects in memory, by number and by name. Numbers are used again after a subject has left, so everything that
//! holds one (heaps, timers) lets go of it when the subject leaves.

use std::collections::BTreeMap;

use domain::bounds;
use domain::ids::{Namespace, SubjectId, SubjectKind};

use super::slot::Slot;

/// A subject's name with its id first: nearly always that tells two apart, without a look at texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    id: u128,
    kind: SubjectKind,
    namespace: Namespace,
}

impl Name {
    fn of(subject: &SubjectId) -> Self {
        let (kind, namespace) = (subject.kind, subject.namespace.clone());
        Self { id: subject.id.as_u128(), kind, namespace }
    }
}

/// How many of each group.
#[derive(Debug)]
struct ByGroup([u32; bounds::GROUPS as usize]);

impl Default for ByGroup {
    fn default() -> Self {
        Self([0; bounds::GROUPS as usize])
    }
}

#[derive(Debug, Default)]
pub(crate) struct Slots {
    all: Vec<Option<Box<Slot>>>,
    by_subject: BTreeMap<Name, u32>,
    free: Vec<u32>,
    by_group: ByGroup,
}

impl Slots {
    pub(crate) fn len(&self) -> usize {
        self.by_subject.len()
    }

    pub(crate) fn find(&self, subject: &SubjectId) -> Option<u32> {
        self.by_subject.get(&Name::of(subject)).copied()
    }

    pub(crate) fn add(&mut self, slot: Slot) -> u32 {
        let ix = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_subject.insert(Name::of(&slot.subject), ix);
        self.by_group.0[usize::from(slot.subject.group().index())] += 1;
        self.all[ix as usize] = Some(Box::new(slot));
        ix
    }

    pub(crate) fn get(&self, ix: u32) -> Option<&Slot> {
        self.all.get(ix as usize).and_then(Option::as_deref)
    }

    pub(crate) fn get_mut(&mut self, ix: u32) -> Option<&mut Slot> {
        self.all.get_mut(ix as usize).and_then(Option::as_deref_mut)
    }

    /// Takes a slot out to work on it beside the rest of the core; `put` brings it back under the same number.
    pub(crate) fn take(&mut self, ix: u32) -> Option<Box<Slot>> {
        self.all.get_mut(ix as usize).and_then(Option::take)
    }

    pub(crate) fn put(&mut self, ix: u32, slot: Box<Slot>) {
        self.all[ix as usize] = Some(slot);
    }

    pub(crate) fn remove(&mut self, ix: u32) -> Option<Box<Slot>> {
        let slot = self.take(ix)?;
        self.by_subject.remove(&Name::of(&slot.subject));
        self.by_group.0[usize::from(slot.subject.group().index())] -= 1;
        self.free.push(ix);
        Some(slot)
    }

    /// How many of each group, by its index.
    pub(crate) fn by_group(&self) -> &[u32] {
        &self.by_group.0
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_subject.values().copied()
    }
}
