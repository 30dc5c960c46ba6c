//! Folders with one file of answers per image.

use std::path::PathBuf;

use Expect::{Problems, Refused, Same};
use ProblemKind::{DuplicateId, InvalidValue, MissingAnswer};
use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, ProblemKind};

use super::damage::{
    Expect, append, check, first_line_again, latin_1, read, replaced, small, utf_16,
    with_blank_lines, with_crlf, with_mark,
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
            ("blank lines", first, with_blank_lines, Same),
            ("blank lines", QUESTIONS, with_blank_lines, Same),
            (
                "three columns",
                first,
                |bytes| replaced(bytes, "\tYes", "\tYes\tsure"),
                Problems(MissingAnswer, 1, "3 columns; expected question and answer"),
            ),
            // Every question is found, although one line is invalid.
            (
                "a stray line",
                first,
                |bytes| append(bytes, b"no tab here"),
                Refused(".txt", "line 3: no tab before an answer"),
            ),
            (
                "two stray lines",
                first,
                |bytes| append(&append(bytes, b"one"), b"two"),
                Refused(".txt", "line 3: no tab before an answer, and 1 more line"),
            ),
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

/// A bad line in one task doesn't affect the others.
#[test]
fn a_bad_line_of_one_task_leaves_the_others() {
    let mut dataset = small();
    dataset.samples.retain(|sample| sample.family == "paired");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    let half = dataset.samples.len() / 2;
    for sample in &mut dataset.samples[half..] {
        sample.family = "other".to_owned();
    }
    export(&dataset, Benchmark::Mme, &path).unwrap();
    let whole = read(&path).unwrap().dataset.samples.len();
    let task = path.join("MME_Benchmark_release_version/other");
    let entries = std::fs::read_dir(&task).unwrap();
    let mut texts: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    texts.sort();
    let text = std::fs::read_to_string(&texts[0]).unwrap();
    std::fs::write(&texts[0], text.replacen('\t', " ", 1)).unwrap();
    let found = read(&path).unwrap();
    assert_eq!(found.dataset.samples.len(), whole - 1);
    let count = |family: &str| {
        let samples = found.dataset.samples.iter();
        samples.filter(|sample| sample.family == family).count()
    };
    assert_eq!(count("paired") % 2, 0);
    assert_eq!(count("other") % 2, 1);
    let named = texts[0].file_name().unwrap().to_str().unwrap();
    let message = &found.problems.first()[0].message;
    assert!(
        message.contains(&format!("other/{named}: line 1: no tab")),
        "{message}"
    );
}
