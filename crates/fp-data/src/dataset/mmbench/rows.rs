//! Converts a table's rows to samples with their images.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Row;
use crate::dataset::ProblemKind;
use crate::dataset::image::ImageRef;
use crate::dataset::lines::LineFault;
use crate::dataset::table::wrong_count;
use crate::sample::Sample;

/// Longest cell, in bytes, that is taken for the index of another row rather than an image.
const LONGEST_INDEX: usize = 64;

/// The rows of a table read so far.
pub(super) struct Rows<'a> {
    table: Arc<Path>,
    columns: &'a HashMap<String, usize>,
    num_columns: usize,
    instruction: &'static str,
    /// Images by SHA-256 of their content, so that rows with equal content share one.
    by_content: HashMap<[u8; 32], ImageRef>,
    by_index: HashMap<u64, ImageRef>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        table: &Path,
        columns: &'a HashMap<String, usize>,
        num_columns: usize,
        instruction: &'static str,
    ) -> Self {
        Rows {
            table: table.into(),
            columns,
            num_columns,
            instruction,
            by_content: HashMap::new(),
            by_index: HashMap::new(),
        }
    }

    /// The sample of a row that begins at byte `row_start`, and the problem of its image, if any.
    pub(super) fn sample(
        &mut self,
        record: &[Vec<u8>],
        row_start: u64,
    ) -> Result<(Sample, Option<String>), LineFault> {
        if record.len() != self.num_columns {
            return Err(wrong_count(record.len(), self.num_columns));
        }
        let cell = |name: &str| {
            let bytes = self.columns.get(name).and_then(|&place| record.get(place));
            std::str::from_utf8(bytes.map_or(&[], Vec::as_slice)).map_err(|_| {
                (
                    ProblemKind::Encoding,
                    format!("column `{name}` isn't UTF-8, as other rows are"),
                )
            })
        };
        let index = cell("index")?;
        let index: u64 = index.parse().map_err(|_| {
            (
                ProblemKind::WrongType,
                format!("index {index:?} is not a number"),
            )
        })?;
        let l2_category = match cell("l2-category")? {
            "" => cell("L2-category")?,
            category => category,
        };
        let row = Row {
            index,
            hint: cell("hint")?,
            question: cell("question")?,
            options: [cell("A")?, cell("B")?, cell("C")?, cell("D")?],
            answer: cell("answer")?,
            category: cell("category")?,
            l2_category,
        };
        let mut sample = row.sample(self.instruction);
        let column = self.columns.get("image").copied();
        let image = match column {
            Some(column) => self.image(index, record, row_start, column),
            None => Err("the table has no column `image`".to_owned()),
        };
        let (image, absent) = match image {
            Ok(image) => (image, None),
            Err(message) => {
                let table = Arc::clone(&self.table);
                let column = column.unwrap_or(self.num_columns);
                let nowhere = ImageRef::Cell {
                    table,
                    row_start,
                    column,
                };
                (nowhere, Some(message))
            }
        };
        sample.image = image;
        Ok((sample, absent))
    }

    fn image(
        &mut self,
        index: u64,
        record: &[Vec<u8>],
        row_start: u64,
        column: usize,
    ) -> Result<ImageRef, String> {
        let missing = |message: String| Err(message);
        let cell = record.get(column).map_or(&[][..], Vec::as_slice);
        let image = if cell.is_empty() {
            return missing("the column `image` is empty".to_owned());
        } else if cell.len() <= LONGEST_INDEX {
            let other = std::str::from_utf8(cell)
                .ok()
                .and_then(|text| text.parse().ok());
            match other.and_then(|other: u64| self.by_index.get(&other)) {
                Some(image) => image.clone(),
                None => {
                    let text = String::from_utf8_lossy(cell);
                    return missing(format!("image {text:?} is not the index of an earlier row"));
                }
            }
        } else if !cell.trim_ascii().len().is_multiple_of(4) {
            return missing(format!(
                "column `image` has {} characters, which is not complete Base64; is the row cut off?",
                cell.len()
            ));
        } else {
            let new = || ImageRef::Cell {
                table: Arc::clone(&self.table),
                row_start,
                column,
            };
            let content: [u8; 32] = Sha256::digest(cell).into();
            self.by_content.entry(content).or_insert_with(new).clone()
        };
        self.by_index.insert(index, image.clone());
        Ok(image)
    }
}
