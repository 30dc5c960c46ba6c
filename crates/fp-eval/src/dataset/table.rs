//! Tables of text: with tabs, and with the feature `xlsx` workbooks of Excel.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::DatasetError;
use super::tsv::read_row;

/// The header of a table, and its rows.
pub(crate) type TextTable = (Vec<String>, Vec<Vec<String>>);

/// Reads a table as text; of a workbook the first sheet.
///
/// # Errors
/// A file that can't be read, is empty, or isn't UTF-8.
pub(crate) fn read_table(path: &Path) -> Result<TextTable, DatasetError> {
    let is_workbook = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("xlsx"));
    let mut rows = match is_workbook {
        true => workbook(path)?,
        false => tabs(path)?,
    };
    if rows.is_empty() {
        return Err(content(path, "it is empty".to_owned()));
    }
    let header = rows.remove(0);
    Ok((header, rows))
}

fn content(path: &Path, reason: String) -> DatasetError {
    DatasetError::Content {
        path: path.to_owned(),
        reason,
    }
}

fn tabs(path: &Path) -> Result<Vec<Vec<String>>, DatasetError> {
    let io_error = |source| DatasetError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = BufReader::new(File::open(path).map_err(io_error)?);
    let mut cells = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    while read_row(&mut file, &mut cells).map_err(io_error)? > 0 {
        let row: Result<Vec<String>, _> = cells.drain(..).map(String::from_utf8).collect();
        let row = row.map_err(|_| content(path, format!("row {} isn't UTF-8", rows.len() + 1)))?;
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(feature = "xlsx")]
fn workbook(path: &Path) -> Result<Vec<Vec<String>>, DatasetError> {
    use calamine::{Reader, Xlsx, open_workbook};

    let mut workbook: Xlsx<_> = open_workbook(path)
        .map_err(|error: calamine::XlsxError| content(path, error.to_string()))?;
    let sheet = workbook.worksheet_range_at(0);
    let sheet = sheet.ok_or_else(|| content(path, "it has no sheet".to_owned()))?;
    let sheet = sheet.map_err(|error| content(path, error.to_string()))?;
    let text = |row: &[calamine::Data]| row.iter().map(ToString::to_string).collect();
    Ok(sheet.rows().map(text).collect())
}

#[cfg(not(feature = "xlsx"))]
fn workbook(path: &Path) -> Result<Vec<Vec<String>>, DatasetError> {
    let reason =
        "workbooks of Excel need the feature `xlsx`; or save the sheet as text with tabs (.tsv)";
    Err(content(path, reason.to_owned()))
}
