//! The engine's core held to its promises, one file a concern.

mod announced_work;
mod appends;
mod catalogs;
mod claims;
mod driving;
mod early_leases;
mod environments;
mod groups;
mod job_runs;
mod kinds;
mod leases;
mod loading;
mod outages;
mod overload;
mod parking;
mod pauses;
mod retention;
mod two_engines;
mod view_flushes;
mod whole_engines;
