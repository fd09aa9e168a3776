//! The other engines: who drives what (`routing`), how long this engine's own groups are surely its own (`ownership`),
//! what they were asked (`outbox`), what they told of work and whether they answer (`directory`), and what others write to
//! subjects that are driven here (`foreign`).

mod directory;
mod foreign;
mod hints;
mod outbox;
mod ownership;
mod routing;
mod silence;

pub(crate) use self::directory::KnownPeers;
pub(crate) use self::foreign::ForeignAppends;
pub(crate) use self::outbox::{Outbox, Sent, SentLease};
pub(crate) use self::ownership::Ownership;
pub(crate) use self::routing::Routing;
