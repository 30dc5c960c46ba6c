//! Which answer is to which question.

use std::collections::HashMap;

use super::{AnswerFile, RescoreError};
use crate::dataset::{Benchmark, Dataset, Problems};
use crate::sample::Sample;

/// Ids that are named in a message.
const MOST_NAMED: usize = 10;

/// How the answers of a file met the questions of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Joined {
    /// Questions of the data set.
    pub num_questions: usize,
    /// Those of them that have an answer.
    pub num_answered: usize,
    /// The first ones that have none.
    pub missing: Vec<String>,
    /// Answers to no question.
    pub num_unknown: usize,
    /// The first ones of them.
    pub unknown: Vec<String>,
    /// Answers to a question that an earlier line answers.
    pub num_duplicate: usize,
    /// The first ones of them.
    pub duplicate: Vec<String>,
    /// Answers to another wording than the data set's.
    pub num_other_prompts: usize,
    /// The first ones of them.
    pub other_prompts: Vec<String>,
    /// Lines of the file that can't be used.
    pub num_unusable: usize,
    /// What a reader of the figures has to know of all this.
    pub warnings: Vec<String>,
}

/// Gives each question its answer, where it has one. Where several questions have an
/// id in common, as MME's and TextVQA's do, the prompt decides, or else the order.
///
/// # Errors
/// Answers to no question of the data set.
pub fn join(
    file: &AnswerFile,
    dataset: &Dataset,
) -> Result<(Vec<Option<String>>, Joined), RescoreError> {
    let mut by_id: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, sample) in dataset.samples.iter().enumerate() {
        by_id.entry(&sample.id).or_default().push(index);
        // LLaVA names these by the image.
        let is_by_image = matches!(dataset.benchmark, Benchmark::Mme | Benchmark::Textvqa);
        if is_by_image && sample.image_id != sample.id {
            by_id.entry(&sample.image_id).or_default().push(index);
        }
    }
    let mut texts: Vec<Option<String>> = vec![None; dataset.samples.len()];
    let mut joined = Joined {
        num_questions: texts.len(),
        num_unusable: file.problems.len(),
        ..Joined::default()
    };
    for answer in &file.answers {
        let of_id = by_id.get(answer.id.as_str()).map_or(&[][..], Vec::as_slice);
        let free = || {
            of_id
                .iter()
                .copied()
                .filter(|&index| texts[index].is_none())
        };
        let is_asked = |index: &usize| match &answer.prompt {
            Some(prompt) => is_same(prompt, &dataset.samples[*index]),
            None => true,
        };
        let place = free().find(is_asked);
        if place.is_none() && free().next().is_some() {
            joined.num_other_prompts += 1;
            name(&mut joined.other_prompts, &answer.id);
        }
        match place.or_else(|| free().next()) {
            Some(index) => {
                texts[index] = Some(answer.text.clone());
                joined.num_answered += 1;
            }
            None if of_id.is_empty() => {
                joined.num_unknown += 1;
                name(&mut joined.unknown, &answer.id);
            }
            None => {
                joined.num_duplicate += 1;
                name(&mut joined.duplicate, &answer.id);
            }
        }
    }
    if joined.num_answered == 0 {
        return Err(RescoreError::NothingInCommon {
            path: file.path.clone(),
            count: file.answers.len(),
            dataset: dataset.name.clone(),
            first: file
                .answers
                .first()
                .map(|a| a.id.clone())
                .unwrap_or_default(),
        });
    }
    let unanswered = dataset
        .samples
        .iter()
        .zip(&texts)
        .filter(|(_, text)| text.is_none());
    joined.missing = unanswered
        .map(|(sample, _)| sample.id.clone())
        .take(MOST_NAMED)
        .collect();
    joined.warnings = warnings(&joined, &file.problems);
    Ok((texts, joined))
}

fn name(names: &mut Vec<String>, id: &str) {
    if names.len() < MOST_NAMED {
        names.push(id.to_owned());
    }
}

/// Whether a logged prompt is a sample's: MMBench's leaves the instruction out, and
/// ScienceQA's begins with the image.
fn is_same(prompt: &str, sample: &Sample) -> bool {
    let prompt = prompt.strip_prefix("<image>\n").unwrap_or(prompt);
    sample.question == prompt || sample.question.starts_with(prompt)
}

fn warnings(joined: &Joined, problems: &Problems) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |count: usize, what: &str, named: &[String]| {
        if count > 0 {
            let more = if named.len() < count { ", …" } else { "" };
            warnings.push(format!("{count} {what}: {}{more}", named.join(", ")));
        }
    };
    let num_missing = joined.num_questions - joined.num_answered;
    let of = format!(
        "of {} questions have no answer and count as wrong",
        joined.num_questions
    );
    warn(num_missing, &of, &joined.missing);
    warn(
        joined.num_unknown,
        "answers are to no question and are left out",
        &joined.unknown,
    );
    warn(
        joined.num_duplicate,
        "answers are to a question that is answered before and are left out",
        &joined.duplicate,
    );
    warn(
        joined.num_other_prompts,
        "answers were given to another wording of the question",
        &joined.other_prompts,
    );
    if !problems.is_empty() {
        warnings.push(problems.to_string());
    }
    warnings
}
