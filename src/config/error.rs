//! What can be wrong with a configuration, in words that name the key, where the value came from, and what would be
//! right. All problems are collected, because fixing one a start is the slow way.

use std::fmt;
use std::path::PathBuf;

use super::SettingOrigin;

/// The configuration was refused.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<SettingProblem>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<SettingProblem>) -> Self {
        Self { problems }
    }

    /// Everything that is wrong; never empty.
    pub fn problems(&self) -> &[SettingProblem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is refused:")?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingProblem {
    /// The key is not one of ours.
    #[error("unknown key `{key}` ({origin}); the nearest known key is `{nearest}`")]
    UnknownKey {
        /// As it was written.
        key: String,
        /// Where it was written.
        origin: SettingOrigin,
        /// What was probably meant.
        nearest: String,
    },
    /// The value is of another type than the key's.
    #[error("`{key}` ({origin}) must be {expected}")]
    WrongType {
        key: String,
        /// Where the value came from.
        origin: SettingOrigin,
        /// What it must be.
        expected: &'static str,
    },
    /// The value is of the right type and cannot hold.
    #[error("`{key}` ({origin}) {rule}")]
    Refused {
        key: String,
        /// Where the value came from.
        origin: SettingOrigin,
        /// What must be.
        rule: String,
    },
    /// A secret was given twice in one layer.
    #[error("`{key}` and `{key}_file` are both given ({origin}); give one")]
    SecretTwice {
        /// The secret's key.
        key: String,
        origin: SettingOrigin,
    },
    /// A file that should be read was not.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML: {cause}")]
    NotToml {
        path: PathBuf,
        /// Where and why.
        cause: String,
    },
}
