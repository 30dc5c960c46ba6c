//! Files that are written line by line.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::dataset::DatasetError;
use crate::dataset::tsv::write_row;

/// A file with one JSON object per line.
#[derive(Debug)]
pub(in crate::dataset) struct LineWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl LineWriter {
    pub(super) fn new(file: BufWriter<File>, path: PathBuf) -> LineWriter {
        LineWriter { file, path }
    }

    pub(in crate::dataset) fn write(&mut self, line: &Value) -> Result<(), DatasetError> {
        writeln!(self.file, "{line}").map_err(cant_write(&self.path))
    }

    pub(in crate::dataset) fn finish(mut self) -> Result<(), DatasetError> {
        self.file.flush().map_err(cant_write(&self.path))
    }
}

/// A tab-separated table.
#[derive(Debug)]
pub(in crate::dataset) struct TableWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl TableWriter {
    pub(super) fn new(
        file: BufWriter<File>,
        path: PathBuf,
        header: &[&str],
    ) -> Result<TableWriter, DatasetError> {
        let mut table = TableWriter { file, path };
        table.write(header)?;
        Ok(table)
    }

    pub(in crate::dataset) fn write(&mut self, cells: &[&str]) -> Result<(), DatasetError> {
        write_row(&mut self.file, cells).map_err(cant_write(&self.path))
    }

    pub(in crate::dataset) fn finish(mut self) -> Result<(), DatasetError> {
        self.file.flush().map_err(cant_write(&self.path))
    }
}

pub(in crate::dataset) fn cant_write(path: &Path) -> impl FnOnce(std::io::Error) -> DatasetError {
    let path = path.to_owned();
    move |source| DatasetError::Write { path, source }
}
