//! The submission workbook of MMBench's server: its table with a column of answers.

use std::collections::HashMap;

use super::{RescoreError, Upload};
use crate::dataset::{Dataset, DatasetError, for_each_tab_row};

/// Columns that the server expects, in order, whatever columns the dataset's table has.
const COLUMNS: [&str; 9] = [
    "index", "question", "A", "B", "C", "D", PREDICTION, "answer", "split",
];
/// Name of the answer column.
const PREDICTION: &str = "prediction";

/// Rows of the workbook, the header first.
pub(super) struct Rows {
    pub(super) rows: Vec<Vec<String>>,
    /// Columns that the dataset's table lacks; they stay empty.
    pub(super) empty: Vec<&'static str>,
}

/// The rows of the dataset's table with their answers, in the table's order.
///
/// # Errors
/// A dataset that was not read from such a table.
pub(super) fn mmbench(
    dataset: &Dataset,
    answers: &HashMap<&str, &str>,
) -> Result<Rows, RescoreError> {
    let path = dataset.files.first().cloned().unwrap_or_default();
    let is_table = path.extension().is_some_and(|ending| ending == "tsv");
    if !is_table {
        return Err(RescoreError::Form {
            path,
            reason: "MMBench's server expects the rows of its table: name the folder of mmbench_….tsv with --dataset".to_owned(),
        });
    }
    let mut places: [Option<usize>; COLUMNS.len()] = [None; COLUMNS.len()];
    let mut rows = Vec::new();
    for_each_tab_row(&path, |number, cells| {
        // Reading the dataset has checked that all of this is UTF-8.
        let text = |place: usize| {
            let cell = cells.get(place).map_or(&[][..], Vec::as_slice);
            String::from_utf8_lossy(cell).into_owned()
        };
        if number == 0 {
            places = COLUMNS.map(|name| (0..cells.len()).find(|&place| text(place) == name));
            rows.push(COLUMNS.map(str::to_owned).to_vec());
            return;
        }
        let index = places[0].map(text).unwrap_or_default();
        let cell = |(name, place): (&&str, &Option<usize>)| match (*name, *place) {
            (PREDICTION, _) => answers.get(index.as_str()).map(|text| (*text).to_owned()),
            (_, place) => place.map(text),
        };
        let row = COLUMNS.iter().zip(&places).map(cell);
        rows.push(row.map(Option::unwrap_or_default).collect());
    })?;
    let is_empty = |(name, place): &(&str, Option<usize>)| *name != PREDICTION && place.is_none();
    let empty = COLUMNS.into_iter().zip(places).filter(is_empty);
    Ok(Rows {
        rows,
        empty: empty.map(|(name, _)| name).collect(),
    })
}

/// The rows as a workbook with one sheet; the column `index` holds numbers.
#[cfg(feature = "xlsx")]
pub(super) fn workbook(
    rows: &[Vec<String>],
    dataset: &Dataset,
    warnings: Vec<String>,
    notes: Vec<String>,
) -> Result<Upload, RescoreError> {
    use rust_xlsxwriter::{Workbook, XlsxError};

    let fail = |error: XlsxError| DatasetError::Unreadable {
        path: dataset.files.first().cloned().unwrap_or_default(),
        reason: "its answers can't be written as a workbook".to_owned(),
        source: error.into(),
    };
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, cells) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(cells) {
            let index = cell.parse::<u32>().ok().filter(|_| column == 0);
            match index {
                Some(index) => sheet.write_number(row, column, index),
                None if cell.is_empty() => continue,
                None => sheet.write_string(row, column, cell),
            }
            .map_err(fail)?;
        }
    }
    Ok(Upload {
        ending: "xlsx",
        content: workbook.save_to_buffer().map_err(fail)?,
        warnings,
        notes,
    })
}

/// As above; without the feature `xlsx` this is an error.
#[cfg(not(feature = "xlsx"))]
pub(super) fn workbook(
    _rows: &[Vec<String>],
    dataset: &Dataset,
    _warnings: Vec<String>,
    _notes: Vec<String>,
) -> Result<Upload, RescoreError> {
    let path = dataset.files.first().cloned().unwrap_or_default();
    let reason = "the workbook that MMBench's server expects needs the feature `xlsx`".to_owned();
    Err(DatasetError::Content { path, reason }.into())
}
