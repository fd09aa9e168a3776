//! The node: what a caller asks of it (`spec`), its states (`status`), the graph it stands in (`graph`).

pub mod graph;
pub mod spec;
pub mod status;
