//! How often something happens to a double, and how long it gives way: what the faults of all doubles draw.
//! Always holds: a fault that is off draws nothing, so that turning one on does not shift the others' draws.

use std::future::poll_fn;
use std::task::Poll;

use orrery::environment::Dice as _;

use crate::SeededDice;

/// The dice that faults are drawn with.
#[derive(Debug)]
pub(crate) struct Chance(SeededDice);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededDice::new(seed))
    }

    /// Any of the 2^64 numbers.
    pub(crate) fn draw(&self) -> u64 {
        self.0.next_u64()
    }

    /// Whether what happens in so many of a thousand calls happens in this one.
    pub(crate) fn happens(&self, per_mille: u16) -> bool {
        per_mille > 0 && self.draw() % 1_000 < u64::from(per_mille)
    }

    /// How often a call gives way, `most` times at the most.
    pub(crate) fn turns(&self, most: u32) -> u32 {
        if most == 0 {
            return 0;
        }
        // The remainder is below a u32, so the conversion cannot fail.
        u32::try_from(self.draw() % (u64::from(most) + 1)).unwrap_or(0)
    }
}

/// Gives way `turns` times, on any executor.
pub(crate) async fn give_way(turns: u32) {
    let mut left = turns;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
