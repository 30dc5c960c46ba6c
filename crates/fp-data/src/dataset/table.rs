//! Tables of text: tab-separated files and, with the feature `xlsx`, Excel workbooks.

use std::path::Path;

use super::encoding::{not_utf_8, open_text};
use super::lines::LineFault;
use super::tsv::read_row;
#[cfg(feature = "xlsx")]
use super::workbook::workbook;
use super::{DatasetError, ProblemKind};

/// A table: its header and its rows, each with its number from 1.
#[derive(Debug)]
pub(crate) struct TextTable {
    /// Names of the columns.
    pub(crate) header: Vec<String>,
    /// One cell per column, or the row's problem. Empty rows are left out.
    pub(crate) rows: Vec<(usize, Result<Vec<String>, LineFault>)>,
}

/// Reads a table as text; of a workbook, its first sheet.
///
/// # Errors
/// A file that can't be read, is empty, or is in UTF-16.
pub(crate) fn read_table(path: &Path) -> Result<TextTable, DatasetError> {
    let is_workbook = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("xlsx"));
    if is_workbook {
        workbook(path)
    } else {
        tabs(path)
    }
}

fn content(path: &Path, reason: impl Into<String>) -> DatasetError {
    DatasetError::Content {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

fn tabs(path: &Path) -> Result<TextTable, DatasetError> {
    let mut rows: Vec<(usize, Result<Vec<String>, LineFault>)> = Vec::new();
    for_each_tab_row(path, |number, cells| {
        rows.push((number, cells.iter().map(|cell| text(cell)).collect()));
    })?;
    if rows.is_empty() {
        return Err(content(path, "it is empty"));
    }
    let (_, header) = rows.remove(0);
    let header = header.map_err(|(_, reason)| content(path, format!("header: {reason}")))?;
    for (_, row) in &mut rows {
        if let Ok(cells) = row
            && cells.len() != header.len()
        {
            let fault = wrong_count(cells.len(), header.len());
            *row = Err(fault);
        }
    }
    Ok(TextTable { header, rows })
}

/// The fault of a tab-separated row whose length differs from the header's.
pub(super) fn wrong_count(found: usize, expected: usize) -> LineFault {
    let message = format!(
        "{found} columns, expected {expected}; a tab or a quote is missing or extra, or the row is cut off"
    );
    (ProblemKind::Malformed, message)
}

/// Calls a function for every non-empty row with its number, 0 for the header, and its cells.
///
/// # Errors
/// A file that can't be read or is in UTF-16.
pub(crate) fn for_each_tab_row(
    path: &Path,
    mut take: impl FnMut(usize, &[Vec<u8>]),
) -> Result<(), DatasetError> {
    let io_error = |source| DatasetError::Io {
        path: path.to_owned(),
        source,
    };
    let (mut file, _) = open_text(path)?;
    let mut cells = Vec::new();
    let mut number = 0;
    while read_row(&mut file, &mut cells).map_err(io_error)? > 0 {
        if !is_blank(&cells) {
            take(number, &cells);
        }
        number += 1;
    }
    Ok(())
}

/// Whether all cells of a row are empty or white space, as in a blank line.
pub(super) fn is_blank(cells: &[Vec<u8>]) -> bool {
    cells.iter().all(|cell| cell.trim_ascii().is_empty())
}

fn text(cell: &[u8]) -> Result<String, LineFault> {
    std::str::from_utf8(cell)
        .map(str::to_owned)
        .map_err(|error| {
            let at = error.valid_up_to();
            let byte = cell.get(at).copied().unwrap_or_default();
            (
                ProblemKind::Encoding,
                format!("in a cell, {}", not_utf_8(byte, at)),
            )
        })
}

#[cfg(not(feature = "xlsx"))]
fn workbook(path: &Path) -> Result<TextTable, DatasetError> {
    Err(content(
        path,
        "workbooks of Excel need the feature `xlsx`; or save the sheet as text with tabs (.tsv)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_fit_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = b"\xef\xbb\xbfindex\tA\r\n1\tx\r\n \r\n2\n3\tcaf\xe9\n\n";
        std::fs::write(file.path(), bytes).unwrap();
        let table = read_table(file.path()).unwrap();
        assert_eq!(table.header, ["index", "A"]);
        let kinds: Vec<_> = table
            .rows
            .iter()
            .map(|(number, row)| (*number, row.as_ref().err().map(|(kind, _)| *kind)))
            .collect();
        assert_eq!(
            kinds,
            [
                (1, None),
                (3, Some(ProblemKind::Malformed)),
                (4, Some(ProblemKind::Encoding)),
            ]
        );
        std::fs::write(file.path(), b"").unwrap();
        let error = read_table(file.path()).unwrap_err().to_string();
        assert!(error.contains("it is empty"), "{error}");
    }
}
