//! Jobs, environments and retry policies as people see them: one type each, the same in answers, lists and documents of the view.
//! Always holds: pure data made from a state; the API's document is derived from these types, so that it cannot say
//! anything else. Absent: any decision, and payloads that are stored beside the stream (whoever shows one job fills
//! them in).

pub mod environment;
pub mod job;
pub mod pause;
pub mod policy;
pub mod retry_policy;
pub mod words;

/// The version of what people are shown; raised only with a change that is not an addition.
const SCHEMA_VERSION: u8 = 1;
