//! The node: what a caller asks of it (`spec`), its states (`status`), the graph it stands in (`graph`), one of
//! its attempts (`attempt`), its transitions in events (`change`).

pub mod attempt;
pub mod change;
pub mod edges;
pub mod graph;
pub mod hold;
pub mod spec;
pub mod status;
