//! What an engine keeps of a subject beside its state, for people who ask why it does not go on: whether it is in memory,
//! when leases run out, how many are served before it. Volatile: the driver's word counts, and nothing rests on it.
//! Always holds: looking changes nothing, and brings nothing into memory.

use domain::ids::{JobId, SubjectId};

use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::message::{Asks, Held, SubjectInspection};
use crate::engine::core::residency::{Phase, Slot};

/// Nodes of one subject that are looked at in one look.
const NODES_MAX: usize = 100;
/// Nodes that are counted before another one in a queue: beyond it the number says no more.
const BEFORE_MAX: usize = 10_000;

impl Core {
    /// What is kept of a subject, of these nodes of it, and of the ask of a job at it.
    pub(super) fn inspection(
        &self,
        subject: &SubjectId,
        nodes: &[u32],
        ask: Option<JobId>,
    ) -> SubjectInspection {
        let found = self.slots.find(subject).and_then(|ix| self.slots.get(ix));
        let mut inspection = SubjectInspection {
            by: self.routing.me(),
            drives: self.routing.drives(subject),
            held: Held::Absent,
            leases: Vec::new(),
            heard: Vec::new(),
            before: Vec::new(),
            asks: None,
        };
        let Some(slot) = found else { return inspection };
        inspection.held = match (&slot.damaged, slot.reading.phase(), slot.transient) {
            (Some(_), ..) => Held::Damaged,
            (None, Phase::Loading, _) => Held::Loading,
            (None, _, true) => Held::Absent,
            (None, ..) => Held::Whole,
        };
        for node in nodes.iter().take(NODES_MAX) {
            if let Some(lease) = slot.work.lease(*node) {
                inspection.leases.push((*node, lease.expires_at));
            }
            inspection.heard.extend(slot.heard.shown(*node));
            if let Some(before) = self.before(slot, *node) {
                inspection.before.push((*node, before));
            }
        }
        inspection.asks =
            ask.map(|job| Asks { waiting: slot.asks.len() as u64, before: slot.asks.before(job) });
        inspection
    }

    /// How many offered nodes of the same queue and kind are served before this one.
    fn before(&self, slot: &Slot, node: u32) -> Option<u64> {
        let here = slot.work.offer_of(node)?;
        let job = slot.entity.as_ref().and_then(Entity::job)?;
        let spec = job.plan.get(node)?;
        let key = (job.namespace.clone(), spec.queue.clone());
        self.dispatch.before(&key, &spec.action_type, here, BEFORE_MAX)
    }
}
