//! The simulation: the product's rules and core, several engines, scripted workers and people, storage and network with
//! faults, a clock of its own. One thread, one seed, the same run each time. `docs/simulation.md` tells how to use it.
//! `ORRERY_SIMULATION_SEED=n` runs one seed; `ORRERY_SIMULATION_MINUTES=m` runs fresh seeds for so long.

mod bugs;
mod calls;
mod checker;
pub(crate) mod dice;
mod engine_numbers;
mod engines;
mod faults;
mod list_reader;
mod network;
mod operator;
pub(crate) mod random_jobs;
mod run;
mod run_settings;
mod seeds;
mod storage;
mod workers;
mod world;
