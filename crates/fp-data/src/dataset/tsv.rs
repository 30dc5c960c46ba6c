//! Tab-separated tables as pandas writes them: a cell in double quotes may contain tabs, line
//! breaks and doubled quotes.

use std::io::{self, BufRead, Write};

use fp_scoring::read_line;

/// Most bytes of a row, which may extend over several lines.
const MOST_OF_ROW: usize = 1 << 28;

/// Reads the bytes of one row's cells into `cells`; returns the number of bytes read, 0 at the end
/// of the file.
pub(super) fn read_row(file: &mut impl BufRead, cells: &mut Vec<Vec<u8>>) -> io::Result<u64> {
    cells.clear();
    let mut line = Vec::new();
    let mut quotes = Quotes::default();
    loop {
        let start = line.len();
        if read_line(file, &mut line)? == 0 {
            break;
        }
        quotes.read(&line[start..]);
        // Inside quotes a line break belongs to the cell, so the row continues.
        if !quotes.is_open {
            break;
        }
        if line.len() > MOST_OF_ROW {
            let message = format!("a quote is open for more than {MOST_OF_ROW} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
    let num_bytes = line.len() as u64;
    if num_bytes == 0 {
        return Ok(0);
    }
    let row = line.strip_suffix(b"\n").unwrap_or(&line);
    let row = row.strip_suffix(b"\r").unwrap_or(row);
    split(row, cells);
    Ok(num_bytes)
}

/// Tracks whether the row read so far ends inside quotes: only quotes that begin a cell count.
#[derive(Debug)]
struct Quotes {
    is_open: bool,
    starts_cell: bool,
    closed_just_now: bool,
}

impl Default for Quotes {
    fn default() -> Self {
        Quotes {
            is_open: false,
            starts_cell: true,
            closed_just_now: false,
        }
    }
}

impl Quotes {
    fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let is_quote = byte == b'"';
            // The second of two quotes inside a cell reopens it.
            let toggles = is_quote && (self.is_open || self.starts_cell || self.closed_just_now);
            self.closed_just_now = toggles && self.is_open;
            self.is_open ^= toggles;
            self.starts_cell = byte == b'\t' && !self.is_open;
        }
    }
}

fn split(row: &[u8], cells: &mut Vec<Vec<u8>>) {
    let mut rest = row;
    loop {
        let mut cell = Vec::new();
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            rest = quoted;
            loop {
                let Some(end) = rest.iter().position(|&byte| byte == b'"') else {
                    cell.extend_from_slice(rest);
                    rest = &[];
                    break;
                };
                cell.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                match rest.strip_prefix(b"\"") {
                    Some(after) => {
                        cell.push(b'"');
                        rest = after;
                    }
                    None => break,
                }
            }
        }
        let end = rest.iter().position(|&byte| byte == b'\t');
        cell.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
        cells.push(cell);
        match end {
            Some(end) => rest = &rest[end + 1..],
            None => return,
        }
    }
}

/// Writes one row, with quotes around cells that need them.
pub(super) fn write_row(file: &mut impl Write, cells: &[&str]) -> io::Result<()> {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            file.write_all(b"\t")?;
        }
        if cell.contains(['"', '\t', '\n', '\r']) {
            write!(file, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            file.write_all(cell.as_bytes())?;
        }
    }
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<Vec<String>> {
        let mut file = io::Cursor::new(text);
        let (mut cells, mut rows) = (Vec::new(), Vec::new());
        while read_row(&mut file, &mut cells).unwrap() > 0 {
            let text = |cell: &Vec<u8>| String::from_utf8(cell.clone()).unwrap();
            rows.push(cells.iter().map(text).collect());
        }
        rows
    }

    #[test]
    fn quotes_hold_anything() {
        let rows =
            read("a\tb\r\n\"x\ty\"\t\"two\nlines\"\n\t\"he said \"\"no\"\"\"\nit's \"ok\"\t1");
        assert_eq!(
            rows,
            [
                vec!["a", "b"],
                vec!["x\ty", "two\nlines"],
                vec!["", "he said \"no\""],
                vec!["it's \"ok\"", "1"],
            ]
        );
        assert!(read("").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            rows in prop::collection::vec(prop::collection::vec("[a\"\t\n ]{0,5}", 2..4), 1..5)
        ) {
            let mut file = Vec::new();
            for row in &rows {
                let cells: Vec<&str> = row.iter().map(String::as_str).collect();
                write_row(&mut file, &cells).unwrap();
            }
            prop_assert_eq!(read(std::str::from_utf8(&file).unwrap()), rows);
        }
    }
}
