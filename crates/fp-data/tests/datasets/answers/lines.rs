//! LLaVA's lines of answers, and lists as servers expect them.

use std::path::{Path, PathBuf};

use fp_data::Sample;
use fp_data::dataset::{Benchmark, Dataset};
use fp_data::metric::AnswerRule;
use fp_data::rescore::{AnswerFile, Scored};

use super::utf_16;

/// Four questions with one-word answers.
fn questions() -> Dataset {
    let sample = |number: usize| Sample {
        id: number.to_string(),
        image_id: format!("{number}.jpg"),
        question: format!("What is {number}?"),
        answers: vec!["a word".to_owned()],
        ..Sample::default()
    };
    Dataset {
        name: "words".to_owned(),
        split: "test".to_owned(),
        benchmark: Benchmark::Plain,
        answer_rule: AnswerRule::Exact,
        judge: None,
        families: Vec::new(),
        license: None,
        source: None,
        folder: PathBuf::new(),
        files: Vec::new(),
        notes: Vec::new(),
        samples: (1..=4).map(sample).collect(),
        text_only: Vec::new(),
    }
}

const GOOD: &str = "{\"question_id\": 1, \"prompt\": \"What is 1?\", \"text\": \"A word\"}
{\"question_id\": 2, \"prompt\": \"What is 2?\", \"text\": \"a word\"}
{\"question_id\": 3, \"prompt\": \"What is 3?\", \"text\": \"caf\u{e9}\"}
{\"question_id\": \"4\", \"prompt\": \"What is 4?\", \"text\": \"a word.\"}
";

struct Case<'a> {
    what: &'a str,
    bytes: Vec<u8>,
    /// Accuracy in percent.
    accuracy: f64,
    /// Text in each of the warnings, in order.
    warnings: &'a [&'a str],
}

fn score(path: &Path, dataset: &Dataset) -> Result<Scored, String> {
    let file = AnswerFile::read(path).map_err(|error| fp_scoring::error_text(&error))?;
    Scored::new("file", &file, dataset).map_err(|error| fp_scoring::error_text(&error))
}

#[track_caller]
fn check(name: &str, dataset: &Dataset, cases: &[Case<'_>]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    for Case {
        what,
        bytes,
        accuracy,
        warnings,
    } in cases
    {
        std::fs::write(&path, bytes).unwrap();
        let scored = score(&path, dataset).unwrap();
        let found = &scored.joined.warnings;
        assert_eq!(found.len(), warnings.len(), "{what}: {found:?}");
        for (found, part) in found.iter().zip(*warnings) {
            assert!(found.contains(part), "{what}: {found}");
        }
        let value = scored.figures.headline().unwrap().value;
        assert_eq!(value, Some(*accuracy), "{what}");
    }
}

#[test]
fn lines() {
    let changed = |from: &str, to: &str| {
        assert!(GOOD.contains(from));
        GOOD.replacen(from, to, 1).into_bytes()
    };
    let latin_1 = {
        let text = GOOD.replace("a word.", "a w?rd.");
        let mut bytes = text.into_bytes();
        let at = bytes.iter().rposition(|&byte| byte == b'?').unwrap();
        bytes[at] = 0xf6;
        bytes
    };
    check(
        "a.jsonl",
        &questions(),
        &[
            Case {
                what: "good",
                bytes: GOOD.into(),
                accuracy: 75.0,
                warnings: &[],
            },
            Case {
                what: "mark and CR LF",
                bytes: format!("\u{feff}{}", GOOD.replace('\n', "\r\n")).into_bytes(),
                accuracy: 75.0,
                warnings: &[],
            },
            Case {
                what: "blank lines",
                bytes: format!("\n{}\n \n\n", GOOD.replace('\n', "\n\t\n")).into_bytes(),
                accuracy: 75.0,
                warnings: &[],
            },
            Case {
                what: "Latin-1",
                bytes: latin_1,
                accuracy: 50.0,
                warnings: &[
                    "1 of 4 questions have no answer and count as wrong: 4",
                    "line 4: byte 0xf6",
                ],
            },
            Case {
                what: "cut off",
                bytes: GOOD.as_bytes()[..GOOD.len() - 10].to_vec(),
                accuracy: 50.0,
                warnings: &[
                    "1 of 4 questions have no answer",
                    "1 line can't be used (1 malformed)",
                ],
            },
            Case {
                what: "wrong type",
                bytes: changed("\"a word\"", "[\"a word\"]"),
                accuracy: 50.0,
                warnings: &[
                    "1 of 4 questions have no answer and count as wrong: 2",
                    "line 2: invalid type",
                ],
            },
            Case {
                what: "fewer lines than questions",
                bytes: GOOD.lines().next().unwrap().into(),
                accuracy: 25.0,
                warnings: &["3 of 4 questions have no answer and count as wrong: 2, 3, 4"],
            },
            Case {
                what: "one twice",
                bytes: format!(
                    "{GOOD}{}",
                    GOOD.lines().nth(2).unwrap().replace("café", "a word")
                )
                .into_bytes(),
                accuracy: 75.0,
                warnings: &["1 answers are to a question answered earlier and are ignored: 3"],
            },
            Case {
                what: "one of another dataset",
                bytes: changed("\"question_id\": 1", "\"question_id\": 11"),
                accuracy: 50.0,
                warnings: &[
                    "1 of 4 questions have no answer",
                    "1 answers belong to no question and are ignored: 11",
                ],
            },
            Case {
                what: "another wording",
                bytes: changed("What is 2?", "What's 2?"),
                accuracy: 75.0,
                warnings: &["1 answers were given to another wording of the question: 2"],
            },
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    for (bytes, part) in [
        (utf_16(GOOD), "UTF-16"),
        (
            b"{\"question_id\": 9, \"text\": \"\"}".to_vec(),
            "none of the 1 answers in",
        ),
        (
            b"{\"question_id\": 9, \"text\": \"\"}\n{\"question_id\": \"x\", \"text\": \"\"}"
                .to_vec(),
            "their ids are \"9\", \"x\", the dataset's are \"1\", \"2\"",
        ),
        (Vec::new(), "the file is empty"),
        (
            b"{\"question_id\": 1, \"answer\": \"a word\"}".to_vec(),
            "no line has `question_id` and `text`; line 1 has the keys `question_id`, `answer`",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = score(&path, &questions()).unwrap_err();
        assert!(error.contains("a.jsonl") && error.contains(part), "{error}");
    }
}

#[test]
fn lists() {
    let good = r#"[{"question_id": 1, "answer": "a word"}, {"questionId": "2", "prediction": "a word"}, {"question_id": 3, "answer": "no"}, {"question_id": 4, "answer": "a word"}]"#;
    check(
        "a.json",
        &questions(),
        &[
            Case {
                what: "good",
                bytes: good.into(),
                accuracy: 75.0,
                warnings: &[],
            },
            Case {
                what: "mark",
                bytes: format!("\u{feff}{good}").into_bytes(),
                accuracy: 75.0,
                warnings: &[],
            },
            Case {
                what: "wrong type",
                bytes: good.replacen("\"a word\"", "7", 1).into_bytes(),
                accuracy: 50.0,
                warnings: &["1 of 4 questions have no answer", "entry 1: invalid type"],
            },
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let latin_1 = good
        .bytes()
        .map(|byte| if byte == b'w' { 0xe9 } else { byte });
    for (bytes, part) in [
        (utf_16(good), "UTF-16"),
        (latin_1.collect(), "byte 0xe9"),
        (good.as_bytes()[..40].to_vec(), "EOF"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = score(&path, &questions()).unwrap_err();
        assert!(error.contains("a.json") && error.contains(part), "{error}");
    }
}
