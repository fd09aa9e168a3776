//! Which engines do not answer questions about claims. Silence is no, and one that has been silent a few times in a row is
//! asked on and not waited for, until it answers a question in time: an engine that hangs costs each poll nothing.
//! Absent: any other use. What rests on an answer is asked for as before.

use std::collections::BTreeMap;

use crate::engine::core::message::EngineId;

/// So many questions in a row without an answer: one or two may have been lost on the way.
const SILENT_AFTER: u8 = 3;

/// Questions in a row that were not answered, by engine; those that answer are not here.
#[derive(Debug, Default)]
pub(crate) struct Silence(BTreeMap<EngineId, u8>);

impl Silence {
    /// Whether it is not waited for.
    pub(crate) fn is_silent(&self, engine: EngineId) -> bool {
        self.0.get(&engine).is_some_and(|missed| *missed >= SILENT_AFTER)
    }

    /// A question was answered in time, or not.
    pub(crate) fn heard(&mut self, engine: EngineId, answered: bool) {
        if answered {
            self.0.remove(&engine);
        } else {
            let missed = self.0.entry(engine).or_default();
            *missed = missed.saturating_add(1);
        }
    }

    /// Of those who are gone nothing is kept: at most one entry for each engine that lives.
    pub(crate) fn forget_others(&mut self, peers: &[EngineId]) {
        self.0.retain(|engine, _| peers.contains(engine));
    }
}
