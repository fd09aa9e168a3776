//! Which pages of a job's nodes the view does not show as they are: a hundred nodes a page, so that one that changed does
//! not cost the other nineteen thousand. Kept only where a view has readers for them (`CoreSettings::node_pages`).
//! Always holds: a page leaves the set only into a document; what a flush lost comes back as all pages.
//! Absent: what a page looks like, which is the view's.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::job::fact::{AdmissionFact, JobFact};
use domain::job::state::JobState;

use crate::engine::core::kinds::{Entity, EntityEvent};
use crate::view::contract::{Document, NodePage};

/// Nodes on a page: a document of about 10 KB.
const NODES_A_PAGE: usize = 100;

/// Pages by number.
#[derive(Debug, Default)]
pub(crate) struct Pages(BTreeSet<u32>);

impl Pages {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// All pages of a job with so many nodes.
    pub(super) fn all(&mut self, nodes: usize) {
        self.0.extend((0..).take(nodes.div_ceil(NODES_A_PAGE)));
    }

    /// Takes note of what events changed of a job with so many nodes.
    pub(super) fn note(&mut self, events: &[EntityEvent], nodes: usize) {
        for event in events.iter().filter_map(EntityEvent::job) {
            if matches!(event.fact, JobFact::Admission(AdmissionFact::Submitted(_))) {
                self.all(nodes);
            }
            for expansion in event.flow.iter().flat_map(|flow| &flow.added) {
                self.touched(expansion.first..expansion.end());
            }
            for change in &event.nodes {
                self.touched(change.at.iter());
            }
            self.touched(event.fact.repair().map(|repair| repair.node).into_iter());
        }
    }

    /// Puts the changed pages into the document that shows them; answers how many nodes are on them.
    pub(super) fn take_into(&mut self, document: &mut Document, entity: &Entity) -> usize {
        let pages = std::mem::take(&mut self.0);
        if let Some(job) = entity.job().filter(|job| !job.head.deleted) {
            document.nodes = pages.into_iter().filter_map(|number| page(job, number)).collect();
        }
        document.nodes.iter().map(|page| page.states.len()).sum()
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

/// All pages of what a document shows.
pub(crate) fn with_all_pages(mut document: Document, entity: &Entity) -> Document {
    if let Some(job) = entity.job().filter(|job| !job.head.deleted) {
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
