//! Real processes over real files: the binary is started, killed with -9 and started again, with real workers beside
//! it. What is checked is only what a client can see: answers, and the exported history.

mod bodies;
mod clock;
mod data_folder;
mod disk_full;
mod expansion;
mod logs;
mod mongodb;
mod mongodb_faults;
mod mongodb_replica_set;
mod mongodb_same_address;
mod next_attempt;
mod open_files;
mod policies;
mod process;
mod recorded_outcomes;
mod restarts;
mod terminal;
mod worker_commands;
mod worker_ends;
mod workflows;
