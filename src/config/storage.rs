//! Where the truth is kept: a folder, or a database of MongoDB. What else a URI may say is refused in words that tell
//! what to do instead. Absent: the options of a MongoDB URI (`environment::mongodb` reads them).

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Secret;

/// The `[storage]` section.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    data: PathBuf,
    uri: Secret,
    /// Below this many free bytes on the data folder's disk, submissions are refused (507).
    pub free_space_min_bytes: u64,
    /// Bytes of the file that is given up when the disk is full, so that work can be finished; 0: none.
    pub reserve_bytes: u64,
    /// Start although the clock and the newest stored event are far apart.
    pub accept_clock: bool,
}

impl StorageSettings {
    /// The embedded store's folder: the URI's when it names one, else `data`.
    pub fn folder(&self) -> &Path {
        match self.uri.reveal().strip_prefix("sqlite:") {
            Some(folder) if !folder.is_empty() => Path::new(folder),
            Some(_) | None => &self.data,
        }
    }

    /// The URI when it names MongoDB, password and all: for connecting only.
    pub fn mongodb_uri(&self) -> Option<&str> {
        let uri = self.uri.reveal();
        (uri.starts_with("mongodb://") || uri.starts_with("mongodb+srv://")).then_some(uri)
    }

    /// The URI as it may be shown: without password and options. Empty when none was given.
    pub fn masked_uri(&self) -> String {
        self.uri.masked()
    }

    /// Why this store cannot be used, if so: to be appended to the key and its origin.
    pub(super) fn refused(&self) -> Option<String> {
        let uri = self.uri.reveal();
        let scheme = uri.split(':').next().unwrap_or_default();
        match scheme {
            "" if uri.is_empty() => None,
            "sqlite" if uri.starts_with("sqlite:") && !uri.starts_with("sqlite://") => None,
            "sqlite" => Some("must be \"sqlite:\" or \"sqlite:FOLDER\"".to_owned()),
            "mongodb" | "mongodb+srv" if self.mongodb_uri().is_some() => None,
            "mongodb" | "mongodb+srv" => {
                Some("must be \"mongodb://HOSTS/DATABASE?replicaSet=NAME\"".to_owned())
            }
            _ => Some(
                "names a store that does not exist here: leave it empty, or write \"sqlite:FOLDER\" or \
                 \"mongodb://HOSTS/DATABASE?replicaSet=NAME\""
                    .to_owned(),
            ),
        }
    }
}
