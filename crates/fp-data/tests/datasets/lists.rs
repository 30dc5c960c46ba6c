//! JSON files that are one list.

use Expect::{Problems, Refused, Same};
use ProblemKind::{DuplicateId, InvalidValue, Malformed, MissingAnswer, MissingImage};
use fp_data::dataset::{Benchmark, ProblemKind};

use super::damage::{Expect, check, half, latin_1, replaced, utf_16, with_mark};
use super::dataset_support::choices;

#[test]
fn lists_of_entries() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = choices(folder.path());
    const QUESTIONS: &str = "llava_test_CQM-A.json";
    const PROBLEMS: &str = "problems.json";
    check(
        &dataset,
        Benchmark::Scienceqa,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("mark", PROBLEMS, with_mark, Same),
            ("UTF-16", QUESTIONS, utf_16, Refused(QUESTIONS, "UTF-16")),
            ("cut off", QUESTIONS, half, Refused(QUESTIONS, "cut off")),
            ("cut off", PROBLEMS, half, Refused(PROBLEMS, "cut off")),
            (
                "Latin-1",
                QUESTIONS,
                |bytes| latin_1(bytes, "What"),
                Refused(QUESTIONS, "Latin-1"),
            ),
            (
                "wrong type",
                QUESTIONS,
                |bytes| replaced(bytes, "\"conversations\":[", "\"conversations\":[3,"),
                Refused(QUESTIONS, "entry 1: invalid type"),
            ),
            (
                "no turns",
                QUESTIONS,
                |bytes| replaced(bytes, "\"conversations\":", "\"conversations\":[],\"was\":"),
                Problems(Malformed, 1, "entry 1: no conversation"),
            ),
            (
                "entry twice",
                QUESTIONS,
                |bytes| {
                    let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    let entries = value.as_array_mut().unwrap();
                    entries.push(entries[0].clone());
                    value.to_string().into_bytes()
                },
                Problems(DuplicateId, 1, "is asked twice"),
            ),
            (
                "no such problem",
                PROBLEMS,
                |bytes| replaced(bytes, "{\"", "{\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
            (
                "no such choice",
                PROBLEMS,
                |bytes| replaced(bytes, "\"answer\":", "\"answer\":9,\"was\":"),
                Problems(InvalidValue, 1, "letter of one of its choices"),
            ),
            (
                "no image",
                QUESTIONS,
                |bytes| replaced(bytes, "/image.png", "/gone.png"),
                Problems(MissingImage, 1, "gone.png"),
            ),
        ],
    );
}
