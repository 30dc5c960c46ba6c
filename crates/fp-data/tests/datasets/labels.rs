//! POPE's labels, which are matched to questions by position.

use Expect::{Problems, Refused, Same};
use ProblemKind::{DuplicateId, Encoding, InvalidValue, Malformed, MissingAnswer};
use fp_data::dataset::{Benchmark, ProblemKind};

use super::damage::{
    Expect, check, first_line_again, latin_1, replaced, small, text, utf_16, with_crlf, with_mark,
};

#[test]
fn labels_by_place() {
    let mut dataset = small();
    dataset.samples.retain(|sample| sample.family == "paired");
    const QUESTIONS: &str = "llava_pope_test.jsonl";
    const LABELS: &str = "coco/coco_pope_paired.json";
    check(
        &dataset,
        Benchmark::Pope,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("CR LF", LABELS, with_crlf, Same),
            (
                "UTF-16",
                LABELS,
                utf_16,
                Refused("coco_pope_paired.json", "UTF-16"),
            ),
            // An unreadable line affects only its own question.
            (
                "not JSON",
                QUESTIONS,
                |bytes| replaced(bytes, "{", "["),
                Problems(Malformed, 1, "line 1:"),
            ),
            (
                "Latin-1",
                QUESTIONS,
                |bytes| latin_1(bytes, "paired"),
                Problems(Encoding, 1, "line 1:"),
            ),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(DuplicateId, 1, "earlier question"),
            ),
            (
                "label missing",
                LABELS,
                |bytes| {
                    let text = text(bytes);
                    let lines: Vec<&str> = text.lines().skip(1).collect();
                    lines.join("\n").into_bytes()
                },
                Problems(MissingAnswer, 1, "is about"),
            ),
            (
                "label of a wrong type",
                LABELS,
                |bytes| replaced(bytes, "\"label\":\"", "\"label\":[],\"was\":\""),
                Refused("coco_pope_paired.json", "line 1: invalid type"),
            ),
            (
                "neither yes nor no",
                LABELS,
                |bytes| replaced(bytes, "\"label\":\"", "\"label\":\"un"),
                Problems(InvalidValue, 1, "yes or no"),
            ),
        ],
    );
}
