//! Scores answers that others produced, without a model: answer files of LLaVA, of MME's official
//! tool, of MMBench, lmms-eval and VLMEvalKit are scored and compared pairwise.
//!
//! [`AnswerFile::read`] reads one file, [`Scored::new`] matches it with a dataset and scores it,
//! and [`compare`] tests two of them against each other on the same questions. [`AnswerSets`] are
//! many sets of answers to the same questions, as in a study.

mod answers;
mod compare;
mod figures;
mod forms;
mod health;
mod join;
mod questions;
mod reported;
mod sets;
mod upload;
mod workbook;

pub use answers::{Answer, AnswerFile, Origin};
pub use compare::{Comparison, compare, compare_all};
pub use figures::{Figure, Figures, Groups};
pub use health::{Example, Finding, Health, Level, QuestionFacts};
pub use join::{Joined, JoinedBy, Texts, join};
pub use questions::open_questions;
pub use reported::{BesideOurs, Reported};
pub use sets::{
    Additive, AnswerSets, FigureMeans, Part, Questions, SetFigures, Unit, UnitCounts, benchmark_of,
};
pub use upload::{Upload, upload};

use std::path::PathBuf;

use fp_stats::StatsError;

use crate::dataset::{Dataset, DatasetError};
use crate::metric::MetricError;

/// Why answers can't be scored or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RescoreError {
    /// A file or a dataset that can't be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A figure that is undefined.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A test that is impossible.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A file in no known form.
    #[error("{}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The expected forms.
        reason: String,
    },
    /// Answers that are invalid JSON or JSON of another shape.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What was expected.
        reason: &'static str,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// Answers of which none belongs to a question of the dataset.
    #[error("none of the {count} answers in {} belongs to a question of {dataset}: their ids are {}, the dataset's are {}", path.display(), examples(ids), examples(known))]
    NothingInCommon {
        /// The file.
        path: PathBuf,
        /// Number of answers in it.
        count: usize,
        /// The dataset.
        dataset: String,
        /// The first ids of the answers.
        ids: Vec<String>,
        /// The first ids of the questions.
        known: Vec<String>,
    },
    /// Ids of two numbering schemes that share some numbers by chance.
    #[error("{unknown} of the {count} answers in {} belong to no question of {dataset}, {missing} of whose questions have no answer: ids such as {} are numbered differently from the dataset's, such as {}, and no prompt identifies the questions", path.display(), examples(ids), examples(known))]
    FewInCommon {
        /// The file.
        path: PathBuf,
        /// Number of answers in it.
        count: usize,
        /// Number of those to no question.
        unknown: usize,
        /// The dataset.
        dataset: String,
        /// Number of questions without an answer.
        missing: usize,
        /// The first ids of answers to no question.
        ids: Vec<String>,
        /// The first ids of the questions.
        known: Vec<String>,
    },
    /// Answers to other questions than their ids mean.
    #[error("{others} of the {count} answers in {} were given to other questions than {dataset} has under their ids: question_id {id} was asked {prompt:?}, the dataset asks {question:?}; {}", path.display(), what_would_be_right(*is_known))]
    OtherQuestions {
        /// The file.
        path: PathBuf,
        /// Number of answers in it.
        count: usize,
        /// Number of those to other questions.
        others: usize,
        /// The dataset.
        dataset: String,
        /// The first such id.
        id: String,
        /// The answer's prompt.
        prompt: String,
        /// The dataset's question with that id.
        question: String,
        /// Whether the dataset has the prompt's question, under another id.
        is_known: bool,
    },
    /// Answers of another evaluator to another benchmark.
    #[error("{}: {tool}'s answers to {task}, which is {benchmark}; {dataset} is {asked}: give the answers to {asked}, or name a dataset of {benchmark} with --dataset", path.display())]
    OtherBenchmark {
        /// The file.
        path: PathBuf,
        /// The evaluator.
        tool: &'static str,
        /// The evaluator's name of the benchmark.
        task: String,
        /// The benchmark of the answers.
        benchmark: &'static str,
        /// The dataset.
        dataset: String,
        /// The dataset's benchmark.
        asked: &'static str,
    },
    /// Files whose questions differ.
    #[error("{first} and {second} answer different questions; name the dataset that both are of")]
    Different {
        /// The first file.
        first: String,
        /// The second file.
        second: String,
    },
}

/// Ids as an error message shows them.
fn examples(ids: &[String]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    let ids: Vec<String> = ids.iter().map(|id| format!("{id:?}")).collect();
    ids.join(", ")
}

const fn what_would_be_right(is_known: bool) -> &'static str {
    if is_known {
        "neither the question's text, which several questions share, nor the order \
         identifies the questions: give the answers their own ids"
    } else {
        "the dataset has no such question: name the one that was asked, or omit the key \
         `prompt` where only the wording differs"
    }
}

/// One file of answers, matched with its questions and scored.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Scored {
    /// Its name in tables.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The dataset.
    pub dataset: String,
    /// How answers were matched to questions.
    pub joined: Joined,
    /// The resulting figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Findings about the answers.
    pub health: Health,
    /// Scores by the evaluator that wrote the answers, beside ours.
    pub reported: Vec<BesideOurs>,
}

impl Scored {
    /// Matches and scores answers. Questions without an answer count as wrong.
    ///
    /// # Errors
    /// A dataset without reference answers, or answers to none of its questions.
    pub fn new(name: &str, file: &AnswerFile, dataset: &Dataset) -> Result<Scored, RescoreError> {
        dataset.require_answers()?;
        let (texts, joined) = join(file, dataset)?;
        let mut figures = Figures::new(dataset, &texts.samples)?;
        figures.add_overall(dataset, &texts.text_only);
        Ok(Scored {
            name: name.to_owned(),
            path: file.path.clone(),
            dataset: dataset.name.clone(),
            health: Health::new(dataset, &texts.samples, &figures.scores, &joined),
            reported: reported::beside_ours(file, dataset, &texts),
            joined,
            figures,
        })
    }
}
