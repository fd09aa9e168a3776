//! The node: what a caller asks of it (`spec`), its states (`status`), the graph it stands in (`graph`), the name of
//! one of its attempts (`attempt`).

pub mod attempt;
pub mod graph;
pub mod spec;
pub mod status;
