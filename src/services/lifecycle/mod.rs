//! What all services share: six states, ordered start, drain in reverse, ticks run by one pump, tracked operations,
//! heartbeats, metrics. A service is written by implementing `Service` and, for each loop it would have had, `Tick`;
//! it never waits, spawns or counts by itself.
//! Always holds: the only `loop` and the only tasks of the services are here, so a drain knows of everything that
//! runs. Absent: what any service does, and services calling one another (they send commands to subjects).

mod breaker;
mod cell;
mod counted;
mod durations;
mod engine_calls;
mod heartbeat;
mod host;
mod launch;
mod operation_error;
mod operations;
mod order;
mod pump;
mod service;
mod snapshot;
mod state;
mod tasks;

pub use self::counted::CountedOperations;
pub use self::engine_calls::EngineCallError;
pub(in crate::services) use self::engine_calls::{correlation_of, judge_error, run_call};
pub use self::host::{FailedStart, HostBuilder, HostError, ServiceHost};
pub use self::operation_error::OperationError;
pub use self::operations::{OperationVerdict, Operations};
pub use self::service::{Need, Service, ServiceError, Tick, TickReport, Ticks, Wake};
pub use self::snapshot::{
    BreakerSnapshot, DependencySnapshot, DurationSnapshot, Health, OperationKindSnapshot,
    RunningOperationSnapshot, ServiceSnapshot, TickSnapshot,
};
pub use self::state::ServiceState;
pub use self::tasks::Tasks;
