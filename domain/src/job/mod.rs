//! The job: what a caller asks (`spec`), its 12 states (`status`), its state, the commands and events that change it.

pub mod spec;
pub mod status;
