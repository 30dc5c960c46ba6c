//! Writing a dataset in another layout.
//!
//! Every layout is written so that reading it returns the same prompts, answers, images and, if the
//! layout can hold them, boxes. Ids are kept where the layout allows arbitrary ids.

pub(super) mod exporter;
pub(super) mod writers;

pub(super) use exporter::Exporter;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{Benchmark, Dataset, DatasetError, mme};
use crate::metric::textvqa::{NUM_GOLDS, question_key};
use crate::metric::vqa::INSTRUCTION;
use crate::sample::Sample;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// The folder.
    pub folder: PathBuf,
    /// Number of samples that were written.
    pub num_samples: usize,
    /// Number of their images.
    pub num_images: usize,
    /// Number of samples that the layout can't hold.
    pub num_left_out: usize,
    /// What the layout requires of a sample, where some were left out.
    pub reason: Option<&'static str>,
}

/// Writes the samples that fit a benchmark's layout to a folder that is new or empty.
///
/// # Errors
/// A folder that isn't empty, no sample that fits, an image that can't be read, or a file that
/// can't be written.
pub fn export(
    dataset: &Dataset,
    benchmark: Benchmark,
    folder: &Path,
) -> Result<Exported, DatasetError> {
    let fitting = fitting(dataset, benchmark)?;
    let mut out = Exporter::new(folder)?;
    benchmark.write(&fitting, &mut out)?;
    Ok(out.exported(dataset, &fitting, benchmark))
}

/// The dataset with only the samples that fit a layout.
pub(super) fn fitting(dataset: &Dataset, benchmark: Benchmark) -> Result<Dataset, DatasetError> {
    let mut asked = HashSet::new();
    let is_new = |sample: &Sample, asked: &mut HashSet<(String, String)>| {
        let key = question_key(&sample.question).unwrap_or_else(|_| sample.question.to_lowercase());
        benchmark != Benchmark::Textvqa || asked.insert((sample.image_id.clone(), key))
    };
    let mut fitting = Dataset {
        samples: Vec::new(),
        ..dataset.clone_head()
    };
    for sample in &dataset.samples {
        let sample = if sample.choices.is_empty() {
            Sample {
                choices: choices_of(&sample.question),
                ..sample.clone()
            }
        } else {
            sample.clone()
        };
        if benchmark.fits(&sample) && is_new(&sample, &mut asked) {
            fitting.samples.push(sample);
        }
    }
    if benchmark == Benchmark::Mme {
        let pairs = mme::pairs(&fitting);
        let samples = pairs
            .into_iter()
            .map(|index| fitting.samples[index].clone());
        fitting.samples = samples.collect();
    }
    if benchmark == Benchmark::Plain {
        fitting.text_only.clone_from(&dataset.text_only);
    }
    if fitting.samples.is_empty() {
        return Err(DatasetError::NothingFits {
            name: dataset.name.clone(),
            count: dataset.samples.len(),
            layout: benchmark.title(),
            reason: benchmark.needs(),
        });
    }
    Ok(fitting)
}

impl Dataset {
    /// A copy without the samples.
    pub(super) fn clone_head(&self) -> Dataset {
        Dataset {
            name: self.name.clone(),
            split: self.split.clone(),
            benchmark: self.benchmark,
            answer_rule: self.answer_rule,
            judge: self.judge.clone(),
            families: self.families.clone(),
            license: self.license.clone(),
            source: self.source.clone(),
            folder: self.folder.clone(),
            files: self.files.clone(),
            notes: self.notes.clone(),
            samples: Vec::new(),
            text_only: Vec::new(),
        }
    }
}

/// Options that a prompt lists as lines `A. …`, `B. …`, in that order.
pub(crate) fn choices_of(question: &str) -> Vec<String> {
    let mut letters = 'A'..='Z';
    let mut letter = letters.next();
    let mut choices = Vec::new();
    for line in question.lines() {
        let text = letter.and_then(|letter| line.strip_prefix(letter)?.strip_prefix(". "));
        match text {
            Some(text) => {
                choices.push(text.to_owned());
                letter = letters.next();
            }
            None if choices.is_empty() => {}
            None => break,
        }
    }
    choices
}

/// A question without the instruction that layouts append to it.
pub(super) fn bare_question(question: &str) -> &str {
    let bare = question.strip_suffix(INSTRUCTION);
    bare.and_then(|text| text.strip_suffix('\n'))
        .unwrap_or(question)
}

/// As many answers as VQA accuracy is defined for: a single one is repeated ten times.
pub(super) fn ten(answers: &[String]) -> Vec<&str> {
    match answers {
        [only] => vec![only; NUM_GOLDS],
        several => several.iter().map(String::as_str).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_lines_with_letters_in_order() {
        assert_eq!(
            choices_of("What?\nA. red\nB. blue sky\nAnswer."),
            ["red", "blue sky"]
        );
        assert_eq!(choices_of("What?\nA. red\nC. blue"), ["red"]);
        assert!(choices_of("A or B?").is_empty());
    }

    #[test]
    fn only_a_whole_instruction_goes() {
        let whole = format!("What?\n{INSTRUCTION}");
        assert_eq!(bare_question(&whole), "What?");
        let beside = format!("What? {INSTRUCTION}");
        assert_eq!(bare_question(&beside), beside);
    }

    #[test]
    fn one_answer_stands_ten_times() {
        assert_eq!(ten(&["a".to_owned()]), ["a"; 10]);
        assert_eq!(ten(&["a".to_owned(), "b".to_owned()]), ["a", "b"]);
    }
}
