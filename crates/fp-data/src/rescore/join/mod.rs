//! Matches answers to questions.
//!
//! Ids decide as long as the prompts that a file logs don't contradict them. Where they do, or
//! where no id is known, the benchmark's own key decides: image and question, POPE's category and
//! position, or the position in the file; and only where every prompt agrees. A file whose answers
//! can't be matched in this way is refused as a whole, never scored wrongly.

mod elsewhere;
mod evidence;
mod warnings;

use super::{AnswerFile, RescoreError};
use crate::dataset::{Benchmark, Dataset};
use evidence::{Fit, Questions};

/// Most ids that a message names.
const MOST_NAMED: usize = 10;
/// Number of ids that an error shows for each side.
const NUM_EXAMPLES: usize = 2;

/// How answers were matched to questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinedBy {
    /// The question's id.
    #[default]
    QuestionId,
    /// The question's text.
    Question,
    /// The image, if the answer names it, and the question's text.
    ImageAndQuestion,
    /// POPE's category and the position in it, both from LLaVA's ids; each prompt agrees.
    CategoryAndPlace,
    /// The position in the file; each prompt agrees.
    Place,
    /// The row in the dataset, as stated in the file; each prompt agrees.
    Row,
}

/// Result of matching the answers of a file to the questions of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Joined {
    /// How they were matched.
    pub by: JoinedBy,
    /// Number of questions in the dataset, without text-only ones.
    pub num_questions: usize,
    /// Number of these with an answer.
    pub num_answered: usize,
    /// Ids of the first ones without an answer.
    pub missing: Vec<String>,
    /// Number of text-only questions in the dataset.
    pub num_text_only: usize,
    /// Number of these with an answer.
    pub num_text_only_answered: usize,
    /// Number of answers to unknown questions.
    pub num_unknown: usize,
    /// Ids of the first such answers.
    pub unknown: Vec<String>,
    /// Number of answers to a question that an earlier line answers.
    pub num_duplicate: usize,
    /// Ids of the first such answers.
    pub duplicate: Vec<String>,
    /// Number of answers whose prompt is worded differently from the dataset's.
    pub num_other_prompts: usize,
    /// Ids of the first such answers.
    pub other_prompts: Vec<String>,
    /// Number of answers whose id several questions have and whose prompt doesn't distinguish them;
    /// they are matched in the order of the questions.
    pub num_by_order: usize,
    /// Ids of the first such answers.
    pub by_order: Vec<String>,
    /// Number of answers with a prompt.
    pub num_prompts: usize,
    /// Number of lines of the file that can't be used.
    pub num_unusable: usize,
    /// Warnings for readers of the figures.
    pub warnings: Vec<String>,
    /// Evidence that confirms the match, other than each prompt.
    pub notes: Vec<String>,
}

/// Answers by question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    /// Answers to the samples with images, in their order.
    pub samples: Vec<Option<String>>,
    /// Answers to the text-only questions.
    pub text_only: Vec<Option<String>>,
    /// Scores that the file gives the answers, those to samples with images first.
    pub scores: Vec<Option<f64>>,
}

/// A placement of answers: for each question the index of its answer in the file.
struct Placement {
    by: JoinedBy,
    answers: Vec<Option<usize>>,
}

/// Gives each question its answer, if there is one.
///
/// # Errors
/// Answers to no question of the dataset, or answers whose ids belong to other questions and that
/// can't be matched in any other way.
pub fn join(file: &AnswerFile, dataset: &Dataset) -> Result<(Texts, Joined), RescoreError> {
    let questions = Questions::new(dataset);
    let mut joined = Joined {
        num_questions: dataset.samples.len(),
        num_text_only: dataset.text_only.len(),
        num_prompts: file.answers.iter().filter(|a| a.prompt.is_some()).count(),
        num_unusable: file.problems.len(),
        ..Joined::default()
    };
    refuse_other_benchmark(file, dataset)?;
    let answers = match elsewhere::by_row(file, &questions, dataset.samples.len()) {
        // A row number from the file is as good as an id, if every prompt agrees.
        Some(placement) => {
            joined.by = placement.by;
            elsewhere::count(file, &placement, &mut joined);
            elsewhere::count_other_prompts(file, &questions, &placement, &mut joined);
            placement.answers
        }
        None => by_id_or_elsewhere(file, dataset, &questions, &mut joined)?,
    };
    let score = |place: &Option<usize>| file.answers[(*place)?].score;
    let scores = answers.iter().map(score).collect();
    let text = |place: &Option<usize>| place.map(|place| file.answers[place].text.clone());
    let mut samples: Vec<Option<String>> = answers.iter().map(text).collect();
    let text_only = samples.split_off(dataset.samples.len());
    let count = |texts: &[Option<String>]| texts.iter().flatten().count();
    joined.num_answered = count(&samples);
    joined.num_text_only_answered = count(&text_only);
    let unanswered = dataset.samples.iter().zip(&samples);
    joined.missing = unanswered
        .filter(|(_, text)| text.is_none())
        .map(|(sample, _)| sample.id.clone())
        .take(MOST_NAMED)
        .collect();
    warnings::add(&mut joined, file);
    let texts = Texts {
        samples,
        text_only,
        scores,
    };
    Ok((texts, joined))
}

fn by_id_or_elsewhere(
    file: &AnswerFile,
    dataset: &Dataset,
    questions: &Questions<'_>,
    joined: &mut Joined,
) -> Result<Vec<Option<usize>>, RescoreError> {
    let attempt = Attempt::by_id(file, questions, joined);
    let Some(refusal) = attempt.refusal(file, dataset, questions, joined) else {
        return Ok(attempt.answers);
    };
    let num_contradicted = attempt.contradicted.len();
    let Some(placement) = elsewhere::place(file, questions) else {
        return Err(refusal);
    };
    joined.by = placement.by;
    elsewhere::count(file, &placement, joined);
    warnings::elsewhere(joined, num_contradicted, file.answers.len());
    Ok(placement.answers)
}

/// Refuses answers that their evaluator wrote for another benchmark.
fn refuse_other_benchmark(file: &AnswerFile, dataset: &Dataset) -> Result<(), RescoreError> {
    let Some(origin) = &file.origin else {
        return Ok(());
    };
    match origin.benchmark {
        Some(benchmark)
            if benchmark != dataset.benchmark && dataset.benchmark != Benchmark::Plain =>
        {
            Err(RescoreError::OtherBenchmark {
                path: file.path.clone(),
                tool: origin.tool,
                task: origin.task.clone().unwrap_or_default(),
                benchmark: benchmark.title(),
                dataset: dataset.name.clone(),
                asked: dataset.benchmark.title(),
            })
        }
        _ => Ok(()),
    }
}

/// Result of matching by ids alone.
struct Attempt {
    /// For each question the index of its answer in the file.
    answers: Vec<Option<usize>>,
    /// Answers whose prompt belongs to a question other than the id's: indices in the file, with
    /// the question that the id means.
    contradicted: Vec<(usize, usize)>,
    /// Answers whose prompt matches no question, in the same form.
    unrelated: Vec<(usize, usize)>,
}

impl Attempt {
    fn by_id(file: &AnswerFile, questions: &Questions<'_>, joined: &mut Joined) -> Attempt {
        let mut attempt = Attempt {
            answers: vec![None; questions.samples.len()],
            contradicted: Vec::new(),
            unrelated: Vec::new(),
        };
        for (place, answer) in file.answers.iter().enumerate() {
            let of_id = questions.candidates(answer);
            let Some((meant, fit, _)) = questions.best(answer, of_id.iter().copied()) else {
                joined.num_unknown += 1;
                name(&mut joined.unknown, &answer.id);
                continue;
            };
            if fit == Fit::Other {
                if !questions.told_by(answer).is_empty() {
                    attempt.contradicted.push((place, meant));
                    continue;
                }
                attempt.unrelated.push((place, meant));
            }
            let is_free = |index: &usize| attempt.answers[*index].is_none();
            let free = of_id.iter().copied().filter(is_free);
            let best = questions.best(answer, free);
            // The remaining questions on the image are not the prompt's.
            let Some((index, _, is_tie)) = best.filter(|(_, found, _)| *found == fit) else {
                joined.num_duplicate += 1;
                name(&mut joined.duplicate, &answer.id);
                continue;
            };
            attempt.answers[index] = Some(place);
            if matches!(fit, Fit::Reworded | Fit::Other) {
                joined.num_other_prompts += 1;
                name(&mut joined.other_prompts, &answer.id);
            }
            if is_tie || of_id.len() > 1 && matches!(fit, Fit::Untold | Fit::Other) {
                joined.num_by_order += 1;
                name(&mut joined.by_order, &answer.id);
            }
        }
        attempt
    }

    /// Why the ids can't be trusted, if they can't.
    fn refusal(
        &self,
        file: &AnswerFile,
        dataset: &Dataset,
        questions: &Questions<'_>,
        joined: &Joined,
    ) -> Option<RescoreError> {
        let samples = questions.samples.iter();
        let ids = || samples.clone().take(NUM_EXAMPLES).map(|s| s.id.clone());
        let count = file.answers.len();
        let num_answered = self.answers.iter().flatten().count();
        let is_most_other = 2 * self.unrelated.len() >= joined.num_prompts;
        let told = |&(place, meant): &(usize, usize), others: usize, is_known: bool| {
            let answer = &file.answers[place];
            RescoreError::OtherQuestions {
                path: file.path.clone(),
                count,
                others,
                dataset: dataset.name.clone(),
                id: answer.id.clone(),
                prompt: shown(answer.prompt.as_deref().unwrap_or_default()),
                question: shown(&questions.samples[meant].question),
                is_known,
            }
        };
        if let Some(first) = self.contradicted.first() {
            return Some(told(first, self.contradicted.len(), true));
        }
        if let Some(first) = self.unrelated.first().filter(|_| is_most_other) {
            return Some(told(first, self.unrelated.len(), false));
        }
        if num_answered == 0 {
            return Some(RescoreError::NothingInCommon {
                path: file.path.clone(),
                count,
                dataset: dataset.name.clone(),
                ids: file
                    .answers
                    .iter()
                    .take(NUM_EXAMPLES)
                    .map(|a| a.id.clone())
                    .collect(),
                known: ids().collect(),
            });
        }
        // Two numbering schemes share some numbers by chance.
        let num_missing = joined.num_questions.saturating_sub(num_answered);
        let is_by_chance = joined.num_prompts == 0
            && 2 * joined.num_unknown >= count
            && 2 * num_missing >= joined.num_questions;
        is_by_chance.then(|| RescoreError::FewInCommon {
            path: file.path.clone(),
            count,
            unknown: joined.num_unknown,
            dataset: dataset.name.clone(),
            missing: num_missing,
            ids: joined.unknown.iter().take(NUM_EXAMPLES).cloned().collect(),
            known: ids().collect(),
        })
    }
}

/// The first line of a prompt, shortened for a message.
fn shown(prompt: &str) -> String {
    let line = evidence::without_image(prompt);
    let line = line.lines().next().unwrap_or_default();
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn name(names: &mut Vec<String>, id: &str) {
    if names.len() < MOST_NAMED {
        names.push(id.to_owned());
    }
}
