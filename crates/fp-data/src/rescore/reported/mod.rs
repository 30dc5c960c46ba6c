//! Scores that another evaluator gave the same answers, beside ours by the same rule, and the
//! reason where they differ.

pub(super) mod lmms_eval;
mod measure;
pub(super) mod vlmevalkit;

use std::path::{Path, PathBuf};

use super::{AnswerFile, Origin, Texts};
use crate::dataset::Dataset;
use measure::{Asked, Measure};

/// A score from a results file.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Reported {
    /// The results file.
    pub path: PathBuf,
    /// The evaluator's name of the score.
    pub metric: String,
    /// The score, in its own unit.
    pub value: f64,
    /// Number of questions it covers, if the file says so.
    pub count: Option<usize>,
}

/// A score of another evaluator beside ours, both in our unit: percent, or MME's points.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct BesideOurs {
    /// Name of the evaluator.
    pub tool: &'static str,
    /// Name of its results file.
    pub file: String,
    /// The evaluator's name of the score.
    pub metric: String,
    /// Its score.
    pub theirs: f64,
    /// Name of our figure, by the same rule over the questions that are answered here.
    pub rule: Option<String>,
    /// Our score; `None` where there is no such figure here, or it is undefined.
    pub ours: Option<f64>,
    /// Our score minus theirs.
    pub difference: Option<f64>,
    /// A remark on both, as a clause: that they agree, or why they don't.
    pub because: String,
}

/// A metric of another evaluator and its definition here.
struct Metric {
    /// The evaluator's name of the metric.
    name: &'static str,
    /// Factor that converts its value to our unit.
    scale: f64,
    /// Its definition here.
    measure: Measure,
}

/// Largest difference of equal scores, in percent or points.
const SAME: f64 = 1e-6;
/// Most ids that a message names.
const MOST_NAMED: usize = 3;

/// Every score that came with a file, beside ours.
pub(super) fn beside_ours(file: &AnswerFile, dataset: &Dataset, texts: &Texts) -> Vec<BesideOurs> {
    let Some(origin) = &file.origin else {
        return Vec::new();
    };
    let metrics = match origin.tool {
        "lmms-eval" => lmms_eval::metrics(dataset.benchmark),
        _ => vlmevalkit::metrics(dataset.benchmark),
    };
    let asked = Asked::new(file, dataset, texts);
    let beside = |reported: &Reported| {
        let metric = metrics.iter().find(|metric| metric.name == reported.metric);
        one(origin, file, reported, metric, &asked)
    };
    origin.reported.iter().map(beside).collect()
}

fn one(
    origin: &Origin,
    file: &AnswerFile,
    reported: &Reported,
    metric: Option<&Metric>,
    asked: &Asked<'_>,
) -> BesideOurs {
    let (scale, ours, rule) = match metric {
        Some(metric) => {
            let ours = metric.measure.value(asked);
            (metric.scale, ours, metric.measure.name())
        }
        None => (1.0, None, None),
    };
    let theirs = scale * reported.value;
    let difference = ours.map(|ours| ours - theirs);
    let because = match (metric, difference) {
        (None, _) => "no metric of this name is known here".to_owned(),
        (Some(metric), None) => metric.measure.why_none(asked),
        (Some(_), Some(difference)) if difference.abs() < SAME => agreeing(asked),
        (Some(metric), Some(_)) => differing(origin, file, reported, theirs, metric, asked),
    };
    BesideOurs {
        tool: origin.tool,
        file: name_of(&reported.path),
        metric: reported.metric.clone(),
        theirs,
        rule,
        ours,
        difference,
        because,
    }
}

fn agreeing(asked: &Asked<'_>) -> String {
    match asked.num_missing() {
        0 => "the same".to_owned(),
        count => format!(
            "the same over the {} questions that are answered; {count} without an answer count as wrong in the figures above and aren't in this one",
            asked.num_answered()
        ),
    }
}

/// Why the same rule gave another score, as far as the files show it.
fn differing(
    origin: &Origin,
    file: &AnswerFile,
    reported: &Reported,
    theirs: f64,
    metric: &Metric,
    asked: &Asked<'_>,
) -> String {
    let mut reasons = Vec::new();
    let num_answered = asked.num_answered();
    if let Some(count) = reported.count.filter(|count| *count != num_answered) {
        reasons.push(format!(
            "theirs is over {count} questions, ours over the {num_answered} that are answered here"
        ));
    }
    if let Some(note) = metric.measure.judge(origin.task.as_deref()) {
        reasons.push(note.to_owned());
    }
    if let Some(rule) = metric.measure.mean_rule() {
        let differing = asked.scored_otherwise(rule);
        if !differing.is_empty() {
            let named: Vec<String> = differing.iter().take(MOST_NAMED).cloned().collect();
            let more = if differing.len() > MOST_NAMED {
                ", …"
            } else {
                ""
            };
            reasons.push(format!(
                "{} of {num_answered} answers have another score in their file than by {rule}: {}{more}",
                differing.len(),
                named.join(", ")
            ));
        }
        let own = asked.mean_of_file(file);
        if let Some(own) = own.filter(|own| (own - theirs).abs() >= SAME) {
            reasons.push(format!(
                "the scores of the single answers in the file give {own:.2}, so the results are of another run or of other questions"
            ));
        }
    }
    if !file.problems.is_empty() {
        let count = file.problems.len();
        reasons.push(format!(
            "{count} of their answers can't be used, see the warnings"
        ));
    }
    if reasons.is_empty() {
        format!(
            "the answers here aren't all that theirs is made of, or another version of {} made it",
            origin.tool
        )
    } else {
        reasons.join("; ")
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str());
    name.unwrap_or_default().to_owned()
}
