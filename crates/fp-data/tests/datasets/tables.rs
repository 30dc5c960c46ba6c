//! Tab-separated tables.

use std::path::Path;

use Expect::{Problems, Refused};
use ProblemKind::{DuplicateId, Encoding, InvalidValue, Malformed, MissingImage, WrongType};
use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, ProblemKind};

use super::damage::{
    Expect, append, check, latin_1, read, replaced, text, utf_16, with_blank_end, with_crlf,
    with_mark,
};
use super::dataset_support::choices;

#[test]
fn tables() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = choices(folder.path());
    const TABLE: &str = "mmbench_dev_20230712.tsv";
    check(
        &dataset,
        Benchmark::Mmbench,
        &[
            ("UTF-16", TABLE, utf_16, Refused(TABLE, "UTF-16")),
            (
                "no column",
                TABLE,
                |bytes| replaced(bytes, "\tB\t", "\tb\t"),
                Refused(TABLE, "no column `B`"),
            ),
            (
                "short row",
                TABLE,
                |bytes| append(bytes, b"77\tWhich?\t\tup"),
                Problems(Malformed, 1, "4 columns, expected 12"),
            ),
            (
                "an open quote",
                TABLE,
                |bytes| append(bytes, b"77\t\"Which?\t\tup\tdown\t\t\tA\tx\tx\tdev\tAAAA"),
                Problems(Malformed, 1, "a tab or a quote"),
            ),
            (
                "row twice",
                TABLE,
                |bytes| {
                    let text = text(bytes);
                    let row = text.lines().nth(1).unwrap().to_owned();
                    append(bytes, row.as_bytes())
                },
                Problems(DuplicateId, 1, "earlier question"),
            ),
            (
                "not a number",
                TABLE,
                |bytes| replaced(bytes, "\n1\t", "\none\t"),
                Problems(WrongType, 1, "row 1: index \"one\" is not a number"),
            ),
            (
                "Latin-1",
                TABLE,
                |bytes| latin_1(bytes, "What"),
                Problems(Encoding, 1, "isn't UTF-8"),
            ),
            (
                "image cut off",
                TABLE,
                |bytes| bytes[..bytes.len() - 3].to_vec(),
                Problems(MissingImage, 1, "not complete Base64"),
            ),
            (
                "no such option",
                TABLE,
                |bytes| {
                    let text = text(bytes);
                    let row = text.lines().nth(1).unwrap();
                    let mut cells: Vec<&str> = row.split('\t').collect();
                    cells[7] = "E";
                    let changed = cells.join("\t");
                    text.replacen(row, &changed, 1).into_bytes()
                },
                Problems(InvalidValue, 1, "letter of one of its choices"),
            ),
        ],
    );
    // An empty answer column means a test split.
    let path = folder.path().join("unanswered");
    export(&dataset, Benchmark::Mmbench, &path).unwrap();
    let table = path.join(TABLE);
    let rows = text(&std::fs::read(&table).unwrap());
    let without = |(place, row): (usize, &str)| {
        let mut cells: Vec<&str> = row.split('\t').collect();
        cells[7] = if place == 0 { cells[7] } else { "" };
        cells.join("\t") + "\n"
    };
    let rows: String = rows.lines().enumerate().map(without).collect();
    std::fs::write(&table, rows).unwrap();
    let unanswered = read(&path).unwrap().whole().unwrap();
    assert_eq!(unanswered.samples.len(), dataset.samples.len());
    assert!(unanswered.judge.is_some());
    // The offset of an image counts from the start of the file, with byte order mark, line ends and
    // blank lines.
    let path = folder.path().join("marked");
    export(&dataset, Benchmark::Mmbench, &path).unwrap();
    let samples = |path: &Path| read(path).unwrap().whole().unwrap().samples;
    let table = path.join(TABLE);
    let (before, bytes) = (samples(&path), std::fs::read(&table).unwrap());
    let pixels = |sample: &fp_data::Sample| sample.image.read().unwrap();
    let expected: Vec<Vec<u8>> = before.iter().map(pixels).collect();
    for damage in [with_mark, with_crlf, with_blank_end] {
        std::fs::write(&table, damage(&bytes)).unwrap();
        let after = samples(&path);
        assert!(
            after
                .iter()
                .zip(&expected)
                .all(|(sample, image)| pixels(sample) == *image)
        );
        let texts = |samples: &[fp_data::Sample]| -> Vec<String> {
            samples
                .iter()
                .map(|s| format!("{} {:?}", s.question, s.answers))
                .collect()
        };
        assert_eq!(texts(&after), texts(&before));
    }
}
