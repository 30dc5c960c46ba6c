//! Ways to damage a file, and the expected results.

use std::path::Path;

use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, Dataset, ProblemKind, find};

use super::dataset_support::embedded;

/// Expected result of a damage.
pub(crate) enum Expect {
    /// No effect: the same samples.
    Same,
    /// This many unusable questions, and text of one of the messages.
    Problems(ProblemKind, usize, &'static str),
    /// An unusable file: its name, and text of the error.
    Refused(&'static str, &'static str),
}

/// A way to damage a file's bytes.
pub(crate) type Damage = fn(&[u8]) -> Vec<u8>;

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn append(bytes: &[u8], line: &[u8]) -> Vec<u8> {
    [bytes, line, b"\n"].concat()
}

pub(crate) fn first_line_again(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    append(bytes, &bytes[..end])
}

pub(crate) fn with_mark(bytes: &[u8]) -> Vec<u8> {
    [b"\xef\xbb\xbf", bytes].concat()
}

/// Adds blank lines before, after and between all others.
pub(crate) fn with_blank_lines(bytes: &[u8]) -> Vec<u8> {
    let text = text(bytes);
    format!("\n{}\n \t\r\n\n", text.replace('\n', "\n\r\n")).into_bytes()
}

/// Adds blank lines at the end, for tables whose cells may span lines.
pub(crate) fn with_blank_end(bytes: &[u8]) -> Vec<u8> {
    [b" \r\n", bytes, b"\n \n\t\t\r\n\n"].concat()
}

pub(crate) fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let text = text(bytes);
    text.replace('\n', "\r\n").into_bytes()
}

pub(crate) fn utf_16(bytes: &[u8]) -> Vec<u8> {
    let text = text(bytes);
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

pub(crate) fn half(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

/// Replaces one letter in the first occurrence of `part` by a Latin-1 byte.
pub(crate) fn latin_1(bytes: &[u8], part: &str) -> Vec<u8> {
    let text = text(bytes);
    let at = text.find(part).unwrap();
    let mut bytes = text.into_bytes();
    bytes[at + 1] = 0xe9;
    bytes
}

pub(crate) fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = text(bytes);
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

pub(crate) fn small() -> Dataset {
    let mut dataset = embedded();
    dataset.samples.truncate(120);
    dataset
}

/// Damages one file of a layout at a time and checks the result of reading.
#[track_caller]
pub(crate) fn check(
    dataset: &Dataset,
    benchmark: Benchmark,
    cases: &[(&str, &str, Damage, Expect)],
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    export(dataset, benchmark, &path).unwrap();
    let whole = read(&path).unwrap();
    assert!(whole.problems.is_empty(), "{}", whole.problems);
    for (what, file, damage, expect) in cases {
        let file = path.join(file);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, damage(&bytes)).unwrap();
        let found = read(&path);
        match (expect, found) {
            (Expect::Same, Ok(found)) => {
                assert!(found.problems.is_empty(), "{what}: {}", found.problems);
                assert_eq!(found.dataset.samples, whole.dataset.samples, "{what}");
            }
            (Expect::Problems(kind, count, message), Ok(found)) => {
                let problems = &found.problems;
                assert_eq!(
                    problems.counts().get(kind),
                    Some(count),
                    "{what}: {problems}"
                );
                assert_eq!(problems.len(), *count, "{what}: {problems}");
                assert!(problems.to_string().contains(message), "{what}: {problems}");
                // Nothing else is lost, and a study refuses the damaged dataset.
                let num_lost = whole.dataset.samples.len() - found.dataset.samples.len();
                assert!(num_lost <= *count, "{what}: {num_lost}");
                assert!(found.whole().is_err(), "{what}");
            }
            (Expect::Refused(name, reason), Err(error)) => {
                assert!(error.contains(name), "{what}: {error}");
                assert!(error.contains(reason), "{what}: {error}");
            }
            (_, found) => panic!("{what}: {:?}", found.map(|found| found.problems)),
        }
        std::fs::write(&file, bytes).unwrap();
    }
}

pub(crate) fn read(path: &Path) -> Result<fp_data::dataset::Reading, String> {
    let part = find(path)
        .map_err(|error| fp_scoring::error_text(&error))?
        .remove(0);
    let reading = part
        .read()
        .map_err(|error| fp_scoring::error_text(&error))?;
    match reading.faults.first() {
        Some(fault) => Err(fp_scoring::error_text(fault.as_ref())),
        None => Ok(reading),
    }
}
