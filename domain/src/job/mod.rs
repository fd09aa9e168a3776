//! The job: what a caller asks (`spec`), what is kept of it (`plan`), its 12 states (`status`), its state, the commands
//! that ask for changes, the facts and events that record them, and the rules between (`decide`, `apply`).

pub mod apply;
pub mod check;
pub mod command;
pub mod decide;
pub mod detail;
pub mod due;
pub mod event;
pub mod explain;
pub mod fact;
pub mod flow;
pub mod members;
pub mod outcome;
pub mod plan;
pub mod progress;
pub mod readiness;
pub mod repair;
pub mod rows;
pub mod spec;
pub mod state;
pub mod status;
pub mod story;
pub mod summary;
pub mod undo;
pub mod verify;
pub mod work;
