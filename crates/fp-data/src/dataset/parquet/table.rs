//! The rows of one split, from one file or several.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::pages::{LEAST_ROW_BYTES, check_pages};
use super::reader::{Rows, content, open};
use super::schema::{MARKS, nearest};
use crate::dataset::limit::{decoded_limit, too_much};
use crate::dataset::lines::LineFault;
use crate::dataset::{Benchmark, DatasetError, ProblemKind};

/// The files of a split, of which the metadata has been read.
#[derive(Debug)]
pub(super) struct Table {
    files: Vec<PathBuf>,
    columns: HashSet<String>,
}

impl Table {
    pub(super) fn open(files: &[PathBuf]) -> Result<Table, DatasetError> {
        let mut columns: Option<HashSet<String>> = None;
        for path in files {
            let reader = open(path)?;
            let schema = reader.metadata().file_metadata().schema();
            let names = schema.get_fields().iter();
            let names: HashSet<String> = names.map(|field| field.name().to_owned()).collect();
            match &columns {
                Some(columns) if *columns != names => {
                    return Err(DatasetError::Content {
                        path: path.clone(),
                        reason: "its columns are not those of the split's first file".to_owned(),
                    });
                }
                _ => columns = Some(names),
            }
        }
        Ok(Table {
            files: files.to_vec(),
            columns: columns.unwrap_or_default(),
        })
    }

    /// Names of its columns, in no particular order.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.contains(column)
    }

    /// The benchmark that has these columns.
    pub(super) fn benchmark(&self) -> Option<Benchmark> {
        let has = |names: &[&str]| names.iter().all(|name| self.has(name));
        let found = MARKS.iter().find(|(_, names)| has(names));
        found.map(|(benchmark, _)| *benchmark)
    }

    /// An error that names the columns missing for the nearest benchmarks.
    pub(super) fn unknown(&self) -> DatasetError {
        let nearest = nearest(|column| self.has(column));
        let nearest = nearest.iter().map(|(benchmark, missing)| {
            format!("for {} it lacks {}", benchmark.title(), missing.join(", "))
        });
        let nearest: Vec<String> = nearest.collect();
        let mut columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        columns.sort_unstable();
        DatasetError::Content {
            path: self.files.first().cloned().unwrap_or_default(),
            reason: format!(
                "its columns ({}) match no known benchmark; {}",
                columns.join(", "),
                nearest.join("; ")
            ),
        }
    }

    /// Refuses files whose columns have other types than the benchmark's.
    pub(super) fn check(
        &self,
        check: impl Fn(&Path, &Type) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        for path in &self.files {
            let reader = open(path)?;
            check(path, reader.metadata().file_metadata().schema())?;
        }
        Ok(())
    }

    /// Calls a function for every row with its number from 1, its file and row index there from 0,
    /// and the requested columns that the files have.
    pub(super) fn for_each_row(
        &self,
        columns: &[&str],
        mut take: impl FnMut(usize, (usize, usize), &Row),
    ) -> Result<(), DatasetError> {
        let limit = decoded_limit()?;
        let mut number = 0;
        for (index, path) in self.files.iter().enumerate() {
            let reader = open(path)?;
            let len = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            let fail = |error: ParquetError| content(path, len, error);
            let schema = reader.metadata().file_metadata().schema();
            let chosen = projection(schema, columns).map_err(fail)?;
            let groups = reader.metadata().row_groups();
            check_pages(path, groups, |name| columns.contains(&name))?;
            let rows = Rows::new(reader, Some(chosen), None).map_err(fail)?;
            let mut decoded = 0_u64;
            for (place, row) in rows.enumerate() {
                number += 1;
                // A row that can't be decoded ends the file: later rows would be miscounted.
                let row = row.map_err(fail)?;
                // A dictionary's entry is stored once in the file, but in memory once per row.
                decoded = decoded.saturating_add(bytes_of_row(&row));
                if decoded > limit {
                    return Err(DatasetError::Content {
                        path: path.clone(),
                        reason: too_much("its cells expand", limit),
                    });
                }
                take(number, (index, place), &row);
            }
        }
        Ok(())
    }
}

/// Approximate size of a row in memory, in bytes.
pub(super) fn bytes_of_row(row: &Row) -> u64 {
    let cells = row.get_column_iter().map(|(_, field)| bytes_of(field));
    cells.sum::<u64>() + LEAST_ROW_BYTES
}

fn bytes_of(field: &Field) -> u64 {
    match field {
        Field::Str(text) => text.len() as u64,
        Field::Bytes(bytes) => bytes.len() as u64,
        Field::Group(row) => bytes_of_row(row),
        Field::ListInternal(list) => list.elements().iter().map(|cell| 8 + bytes_of(cell)).sum(),
        _ => 8,
    }
}

/// The schema with only some columns.
pub(super) fn projection(schema: &Type, columns: &[&str]) -> Result<Type, ParquetError> {
    let fields = schema.get_fields().iter();
    let chosen: Vec<Arc<Type>> = fields
        .filter(|field| columns.contains(&field.name()))
        .cloned()
        .collect();
    Type::group_type_builder(schema.name())
        .with_fields(chosen)
        .build()
}

/// The cells of a row, by column.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a>(pub(super) &'a Row);

impl<'a> Cells<'a> {
    fn get(self, column: &str) -> Option<&'a Field> {
        let mut columns = self.0.get_column_iter();
        columns
            .find(|(name, _)| *name == column)
            .map(|(_, field)| field)
            .filter(|field| !matches!(field, Field::Null))
    }

    fn need(self, column: &str) -> Result<&'a Field, LineFault> {
        self.get(column).ok_or_else(|| {
            (
                ProblemKind::Malformed,
                format!("column `{column}` is empty"),
            )
        })
    }

    /// Text; `None` where the cell or the column is missing.
    pub(super) fn optional(self, column: &str) -> Result<Option<&'a str>, LineFault> {
        match self.get(column) {
            None => Ok(None),
            Some(Field::Str(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(column, "text", other)),
        }
    }

    pub(super) fn text(self, column: &str) -> Result<&'a str, LineFault> {
        match self.need(column)? {
            Field::Str(text) => Ok(text),
            other => Err(wrong_type(column, "text", other)),
        }
    }

    pub(super) fn number(self, column: &str) -> Result<u64, LineFault> {
        let field = self.need(column)?;
        number(field).ok_or_else(|| wrong_type(column, "a number from 0", field))
    }

    /// An id: text, or a number.
    pub(super) fn id(self, column: &str) -> Result<String, LineFault> {
        match self.need(column)? {
            Field::Str(text) => Ok(text.clone()),
            other => match number(other) {
                Some(number) => Ok(number.to_string()),
                None => Err(wrong_type(column, "text or a number", other)),
            },
        }
    }

    /// A list of texts, or of structures with the text under `key`; empty where the cell is
    /// missing.
    pub(super) fn texts(self, column: &str, key: &str) -> Result<Vec<String>, LineFault> {
        let list = match self.get(column) {
            None => return Ok(Vec::new()),
            Some(Field::ListInternal(list)) => list,
            Some(other) => return Err(wrong_type(column, "a list", other)),
        };
        let text = |field: &Field| match field {
            Field::Str(text) => Ok(text.clone()),
            Field::Group(row) => Cells(row).text(key).map(str::to_owned),
            other => Err(wrong_type(column, "a list of texts", other)),
        };
        list.elements().iter().map(text).collect()
    }

    /// A list of numbers; empty where the cell is missing.
    pub(super) fn numbers(self, column: &str) -> Result<Vec<f64>, LineFault> {
        let list = match self.get(column) {
            None => return Ok(Vec::new()),
            Some(Field::ListInternal(list)) => list,
            Some(other) => return Err(wrong_type(column, "a list of numbers", other)),
        };
        let number = |field: &Field| match field {
            Field::Double(value) => Ok(*value),
            Field::Float(value) => Ok(f64::from(*value)),
            other => match number(other) {
                // Pixel coordinates are far below 2^53, so f64 represents them exactly.
                Some(number) => Ok(number as f64),
                None => Err(wrong_type(column, "a list of numbers", other)),
            },
        };
        list.elements().iter().map(number).collect()
    }

    /// A structure's cells.
    pub(super) fn group(self, column: &str) -> Option<Cells<'a>> {
        match self.get(column) {
            Some(Field::Group(row)) => Some(Cells(row)),
            _ => None,
        }
    }

    /// The cells of the only structure in a list; `None` where there are several.
    pub(super) fn only_group(self, column: &str) -> Option<Cells<'a>> {
        match self.get(column) {
            Some(Field::ListInternal(list)) => match list.elements() {
                [Field::Group(row)] => Some(Cells(row)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Bytes, or the bytes of a text.
    pub(super) fn bytes(self, column: &str) -> Option<&'a [u8]> {
        match self.get(column) {
            Some(Field::Bytes(bytes)) => Some(bytes.data()),
            Some(Field::Str(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }
}

fn number(field: &Field) -> Option<u64> {
    match *field {
        Field::Byte(value) => value.try_into().ok(),
        Field::Short(value) => value.try_into().ok(),
        Field::Int(value) => value.try_into().ok(),
        Field::Long(value) => value.try_into().ok(),
        Field::UByte(value) => Some(value.into()),
        Field::UShort(value) => Some(value.into()),
        Field::UInt(value) => Some(value.into()),
        Field::ULong(value) => Some(value),
        _ => None,
    }
}

fn wrong_type(column: &str, expected: &str, found: &Field) -> LineFault {
    let mut text = format!("{found:?}");
    if let Some((end, _)) = text.char_indices().nth(60) {
        text.truncate(end);
        text.push('…');
    }
    let message = format!("column `{column}` is {text}; expected {expected}");
    (ProblemKind::WrongType, message)
}
