//! Real processes over real files: the binary is started, killed with -9 and started again, with real workers beside
//! it. What is checked is only what a client can see: answers, and the exported history.

mod bodies;
mod clock;
mod disk_full;
mod house;
mod logs;
mod mongodb;
mod mongodb_faults;
mod open_files;
mod outcomes;
mod process;
mod replica_set;
mod restarts;
mod same_address;
mod terminal;
mod worker_commands;
mod worker_ends;
mod workflows;
