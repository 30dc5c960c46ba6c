//! What can be wrong with files of answers: counted and named in warnings, or refused
//! with the file's name. Never another number without a word.

use std::path::{Path, PathBuf};

use fp_eval::Sample;
use fp_eval::dataset::{Benchmark, Dataset};
use fp_eval::metric::AnswerRule;
use fp_eval::rescore::{AnswerFile, Scored};

/// Four questions of one word.
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
    /// What the warnings say, in their order.
    warnings: &'a [&'a str],
}

fn utf_16(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

fn score(path: &Path, dataset: &Dataset) -> Result<Scored, String> {
    let file = AnswerFile::read(path).map_err(|error| error.to_string())?;
    Scored::new("file", &file, dataset).map_err(|error| error.to_string())
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
                warnings: &[
                    "1 answers are to a question that is answered before and are left out: 3",
                ],
            },
            Case {
                what: "one of another data set",
                bytes: changed("\"question_id\": 1", "\"question_id\": 11"),
                accuracy: 50.0,
                warnings: &[
                    "1 of 4 questions have no answer",
                    "1 answers are to no question and are left out: 11",
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
            "none of the 1 answers",
        ),
        (Vec::new(), "none of the 0 answers"),
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

/// Files that hold their questions: how they are read, and scored against themselves.
#[track_caller]
fn whole(path: &Path) -> Result<(f64, Vec<String>), String> {
    let file = AnswerFile::read(path).map_err(|error| error.to_string())?;
    let dataset = file.questions.clone().unwrap().whole();
    let dataset = dataset.map_err(|error| error.to_string())?;
    let scored = Scored::new("file", &file, &dataset).map_err(|error| error.to_string())?;
    let value = scored.figures.headline().and_then(|figure| figure.value);
    Ok((value.unwrap(), scored.joined.warnings))
}

#[test]
fn folders_of_tasks() {
    const GOOD: &str = "1.jpg\tIs it?\tYes\tYes\n1.jpg\tIs it not?\tNo\tNo\n2.jpg\tIs it?\tYes\tno\n2.jpg\tIs it not?\tNo\tNo\n";
    let folder = tempfile::tempdir().unwrap();
    let task = folder.path().join("existence.txt");
    let latin_1 = GOOD
        .bytes()
        .enumerate()
        .map(|(at, byte)| if at == 8 { 0xe9 } else { byte });
    for bytes in [
        GOOD.as_bytes().to_vec(),
        format!("\u{feff}{}", GOOD.replace('\n', "\r\n")).into_bytes(),
    ] {
        std::fs::write(&task, bytes).unwrap();
        assert_eq!(whole(folder.path()), Ok((75.0 + 50.0, Vec::new())));
    }
    for (what, bytes, part) in [
        ("UTF-16", utf_16(GOOD), "existence.txt: it is in UTF-16"),
        (
            "Latin-1",
            latin_1.collect(),
            "line 1: existence.txt: byte 0xe9",
        ),
        (
            "short line",
            GOOD.replacen("\tYes\tno", "\tYes", 1).into_bytes(),
            "line 3: existence.txt: 3 columns instead of 4",
        ),
        (
            "no gold",
            GOOD.replacen("\tYes\tno", "\tMaybe\tno", 1).into_bytes(),
            "the right answer is \"Maybe\"",
        ),
        (
            "a line missing",
            GOOD.lines()
                .take(3)
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes(),
            "image existence/2.jpg stands in 1 lines, not in 2",
        ),
        (
            "a line twice",
            format!("{GOOD}{}", GOOD.lines().next().unwrap()).into_bytes(),
            "image existence/1.jpg stands in 3 lines",
        ),
    ] {
        std::fs::write(&task, bytes).unwrap();
        let error = whole(folder.path()).unwrap_err();
        assert!(error.contains(part), "{what}: {error}");
    }
}

const TABLE: &str = "index\tquestion\tA\tB\tprediction\tanswer
1\tWhich?\tup\tdown\tA\tA
1000001\tWhich?\tdown\tup\tA. down\tB
2\tWhich?\tin\tout\tout\tB
3\tWhich \"way\"?\t3\t4.5\tB\tA
";

#[test]
fn tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.tsv");
    let write = |bytes: Vec<u8>| std::fs::write(&path, bytes).unwrap();
    let circular = 100.0 / 3.0;
    for text in [
        TABLE.to_owned(),
        format!("\u{feff}{}", TABLE.replace('\n', "\r\n")),
        format!("{TABLE}\n\n"),
    ] {
        write(text.into_bytes());
        let (value, warnings) = whole(&path).unwrap();
        assert!(
            (value - circular).abs() < 1e-12 && warnings.is_empty(),
            "{value} {warnings:?}"
        );
    }
    // An empty cell is no answer.
    write(TABLE.replace("\tout\tB\n", "\t\tB\n").into_bytes());
    let (value, warnings) = whole(&path).unwrap();
    assert_eq!(value, 0.0);
    assert_eq!(
        warnings,
        ["1 of 4 questions have no answer and count as wrong: 2"]
    );
    let latin_1 = TABLE.replace("down\tA\tA", "d?wn\tA\tA").into_bytes();
    let latin_1 = latin_1
        .iter()
        .map(|&byte| if byte == b'?' { 0xf6 } else { byte });
    for (what, bytes, part) in [
        ("UTF-16", utf_16(TABLE), "UTF-16"),
        ("Latin-1", latin_1.collect(), "row 1: in a cell, byte 0xf6"),
        (
            "short row",
            TABLE.replacen("\tout\tB\n", "\tB\n", 1).into_bytes(),
            "row 3: 5 columns instead of 6",
        ),
        (
            "cut off",
            TABLE.as_bytes()[..TABLE.len() - 9].to_vec(),
            "columns instead of 6",
        ),
        (
            "no number",
            TABLE.replacen("\n2\t", "\ntwo\t", 1).into_bytes(),
            "row 3: index \"two\" is no number",
        ),
        (
            "a row twice",
            format!("{TABLE}2\tWhich?\tin\tout\tin\tB\n").into_bytes(),
            "row 5: index 2 is that",
        ),
        (
            "no right answer",
            TABLE.replacen("\tout\tB\n", "\tout\t\n", 1).into_bytes(),
            "row 3: the column `answer` is empty",
        ),
        (
            "no answers",
            TABLE.replacen("prediction", "said", 1).into_bytes(),
            "no column `prediction`",
        ),
        ("empty", Vec::new(), "it is empty"),
    ] {
        write(bytes);
        let error = whole(&path).unwrap_err();
        assert!(
            error.contains("answers.tsv") && error.contains(part),
            "{what}: {error}"
        );
    }
}

/// The same rows as a workbook, numbers as numbers.
#[cfg(feature = "xlsx")]
#[test]
fn workbooks_give_what_tables_give() {
    use rust_xlsxwriter::Workbook;

    let folder = tempfile::tempdir().unwrap();
    let (table, book) = (folder.path().join("a.tsv"), folder.path().join("a.xlsx"));
    std::fs::write(&table, TABLE).unwrap();
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, line) in (0..).zip(TABLE.lines()) {
        for (column, cell) in (0..).zip(line.split('\t')) {
            match cell.parse::<f64>() {
                Ok(number) => sheet.write_number(row, column, number).unwrap(),
                Err(_) => sheet.write_string(row, column, cell).unwrap(),
            };
        }
    }
    workbook.save(&book).unwrap();
    let read = |path: &Path| {
        let file = AnswerFile::read(path).unwrap();
        let dataset = file.questions.clone().unwrap().whole().unwrap();
        let scored = Scored::new("file", &file, &dataset).unwrap();
        (file.answers, dataset.samples, scored.figures)
    };
    assert_eq!(read(&book), read(&table));

    let bytes = std::fs::read(&book).unwrap();
    for len in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&book, &bytes[..len]).unwrap();
        let error = AnswerFile::read(&book).unwrap_err().to_string();
        assert!(
            error.contains("a.xlsx") && error.contains("cut off"),
            "{len}: {error}"
        );
    }
}
