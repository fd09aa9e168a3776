//! What every membership guarantees. An engine joins under a number that was never given before, and lives while it
//! renews: `TENURE` from each renewal on, by the store's clock, whatever the engines' clocks say. A group is a record
//! that names its driver, with a fence that grows at each change.
//! Always holds: whoever is evicted stays evicted, and is told so by its next renewal; nobody is evicted whose tenure
//! holds, but by whoever has come to its address (`evict`); a group changes hands only from the fence that was seen, so of two that want it one gets it.
//! Absent: who should drive what (`share`), and any promise about two engines that both believe they drive.

use std::fmt::Debug;
use std::time::Duration;

use domain::ids::{GroupId, Millis};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// Names one engine of a deployment; each start of an engine is a new one.
pub type EngineId = u32;

/// One life of one engine: its number, and when it began. Numbers are given once as long as the store keeps its counter;
/// with the beginning a life is told from every other one, also after the store was restored from a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Life {
    pub engine: EngineId,
    /// When it joined, milliseconds on the store's clock.
    pub started_at: Millis,
}

/// An engine that has not renewed for so long, by the store's clock, may be evicted (design section 7).
pub const TENURE: Duration = Duration::from_secs(10);

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// For people; empty: `engine-NUMBER`.
    pub name: String,
    /// Where other engines reach it: host and port.
    pub address: String,
    /// Of the program.
    pub version: String,
    /// The public half of the key that it drew at its start (`OwnKey`); empty: it asks no other engine.
    pub public_key: String,
}

impl Introduction {
    /// What the engine with this number is called.
    pub fn name_of(&self, engine: EngineId) -> String {
        if self.name.is_empty() { format!("engine-{engine}") } else { self.name.clone() }
    }
}

/// One engine that is not evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineRecord {
    pub engine: EngineId,
    /// Free text that only people read.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// Of the program.
    pub version: String,
    /// The public half of its key; empty: it shows none.
    pub public_key: String,
    /// By the store's clock.
    pub started_at: Millis,
    /// By the store's clock.
    pub renewed_at: Millis,
    /// Its tenure held when this was read.
    pub lives: bool,
    /// It is about to end: it gets nothing more.
    pub leaving: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRecord {
    pub group: GroupId,
    /// Who drives it; none: nobody.
    pub driver: Option<EngineId>,
    /// Grows with each change.
    pub fence: u64,
    /// Whom the former driver let go of it for, while nobody drives it.
    pub next: Option<EngineId>,
}

impl GroupRecord {
    /// A group that nobody ever drove.
    pub fn untouched(group: GroupId) -> Self {
        Self { group, driver: None, fence: 0, next: None }
    }
}

/// What was read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// Those that are not evicted, by number. An engine that a group names and that is not here is evicted, or must be
    /// evicted before the group is taken.
    pub engines: Vec<EngineRecord>,
    /// All 64, in order; read before the engines.
    pub groups: Vec<GroupRecord>,
}

/// What became of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The tenure holds for `TENURE` from then on.
    Held {
        /// The store's clock when it was renewed; none when the store has none of its own.
        at: Option<Millis>,
    },
    /// Others have evicted this engine: whatever it drove is theirs.
    Evicted,
}

/// A group to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    pub group: GroupId,
    /// The fence that was seen.
    pub fence: u64,
}

/// A group that its driver lets go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    pub group: GroupId,
    /// The fence that was seen.
    pub fence: u64,
    pub next: Option<EngineId>,
}

/// Why there was no answer: nothing is known of a change then, and looking again tells.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// The store cannot be reached or did not answer in time.
    #[error("the engines' records are unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("the engines' records cannot be read: {0}")]
    Damaged(String),
}

/// A call's result.
pub type MembershipResult<T> = Result<T, MembershipError>;

/// Where the engines of a deployment meet. Every change may be repeated.
pub trait Membership: Send + Sync + Debug {
    /// Begins a life under a new number, with a tenure.
    fn join<'a>(
        &'a self,
        introduction: &'a Introduction,
    ) -> BoxFuture<'a, MembershipResult<EngineId>>;

    /// Holds on; `leaving`: it is about to end.
    fn renew(&self, me: EngineId, leaving: bool) -> BoxFuture<'_, MembershipResult<Renewal>>;

    /// Who is there, and who drives what.
    fn look(&self) -> BoxFuture<'_, MembershipResult<Roster>>;

    /// Evicts an engine whose tenure is over. Answers whether it is evicted; one that is not known is from then on.
    fn evict(&self, engine: EngineId) -> BoxFuture<'_, MembershipResult<bool>>;

    /// Evicts an engine although its tenure may hold, because it was reached at this address and whoever asks listens there
    /// now: nobody else can be asked in its name. Answers whether it is evicted; one at another address, or that is
    /// leaving, is left alone.
    fn evict_at<'a>(
        &'a self,
        engine: EngineId,
        address: &'a str,
    ) -> BoxFuture<'a, MembershipResult<bool>>;

    /// Takes groups, each when it still has this fence; the next look shows which.
    fn take(&self, me: EngineId, takes: Vec<Take>) -> BoxFuture<'_, MembershipResult<()>>;

    /// Lets go of groups, each when it is still `me`'s under this fence.
    fn hand_over(&self, me: EngineId, groups: Vec<HandOver>)
    -> BoxFuture<'_, MembershipResult<()>>;

    /// Ends a life: evicted at once.
    fn leave(&self, me: EngineId) -> BoxFuture<'_, MembershipResult<()>>;
}
