//! The image column of a Parquet file, read row by row.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::ReadOptionsBuilder;

use super::pages::check_pages;
use super::reader::{Rows, open, open_part};
use super::table::{Cells, projection};
use crate::dataset::DatasetError;

/// Number of images that are decoded from the file's pages at a time.
const BATCH: usize = 8;

/// A file's image column, `image` or another: a structure of `bytes` and `path`, plain bytes, or a
/// list of one such structure.
///
/// Reading rows in order, each as often as needed, reads each page once. Going back, or far ahead,
/// starts again at the row group that holds the row.
pub struct ImageColumn {
    path: PathBuf,
    column: &'static str,
    state: Mutex<State>,
}

/// Position of the reader.
#[derive(Default)]
struct State {
    cursor: Option<Cursor>,
    /// The last row that was read, and its image: questions on one image follow each other.
    last: Option<(usize, Vec<u8>)>,
}

struct Cursor {
    rows: Rows,
    next: usize,
    /// First row of the next group.
    group_end: usize,
}

impl ImageColumn {
    /// The column `image` of the file at `path`, which is opened when the first image is read.
    pub fn new(path: &Path) -> Self {
        ImageColumn::of(path, "image")
    }

    /// A column with another name.
    pub(super) fn of(path: &Path, column: &'static str) -> Self {
        ImageColumn {
            path: path.to_owned(),
            column,
            state: Mutex::new(State::default()),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The column's name.
    pub(super) fn column(&self) -> &'static str {
        self.column
    }

    /// Reads the encoded image of a row.
    ///
    /// # Errors
    /// The file can't be read, or the row has no image.
    pub fn read(&self, row: usize) -> io::Result<Vec<u8>> {
        self.read_cell(row)?.ok_or_else(|| {
            io::Error::other(format!(
                "row {row} has no bytes in its column `{}`",
                self.column
            ))
        })
    }

    /// As [`ImageColumn::read`]; `None` where the row has no bytes.
    fn read_cell(&self, row: usize) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = state.last.as_ref().filter(|(last, _)| *last == row) {
            return Ok(Some(bytes.clone()));
        }
        let is_ahead = |cursor: &Cursor| (cursor.next..cursor.group_end).contains(&row);
        let mut at = match state.cursor.take().filter(is_ahead) {
            Some(at) => at,
            None => self.open_at(row)?,
        };
        let skip = row - at.next;
        let found = at.rows.after(skip).map_err(io::Error::other)?;
        at.next = row + 1;
        let found = found.ok_or_else(|| io::Error::other(format!("no row {row}")))?;
        let cells = Cells(&found);
        let bytes = match cells.group(self.column).or(cells.only_group(self.column)) {
            Some(image) => image.bytes("bytes"),
            None => cells.bytes(self.column),
        };
        let bytes = bytes.map(<[u8]>::to_vec);
        state.cursor = Some(at);
        if let Some(bytes) = &bytes {
            state.last = Some((row, bytes.clone()));
        }
        Ok(bytes)
    }

    /// Rows without bytes, if the file's statistics say that there are any; nothing is read where
    /// they say that there are none, or are missing.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(super) fn empty_rows(&self) -> Result<HashSet<usize>, DatasetError> {
        let reader = open(&self.path)?;
        let mut empty = HashSet::new();
        let mut start = 0;
        for group in reader.metadata().row_groups() {
            let end = start + usize::try_from(group.num_rows()).unwrap_or_default();
            let mut bytes = group.columns().iter().filter(|column| {
                // In a list, the names of nested levels depend on the writer.
                let path = column.column_path().parts();
                path.first().is_some_and(|name| name == self.column)
                    && (path.len() == 1 || path.last().is_some_and(|name| name == "bytes"))
            });
            let count = bytes
                .next()
                .and_then(|column| column.statistics()?.null_count_opt());
            if count.is_some_and(|count| count > 0) {
                for row in start..end {
                    // If one row can't be read, no later row can.
                    let bytes = self.read_cell(row).map_err(|source| DatasetError::Io {
                        path: self.path.clone(),
                        source,
                    })?;
                    if bytes.is_none() {
                        empty.insert(row);
                    }
                }
            }
            start = end;
        }
        Ok(empty)
    }

    fn open_at(&self, row: usize) -> io::Result<Cursor> {
        let reader = open(&self.path).map_err(io::Error::other)?;
        let (mut group, mut start, mut end) = (0, 0, 0);
        for (index, metadata) in reader.metadata().row_groups().iter().enumerate() {
            let rows = usize::try_from(metadata.num_rows()).unwrap_or_default();
            (group, start, end) = (index, end, end + rows);
            if row < end {
                break;
            }
        }
        let groups = reader.metadata().row_groups().get(group);
        check_pages(&self.path, groups, |name| name == self.column).map_err(io::Error::other)?;
        let schema = reader.metadata().file_metadata().schema();
        let column = projection(schema, &[self.column]).map_err(io::Error::other)?;
        let only = move |_: &_, index: usize| index == group;
        let options = ReadOptionsBuilder::new()
            .with_predicate(Box::new(only))
            .build();
        let reader = open_part(&self.path, options).map_err(io::Error::other)?;
        let rows = Rows::new(reader, Some(column), Some(BATCH)).map_err(io::Error::other)?;
        Ok(Cursor {
            rows,
            next: start,
            group_end: end,
        })
    }
}

impl PartialEq for ImageColumn {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.column) == (&other.path, other.column)
    }
}

impl Eq for ImageColumn {}

impl Hash for ImageColumn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.path, self.column).hash(state);
    }
}

impl PartialOrd for ImageColumn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ImageColumn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.path, self.column).cmp(&(&other.path, other.column))
    }
}

impl fmt::Debug for ImageColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ImageColumn").field(&self.path).finish()
    }
}
