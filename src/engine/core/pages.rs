//! Which pages of a job's nodes the view does not show as they are: a hundred nodes a page, so that one that changed does
//! not cost the other nineteen thousand. Kept only where a view has readers for them (`CoreSettings::node_pages`).
//! Always holds: a page leaves the set only into a document; what a flush lost comes back as all pages.
//! Absent: what a page looks like, which is the view's.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::job::event::JobFact;
use domain::job::state::JobState;

use crate::engine::core::Core;
use crate::engine::core::entity::{Entity, EntityEvent};
use crate::engine::core::slot::Slot;
use crate::view::contract::{Document, NodePage};

/// Nodes on a page: a document of about 10 KB.
const NODES_A_PAGE: usize = 100;

/// Pages by number.
#[derive(Debug, Default)]
pub(super) struct Pages(BTreeSet<u32>);

impl Pages {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn all(&mut self, nodes: usize) {
        self.0.extend((0..).take(nodes.div_ceil(NODES_A_PAGE)));
    }

    /// Nodes in ascending order.
    fn touched(&mut self, nodes: impl Iterator<Item = u32>) {
        let mut last = None;
        for page in nodes.map(|node| node as usize / NODES_A_PAGE) {
            if last != Some(page) {
                last = Some(page);
                self.0.extend(u32::try_from(page).ok());
            }
        }
    }
}

impl Core {
    /// Takes note of what events changed.
    pub(super) fn note_pages(&mut self, ix: u32, slot: &mut Slot, events: &[EntityEvent]) {
        if !self.settings.node_pages || slot.transient {
            return;
        }
        for event in events {
            let EntityEvent::Job(event) = event else { continue };
            if matches!(event.fact, JobFact::Submitted(_)) {
                self.note_all_pages(ix, slot);
            }
            for change in &event.nodes {
                slot.pages.touched(change.at.iter());
            }
        }
        if !slot.pages.is_empty() {
            self.projection.pages_wait(ix, self.now);
        }
    }

    /// What is shown of the job may be anything.
    pub(super) fn note_all_pages(&mut self, ix: u32, slot: &mut Slot) {
        if let (true, Some(Entity::Job(job))) = (self.settings.node_pages, &slot.entity) {
            slot.pages.all(job.nodes.len());
            self.projection.pages_wait(ix, self.now);
        }
    }

    /// Puts the changed pages into the document that shows them; answers how many nodes are on them.
    pub(super) fn take_pages(slot: &mut Slot, document: &mut Document) -> usize {
        let pages = std::mem::take(&mut slot.pages.0);
        if let Some(Entity::Job(job)) = &slot.entity
            && !job.head.deleted
        {
            document.nodes = pages.into_iter().filter_map(|number| page(job, number)).collect();
        }
        document.nodes.iter().map(|page| page.states.len()).sum()
    }
}

/// All pages of what a document shows.
pub(in crate::engine) fn with_all_pages(mut document: Document, entity: &Entity) -> Document {
    if let Entity::Job(job) = entity
        && !job.head.deleted
    {
        document.nodes = (0..).map_while(|number| page(job, number)).collect();
    }
    document
}

fn page(job: &JobState, number: u32) -> Option<NodePage> {
    let first = usize::try_from(number).ok()?.checked_mul(NODES_A_PAGE)?;
    let rest = job.nodes.get(first..).filter(|rest| !rest.is_empty())?;
    let states = rest.iter().take(NODES_A_PAGE).cloned().collect();
    Some(NodePage { number, first, plan: Arc::clone(&job.plan), states })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_one_node_is_one_page_and_a_load_is_all() {
        let mut pages = Pages::default();
        pages.touched([0, 99, 100, 250].into_iter());
        assert_eq!(pages.0, BTreeSet::from([0, 1, 2]));
        pages.clear();
        pages.all(201);
        assert_eq!(pages.0, BTreeSet::from([0, 1, 2]));
        pages.clear();
        pages.all(100);
        assert_eq!(pages.0, BTreeSet::from([0]));
    }
}
