//! The plain form: a folder with `benchmark.json` and `questions.jsonl`.
//!
//! `benchmark.json` is one object: `name`, `split`, `answer_rule`, and optionally
//! `families` (a list; a line of another family is refused), `license`, `source`,
//! `images` (the folder that image paths are relative to, itself relative to the
//! data set's; the data set's folder by default) and `sha256` (of
//! `questions.jsonl`; checked).
//!
//! `questions.jsonl` has one object a line:
//!
//! ```json
//! {"id": "17", "image": "images/a.png", "image_id": "a", "question": "What color is the star?",
//!  "answers": ["red"], "family": "attribute", "keys": {"hops": "1"}, "boxes": [[3, 4, 20, 21]]}
//! ```
//!
//! `image_id` is the image's path by default; `keys`, `boxes`, `choices` (the texts of
//! options A, B, …) and `image_size` (`[width, height]`) may be left out. Unknown keys are
//! refused. A description with `judge` names who scores answers that the data set has not.

mod export;

pub(super) use export::export;

use super::collect::Collector;
use super::encoding::read_text;
use super::lines::{for_each_line, parse};
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Reading};
use crate::metric::{AnswerRule, MetricError};
use crate::sample::Sample;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Name of the file that describes a data set.
pub const DESCRIPTION_FILE: &str = "benchmark.json";
/// Name of the file of questions.
pub const QUESTIONS_FILE: &str = "questions.jsonl";

/// What `benchmark.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What the data set is called.
    pub name: String,
    /// Which part of it this is.
    pub split: String,
    /// How answers are scored.
    pub answer_rule: String,
    /// Kinds of question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,
    /// Terms of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Folder that image paths are relative to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Who scores answers where lines have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
    /// Of `questions.jsonl`, as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What a line of `questions.jsonl` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Unique in the file.
    pub id: String,
    /// Path of the image.
    pub image: String,
    /// What the questions of one image share; the path by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Width and height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<[usize; 2]>,
    /// The user's whole text.
    pub question: String,
    /// Answers that count.
    pub answers: Vec<String>,
    /// Texts of the options A, B, ….
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Kind of question.
    pub family: String,
    /// Further categories.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// `[x0, y0, x1, y1]` in pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<[f64; 4]>,
}

/// Whether `folder` looks like a data set in this form.
pub fn is_plain(folder: &Path) -> bool {
    folder.join(DESCRIPTION_FILE).is_file()
}

pub(super) fn parts(folder: &Path) -> Vec<String> {
    match is_plain(folder) {
        true => vec![String::new()],
        false => Vec::new(),
    }
}

/// Loads a data set; every line has to be right.
///
/// # Errors
/// As [`read`], and any line that can't be used, by number.
pub fn load(folder: &Path) -> Result<Dataset, DatasetError> {
    read(folder)?.whole()
}

/// Reads a data set, setting lines that can't be used apart. Images are looked
/// for, not opened.
///
/// # Errors
/// A file that can't be read, a description that is not as it has to be, or
/// questions that are not those the description's hash speaks of.
pub fn read(folder: &Path) -> Result<Reading, DatasetError> {
    let description_path = folder.join(DESCRIPTION_FILE);
    let description = describe(&description_path)?;
    let answer_rule: AnswerRule =
        description
            .answer_rule
            .parse()
            .map_err(|error: MetricError| DatasetError::Unreadable {
                path: description_path.clone(),
                reason: "its `answer_rule` isn't one that there is".to_owned(),
                source: error.into(),
            })?;
    let path = folder.join(QUESTIONS_FILE);
    let images = [match &description.images {
        Some(images) => folder.join(images),
        None => folder.to_owned(),
    }];
    let families: HashSet<&str> = description.families.iter().map(String::as_str).collect();
    let rule = description.judge.is_none().then_some(answer_rule);
    let mut collector = Collector::new("line", rule);
    let found = for_each_line(&path, |number, line| {
        let sample = line.and_then(parse::<Line>).and_then(|line| {
            if !families.is_empty() && !families.contains(line.family.as_str()) {
                let message = format!(
                    "family {:?} isn't one that {DESCRIPTION_FILE} names",
                    line.family
                );
                return Err((ProblemKind::InvalidValue, message));
            }
            Ok(Sample {
                image: collector.image(&images, &line.image)?,
                id: line.id,
                image_id: line.image_id.unwrap_or(line.image),
                image_size: line.image_size,
                question: line.question,
                answers: line.answers,
                choices: line.choices,
                family: line.family,
                keys: line.keys,
                boxes: line.boxes,
            })
        });
        collector.take(number, sample);
    })?;
    if let Some(expected) = description.sha256
        && !expected.eq_ignore_ascii_case(&found)
    {
        return Err(DatasetError::Hash {
            path,
            expected,
            found,
        });
    }
    Ok(Reading {
        problems: collector.problems,
        dataset: Dataset {
            name: description.name,
            split: description.split,
            benchmark: Benchmark::Plain,
            answer_rule,
            judge: description.judge,
            families: description.families,
            license: description.license,
            source: description.source,
            folder: folder.to_owned(),
            // The first file is the one that problems are named by.
            files: vec![path, description_path],
            notes: Vec::new(),
            samples: collector.samples,
        },
    })
}

fn describe(path: &Path) -> Result<Description, DatasetError> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|error| DatasetError::Unreadable {
        path: path.to_owned(),
        reason: "not the description of a dataset that it has to be".to_owned(),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(lines: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(DESCRIPTION_FILE),
            r#"{"name": "n", "split": "s", "answer_rule": "exact", "families": ["f"]}"#,
        )
        .unwrap();
        std::fs::write(folder.path().join("a.png"), b"").unwrap();
        std::fs::write(folder.path().join(QUESTIONS_FILE), lines.join("\n")).unwrap();
        folder
    }

    const GOOD: &str = r#"{"id":"1","image":"a.png","question":"q","answers":["x"],"family":"f","boxes":[[0,1,2.5,3]],"keys":{"k":"v"}}"#;

    #[test]
    fn a_line_becomes_a_sample() {
        let folder = folder(&[GOOD, ""]);
        let dataset = load(folder.path()).unwrap();
        assert_eq!((dataset.name.as_str(), dataset.split.as_str()), ("n", "s"));
        let [sample] = dataset.samples.as_slice() else {
            panic!("one sample")
        };
        assert_eq!(sample.image_id, "a.png");
        assert_eq!(sample.image, folder.path().join("a.png").into());
        assert_eq!(sample.boxes, [[0.0, 1.0, 2.5, 3.0]]);
        assert_eq!(sample.keys["k"], "v");
    }

    #[test]
    fn every_bad_line_is_counted_and_named() {
        let bad = |from: &str, to: &str| GOOD.replacen("\"1\"", "\"2\"", 1).replacen(from, to, 1);
        let lines = [
            GOOD.to_owned(),
            GOOD.to_owned(),
            "{".to_owned(),
            String::new(),
            bad("a.png", "b.png"),
            bad("a.png", "../a.png"),
            bad("[\"x\"]", "[]"),
            bad("2.5", "0"),
            bad("\"f\"", "\"g\""),
            bad("\"q\"", "\"<image>q\""),
            bad("\"keys\"", "\"key\""),
            bad("\"id\":\"2\"", "\"id\":2"),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let folder = folder(&lines);
        let reading = read(folder.path()).unwrap();
        assert_eq!(reading.dataset.samples.len(), 1);
        let found: Vec<(usize, ProblemKind)> = reading
            .problems
            .first()
            .iter()
            .map(|problem| (problem.line, problem.kind))
            .collect();
        use ProblemKind::{DuplicateId, InvalidValue, Malformed, MissingImage, WrongType};
        assert_eq!(
            found,
            [
                (2, DuplicateId),
                (3, Malformed),
                (4, Malformed),
                (5, MissingImage),
                (6, InvalidValue),
                (7, InvalidValue),
                (8, InvalidValue),
                (9, InvalidValue),
                (10, InvalidValue),
                (11, Malformed),
                (12, WrongType),
            ]
        );
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("11 lines can't be used (3 malformed, 1 with a value of the wrong type, 1 with a duplicate id, 1 with a missing image, 5 with an invalid value)"), "{message}");
        assert!(
            message.contains("line 11: unknown field `key`"),
            "{message}"
        );
        assert!(message.contains("and 1 more"), "{message}");
    }

    #[test]
    fn the_description_is_held_to_its_form_and_its_hash() {
        let folder = folder(&[GOOD]);
        let path = folder.path().join(DESCRIPTION_FILE);
        let hash = "a".repeat(64);
        std::fs::write(
            &path,
            format!(r#"{{"name":"n","split":"s","answer_rule":"exact","sha256":"{hash}"}}"#),
        )
        .unwrap();
        assert!(matches!(
            load(folder.path()),
            Err(DatasetError::Hash { .. })
        ));
        std::fs::write(&path, r#"{"name":"n","split":"s"}"#).unwrap();
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("missing field `answer_rule`"), "{message}");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(load(folder.path()), Err(DatasetError::Io { .. })));
    }

    #[test]
    fn no_question_is_an_error() {
        assert!(matches!(
            load(folder(&[]).path()),
            Err(DatasetError::Empty { .. })
        ));
    }
}
