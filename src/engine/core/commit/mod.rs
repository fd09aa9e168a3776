//! What is on its way to the store: the rounds that this turn has opened, the batch that gathers, the appends that have
//! not come back, and those of which nobody knows whether they are durable.
//! Always holds: a slot is in at most one of these stages at a time ([`Stage`]), so what its entity shows is committed or
//! is ahead of the committed state by exactly one round or one append.
//! Absent: what is decided and what follows from a commit (`steps`).

mod batch;
mod in_flight;
mod round;

pub(crate) use self::batch::{BatchBounds, Commits};
pub(crate) use self::in_flight::Stage;
pub(crate) use self::round::{Head, Round};
