//! MME: `llava_mme.jsonl` and the official release, whose text files hold the answers:
//! `MME_Benchmark_release_version/<task>/x.txt`, or `…/<task>/questions_answers_YN/x.txt`
//! for tasks with an `images/` folder.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::collect::{Collector, Occurrences, is_inside};
use super::export::{Exporter, bare_question};
use super::lines::{LineFault, for_each_line};
use super::llava::{Question, for_each_question, image_folders, need, stem};
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Reading};
use crate::metric::mme::{OFFICIAL_INSTRUCTION, official_question};
use crate::sample::Sample;

const QUESTIONS: &str = "llava_mme.jsonl";
const RELEASE: &str = "MME_Benchmark_release_version";

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    if folder.join(QUESTIONS).is_file() {
        vec!["test".to_owned()]
    } else {
        Vec::new()
    }
}

/// Official questions and their answers, by file.
struct Release {
    folder: PathBuf,
    files: HashMap<PathBuf, Asked>,
}

/// Questions of one file of the release.
#[derive(Default)]
struct Asked {
    /// Pairs of question (without its instruction) and answer.
    entries: Vec<(String, String)>,
    /// Problem of its first bad line.
    fault: Option<String>,
    /// Number of bad lines.
    num_faults: usize,
    /// Whether the problem was reported already, with a question that isn't found.
    is_told: bool,
}

impl Asked {
    fn read(path: &Path) -> Result<Asked, DatasetError> {
        let mut asked = Asked::default();
        for_each_line(path, |number, line| match line.and_then(entry) {
            Ok(entry) => asked.entries.push(entry),
            Err((_, reason)) => {
                asked.num_faults += 1;
                asked
                    .fault
                    .get_or_insert(format!("line {number}: {reason}"));
            }
        })?;
        Ok(asked)
    }
}

/// Question and answer of a line of the release.
fn entry(line: &str) -> Result<(String, String), LineFault> {
    let columns: Vec<&str> = line.split('\t').collect();
    let reason = match columns[..] {
        [question, answer] => {
            return Ok((official_question(question), answer.trim().to_owned()));
        }
        [_] => "no tab before an answer".to_owned(),
        _ => format!("{} columns; expected question and answer", columns.len()),
    };
    Err((ProblemKind::Malformed, reason))
}

impl Release {
    /// Problems of lines in the files that were read, unless they were reported with a question.
    fn faults(&self) -> Vec<DatasetError> {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|(path, _)| *path);
        let faults = files.into_iter().filter_map(|(path, asked)| {
            let is_said = asked.is_told && asked.num_faults == 1;
            let fault = asked.fault.as_ref().filter(|_| !is_said)?;
            let more = match asked.num_faults {
                1 => String::new(),
                2 => ", and 1 more line can't be read".to_owned(),
                count => format!(", and {} more lines can't be read", count - 1),
            };
            Some(DatasetError::Content {
                path: path.clone(),
                reason: format!("{fault}{more}"),
            })
        });
        faults.collect()
    }

    /// The answer to a question on the image that `id` names.
    fn answer(&mut self, id: &str, prompt: &str) -> Result<String, LineFault> {
        let missing = |message| (ProblemKind::MissingAnswer, message);
        let task = id.split('/').next().unwrap_or_default();
        let file = format!("{}.txt", stem(id));
        let task = self.folder.join(task);
        let places = [
            task.join("questions_answers_YN").join(&file),
            task.join(&file),
        ];
        let Some(path) = places.iter().find(|path| path.is_file()) else {
            return Err(missing(format!(
                "answer file {} not found",
                places[1].display()
            )));
        };
        if !self.files.contains_key(path) {
            let asked =
                Asked::read(path).map_err(|error| missing(fp_scoring::error_text(&error)))?;
            self.files.insert(path.clone(), asked);
        }
        let question = official_question(prompt);
        let Some(asked) = self.files.get_mut(path) else {
            return Err(missing(format!("{} isn't read", path.display())));
        };
        let mut answers = asked.entries.iter().filter(|(text, _)| *text == question);
        match (answers.next(), answers.next(), &asked.fault) {
            (Some((_, answer)), None, _) => Ok(answer.clone()),
            (Some(_), Some(_), _) => Err((
                ProblemKind::DuplicateId,
                format!("{} asks {question:?} twice", path.display()),
            )),
            (None, _, Some(fault)) => {
                asked.is_told = true;
                Err(missing(format!("{}: {fault}", path.display())))
            }
            (None, _, None) => Err(missing(format!(
                "{} doesn't ask {question:?}",
                path.display()
            ))),
        }
    }
}

/// Reads questions and answers.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "question file", &[QUESTIONS])?;
    let images = image_folders(folder, &[RELEASE]);
    let mut release = Release {
        folder: images.first().cloned().unwrap_or_default(),
        files: HashMap::new(),
    };
    if !release.folder.is_dir() {
        return Err(DatasetError::Missing {
            folder: folder.to_owned(),
            what: "official release with images and answers",
            names: vec![RELEASE.to_owned()],
        });
    }
    let mut occurrences = Occurrences::default();
    // Both questions on an image have its id; id and text together are unique.
    let mut asked = HashSet::new();
    let mut collector = Collector::new("line", Benchmark::Mme.answer_rule());
    for_each_question(&path, |number, question| {
        let sample = question.and_then(|question| {
            let image_id = question.question_id.clone().into_text();
            if !asked.insert((image_id.clone(), question.text.clone())) {
                let message = format!("{:?} of {image_id} is asked twice", question.text);
                return Err((ProblemKind::DuplicateId, message));
            }
            let id = occurrences.next(&image_id);
            let Question { image, text, .. } = &question;
            let image = collector.image(&images, image)?;
            let answer = if is_inside(&image_id) {
                release.answer(&image_id, text)?
            } else {
                return Err(bad_id(&image_id));
            };
            let task = image_id.split('/').next().unwrap_or_default();
            Ok(Sample {
                id,
                image,
                family: question.category.clone().unwrap_or_else(|| task.to_owned()),
                boxes: question.boxes(),
                question: question.text,
                answers: vec![answer],
                image_id,
                ..Sample::default()
            })
        });
        collector.take(number, sample);
    })?;
    let faults = release.faults();
    let mut files = vec![path];
    let mut answers: Vec<PathBuf> = release.files.into_keys().collect();
    answers.sort();
    files.extend(answers);
    let mut reading = Reading::new(Benchmark::Mme, split, folder, files, collector);
    reading.faults.extend(faults.into_iter().map(Arc::new));
    Ok(reading)
}

fn bad_id(id: &str) -> LineFault {
    let message = format!("question_id {id:?} is not the path of an image inside {RELEASE}");
    (ProblemKind::InvalidValue, message)
}

/// Indices of paired questions: one to affirm and one to deny, on one image in one task.
pub(super) fn pairs(dataset: &Dataset) -> Vec<usize> {
    let mut by_image: BTreeMap<(&str, &str), [Vec<usize>; 2]> = BTreeMap::new();
    for (index, sample) in dataset.samples.iter().enumerate() {
        let side = match sample
            .answers
            .first()
            .map(|answer| answer.to_ascii_lowercase())
        {
            Some(answer) if answer == "yes" => 0,
            Some(answer) if answer == "no" => 1,
            _ => continue,
        };
        let question = bare_question(&sample.question);
        if question.contains(['\t', '\r', '\n']) || question.trim() != question {
            continue;
        }
        let key = (sample.image_id.as_str(), sample.family.as_str());
        let sides = by_image.entry(key).or_default();
        sides[side].push(index);
    }
    // An image occurs once per task, with one question of each kind.
    let pairs = by_image.into_values();
    let mut kept: Vec<[usize; 2]> = pairs
        .filter_map(|[yes, no]| Some([*yes.first()?, *no.first()?]))
        .collect();
    kept.sort();
    kept.into_iter().flatten().collect()
}

/// Writes the release's files and LLaVA's questions; the samples come in pairs.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS)?;
    for pair in dataset.samples.chunks(2) {
        let mut text = String::new();
        for sample in pair {
            let task = &sample.family;
            let name = out.image(sample, &format!("{RELEASE}/{task}"))?;
            let id = format!("{task}/{name}");
            lines.write(&out.question(sample, &json!(id), &id, task))?;
            let answer = match sample.answers.first() {
                Some(answer) if answer.eq_ignore_ascii_case("yes") => "Yes",
                _ => "No",
            };
            let question = bare_question(&sample.question);
            text += &format!("{question} {OFFICIAL_INSTRUCTION}\t{answer}\n");
            let file = format!("{RELEASE}/{task}/{}.txt", stem(&name));
            out.text(&file, &text)?;
        }
    }
    lines.finish()
}
