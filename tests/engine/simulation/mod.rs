//! The simulation: the product's rules and core, several engines, scripted workers and people, storage and network with
//! faults, a clock of its own. One thread, one seed, the same run each time. `docs/simulation.md` tells how to use it.
//! `ORRERY_SIMULATION_SEED=n` runs one seed; `ORRERY_SIMULATION_MINUTES=m` runs fresh seeds for so long.

mod bugs;
mod calls;
mod checker;
pub(crate) mod dice;
mod faults;
mod lister;
mod member;
mod mix;
mod network;
mod numbers;
mod operator;
pub(crate) mod orders;
mod run;
mod seeds;
mod storage;
mod workers;
mod world;
