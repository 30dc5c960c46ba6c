//! The library's readers, guarded against panics on damaged files.

use std::fs::File;
use std::path::Path;

use fp_image::{DecoderPanic, guarded};
use fp_scoring::open_file;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptions;
use parquet::record::Row;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

use super::pages::{READER, check_rows};
use crate::dataset::DatasetError;

/// Opens a file; an error says if its end is missing, or if it claims more rows than it can hold.
pub(super) fn open(path: &Path) -> Result<SerializedFileReader<File>, DatasetError> {
    let io_error = |source| DatasetError::Io {
        path: path.to_owned(),
        source,
    };
    let file = open_file(path).map_err(io_error)?;
    let len = file.metadata().map_err(io_error)?.len();
    let opened = guarded(READER, || SerializedFileReader::new(file));
    let reader = opened.unwrap_or_else(|panic| Err(panicked(panic)));
    let reader = reader.map_err(|error| content(path, len, error))?;
    check_rows(path, reader.metadata())?;
    Ok(reader)
}

/// Reopens a file, to read a part of it.
pub(super) fn open_part(
    path: &Path,
    options: ReadOptions,
) -> Result<SerializedFileReader<File>, ParquetError> {
    let file = open_file(path)?;
    let opened = guarded(READER, || {
        SerializedFileReader::new_with_options(file, options)
    });
    opened.unwrap_or_else(|panic| Err(panicked(panic)))
}

fn panicked(panic: DecoderPanic) -> ParquetError {
    ParquetError::External(Box::new(panic))
}

pub(super) fn content(path: &Path, len: u64, error: ParquetError) -> DatasetError {
    let text = error.to_string();
    let is_cut = matches!(error, ParquetError::EOF(_))
        || text.contains("magic")
        || text.contains("footer")
        || text.contains("smaller than");
    let reason = if is_cut {
        format!(
            "not a complete Parquet file; it may have been cut off at its {len} bytes, or be a pointer to a file that was never downloaded"
        )
    } else {
        "it can't be read as Parquet".to_owned()
    };
    DatasetError::Unreadable {
        path: path.to_owned(),
        reason,
        source: error.into(),
    }
}

/// Rows of a file, up to the first that can't be read: the library would return the same error
/// forever.
pub(super) struct Rows {
    rows: RowIter<'static>,
    is_over: bool,
}

impl Rows {
    /// All rows with some of the columns, decoded `batch` at a time.
    pub(super) fn new(
        reader: SerializedFileReader<File>,
        columns: Option<Type>,
        batch: Option<usize>,
    ) -> Result<Rows, ParquetError> {
        let rows = guarded(READER, || {
            let rows = RowIter::from_file_into(Box::new(reader)).project(columns)?;
            Ok(match batch {
                Some(batch) => rows.with_batch_size(batch),
                None => rows,
            })
        });
        Ok(Rows {
            rows: rows.unwrap_or_else(|panic| Err(panicked(panic)))?,
            is_over: false,
        })
    }

    /// The row after skipping `count` rows; `None` if there are no more.
    pub(super) fn after(&mut self, count: usize) -> Result<Option<Row>, ParquetError> {
        for _ in 0..count {
            if self.next().transpose()?.is_none() {
                return Ok(None);
            }
        }
        self.next().transpose()
    }
}

impl Iterator for Rows {
    type Item = Result<Row, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let row = guarded(READER, || self.rows.next());
        let row = row.unwrap_or_else(|panic| Some(Err(panicked(panic))));
        self.is_over = !matches!(row, Some(Ok(_)));
        row
    }
}
