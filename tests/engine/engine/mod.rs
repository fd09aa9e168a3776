//! The engine's core held to its promises, one file a concern.

mod announced_work;
mod appends;
mod claims;
mod driving;
mod early_leases;
mod environments;
mod groups;
mod leases;
mod loading;
mod neighbours;
mod outages;
mod overload;
mod parking;
mod retention;
mod runs;
mod showing;
mod two_engines;
