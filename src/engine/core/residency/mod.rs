//! Which subjects are in memory, what waits for them, when they are due, and which may leave.
//! Absent: what is decided about them (`steps`), and everything volatile that only one other part looks at: that stands
//! in a struct of that part, in the slot.

mod backlog;
mod parking;
mod reading;
mod slot;
mod slots;
mod timers;
mod unread;

pub(crate) use self::backlog::Backlog;
pub(crate) use self::parking::Parking;
pub(crate) use self::reading::Phase;
pub(crate) use self::slot::Slot;
pub(crate) use self::slots::Slots;
pub(crate) use self::timers::{Due, TimerKind, Timers};
pub(crate) use self::unread::{Unread, WAITS_MS};
