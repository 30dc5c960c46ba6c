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
//! `image_id` is the image's path by default; `keys`, `boxes` and `image_size`
//! (`[width, height]`) may be left out. Unknown keys are refused.

use super::{Dataset, DatasetError, ProblemKind, Problems};
use crate::hash::sha256_hex;
use crate::metric::MetricError;
use crate::sample::Sample;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

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
    /// Kind of question.
    pub family: String,
    /// Further categories.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// `[x0, y0, x1, y1]` in pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<[f64; 4]>,
}

/// A data set as far as it can be used, and what can't.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Everything that can be used.
    pub dataset: Dataset,
    /// Lines that can't.
    pub problems: Problems,
}

/// Whether `folder` looks like a data set in this form.
pub fn is_plain(folder: &Path) -> bool {
    folder.join(DESCRIPTION_FILE).is_file()
}

/// Loads a data set; every line has to be right.
///
/// # Errors
/// As [`read`], and any line that can't be used, by number.
pub fn load(folder: &Path) -> Result<Dataset, DatasetError> {
    let Reading { dataset, problems } = read(folder)?;
    let path = folder.join(QUESTIONS_FILE);
    if !problems.is_empty() {
        return Err(DatasetError::Lines { path, problems });
    }
    if dataset.samples.is_empty() {
        return Err(DatasetError::Empty { path });
    }
    Ok(dataset)
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
    let answer_rule = description
        .answer_rule
        .parse()
        .map_err(|error: MetricError| DatasetError::Description {
            path: description_path.clone(),
            reason: error.to_string(),
        })?;
    let path = folder.join(QUESTIONS_FILE);
    let bytes = read_file(&path)?;
    if let Some(expected) = &description.sha256 {
        let found = sha256_hex(&bytes);
        if !expected.eq_ignore_ascii_case(&found) {
            return Err(DatasetError::Hash {
                path,
                expected: expected.clone(),
                found,
            });
        }
    }
    let mut lines = Lines {
        images: match &description.images {
            Some(images) => folder.join(images),
            None => folder.to_owned(),
        },
        families: description.families.iter().cloned().collect(),
        ids: HashSet::new(),
        is_there: HashMap::new(),
        problems: Problems::default(),
        samples: Vec::new(),
    };
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if !text.is_empty() {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            lines.add(index + 1, line);
        }
    }
    Ok(Reading {
        dataset: Dataset {
            name: description.name,
            split: description.split,
            answer_rule,
            families: description.families,
            license: description.license,
            source: description.source,
            folder: folder.to_owned(),
            files: vec![description_path, path],
            samples: lines.samples,
        },
        problems: lines.problems,
    })
}

fn describe(path: &Path) -> Result<Description, DatasetError> {
    serde_json::from_slice(&read_file(path)?).map_err(|error| DatasetError::Description {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, DatasetError> {
    std::fs::read(path).map_err(|source| DatasetError::Io {
        path: path.to_owned(),
        source,
    })
}

struct Lines {
    images: PathBuf,
    families: HashSet<String>,
    ids: HashSet<String>,
    /// Whether each image that was named is there; most are named several times.
    is_there: HashMap<String, bool>,
    problems: Problems,
    samples: Vec<Sample>,
}

impl Lines {
    fn add(&mut self, number: usize, line: &[u8]) {
        let line = match serde_json::from_slice::<Line>(line) {
            Ok(line) => line,
            Err(error) => {
                // The line is known better than by a parser that saw only it.
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
                let message = format!("{text} (column {})", error.column());
                return self.problems.add(number, ProblemKind::Malformed, message);
            }
        };
        if let Some(reason) = self.invalid_value(&line) {
            return self.problems.add(number, ProblemKind::InvalidValue, reason);
        }
        let images = &self.images;
        let is_there = self
            .is_there
            .entry(line.image.clone())
            .or_insert_with(|| images.join(&line.image).is_file());
        if !*is_there {
            let message = format!("no image {}", images.join(&line.image).display());
            return self
                .problems
                .add(number, ProblemKind::MissingImage, message);
        }
        if !self.ids.insert(line.id.clone()) {
            let message = format!("id {:?} is that of an earlier line", line.id);
            return self.problems.add(number, ProblemKind::DuplicateId, message);
        }
        self.samples.push(Sample {
            id: line.id,
            image_id: line.image_id.unwrap_or_else(|| line.image.clone()),
            image: self.images.join(line.image),
            image_size: line.image_size,
            question: line.question,
            answers: line.answers,
            family: line.family,
            keys: line.keys,
            boxes: line.boxes,
        });
    }

    fn invalid_value(&self, line: &Line) -> Option<String> {
        if line.id.is_empty() {
            return Some("the id is empty".to_owned());
        }
        let mut components = Path::new(&line.image).components();
        if line.image.is_empty() || !components.all(|part| matches!(part, Component::Normal(_))) {
            return Some(format!(
                "image {:?} is no path inside the folder of images",
                line.image
            ));
        }
        if line.answers.is_empty() {
            return Some("no answers; at least one is needed to score by".to_owned());
        }
        if line.question.contains(fp_model::prompt::IMAGE_PLACEHOLDER) {
            return Some(format!(
                "the question holds {}, which the prompt's template puts in",
                fp_model::prompt::IMAGE_PLACEHOLDER
            ));
        }
        if !self.families.is_empty() && !self.families.contains(&line.family) {
            return Some(format!(
                "family {:?} isn't one that {DESCRIPTION_FILE} names",
                line.family
            ));
        }
        let is_right = |&[x0, y0, x1, y1]: &[f64; 4]| {
            [x0, y0, x1, y1].iter().all(|value| value.is_finite()) && x0 < x1 && y0 < y1
        };
        line.boxes.iter().find(|area| !is_right(area)).map(|area| {
            format!("box {area:?} is empty or not finite; a box is [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        })
    }
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
        assert_eq!(sample.image, folder.path().join("a.png"));
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
        use ProblemKind::{DuplicateId, InvalidValue, Malformed, MissingImage};
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
                (12, Malformed),
            ]
        );
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("11 lines can't be used (4 malformed, 1 with a duplicate id, 1 with a missing image, 5 with an invalid value)"), "{message}");
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
