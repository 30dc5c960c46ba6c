//! `near_ties.csv`: every answer that rounding may have decided, written as near-ties are found.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::analysis::NearTie;
use super::error::ReportError;
use super::render::csv_line;

const HEADER: [&str; 6] = ["index", "id", "cell", "head_gap", "token_gap", "margin"];

/// A file that is moved to its final path once it is complete.
#[derive(Debug)]
pub(crate) struct NearTiesFile {
    path: PathBuf,
    part: PathBuf,
    writer: BufWriter<File>,
}

impl NearTiesFile {
    pub(crate) fn create(path: &Path) -> Result<NearTiesFile, ReportError> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|source| ReportError::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut file = NearTiesFile {
            path: path.to_owned(),
            part,
            writer: BufWriter::new(file),
        };
        file.write(&HEADER.map(str::to_owned))?;
        Ok(file)
    }

    /// Adds a near-tie; they come in the order of the samples.
    pub(crate) fn add(&mut self, tie: &NearTie) -> Result<(), ReportError> {
        let number = |value: Option<String>| value.unwrap_or_default();
        let fields = [
            tie.index.to_string(),
            tie.id.clone(),
            tie.cell.clone(),
            number(tie.head_gap.map(|gap| gap.to_string())),
            number(tie.token_gap.map(|gap| gap.to_string())),
            number(tie.margin.map(|margin| margin.to_string())),
        ];
        self.write(&fields)
    }

    fn write(&mut self, fields: &[String]) -> Result<(), ReportError> {
        let mut text = String::new();
        csv_line(&mut text, fields);
        let written = self.writer.write_all(text.as_bytes());
        written.map_err(|source| self.failed(source))
    }

    /// Moves the file to its final path, which it returns.
    pub(crate) fn finish(mut self) -> Result<PathBuf, ReportError> {
        let flushed = self.writer.flush();
        let moved = flushed.and_then(|()| std::fs::rename(&self.part, &self.path));
        moved.map_err(|source| self.failed(source))?;
        Ok(self.path.clone())
    }

    fn failed(&self, source: std::io::Error) -> ReportError {
        ReportError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for NearTiesFile {
    fn drop(&mut self) {
        // Removes an unfinished file; a finished one has been moved away.
        let _ = std::fs::remove_file(&self.part);
    }
}
