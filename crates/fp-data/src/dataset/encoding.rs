//! Encoding of text files: UTF-8, with or without a byte order mark.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use fp_scoring::{open_file, read_file};

use super::DatasetError;

/// Byte order mark that some programs write before UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Opens a text file behind its byte order mark. Also returns the mark's number of bytes.
///
/// # Errors
/// A file that can't be read, or that begins with the mark of UTF-16.
pub(super) fn open_text(path: &Path) -> Result<(BufReader<File>, usize), DatasetError> {
    let io_error = |source| DatasetError::Io {
        path: path.to_owned(),
        source,
    };
    let file = open_file(path).map_err(io_error)?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let start = file.fill_buf().map_err(io_error)?;
    refuse_utf_16(path, start)?;
    let num_mark = if start.starts_with(MARK) {
        MARK.len()
    } else {
        0
    };
    file.consume(num_mark);
    Ok((file, num_mark))
}

/// Reads a whole text file.
///
/// # Errors
/// A file that can't be read, or bytes that aren't UTF-8.
pub fn read_text(path: &Path) -> Result<String, DatasetError> {
    // Checks that the whole file fits into memory before reading any of it.
    let mut bytes = read_file(path).map_err(|source| DatasetError::Io {
        path: path.to_owned(),
        source,
    })?;
    refuse_utf_16(path, &bytes)?;
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..at];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before.iter().rposition(|&byte| byte == b'\n');
        let column = at - start.map_or(0, |start| start + 1);
        let byte = error.as_bytes().get(at).copied().unwrap_or_default();
        DatasetError::Content {
            path: path.to_owned(),
            reason: format!("line {line}: {}", not_utf_8(byte, column)),
        }
    })
}

/// Says which byte isn't UTF-8; `column` counts from 0.
pub(super) fn not_utf_8(byte: u8, column: usize) -> String {
    format!(
        "byte {byte:#04x} at column {} isn't UTF-8, as the rest is; is it Latin-1 or Windows-1252?",
        column + 1
    )
}

/// Refuses a file that begins with the mark of UTF-16.
pub(super) fn refuse_utf_16(path: &Path, start: &[u8]) -> Result<(), DatasetError> {
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        Err(DatasetError::Content {
            path: path.to_owned(),
            reason: "it is in UTF-16; save it as UTF-8".to_owned(),
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read_text(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn marks_are_no_text_and_other_encodings_are_named() {
        assert_eq!(read(b"\xef\xbb\xbf{}\r\n"), Ok("{}\r\n".to_owned()));
        assert_eq!(read(b""), Ok(String::new()));
        for start in [b"\xff\xfe{\0", b"\xfe\xff\0{"] {
            let error = read(start).unwrap_err();
            assert!(error.contains("UTF-16"), "{error}");
        }
        let error = read(b"one\nca\xe9f").unwrap_err();
        assert!(error.contains("line 2: byte 0xe9 at column 3"), "{error}");
    }
}
