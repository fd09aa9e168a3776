//! The crash matrix (docs/crash-matrix.md): a real engine is aborted at every named point under load and opened again,
//! with its view behind or gone, its unsynced writes forgotten, its files cut and flipped. What is checked is what a
//! client was told and what the engine exports.

mod after_start;
mod checker;
mod checker_proven;
mod client;
mod damage;
mod faults;
mod load;
mod matrix;
mod matrix_cell;
mod process;
mod two_engine_points;
