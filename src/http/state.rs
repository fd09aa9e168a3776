//! What the handlers work with, put together once by `app`. Cheap to clone. Absent: any state of its own; what
//! changes lives in the engine.

use std::fmt;
use std::sync::Arc;

use crate::environment::Surroundings;
use crate::telemetry::metrics::Recorder;

/// Looks at what must hold for the engine to get requests; never waits.
pub type ReadyChecks = dyn Fn() -> Vec<ReadyCheck> + Send + Sync;

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyCheck {
    /// What.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// Why not.
    pub detail: Option<String>,
}

/// What the handlers work with.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// Its parts.
pub struct Parts {
    /// Clock, dice, ids.
    pub outside: Surroundings,
    /// What was measured.
    pub recorder: Recorder,
    /// Whether the engine should get requests.
    pub ready: Box<ReadyChecks>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts")
    }
}

impl Api {
    /// The handlers' state.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Clock, dice, ids.
    pub fn outside(&self) -> &Surroundings {
        &self.0.outside
    }

    /// What must hold for the engine to get requests.
    pub fn ready_checks(&self) -> Vec<ReadyCheck> {
        (self.0.ready)()
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        self.0.recorder.render()
    }
}
