//! Which answer is to which question.
//!
//! Ids decide as long as the prompts that a file logs don't contradict them. Where they
//! do, or where no id is known, the benchmark's own key does: image and question, POPE's
//! category and place, or the place in the file; and only where every prompt agrees.
//! Answers that fit nowhere in this way are refused as a whole, never scored wrongly.

mod elsewhere;
mod evidence;
mod warnings;

use super::{AnswerFile, RescoreError};
use crate::dataset::{Benchmark, Dataset};
use evidence::{Fit, Questions};

/// Ids that are named in a message.
const MOST_NAMED: usize = 10;
/// Ids of each side that an error shows.
const NUM_EXAMPLES: usize = 2;

/// By what answers were found to be to questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinedBy {
    /// The question's id.
    #[default]
    QuestionId,
    /// The question's text.
    Question,
    /// The image, which some answers name, and the question's text.
    ImageAndQuestion,
    /// POPE's category and the place in it, both of LLaVA's ids, with each prompt agreeing.
    CategoryAndPlace,
    /// The place in the file, with each prompt agreeing.
    Place,
    /// The row in the dataset that the file says, with each prompt agreeing.
    Row,
}

/// How the answers of a file met the questions of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Joined {
    /// By what they met.
    pub by: JoinedBy,
    /// Questions of the dataset, those without an image not counted.
    pub num_questions: usize,
    /// Those of them that have an answer.
    pub num_answered: usize,
    /// The first ones that have none.
    pub missing: Vec<String>,
    /// Questions of the dataset that have no image.
    pub num_text_only: usize,
    /// Those of them that have an answer.
    pub num_text_only_answered: usize,
    /// Answers to no question.
    pub num_unknown: usize,
    /// The first ones of them.
    pub unknown: Vec<String>,
    /// Answers to a question that an earlier line answers.
    pub num_duplicate: usize,
    /// The first ones of them.
    pub duplicate: Vec<String>,
    /// Answers to another wording than the dataset's.
    pub num_other_prompts: usize,
    /// The first ones of them.
    pub other_prompts: Vec<String>,
    /// Answers whose id several questions have and whose prompt doesn't tell which is meant:
    /// taken in the order of the questions.
    pub num_by_order: usize,
    /// The first ones of them.
    pub by_order: Vec<String>,
    /// Answers that say what they were asked.
    pub num_prompts: usize,
    /// Lines of the file that can't be used.
    pub num_unusable: usize,
    /// What a reader of the figures has to know of all this.
    pub warnings: Vec<String>,
    /// What confirms it, where that isn't each prompt.
    pub notes: Vec<String>,
}

/// Answers by question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    /// To the samples on images, in their order.
    pub samples: Vec<Option<String>>,
    /// To the questions without an image.
    pub text_only: Vec<Option<String>>,
    /// Scores that the file gives its answers, those to samples on images first.
    pub scores: Vec<Option<f64>>,
}

/// Where answers were put: for each question the answer, by its place in the file.
struct Placement {
    by: JoinedBy,
    answers: Vec<Option<usize>>,
}

/// Gives each question its answer, where it has one.
///
/// # Errors
/// Answers to no question of the dataset, or to others than their ids say, where nothing
/// else tells which.
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
        // A row that a file says is as good as an id, where every prompt agrees.
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

/// Refuses answers that their evaluator gave to another benchmark.
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

/// What comes of taking ids at their word.
struct Attempt {
    /// For each question the answer, by its place in the file.
    answers: Vec<Option<usize>>,
    /// Answers whose prompt is that of other questions than their id's: places in the file,
    /// with the question that the id means.
    contradicted: Vec<(usize, usize)>,
    /// Answers whose prompt is no question's, likewise.
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
            // What is left of an image's questions is another one than the prompt's.
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

    /// Why ids can't be taken at their word.
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
        // Numbers of two schemes have some in common by chance.
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

/// The first line of a prompt, as far as a message shows it.
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
