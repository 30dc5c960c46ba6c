//! Folders with a file of answers per image.

use std::path::PathBuf;

use Expect::{Problems, Same};
use ProblemKind::{DuplicateId, InvalidValue, MissingAnswer};
use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, ProblemKind};

use crate::damage::{
    Expect, check, first_line_again, latin_1, replaced, small, utf_16, with_crlf, with_mark,
};

#[test]
fn folders_of_answers() {
    let mut dataset = small();
    dataset.samples.retain(|sample| sample.family == "paired");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    export(&dataset, Benchmark::Mme, &path).unwrap();
    let task = path.join("MME_Benchmark_release_version/paired");
    let mut answers: Vec<PathBuf> = std::fs::read_dir(task)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    answers.sort();
    let first = answers[0]
        .strip_prefix(&path)
        .unwrap()
        .display()
        .to_string();
    let first = first.as_str();
    const QUESTIONS: &str = "llava_mme.jsonl";
    check(
        &dataset,
        Benchmark::Mme,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("mark", first, with_mark, Same),
            ("CR LF", first, with_crlf, Same),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(DuplicateId, 1, "is asked twice"),
            ),
            (
                "UTF-16",
                first,
                utf_16,
                Problems(MissingAnswer, 2, "UTF-16"),
            ),
            (
                "Latin-1",
                first,
                |bytes| latin_1(bytes, "Is"),
                Problems(MissingAnswer, 1, "line 1: byte 0xe9"),
            ),
            (
                "no tab",
                first,
                |bytes| replaced(bytes, "\t", " "),
                Problems(MissingAnswer, 1, "line 1: no tab"),
            ),
            (
                "another question",
                first,
                |bytes| replaced(bytes, "Is", "Was"),
                Problems(MissingAnswer, 1, "doesn't ask"),
            ),
            (
                "asked twice",
                first,
                first_line_again,
                Problems(DuplicateId, 1, "twice"),
            ),
            (
                "neither yes nor no",
                first,
                |bytes| replaced(bytes, "\t", "\tun"),
                Problems(InvalidValue, 1, "yes or no"),
            ),
        ],
    );
}
