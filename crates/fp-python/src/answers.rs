//! Answers: scores, the figures that benchmarks report, and tests between them.

use std::collections::BTreeMap;

use fp_data::metric::mmbench::{MmbenchReport, MmbenchRow};
use fp_data::metric::mme::{self, MmeAnswer, MmePairing, MmeReport, MmeTask};
use fp_data::metric::pope::{self, PopeReport, YesNoCounts};
use fp_data::metric::{AnswerRule, MetricError, YesNo};
use fp_eval::study::config::Statistics;
use fp_report::compare_scores;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::error::to_python;

/// Names of the rules that answers are scored by.
#[pyfunction]
fn answer_rules() -> Vec<&'static str> {
    AnswerRule::ALL.map(AnswerRule::name).to_vec()
}

/// Score of an answer by a rule, 0 to 1; golds that the rule can't score are an error.
#[pyfunction]
fn answer_score(
    rule: &str,
    prediction: &str,
    answers: Vec<String>,
    choices: Vec<String>,
) -> PyResult<f64> {
    let rule: AnswerRule = rule
        .parse()
        .map_err(|error: MetricError| to_python(error))?;
    rule.check_answers(&answers, &choices).map_err(to_python)?;
    Ok(rule.score_among(prediction, &answers, &choices))
}

/// How an evaluator reads yes and no.
fn reading(benchmark: &'static str, reader: &str) -> Result<fn(&str) -> YesNo, MetricError> {
    Ok(match (benchmark, reader) {
        ("pope", "official") => pope::parse,
        ("pope", "lmms_eval") => pope::parse_lmms_eval,
        ("mme", "official") => mme::parse,
        ("mme", "lmms_eval") => mme::parse_lmms_eval,
        (_, "vlmevalkit") => YesNo::by_whole_words,
        _ => {
            return Err(MetricError::Label {
                what: "the reading of answers",
                got: reader.to_owned(),
                expected: "official, lmms_eval or vlmevalkit",
            });
        }
    })
}

fn gold(label: &str) -> Result<YesNo, MetricError> {
    YesNo::from_label(label).ok_or_else(|| MetricError::Label {
        what: "a gold label",
        got: label.to_owned(),
        expected: "yes or no",
    })
}

fn counts(counts: &YesNoCounts) -> Value {
    json!({
        "counts": counts,
        "accuracy": counts.accuracy(),
        "precision": counts.precision(),
        "recall": counts.recall(),
        "f1": counts.f1(),
        "yes_ratio": counts.yes_ratio(),
    })
}

/// JSON of POPE's figures, of answers with category, prediction and label.
#[pyfunction]
fn pope_report(rows: Vec<(String, String, String)>, reader: &str) -> PyResult<String> {
    let made = || -> Result<Value, MetricError> {
        if rows.is_empty() {
            return Err(MetricError::Empty {
                what: "answers of POPE",
            });
        }
        let read = reading("pope", reader)?;
        let mut report = PopeReport::default();
        for (category, prediction, label) in &rows {
            report.add(category, read(prediction), gold(label)?)?;
        }
        let categories: BTreeMap<&str, Value> = report
            .categories
            .iter()
            .map(|(name, category)| (name.as_str(), counts(category)))
            .collect();
        Ok(json!({
            "mean_f1": report.mean_f1(),
            "mean_accuracy": report.mean_accuracy(),
            "pooled": counts(&report.pooled()),
            "categories": categories,
        }))
    };
    Ok(made().map_err(to_python)?.to_string())
}

/// JSON of MME's figures, of answers with task, image, prediction and label.
#[pyfunction]
fn mme_report(
    rows: Vec<(String, String, String, String)>,
    reader: &str,
    pairing: &str,
) -> PyResult<String> {
    let made = || -> Result<Value, MetricError> {
        let pairing = match pairing {
            "consecutive" => MmePairing::Consecutive,
            "by_image" => MmePairing::ByImage,
            other => {
                return Err(MetricError::Label {
                    what: "the pairing",
                    got: other.to_owned(),
                    expected: "consecutive or by_image",
                });
            }
        };
        let read = reading("mme", reader)?;
        let mut tasks: BTreeMap<&str, Vec<MmeAnswer<'_>>> = BTreeMap::new();
        for (task, image, prediction, label) in &rows {
            tasks.entry(task).or_default().push(MmeAnswer {
                image,
                gold: gold(label)?,
                said: read(prediction),
            });
        }
        if tasks.is_empty() {
            return Err(MetricError::Empty {
                what: "answers of MME",
            });
        }
        let mut report = MmeReport::default();
        for (task, answers) in tasks {
            let task_report = MmeTask::count(&answers, pairing)?;
            report.tasks.insert(task.to_owned(), task_report);
        }
        let tasks: BTreeMap<&str, Value> = report
            .tasks
            .iter()
            .map(|(name, task)| {
                let figures = json!({
                    "score": task.score(),
                    "accuracy": task.accuracy(),
                    "accuracy_plus": task.accuracy_plus(),
                    "num_images": task.num_images,
                    "counts": task.counts,
                });
                (name.as_str(), figures)
            })
            .collect();
        Ok(json!({
            "perception": report.perception(),
            "cognition": report.cognition(),
            "total": report.total(),
            "tasks": tasks,
        }))
    };
    Ok(made().map_err(to_python)?.to_string())
}

/// JSON of MMBench's figures, of rows with index, whether they are right, category and
/// l2-category.
#[pyfunction]
fn mmbench_report(rows: Vec<(u64, bool, String, String)>) -> PyResult<String> {
    let rows: Vec<MmbenchRow<'_>> = rows
        .iter()
        .map(|(index, is_right, category, l2_category)| MmbenchRow {
            index: *index,
            is_right: *is_right,
            category,
            l2_category,
        })
        .collect();
    let report = MmbenchReport::new(&rows).map_err(to_python)?;
    let means = |groups: &fp_data::metric::Breakdown| -> BTreeMap<String, Option<f64>> {
        let names = groups.groups.keys();
        names
            .map(|name| (name.clone(), groups.mean(name)))
            .collect()
    };
    Ok(json!({
        "circular": report.circular.mean(),
        "vanilla_first": report.vanilla_first.mean(),
        "vanilla_all": report.vanilla_all.mean(),
        "by_category": means(&report.by_category),
        "by_l2_category": means(&report.by_l2_category),
        "questions": report.questions,
    })
    .to_string())
}

/// A name and its scores.
type Named = (String, Vec<Option<f64>>);

/// JSON of tests between named scores and those of a reference; `settings` are confidence,
/// margin (0 to 1), random sign patterns and their seed.
#[pyfunction]
fn compare(
    py: Python<'_>,
    scores: Vec<Named>,
    reference: Named,
    clusters: Vec<usize>,
    settings: (f64, f64, usize, u64),
) -> PyResult<String> {
    let (confidence, margin, num_draws, seed) = settings;
    let statistics = Statistics {
        confidence,
        equivalence_margin: 100.0 * margin,
        num_draws,
        ..Statistics::default()
    };
    let compared = py.detach(|| compare_scores(&scores, &reference, &clusters, &statistics, seed));
    let compared = compared.map_err(to_python)?;
    serde_json::to_string(&compared).map_err(to_python)
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(answer_rules, module)?)?;
    module.add_function(wrap_pyfunction!(answer_score, module)?)?;
    module.add_function(wrap_pyfunction!(pope_report, module)?)?;
    module.add_function(wrap_pyfunction!(mme_report, module)?)?;
    module.add_function(wrap_pyfunction!(mmbench_report, module)?)?;
    module.add_function(wrap_pyfunction!(compare, module)?)
}
