//! What jobs ask their environments for. Volatile: a queued job asks again every few seconds, and after a load of either
//! side. Absent: what is granted, which is the environment's state.

mod asks;

pub(crate) use self::asks::GrantQueue;
