//! Engines under a test's control. `lab` drives the core alone, synchronously: every input, every outcome and every
//! millisecond is the test's, and two runs are the same. `jobs` builds what is submitted, `history` reads what was
//! recorded and holds it to the rules.

pub(crate) mod falsified_history;
pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod lab;
pub(crate) mod peer_transport;
pub(crate) mod view_document;
