//! How late this engine is, told to the core; and what the core refuses for it, told to everybody without asking.
//! Absent: any judgement of it (`core/pace`).

use domain::ids::Millis;

use super::{Executor, Message};
use crate::engine::core::Core;
use crate::engine::core::urgency::Urgency;

impl Message {
    fn asked_at(&self) -> Option<Millis> {
        match self {
            Self::Ask { at, .. } | Self::AskAll { at, .. } => Some(*at),
            Self::Gone { .. } | Self::Came(_) | Self::Stop => None,
        }
    }
}

/// What the core refuses now, a bit for each urgency.
pub(super) fn refused(core: &Core) -> u8 {
    let refuses = |urgency: &Urgency| u8::from(core.refuses(*urgency)) << (*urgency as u8);
    Urgency::ALL.iter().map(refuses).fold(0, |all, bit| all | bit)
}

impl Executor {
    /// Tells the core how late this engine is: for its own next turn, and for what was asked first of what is heard.
    pub(super) fn look_how_late(&mut self, next: Millis, heard: &[Message]) {
        let now = self.clock.now_ms();
        self.core.was_away(now, now.saturating_sub(next));
        // They come in their order: the first is the oldest.
        if let Some(at) = heard.iter().find_map(Message::asked_at) {
            self.core.heard_late(now, now.saturating_sub(at));
        }
    }
}
