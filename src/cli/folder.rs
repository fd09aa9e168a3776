//! Which data folder a command works on: the one that is named, else the one an engine with the same configuration
//! would use. What may stand in the way of using it becomes the exit code that scripts expect.

use std::path::{Path, PathBuf};

use orrery_client::failure::CliFailure;

use crate::app::AppError;
use crate::config::Sources;
use crate::event_store::sqlite::FolderError;

/// The folder that is named, else the configured one.
///
/// # Errors
/// Everything that is wrong with the configuration.
pub(crate) fn chosen(named: Option<&Path>, config: Option<PathBuf>) -> Result<PathBuf, CliFailure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let loaded = Sources::of_process(config, Vec::new())
        .load()
        .map_err(|error| CliFailure::Failed(error.to_string()))?;
    Ok(loaded.settings.storage.folder().to_owned())
}

/// What the failure means to whoever asked.
pub(crate) fn failure(error: AppError) -> CliFailure {
    if let AppError::Folder(error) = error {
        return of_folder(&error);
    }
    CliFailure::Failed(error.to_string())
}

/// As [`failure`], of the folder alone.
pub(crate) fn of_folder(error: &FolderError) -> CliFailure {
    match error {
        FolderError::InUse { folder, holder } => CliFailure::Conflict(format!(
            "{folder} is in use by an engine{holder}: stop it first, or work on a backup (orrery backup)"
        )),
        FolderError::NoStore { .. } => CliFailure::NotFound(error.to_string()),
        FolderError::Refused { .. }
        | FolderError::NewerFormat { .. }
        | FolderError::OlderFormat { .. }
        | FolderError::Foreign { .. }
        | FolderError::Damaged { .. }
        | FolderError::Unreadable { .. } => CliFailure::Failed(error.to_string()),
    }
}
