//! Telling other engines of work that nobody here takes, and noting what they tell.
//! Absent: any effect on what is leased; a hint only says whom to ask (`asking`).

use domain::ids::Millis;

use crate::engine::core::Core;
use crate::engine::core::message::{Announced, EngineId, Output};

/// Queues that are heard of from one engine at once; the others are told of again.
const QUEUES_MAX: usize = 256;

impl Core {
    /// Who lives: they are told of work, and asked about claims. Nothing that anybody told who is gone counts.
    pub(in crate::engine::core) fn peers_are(&mut self, engines: Vec<EngineId>) {
        let others = engines.into_iter().filter(|engine| !self.routing.is_own(*engine)).collect();
        if self.peers.change(others, self.now) {
            self.dispatch.listens(!self.peers.are_none());
        }
    }

    /// At the end of a turn: what nobody here took is told to the others.
    pub(in crate::engine::core) fn announce(&mut self) {
        if self.peers.are_none() || self.leaving {
            return;
        }
        let queues = self.dispatch.tells(self.now);
        if !queues.is_empty() {
            self.outputs.push_back(Output::Announce { to: self.peers.all().to_vec(), queues });
        }
    }

    pub(in crate::engine::core) fn announces_next(&self) -> Option<Millis> {
        let tells = !self.peers.are_none() && !self.leaving;
        self.dispatch.tells_next(self.now).filter(|_| tells)
    }

    /// Another engine tells of work: who waits for such work here asks for it.
    pub(in crate::engine::core) fn announced(&mut self, from: EngineId, queues: &[Announced]) {
        for told in queues.iter().take(QUEUES_MAX) {
            if !self.peers.told(from, told, self.now) {
                return;
            }
            self.ask_for_parked(&(told.namespace.clone(), told.queue.clone()));
        }
    }

    /// Forgets queues that nobody uses, and old hints, now and then.
    pub(in crate::engine::core) fn sweep(&mut self) {
        self.dispatch.forget_unused(self.now);
        self.peers.sweep(self.now);
        self.pauses.sweep(self.now);
    }
}
