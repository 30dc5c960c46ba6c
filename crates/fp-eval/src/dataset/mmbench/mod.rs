//! MMBench: tables with tabs, images inside them in Base64:
//! `mmbench_dev_20230712.tsv`, `mmbench_dev_cn_20231003.tsv` and others of that name.
//!
//! Rows of one question differ by a million in their index. The image of a rotation may
//! stand for itself, or be the index of the row that has it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::collect::Collector;
use super::export::Exporter;
use super::image::ImageRef;
use super::lines::LineFault;
use super::tsv::read_row;
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Reading};
use crate::metric::mmbench::{INSTRUCTION_CN, INSTRUCTION_EN, is_missing, options, question_text};
use crate::sample::Sample;

/// Rows of one question differ by multiples of this.
const ROTATION: u64 = 1_000_000;
/// A cell up to this long is the index of another row, not an image.
const LONGEST_INDEX: usize = 64;
const PREFIX: &str = "mmbench_";
const EXPORTED: &str = "mmbench_dev_20230712.tsv";

/// Parts that a folder has: names of tables without `mmbench_` and their ending.
pub(super) fn parts(folder: &Path) -> Vec<String> {
    let mut parts: Vec<String> = tables(folder).into_iter().map(|(part, _)| part).collect();
    parts.sort();
    parts
}

fn tables(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let lower = name.to_ascii_lowercase();
            let part = lower.strip_prefix(PREFIX)?.strip_suffix(".tsv")?;
            Some((part.to_owned(), entry.path()))
        })
        .collect()
}

/// What ends the prompt of a part.
pub(super) fn instruction(part: &str) -> &'static str {
    match part.split(['_', '-']).any(|word| word == "cn") {
        true => INSTRUCTION_CN,
        false => INSTRUCTION_EN,
    }
}

/// The cells of a row that make a question.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) index: u64,
    pub(super) hint: &'a str,
    pub(super) question: &'a str,
    pub(super) options: [&'a str; 4],
    pub(super) answer: &'a str,
    pub(super) category: &'a str,
    pub(super) l2_category: &'a str,
}

impl Row<'_> {
    /// The sample without its image.
    pub(super) fn sample(&self, instruction: &str) -> Sample {
        let options = options(&self.options);
        let text = question_text(self.hint, self.question, &options);
        let category = |cell: &str| (!is_missing(cell)).then(|| cell.to_owned());
        let family = category(self.l2_category).or_else(|| category(self.category));
        let mut keys = BTreeMap::new();
        if let Some(category) = category(self.category) {
            keys.insert("category".to_owned(), category);
        }
        Sample {
            id: self.index.to_string(),
            image_id: (self.index % ROTATION).to_string(),
            question: format!("{text}\n{instruction}"),
            answers: category(self.answer).into_iter().collect(),
            choices: options.iter().map(|(_, text)| (*text).to_owned()).collect(),
            family: family.unwrap_or_else(|| "mmbench".to_owned()),
            keys,
            ..Sample::default()
        }
    }
}

/// Reads a table.
pub(super) fn read(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    let found = tables(folder).into_iter().find(|(name, _)| name == part);
    let (_, path) = found.ok_or_else(|| DatasetError::Missing {
        folder: folder.to_owned(),
        what: "table",
        names: vec![format!("{PREFIX}{part}.tsv")],
    })?;
    let content = |reason: String| DatasetError::Content {
        path: path.clone(),
        reason,
    };
    let io_error = |source| DatasetError::Io {
        path: path.clone(),
        source,
    };
    let mut file = BufReader::with_capacity(1 << 18, File::open(&path).map_err(io_error)?);
    let mut cells = Vec::new();
    let mut row_start = read_row(&mut file, &mut cells).map_err(io_error)?;
    let columns: HashMap<String, usize> = cells
        .iter()
        .enumerate()
        .map(|(place, name)| (String::from_utf8_lossy(name).into_owned(), place))
        .collect();
    let num_columns = cells.len();
    for name in ["index", "question", "A", "B", "image"] {
        if !columns.contains_key(name) {
            return Err(content(format!(
                "no column `{name}`; the columns are those of MMBench, separated by tabs"
            )));
        }
    }
    let has_answers = columns.contains_key("answer");
    let rule = has_answers
        .then_some(())
        .and(Benchmark::Mmbench.answer_rule());
    let mut rows = Rows {
        table: path.clone().into(),
        columns: &columns,
        num_columns,
        instruction: instruction(part),
        by_content: HashMap::new(),
        by_index: HashMap::new(),
    };
    let mut collector = Collector::new("row", rule);
    let mut number = 0;
    loop {
        let num_bytes = read_row(&mut file, &mut cells).map_err(io_error)?;
        if num_bytes == 0 {
            break;
        }
        number += 1;
        let sample = rows.sample(&cells, row_start);
        collector.take(number, sample);
        row_start += num_bytes;
    }
    let mut reading = Reading::new(Benchmark::Mmbench, part, folder, vec![path], collector);
    if !has_answers {
        reading.dataset.judge = Some("MMBench's server".to_owned());
    }
    Ok(reading)
}

struct Rows<'a> {
    table: Arc<Path>,
    columns: &'a HashMap<String, usize>,
    num_columns: usize,
    instruction: &'static str,
    /// The same image under several rows is one.
    by_content: HashMap<[u8; 32], ImageRef>,
    by_index: HashMap<u64, ImageRef>,
}

impl Rows<'_> {
    fn sample(&mut self, record: &[Vec<u8>], row_start: u64) -> Result<Sample, LineFault> {
        let malformed = |message: String| (ProblemKind::Malformed, message);
        if record.len() != self.num_columns {
            return Err(malformed(format!(
                "{} columns instead of {}; a tab or a quote is missing or too many",
                record.len(),
                self.num_columns
            )));
        }
        let cell = |name: &str| {
            let bytes = self.columns.get(name).and_then(|&place| record.get(place));
            std::str::from_utf8(bytes.map_or(&[], Vec::as_slice)).map_err(|_| {
                (
                    ProblemKind::Encoding,
                    format!("column `{name}` isn't UTF-8, as other rows are"),
                )
            })
        };
        let index = cell("index")?;
        let index: u64 = index.parse().map_err(|_| {
            (
                ProblemKind::WrongType,
                format!("index {index:?} is no number"),
            )
        })?;
        let l2_category = match cell("l2-category")? {
            "" => cell("L2-category")?,
            category => category,
        };
        let row = Row {
            index,
            hint: cell("hint")?,
            question: cell("question")?,
            options: [cell("A")?, cell("B")?, cell("C")?, cell("D")?],
            answer: cell("answer")?,
            category: cell("category")?,
            l2_category,
        };
        let mut sample = row.sample(self.instruction);
        sample.image = self.image(index, record, row_start)?;
        Ok(sample)
    }

    fn image(
        &mut self,
        index: u64,
        record: &[Vec<u8>],
        row_start: u64,
    ) -> Result<ImageRef, LineFault> {
        let missing = |message| Err((ProblemKind::MissingImage, message));
        let column = self.columns.get("image").copied().unwrap_or_default();
        let cell = record.get(column).map_or(&[][..], Vec::as_slice);
        let image = if cell.is_empty() {
            return missing("the column `image` is empty".to_owned());
        } else if cell.len() <= LONGEST_INDEX {
            let other = std::str::from_utf8(cell)
                .ok()
                .and_then(|text| text.parse().ok());
            match other.and_then(|other: u64| self.by_index.get(&other)) {
                Some(image) => image.clone(),
                None => {
                    let text = String::from_utf8_lossy(cell);
                    return missing(format!("image {text:?} is no index of an earlier row"));
                }
            }
        } else {
            let new = || ImageRef::Cell {
                table: Arc::clone(&self.table),
                row_start,
                column,
            };
            let content: [u8; 32] = Sha256::digest(cell).into();
            self.by_content.entry(content).or_insert_with(new).clone()
        };
        self.by_index.insert(index, image.clone());
        Ok(image)
    }
}

/// A question from the cells of a table, without image and instruction.
pub(crate) fn table_row<'a>(index: u64, cell: impl Fn(&str) -> &'a str) -> Sample {
    let row = Row {
        index,
        hint: cell("hint"),
        question: cell("question"),
        options: [cell("A"), cell("B"), cell("C"), cell("D")],
        answer: cell("answer"),
        category: cell("category"),
        l2_category: match cell("l2-category") {
            "" => cell("L2-category"),
            category => category,
        },
    };
    row.sample(INSTRUCTION_EN)
}

/// Which samples are choices, rotations of one question behind each other.
pub(super) fn rotations(dataset: &Dataset) -> Vec<u64> {
    let mut indices = Vec::new();
    let (mut question, mut rotation) = (0, 0);
    let mut last: Option<&Sample> = None;
    for sample in &dataset.samples {
        let is_next = last.is_some_and(|last| {
            let sorted = |sample: &Sample| {
                let mut choices = sample.choices.clone();
                choices.sort();
                choices
            };
            sample.image == last.image
                && sorted(sample) == sorted(last)
                && sample.choices != last.choices
                && sample.question.lines().next() == last.question.lines().next()
                && rotation < 3
        });
        match is_next {
            true => rotation += 1,
            false => (question, rotation) = (question + 1, 0),
        }
        indices.push(question + rotation * ROTATION);
        last = Some(sample);
    }
    indices
}

/// Writes a table; the samples are choices of four options at most.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut table = out.table(
        EXPORTED,
        &[
            "index",
            "question",
            "hint",
            "A",
            "B",
            "C",
            "D",
            "answer",
            "category",
            "l2-category",
            "split",
            "image",
        ],
    )?;
    for (sample, index) in dataset.samples.iter().zip(rotations(dataset)) {
        let question = question_of(sample);
        let choice = |place: usize| sample.choices.get(place).map_or("", String::as_str);
        let category = sample
            .keys
            .get("category")
            .map_or(sample.family.as_str(), String::as_str);
        table.write(&[
            &index.to_string(),
            question,
            "",
            choice(0),
            choice(1),
            choice(2),
            choice(3),
            sample.answers.first().map_or("", String::as_str),
            category,
            &sample.family,
            "dev",
            &out.base64(sample)?,
        ])?;
    }
    table.finish()
}

/// The part of a choice's prompt before its options.
pub(super) fn question_of(sample: &Sample) -> &str {
    let options = sample.question.find("\nA. ");
    options.map_or(sample.question.as_str(), |end| &sample.question[..end])
}

/// Whether a sample's prompt is what a row's cells give again.
pub(super) fn fits(sample: &Sample) -> bool {
    let cells: Vec<&str> = sample.choices.iter().map(String::as_str).collect();
    let options = options(&cells);
    let text = question_text("", question_of(sample), &options);
    (2..=4).contains(&options.len())
        && options.len() == sample.choices.len()
        && sample.question == format!("{text}\n{INSTRUCTION_EN}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_a_prompt() {
        let row = Row {
            index: 2_000_017,
            hint: "nan",
            question: "Which?",
            options: ["up", "down", "", "x"],
            answer: "B",
            category: "scene",
            l2_category: "",
        };
        let sample = row.sample(instruction("dev_cn_20231003"));
        assert_eq!(
            sample.question,
            format!("Which?\nA. up\nB. down\n{INSTRUCTION_CN}")
        );
        assert_eq!(
            (sample.id.as_str(), sample.image_id.as_str()),
            ("2000017", "17")
        );
        assert_eq!((sample.family.as_str(), sample.choices.len()), ("scene", 2));
        assert_eq!(instruction("dev_20230712"), INSTRUCTION_EN);
    }
}
