//! Files that are written atomically, and files that grow.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::StudyError;

/// Writes a file atomically: first to a file beside it, which is then renamed; renaming is atomic
/// on network file systems too.
///
/// # Errors
/// A file that can't be written; an existing file stays unchanged.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StudyError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&part, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&part);
        StudyError::io("write", path)(error)
    })
}

/// Writes a value as indented JSON, atomically.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), StudyError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(StudyError::json(path))?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// Opens a file for reading and writing, keeping its content.
pub(crate) fn open_growing(path: &Path) -> Result<File, StudyError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StudyError::io("open", path))
}
