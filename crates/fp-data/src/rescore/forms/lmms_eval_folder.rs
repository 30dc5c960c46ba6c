//! A folder that lmms-eval wrote: a single samples file is used; of several, the user must name
//! one.

use std::path::{Path, PathBuf};

use super::lmms_eval::SAMPLES;
use super::{Form, Opened, file_name};
use crate::rescore::{AnswerFile, RescoreError};

pub(super) const FORM: Form = Form {
    name: "",
    fits: |path, opened| matches!(opened, Opened::Folder) && !samples_in(path).is_empty(),
    read: |path, _| read(path),
};

/// Samples files in a folder, sorted by name.
pub(super) fn samples_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_samples = |path: &PathBuf| {
        file_name(path).contains(SAMPLES) && path.extension().is_some_and(|e| e == "jsonl")
    };
    let mut paths: Vec<PathBuf> = paths.filter(is_samples).collect();
    paths.sort();
    paths
}

fn read(folder: &Path) -> Result<AnswerFile, RescoreError> {
    let files = samples_in(folder);
    if let [file] = files.as_slice() {
        return AnswerFile::read(file);
    }
    let names: Vec<&str> = files.iter().map(|path| file_name(path)).collect();
    Err(RescoreError::Form {
        path: folder.to_owned(),
        reason: format!(
            "lmms-eval's answers to {} tasks; name the file of one: {}",
            files.len(),
            names.join(", ")
        ),
    })
}
