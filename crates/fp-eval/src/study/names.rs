//! Resolving names in a configuration to folders.

use std::path::{Path, PathBuf};

use fp_data::embedded;
use fp_model::OpenedCheckpoint;

use super::config::StudyConfig;
use super::error::StudyError;

/// The name of the shipped model and benchmark.
pub(crate) const EMBEDDED: &str = "embedded";

/// Folder of the model named in a configuration.
///
/// # Errors
/// Those of [`model_folder`].
pub fn model_dir(config: &StudyConfig) -> Result<PathBuf, StudyError> {
    model_folder(Path::new(&config.model))
}

/// Folder of a model by its name: a folder, or `embedded` for the shipped model.
///
/// # Errors
/// The shipped model is named but doesn't exist.
pub fn model_folder(name: &Path) -> Result<PathBuf, StudyError> {
    Ok(if is_embedded(name) {
        embedded::model_dir()?
    } else {
        name.to_owned()
    })
}

/// Values in the files of a configuration's model that contradict it and are ignored, in words;
/// empty if the model can't be opened, which running it reports.
pub fn model_notes(config: &StudyConfig) -> Vec<String> {
    let tower = config.vision_tower.as_deref().map(Path::new);
    let opened = model_dir(config)
        .ok()
        .and_then(|folder| OpenedCheckpoint::open(folder, tower).ok());
    opened.map(|opened| opened.notes()).unwrap_or_default()
}

/// Whether a model's name means the shipped one.
pub fn is_embedded(name: &Path) -> bool {
    name.as_os_str() == EMBEDDED
}

/// The selector that opens a dataset by its name in a configuration: a folder, or a folder and a
/// split, `FOLDER:SPLIT`.
///
/// # Errors
/// A shipped dataset is named but doesn't exist.
pub fn dataset_selector(name: &str) -> Result<String, StudyError> {
    Ok(match name.split_once(':') {
        Some((EMBEDDED, split)) => embedded::benchmark_dir(split)?.display().to_string(),
        _ => name.to_owned(),
    })
}
