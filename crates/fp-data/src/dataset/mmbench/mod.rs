//! MMBench: tab-separated tables with images in Base64: `mmbench_dev_20230712.tsv`,
//! `mmbench_dev_cn_20231003.tsv` and others named like these.
//!
//! The indices of rows of one question (its rotations) differ by a million. The image cell of a
//! rotation holds the image itself or the index of the row that has it.

pub(super) mod export;
mod rows;

pub(super) use export::{export, fits};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::collect::Collector;
use super::encoding::open_text;
use super::table::is_blank;
use super::tsv::read_row;
use super::{Benchmark, DatasetError, Reading};
use crate::metric::mmbench::{INSTRUCTION_CN, INSTRUCTION_EN, is_missing, options, question_text};
use crate::sample::Sample;
use rows::Rows;

/// Indices of rows of one question differ by multiples of this.
const ROTATION: u64 = 1_000_000;
const PREFIX: &str = "mmbench_";

/// Splits that a folder has: names of tables without `mmbench_` and the extension.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    let mut splits: Vec<String> = tables(folder).into_iter().map(|(split, _)| split).collect();
    splits.sort();
    splits
}

fn tables(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let lower = name.to_ascii_lowercase();
            let split = lower.strip_prefix(PREFIX)?.strip_suffix(".tsv")?;
            Some((split.to_owned(), entry.path()))
        })
        .collect()
}

/// The instruction at the end of a split's prompts.
pub(super) fn instruction(split: &str) -> &'static str {
    if split.split(['_', '-']).any(|word| word == "cn") {
        INSTRUCTION_CN
    } else {
        INSTRUCTION_EN
    }
}

/// The cells of a row that make up a question.
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
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    Reading::scored_or_not(|is_scored| read_rows(folder, split, is_scored))
}

fn read_rows(folder: &Path, split: &str, is_scored: bool) -> Result<Reading, DatasetError> {
    let found = tables(folder).into_iter().find(|(name, _)| name == split);
    let (_, path) = found.ok_or_else(|| DatasetError::Missing {
        folder: folder.to_owned(),
        what: "table",
        names: vec![format!("{PREFIX}{split}.tsv")],
    })?;
    let content = |reason: String| DatasetError::Content {
        path: path.clone(),
        reason,
    };
    let io_error = |source| DatasetError::Io {
        path: path.clone(),
        source,
    };
    let (mut file, num_mark) = open_text(&path)?;
    let mut cells = Vec::new();
    let mut row_start = num_mark as u64;
    loop {
        let num_bytes = read_row(&mut file, &mut cells).map_err(io_error)?;
        row_start += num_bytes;
        if num_bytes == 0 || !is_blank(&cells) {
            break;
        }
    }
    let columns: HashMap<String, usize> = cells
        .iter()
        .enumerate()
        .map(|(place, name)| (String::from_utf8_lossy(name).into_owned(), place))
        .collect();
    let num_columns = cells.len();
    for name in ["index", "question", "A", "B"] {
        if !columns.contains_key(name) {
            return Err(content(format!(
                "no column `{name}`; the columns are those of MMBench, separated by tabs"
            )));
        }
    }
    let has_answers = columns.contains_key("answer") && is_scored;
    let rule = Benchmark::Mmbench.answer_rule().filter(|_| has_answers);
    let mut rows = Rows::new(&path, &columns, num_columns, instruction(split));
    let mut collector = Collector::new("row", rule);
    let mut number = 0;
    loop {
        let num_bytes = read_row(&mut file, &mut cells).map_err(io_error)?;
        if num_bytes == 0 {
            break;
        }
        number += 1;
        if !is_blank(&cells) {
            let sample = rows.sample(&cells, row_start).map(|(sample, absent)| {
                if let Some(message) = absent {
                    collector.note_absent(&sample.image, message);
                }
                sample
            });
            collector.take(number, sample);
        }
        row_start += num_bytes;
    }
    let absent = collector.without_file.iter().map(|(_, sample)| sample);
    let notes = notes(collector.samples.iter().chain(absent));
    let mut reading = Reading::new(Benchmark::Mmbench, split, folder, vec![path], collector);
    reading.dataset.notes.extend(notes);
    if !has_answers {
        reading.dataset.judge = Some("MMBench's server".to_owned());
    }
    Ok(reading)
}

/// Notes on which release of the questions this is: dev is shorter since its second release, and
/// the server scores only the questions left in it. Also notes which questions have fewer rows than
/// options.
pub(crate) fn notes<'a>(samples: impl Iterator<Item = &'a Sample> + Clone) -> Vec<String> {
    let questions: HashSet<&str> = samples.clone().map(|s| s.image_id.as_str()).collect();
    let list = format!(
        "{} rows of {} questions; dev has 1176 questions in its first release, and 1164 in later ones and on the server",
        samples.clone().count(),
        questions.len()
    );
    std::iter::once(list).chain(incomplete(samples)).collect()
}

/// A note on questions with fewer rows than options: in the first release, 53 keep one option in
/// place.
pub(crate) fn incomplete<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<String> {
    const MOST_NAMED: usize = 5;
    let mut groups: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for sample in samples {
        // Reading has checked that ids are numbers.
        let question = sample.id.parse::<u64>().unwrap_or_default() % ROTATION;
        let (num_rows, num_options) = groups.entry(question).or_default();
        *num_rows += 1;
        *num_options = (*num_options).max(sample.choices.len());
    }
    let count = groups.len();
    groups.retain(|_, (num_rows, num_options)| num_rows < num_options);
    let first = groups.iter().take(MOST_NAMED);
    let named =
        first.map(|(question, (rows, options))| format!("{question} has {rows} of {options}"));
    let named: Vec<String> = named.collect();
    let more = if groups.len() > MOST_NAMED {
        ", …"
    } else {
        ""
    };
    (!groups.is_empty()).then(|| {
        format!(
            "{} of {count} questions have fewer rows than options: {}{more}; circular scores are over the rows there are",
            groups.len(),
            named.join(", ")
        )
    })
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
