//! The numbers by which engines know one another. An engine that was evicted rejoins under another number: the others
//! know it by that from their next look on, it itself from the answer to its joining, and it goes on driving under the
//! number it began with. What is sent to a number that nobody has any more arrives nowhere.

use orrery::engine::core::message::Input;

use super::world::{Happening, World};

/// Numbers of those that rejoined start here, above those of all that began.
const ANEW_FROM: u32 = 100;

impl World {
    /// Who has this number now.
    pub(crate) fn at_of(&self, number: u32) -> Option<usize> {
        self.members.iter().position(|member| member.number == number)
    }

    /// Who drives what, as an engine is told it: itself by the number it began with, the others by those they have.
    pub(crate) fn drivers_for(&self, at: usize) -> Vec<Option<u32>> {
        let told = |driver: &Option<u32>| {
            let driver = usize::try_from((*driver)?).expect("few engines");
            if driver == at { u32::try_from(at).ok() } else { Some(self.members[driver].number) }
        };
        self.members[at].drivers.iter().map(told).collect()
    }

    /// Somebody was silent for too long: it is another engine from now on.
    pub(crate) fn somebody_joins_anew(&mut self) {
        let often = self.mix.engine.joins_anew;
        if !self.dice.chance(often) {
            return;
        }
        self.checker.count("fault: rejoined");
        let at = self.dice.index(self.members.len());
        let newest = self.members.iter().map(|member| member.number + 1).max();
        let number = newest.unwrap_or(0).max(ANEW_FROM);
        self.members[at].number = number;
        let of = self.life_of(at);
        self.comes_back(of, Input::KnownAs { engine: number });
    }

    /// Everybody hears of the drivers, one after the other.
    pub(crate) fn tells_drivers(&mut self) {
        for at in 0..self.members.len() {
            let wait = self.dice.wait(0, 5_000);
            let drivers = self.drivers.clone();
            self.after(wait, Happening::Routes { at, drivers });
        }
    }
}
