//! The plain form: a folder with `benchmark.json` and `questions.jsonl`.
//!
//! `benchmark.json` is one object: `name`, `split`, `answer_rule`, and optionally
//! `families` (a list; a line of another family is refused), `license`, `source`,
//! `images` (the folder that image paths are relative to, itself relative to the
//! dataset's; the dataset's folder by default) and `sha256` (of
//! `questions.jsonl`; checked).
//!
//! `questions.jsonl` has one object per line:
//!
//! ```json
//! {"id": "17", "image": "images/a.png", "image_id": "a", "question": "What color is the star?",
//!  "answers": ["red"], "family": "attribute", "keys": {"hops": "1"}, "boxes": [[3, 4, 20, 21]]}
//! ```
//!
//! A line without `image`, or with an empty one, is a text-only question. `image_id` is the image's
//! path by default; `keys`, `boxes`, `choices` (the texts of options A, B, …) and `image_size`
//! (`[width, height]`) are optional. Unknown keys are refused. A description with `judge` names who
//! scores the answers where the dataset has no references.

mod description;
mod export;
mod init;
mod line;
pub mod schema;

pub(super) use export::export;
pub use init::{README_FILE, init};

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::benchmark::DESCRIPTION_FILE;

use super::collect::{Collector, text_only_image_id};
use super::lines::{LineFault, for_each_line};
use super::{Benchmark, Dataset, DatasetError, ImageRef, ProblemKind, Reading};
use crate::metric::{AnswerRule, MetricError};
use crate::sample::Sample;

/// Name of the question file.
pub const QUESTIONS_FILE: &str = "questions.jsonl";

/// Contents of `benchmark.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Name of the dataset.
    pub name: String,
    /// Name of the split.
    pub split: String,
    /// How answers are scored.
    pub answer_rule: String,
    /// Kinds of question in the dataset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,
    /// Terms of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Source of the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Folder that image paths are relative to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Who scores answers where lines have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
    /// SHA-256 of `questions.jsonl`, as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Contents of a line of `questions.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Unique in the file.
    pub id: String,
    /// Path of the image; none, or an empty one, for a text-only question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Id that the questions on one image share; the image's path by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Width and height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<[usize; 2]>,
    /// The whole prompt.
    pub question: String,
    /// Accepted answers.
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

/// Whether `folder` looks like a dataset in this form.
pub fn is_plain(folder: &Path) -> bool {
    folder.join(DESCRIPTION_FILE).is_file()
}

pub(super) fn splits(folder: &Path) -> Vec<String> {
    // Questions without a description are a dataset that lost its description, not an unknown
    // folder.
    if is_plain(folder) || folder.join(QUESTIONS_FILE).is_file() {
        vec![String::new()]
    } else {
        Vec::new()
    }
}

/// Whether the path of the image folder is absolute or leads upwards.
fn leads_out(images: &Path) -> bool {
    let mut parts = images.components();
    !parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Loads a dataset; every line must be valid.
///
/// # Errors
/// As [`read`], and any line that can't be used, by number.
pub fn load(folder: &Path) -> Result<Dataset, DatasetError> {
    read(folder)?.whole()
}

/// Reads a dataset and sets apart lines that can't be used. Images are looked for, not opened. An
/// invalid description, and questions that don't match its hash, are in [`Reading::faults`].
///
/// # Errors
/// Questions that can't be read.
pub fn read(folder: &Path) -> Result<Reading, DatasetError> {
    let description_path = folder.join(DESCRIPTION_FILE);
    let (description, mut faults) = description::read(&description_path);
    // Even if the scoring rule is unknown, the rest of a line can be read.
    let answer_rule: Option<AnswerRule> = match description.answer_rule.parse() {
        Ok(rule) => Some(rule),
        Err(_) if !faults.is_empty() => None,
        Err(error) => {
            let error: MetricError = error;
            faults.push(DatasetError::Content {
                path: description_path.clone(),
                reason: fp_scoring::error_text(&error),
            });
            None
        }
    };
    let path = folder.join(QUESTIONS_FILE);
    let images = [match &description.images {
        Some(images) if leads_out(images) => {
            faults.push(DatasetError::Content {
                path: description_path.clone(),
                reason: format!(
                    "`images` is {}, which is not a path inside the dataset's folder",
                    images.display()
                ),
            });
            folder.to_owned()
        }
        Some(images) => folder.join(images),
        None => folder.to_owned(),
    }];
    let families: HashSet<&str> = description.families.iter().map(String::as_str).collect();
    let rule = answer_rule.filter(|_| description.judge.is_none());
    let mut collector = Collector::new("line", rule);
    let mut num_questions = 0;
    let found = for_each_line(&path, |number, line| {
        let line = match line.and_then(line::parse) {
            Ok(line) => line,
            Err(fault) => return collector.fault(number, fault),
        };
        let family = (!families.is_empty() && !families.contains(line.family.as_str()))
            .then(|| unknown_family(&line.family, &families));
        let name = line.image.filter(|name| !name.is_empty());
        let (image, bad_path) = match name.as_deref() {
            None => (ImageRef::None, None),
            Some(name) => match collector.image(&images, name) {
                Ok(image) => (image, None),
                Err(fault) => (ImageRef::None, Some(fault)),
            },
        };
        let of_text = || text_only_image_id(&line.id);
        let sample = Sample {
            image,
            image_id: line.image_id.or(name).unwrap_or_else(of_text),
            id: line.id,
            image_size: line.image_size,
            question: line.question,
            answers: line.answers,
            choices: line.choices,
            family: line.family,
            keys: line.keys,
            boxes: line.boxes,
        };
        num_questions += 1;
        if family.is_none() && bad_path.is_none() {
            return collector.push(number, sample);
        }
        for fault in family.into_iter().chain(bad_path) {
            collector.fault(number, fault);
        }
        collector.note_faults(number, &sample);
    });
    let found = match (found, faults.is_empty()) {
        (Ok(found), _) => Some(found),
        (Err(error), true) => return Err(error),
        // The description is wrong too, which is reported first.
        (Err(error), false) => {
            faults.push(error);
            None
        }
    };
    if let (Some(expected), Some(found)) = (description.sha256, found)
        && !expected.eq_ignore_ascii_case(&found)
    {
        faults.push(DatasetError::Hash {
            path: path.clone(),
            expected,
            found,
        });
    }
    let mut reading = Reading {
        problems: collector.problems,
        numbers: collector.numbers,
        faults: faults.into_iter().map(Arc::new).collect(),
        without_file: collector.without_file,
        dataset: Dataset {
            name: description.name,
            split: description.split,
            benchmark: Benchmark::Plain,
            answer_rule: answer_rule.unwrap_or_default(),
            judge: description.judge,
            families: description.families,
            license: description.license,
            source: description.source,
            folder: folder.to_owned(),
            // The first file is the one that problems refer to.
            files: vec![path, description_path],
            notes: Vec::new(),
            samples: collector.samples,
            text_only: collector.text_only,
        },
    };
    reading.dataset.note_text_only(num_questions);
    Ok(reading)
}

fn unknown_family(family: &str, families: &HashSet<&str>) -> LineFault {
    let meant = fp_scoring::did_you_mean(family, families.iter().copied());
    let message = format!("family {family:?} is not listed in {DESCRIPTION_FILE}{meant}");
    (ProblemKind::InvalidValue, message)
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
            bad("a.png", "b.png").replacen("\"2\"", "\"3\"", 1),
            bad("a.png", "../a.png"),
            bad("[\"x\"]", "[]"),
            bad("2.5", "0"),
            bad("\"f\"", "\"g\""),
            bad("\"q\"", "\"<image>q\""),
            bad("\"keys\"", "\"key\""),
            bad("\"id\":\"2\"", "\"id\":2"),
            "[".to_owned(),
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
        use ProblemKind::{
            DuplicateId, InvalidValue, Malformed, MissingAnswer, MissingImage, WrongType,
        };
        assert_eq!(
            found,
            [
                (2, DuplicateId),
                (3, Malformed),
                // A blank line is skipped.
                (5, MissingImage),
                (6, InvalidValue),
                (7, MissingAnswer),
                (8, InvalidValue),
                (9, InvalidValue),
                (10, InvalidValue),
                (11, Malformed),
                (12, WrongType),
                (13, Malformed),
            ]
        );
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("11 lines can't be used (3 malformed, 1 with a value of the wrong type, 1 with a duplicate id, 1 with a missing image, 1 without an answer to score by, 4 with an invalid value)"), "{message}");
        assert!(
            message.contains("line 11: key: unknown key (did you mean `keys`?)"),
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
        assert!(
            message.contains("key `answer_rule` is missing"),
            "{message}"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(load(folder.path()), Err(DatasetError::Io { .. })));
        let description = r#"{"name":"n","splt":"s","answer_rule":"exct","licence":3}"#;
        std::fs::write(&path, description).unwrap();
        let reading = read(folder.path()).unwrap();
        let faults: Vec<String> = reading.faults.iter().map(ToString::to_string).collect();
        let expected = [
            "key `split` is missing; expected a text",
            "`exct` (did you mean `exact`?)",
            "unknown key (did you mean `license`?)",
            "unknown key (did you mean `split`?)",
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn no_question_is_an_error() {
        assert!(matches!(
            load(folder(&[]).path()),
            Err(DatasetError::Empty { .. })
        ));
    }
}
