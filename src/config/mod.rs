//! Settings: typed, from the defaults, a file, the environment and flags, each overriding the one before.
//! Always holds: an unknown key, a wrong type or a value out of its range refuses the start with every problem
//! named at once; where each value came from stays known; a secret is never printed.
//! Absent: defaults in code. `config/default.toml` is compiled in and is the only place that states them.

mod check;
mod cluster;
mod error;
mod key;
mod layers;
mod secret;
mod settings;
mod storage;
#[cfg(test)]
mod tests;

pub use self::cluster::ClusterSettings;
pub use self::error::{ConfigError, SettingProblem};
pub use self::layers::{Loaded, SettingOrigin, ShownValue, Sources};
pub use self::secret::Secret;
pub use self::settings::{
    BoundsSettings, BreakerSettings, EngineSettings, LogFormat, LogSettings, QuotaSettings,
    ServerSettings, ServiceSettings, ServicesSettings, Settings,
};
pub use self::storage::StorageSettings;
