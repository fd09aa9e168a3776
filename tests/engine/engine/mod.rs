//! The engine's core held to its promises, one file a concern.

mod appends;
mod early_leases;
mod environments;
mod leases;
mod overload;
mod parking;
mod retention;
mod runs;
mod showing;
mod two_engines;
