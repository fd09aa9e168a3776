//! What every event store and every view must do: each case is written once and run against each implementation.
//! A difference between implementations is an argument, never a skip. Files of the embedded pair that only it has
//! (folder, cuts, formats) are in `embedded` and `view_file`.

mod backup;
mod embedded;
mod event_store;
mod faults;
mod format_2;
mod lost_answers;
mod membership;
pub(crate) mod mongodb;
mod random_script;
pub(crate) mod row_checksums;
pub(crate) mod samples;
mod view;
mod view_file;
