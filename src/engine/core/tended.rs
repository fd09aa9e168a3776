//! What an engine keeps of a subject beside its state, for people who ask why it does not go on: whether it is in memory,
//! when leases run out, how many are served before it. Volatile: the driver's word counts, and nothing rests on it.
//! Always holds: looking changes nothing, and brings nothing into memory.

use domain::ids::{JobId, SubjectId};

use crate::engine::core::Core;
use crate::engine::core::admission::first_asks;
use crate::engine::core::dispatch::Entry;
use crate::engine::core::entity::Entity;
use crate::engine::core::message::{Asks, Held, Tended};
use crate::engine::core::slot::{Phase, Slot};

/// Nodes of one subject that are looked at in one look.
const NODES_MAX: usize = 100;
/// Nodes that are counted before another one in a queue: beyond it the number says no more.
const BEFORE_MAX: usize = 10_000;

impl Core {
    /// What is kept of a subject, of these nodes of it, and of the ask of a job at it.
    pub(super) fn tended(&self, subject: &SubjectId, nodes: &[u32], ask: Option<JobId>) -> Tended {
        let found = self.slots.find(subject).and_then(|ix| Some((ix, self.slots.get(ix)?)));
        let mut tended = Tended {
            by: self.me,
            drives: self.drives(subject),
            held: Held::Absent,
            leases: Vec::new(),
            before: Vec::new(),
            asks: None,
        };
        let Some((ix, slot)) = found else { return tended };
        tended.held = match (&slot.damaged, slot.phase, slot.guest) {
            (Some(_), ..) => Held::Damaged,
            (None, Phase::Loading, _) => Held::Loading,
            (None, _, true) => Held::Absent,
            (None, ..) => Held::Whole,
        };
        for node in nodes.iter().take(NODES_MAX) {
            if let Some(lease) = slot.leases.get(node) {
                tended.leases.push((*node, lease.expires_at));
            }
            if let Some(before) = self.before(ix, slot, *node) {
                tended.before.push((*node, before));
            }
        }
        tended.asks = ask.map(|job| {
            let order = first_asks(&slot.asks, job);
            Asks { waiting: slot.asks.len() as u64, before: order.map(|before| before as u64) }
        });
        tended
    }

    /// How many offered nodes of the same queue and kind are served before this one.
    fn before(&self, ix: u32, slot: &Slot, node: u32) -> Option<u64> {
        let score = *slot.offered.get(&node)?;
        let job = slot.entity.as_ref().and_then(Entity::job)?;
        let spec = job.plan.nodes.get(node as usize)?;
        let queue = self.dispatch.queues.get(&(job.namespace.clone(), spec.queue.clone()))?;
        let heap = queue.heaps.get(&spec.action_type)?;
        let here = Entry { score, slot: ix, node };
        Some(heap.range(..here).take(BEFORE_MAX).count() as u64)
    }
}
