//! The first sheet of an Excel workbook.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use calamine::{Data, Reader, Xlsx, XlsxError};
use fp_image::guarded;
use fp_scoring::open_file;
use zip::ZipArchive;

use super::DatasetError;
use super::limit::{decoded_limit, too_much};
use super::table::TextTable;

/// Most cells of a table, including empty ones: all rows are as long as the longest, so one cell
/// far to the right lengthens each of them.
const MOST_CELLS: usize = 1 << 24;
/// Most files in a workbook; ordinary ones have about twenty.
const MOST_FILES: usize = 4096;

/// Non-empty cells, by row and column.
type Cells = BTreeMap<u32, BTreeMap<u32, String>>;

/// Reads the first sheet as text.
pub(super) fn workbook(path: &Path) -> Result<TextTable, DatasetError> {
    let content = |reason: String| DatasetError::Content {
        path: path.to_owned(),
        reason,
    };
    let io_error = |source| DatasetError::Io {
        path: path.to_owned(),
        source,
    };
    let broken = |source| DatasetError::Unreadable {
        path: path.to_owned(),
        reason: "not a complete Excel workbook; it may have been cut off".to_owned(),
        source,
    };
    let limit = decoded_limit()?;
    let open = || open_file(path).map(BufReader::new).map_err(io_error);
    let (measured, read) = (open()?, open()?);
    let cells = guarded("reader of workbooks", || {
        check_size(measured, limit)?;
        cells(read)
    });
    let cells = cells
        .map_err(|panic| broken(panic.into()))?
        .map_err(|fault| match fault {
            Fault::Reader(error) => broken(error.into()),
            Fault::Zip(error) => broken(error.into()),
            Fault::Content(reason) => content(reason),
            Fault::TooMuch => content(too_much("it decompresses", limit)),
        })?;
    table(cells).map_err(content)
}

/// Why a sheet can't be read.
enum Fault {
    Reader(XlsxError),
    Zip(zip::result::ZipError),
    Content(String),
    TooMuch,
}

impl From<XlsxError> for Fault {
    fn from(error: XlsxError) -> Self {
        Fault::Reader(error)
    }
}

impl From<zip::result::ZipError> for Fault {
    fn from(error: zip::result::ZipError) -> Self {
        Fault::Zip(error)
    }
}

/// Decompresses everything once and discards it: the sizes that an archive states can't be trusted.
fn check_size(file: BufReader<File>, limit: u64) -> Result<(), Fault> {
    let mut archive = ZipArchive::new(file)?;
    if archive.len() > MOST_FILES {
        let reason = format!("a workbook of {} files", archive.len());
        return Err(Fault::Content(reason));
    }
    let mut left = limit;
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        let mut stated = StatedStrings::default();
        let name = entry.name()?.to_lowercase();
        let has_strings = name.ends_with(&SHARED_STRINGS.to_lowercase());
        let mut content = entry.take(left.saturating_add(1));
        let copied = if has_strings {
            io::copy(&mut content, &mut stated)
        } else {
            io::copy(&mut content, &mut io::sink())
        };
        let copied = copied.map_err(zip::result::ZipError::Io)?;
        left = left.checked_sub(copied).ok_or(Fault::TooMuch)?;
        let most = stated.most();
        if most > copied / LEAST_STRING {
            let reason =
                format!("{SHARED_STRINGS} states {most} texts, more than its {copied} bytes hold");
            return Err(Fault::Content(reason));
        }
    }
    Ok(())
}

/// The file of a workbook with its shared strings.
const SHARED_STRINGS: &str = "sharedStrings.xml";
/// Bytes of the shortest string element, `<si/>`.
const LEAST_STRING: u64 = 5;

/// Finds the number of strings that a file of shared strings states: the library allocates that
/// many before it reads any.
#[derive(Default)]
struct StatedStrings {
    /// End of the last chunk, which may contain a truncated number.
    rest: Vec<u8>,
    most: u64,
}

impl StatedStrings {
    const ATTRIBUTE: &[u8] = b"uniqueCount";
    /// Most bytes between the attribute's name and the end of its number.
    const REACH: usize = 4096;

    /// The largest stated number.
    fn most(mut self) -> u64 {
        self.look(true);
        self.most
    }

    /// Examines all attributes behind which enough bytes have arrived; at the end, all of them.
    fn look(&mut self, is_end: bool) {
        let whole = self.rest.len().saturating_sub(Self::REACH);
        let until = if is_end { self.rest.len() } else { whole };
        for start in 0..until {
            let text = self.rest.get(start..).unwrap_or_default();
            let Some(behind) = text.strip_prefix(Self::ATTRIBUTE) else {
                continue;
            };
            let behind = behind.get(..Self::REACH).unwrap_or(behind);
            let digits = behind.iter().skip_while(|byte| !byte.is_ascii_digit());
            let digits = digits.take_while(|byte| byte.is_ascii_digit());
            let number = digits.fold(0_u64, |number, digit| {
                number
                    .saturating_mul(10)
                    .saturating_add(u64::from(digit - b'0'))
            });
            self.most = self.most.max(number);
        }
        self.rest.drain(..until);
    }
}

impl Write for StatedStrings {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        self.look(false);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cells(file: BufReader<File>) -> Result<Cells, Fault> {
    let mut workbook = Xlsx::new(file)?;
    let name = workbook.sheet_names().into_iter().next();
    let name = name.ok_or_else(|| Fault::Content("it has no sheet".to_owned()))?;
    let mut reader = workbook.worksheet_cells_reader(&name)?;
    let mut cells = Cells::new();
    while let Some(cell) = reader.next_cell()? {
        let (row, column) = cell.get_position();
        let text = match Data::from(cell.get_value().clone()) {
            Data::Empty => continue,
            // As Python spells them, since such files are mostly written by Python programs.
            Data::Bool(true) => "True".to_owned(),
            Data::Bool(false) => "False".to_owned(),
            other => other.to_string(),
        };
        cells.entry(row).or_default().insert(column, text);
    }
    Ok(cells)
}

/// The non-empty rows, each as long as the longest.
fn table(cells: Cells) -> Result<TextTable, String> {
    let first = cells.values().filter_map(|row| row.keys().next()).min();
    let last = cells
        .values()
        .filter_map(|row| row.keys().next_back())
        .max();
    let (Some(first), Some(last)) = (first.copied(), last.copied()) else {
        return Err("it is empty".to_owned());
    };
    let width = (last - first) as usize + 1;
    if width.saturating_mul(cells.len()) > MOST_CELLS {
        return Err(format!(
            "its {} rows reach over {width} columns, more than {MOST_CELLS} cells in all",
            cells.len()
        ));
    }
    let mut rows = cells.into_iter().map(|(number, row)| {
        let mut texts = vec![String::new(); width];
        for (column, text) in row {
            if let Some(place) = texts.get_mut((column - first) as usize) {
                *place = text;
            }
        }
        (number, texts)
    });
    let (top, header) = rows.next().ok_or("it is empty")?;
    let rows = rows.filter(|(_, row)| row.iter().any(|cell| !cell.is_empty()));
    Ok(TextTable {
        header,
        rows: rows
            .map(|(number, row)| ((number - top) as usize, Ok(row)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use rust_xlsxwriter::Workbook;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn read(cells: &[(u32, u16, &str)]) -> Result<TextTable, DatasetError> {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        for (row, column, text) in cells {
            sheet.write_string(*row, *column, *text).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.xlsx");
        book.save(&path).unwrap();
        workbook(&path)
    }

    #[test]
    fn rows_keep_their_numbers_and_columns() {
        let cells = [(2, 1, "index"), (2, 3, "A"), (3, 1, "7"), (9, 2, "x")];
        let table = read(&cells).unwrap();
        assert_eq!(table.header, ["index", "", "A"]);
        let rows: Vec<_> = table.rows.into_iter().collect();
        let expected = [(1, ["7", "", ""]), (7, ["", "x", ""])];
        for ((number, row), (at, texts)) in rows.iter().zip(expected) {
            assert_eq!(*number, at);
            assert_eq!(row.as_ref().unwrap(), &texts);
        }
        assert_eq!(rows.len(), 2);
        assert!(read(&[]).unwrap_err().to_string().contains("it is empty"));
    }

    /// A cell in the farthest corner makes rows wide, but doesn't allocate a table of 2^34 cells.
    #[test]
    fn far_cells_cost_what_their_rows_cost() {
        let table = read(&[(0, 0, "index"), (1_048_575, 16_383, "x")]).unwrap();
        assert_eq!((table.header.len(), table.rows.len()), (16_384, 1));
        assert_eq!(table.rows[0].0, 1_048_575);
        let table = read(&[(0, 0, "index"), (1_048_575, 0, "x")]).unwrap();
        assert_eq!((table.header.len(), table.rows.len()), (1, 1));
        let mut many: Vec<(u32, u16, &str)> = (0..1100).map(|row| (row, 0, "x")).collect();
        many.push((5000, 16_383, "x"));
        let error = read(&many).unwrap_err().to_string();
        assert!(
            error.contains("1101 rows reach over 16384 columns"),
            "{error}"
        );
    }

    /// The actual sizes count, not the stated ones.
    #[test]
    fn what_decompresses_to_too_much_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.xlsx");
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        for name in ["a.xml", "b.xml", "c.xml"] {
            archive
                .start_file(name, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(&vec![b' '; 1 << 20]).unwrap();
        }
        archive.finish().unwrap();
        let check = |limit| check_size(BufReader::new(File::open(&path).unwrap()), limit);
        assert!(check(3 << 20).is_ok());
        assert!(matches!(check((3 << 20) - 1), Err(Fault::TooMuch)));
        let mut bytes = std::fs::read(&path).unwrap();
        // Uncompressed sizes, in the headers of the files and in the central directory.
        let stated = (1_u32 << 20).to_le_bytes();
        for at in 0..bytes.len() - 4 {
            if bytes[at..at + 4] == stated {
                bytes[at..at + 4].copy_from_slice(&9_u32.to_le_bytes());
            }
        }
        std::fs::write(&path, bytes).unwrap();
        assert!(check(1 << 20).is_err());
    }

    /// The library allocates as many strings as are stated.
    #[test]
    fn more_texts_than_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.xlsx");
        let refused = |attribute: &str, before: &str| {
            let mut archive = ZipWriter::new(File::create(&path).unwrap());
            archive
                .start_file("xl/SharedStrings.xml", SimpleFileOptions::default())
                .unwrap();
            let content = format!("{before}<sst {attribute}><si><t>a</t></si></sst>");
            archive.write_all(content.as_bytes()).unwrap();
            archive.finish().unwrap();
            let checked = check_size(BufReader::new(File::open(&path).unwrap()), 1 << 30);
            matches!(checked, Err(Fault::Content(reason)) if reason.contains("texts, more than"))
        };
        for attribute in [
            "uniqueCount=\"2147483648\"",
            "count='1' uniqueCount = '99999999999999999999999'",
            "uniqueCount=\"00000000000000000099\"",
        ] {
            assert!(refused(attribute, ""), "{attribute}");
        }
        // Wherever the number is, including across the boundary between two chunks.
        for length in [4000, 8180, 8185, 8190, 8192, 70_000] {
            let before = format!("<!--{}-->", " ".repeat(length));
            assert!(refused("uniqueCount=\"99999999\"", &before), "{length}");
            assert!(!refused("uniqueCount=\"1\"", &before), "{length}");
        }
        assert!(!refused("uniqueCount=\"3\"", "") && !refused("", ""));
    }

    #[test]
    fn no_workbook_is_an_error_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("a.xlsx", &b""[..]),
            ("b.xlsx", b"PK\x05\x06"),
            ("c.xlsx", b"x"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = workbook(&path).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("workbook"),
                "{error}"
            );
        }
    }
}
