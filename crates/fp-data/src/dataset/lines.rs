//! Reads text files line by line: UTF-8, with or without a byte order mark, lines ending in LF or
//! CR LF.

use std::io::BufReader;
use std::path::Path;

use fp_scoring::{open_file, read_line};
use sha2::{Digest, Sha256};

use super::encoding::{not_utf_8, refuse_utf_16};
use super::{DatasetError, ProblemKind};
use crate::hash::hex;

/// The problem of a line that can't be used.
pub(crate) type LineFault = (ProblemKind, String);

/// Calls `take` for every non-blank line with its number, counted from 1 over all lines; the last
/// line needs no line ending. Returns the SHA-256 of the file in hexadecimal.
///
/// # Errors
/// A file that can't be read, or that begins with the mark of UTF-16.
pub(crate) fn for_each_line(
    path: &Path,
    mut take: impl FnMut(usize, Result<&str, LineFault>),
) -> Result<String, DatasetError> {
    let io_error = |source| DatasetError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = BufReader::with_capacity(1 << 18, open_file(path).map_err(io_error)?);
    let mut digest = Sha256::new();
    let mut bytes = Vec::new();
    let mut number = 0;
    loop {
        bytes.clear();
        if read_line(&mut file, &mut bytes).map_err(io_error)? == 0 {
            break;
        }
        digest.update(&bytes);
        number += 1;
        let mut line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if number == 1 {
            refuse_utf_16(path, line)?;
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        // Blank lines, which editors and scripts leave, have no meaning.
        if line.trim_ascii().is_empty() {
            continue;
        }
        take(number, text(line));
    }
    Ok(hex(digest.finalize().as_slice()))
}

fn text(line: &[u8]) -> Result<&str, LineFault> {
    std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to();
        let byte = line.get(at).copied().unwrap_or_default();
        (ProblemKind::Encoding, not_utf_8(byte, at))
    })
}

/// Parses a line as JSON; the fault names the column of the error.
pub(crate) fn parse<'a, T: serde::Deserialize<'a>>(line: &'a str) -> Result<T, LineFault> {
    serde_json::from_str(line).map_err(|error| {
        // The parser counts lines within this line only; the caller knows the real number.
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
        let kind = ProblemKind::of_json(&error);
        let what = if error.is_data() {
            ""
        } else {
            "not valid JSON: "
        };
        (kind, format!("{what}{text} (column {})", error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256_hex;

    fn lines(bytes: &[u8]) -> Vec<Result<String, LineFault>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut found = Vec::new();
        let sha256 = for_each_line(file.path(), |_, line| found.push(line.map(str::to_owned)));
        assert_eq!(sha256.unwrap(), sha256_hex(bytes));
        found
    }

    #[test]
    fn ends_and_marks_are_no_text() {
        let found = lines(b"\xef\xbb\xbfone\r\n two");
        assert_eq!(found, [Ok("one".into()), Ok(" two".into())]);
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"one\n"), [Ok("one".into())]);
    }

    #[test]
    fn blank_lines_are_counted_and_nothing_else() {
        for (bytes, expected) in [
            (&b"one\n\ntwo\n"[..], &[1, 3][..]),
            (b"one\ntwo\n\n\n", &[1, 2]),
            (b"\n \t\r\none", &[3]),
            (b"\xef\xbb\xbf\r\none\r\n\r\n", &[2]),
            (b"\n\n", &[]),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let mut numbers = Vec::new();
            let sha256 = for_each_line(file.path(), |number, line| {
                assert!(line.is_ok());
                numbers.push(number);
            });
            assert_eq!(numbers, expected);
            assert_eq!(sha256.unwrap(), sha256_hex(bytes));
        }
    }

    #[test]
    fn a_line_in_another_encoding_is_named_and_the_rest_is_read() {
        let found = lines(b"a\nca\xe9f\nb\n");
        assert_eq!((&found[0], &found[2]), (&Ok("a".into()), &Ok("b".into())));
        let (kind, message) = found[1].clone().unwrap_err();
        assert_eq!(kind, ProblemKind::Encoding);
        assert!(message.contains("0xe9 at column 3"), "{message}");
    }

    #[test]
    fn utf_16_is_refused_as_a_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"\xff\xfea\0").unwrap();
        let error = for_each_line(file.path(), |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("UTF-16"), "{error}");
    }

    #[test]
    fn faults_of_json_have_a_kind_and_a_column() {
        #[derive(Debug, serde::Deserialize)]
        struct Id {
            #[allow(dead_code)]
            id: String,
        }
        let kind = |text: &str| parse::<Id>(text).unwrap_err().0;
        assert_eq!(kind("{\"id\": 3}"), ProblemKind::WrongType);
        assert_eq!(kind("{\"id\": \"3\""), ProblemKind::Malformed);
        let message = |text: &str| parse::<Id>(text).unwrap_err().1;
        assert_eq!(
            message("not json"),
            "not valid JSON: expected ident (column 2)"
        );
        assert!(message("{").starts_with("not valid JSON: EOF"));
        assert!(message("{").ends_with("(column 1)"));
        // Valid JSON of another shape isn't said to be none.
        assert!(message("{}").starts_with("missing field `id`"));
    }
}
