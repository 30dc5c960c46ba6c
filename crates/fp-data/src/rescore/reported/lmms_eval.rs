//! lmms-eval's results: `<date>_results.json`, beside the samples files of the same date (0.7.3,
//! `loggers/evaluation_tracker.py`). `results` has one value per task for each `<metric>,<filter>`;
//! `n-samples` has the number of questions.

use std::path::Path;

use serde_json::Value;

use super::measure::{Measure, Rate};
use super::{Metric, Reported};
use crate::dataset::{Benchmark, read_text};
use crate::metric::{AnswerRule, mme, pope};

const fn metric(name: &'static str, measure: Measure) -> Metric {
    Metric {
        name,
        scale: 100.0,
        measure,
    }
}

const fn points(name: &'static str, measure: Measure) -> Metric {
    Metric {
        name,
        scale: 1.0,
        measure,
    }
}

const POPE: [Metric; 5] = [
    metric("pope_accuracy", Measure::Mean(AnswerRule::PopeLmmsEval)),
    metric(
        "pope_f1_score",
        Measure::YesNo(Rate::F1, pope::parse_lmms_eval),
    ),
    metric(
        "pope_precision",
        Measure::YesNo(Rate::Precision, pope::parse_lmms_eval),
    ),
    metric(
        "pope_recall",
        Measure::YesNo(Rate::Recall, pope::parse_lmms_eval),
    ),
    metric(
        "pope_yes_ratio",
        Measure::Other(
            "theirs is the share of yes among the right answers, whatever the model said; the yes ratio here is of what it said",
        ),
    ),
];
const MME: [Metric; 2] = [
    points(
        "mme_perception_score",
        Measure::Mme(&mme::PERCEPTION, mme::parse_lmms_eval),
    ),
    points(
        "mme_cognition_score",
        Measure::Mme(&mme::COGNITION, mme::parse_lmms_eval),
    ),
];
const GQA: [Metric; 1] = [metric(
    "exact_match",
    Measure::Mean(AnswerRule::GqaLmmsEval),
)];
const M4C: [Metric; 1] = [metric("exact_match", Measure::Mean(AnswerRule::VqaM4c))];
const VQAV2: [Metric; 1] = [metric(
    "exact_match",
    Measure::Mean(AnswerRule::VqaLmmsEval),
)];
const SCIENCEQA: [Metric; 1] = [metric(
    "exact_match",
    Measure::Mean(AnswerRule::ScienceqaLmmsEval),
)];
/// Already in percent.
const MMBENCH: [Metric; 1] = [points(
    "gpt_eval_score",
    Measure::Circular(AnswerRule::MmbenchLmmsEval),
)];
const ANLS: [Metric; 1] = [metric("anls", Measure::Mean(AnswerRule::Anls))];
const CHARTQA: [Metric; 3] = [
    metric("relaxed_overall", Measure::Mean(AnswerRule::Chartqa)),
    metric(
        "relaxed_human_split",
        Measure::MeanOf(AnswerRule::Chartqa, "human"),
    ),
    metric(
        "relaxed_augmented_split",
        Measure::MeanOf(AnswerRule::Chartqa, "augmented"),
    ),
];
const AI2D: [Metric; 1] = [metric("exact_match", Measure::Mean(AnswerRule::Ai2d))];
const SEEDBENCH: [Metric; 2] = [
    metric("seed_image", Measure::Mean(AnswerRule::SeedbenchLmmsEval)),
    metric(
        "seed_all",
        Measure::Other("theirs counts questions on videos too, which aren't asked here"),
    ),
];
const MMSTAR: [Metric; 1] = [metric(
    "average",
    Measure::Other(
        "theirs is a mean over finer categories: see `mean over l2-categories (lmms-eval)` above",
    ),
)];
const MMMU: [Metric; 1] = [metric("mmmu_acc", Measure::Mean(AnswerRule::MmmuLmmsEval))];

/// The metrics of a benchmark's tasks.
pub(super) const fn metrics(benchmark: Benchmark) -> &'static [Metric] {
    match benchmark {
        Benchmark::Pope => &POPE,
        Benchmark::Mme => &MME,
        Benchmark::Gqa => &GQA,
        Benchmark::Textvqa | Benchmark::Vizwiz => &M4C,
        Benchmark::Vqav2 => &VQAV2,
        Benchmark::Scienceqa => &SCIENCEQA,
        Benchmark::Mmbench => &MMBENCH,
        Benchmark::Docvqa | Benchmark::Infovqa => &ANLS,
        Benchmark::Chartqa => &CHARTQA,
        Benchmark::Ai2d => &AI2D,
        Benchmark::Seedbench => &SEEDBENCH,
        Benchmark::Mmstar => &MMSTAR,
        Benchmark::Mmmu => &MMMU,
        _ => &[],
    }
}

/// The scores of a task in the results file beside its samples, and a remark if there are none.
pub(in crate::rescore) fn beside(samples: &Path, task: &str) -> (Vec<Reported>, Option<String>) {
    let name = samples.file_name().and_then(|name| name.to_str());
    let Some((date, _)) = name.and_then(|name| name.split_once("_samples_")) else {
        return (Vec::new(), None);
    };
    let name = format!("{date}_results.json");
    let path = samples.with_file_name(&name);
    if !path.is_file() {
        let note =
            format!("lmms-eval's own scores aren't shown: there is no {name} beside the answers");
        return (Vec::new(), Some(note));
    }
    let text = read_text(&path).ok();
    let value = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let Some(value) = value else {
        let note = format!("lmms-eval's own scores aren't shown: {name} is no JSON");
        return (Vec::new(), Some(note));
    };
    let Some(scores) = value["results"][task].as_object() else {
        let note = format!("lmms-eval's own scores aren't shown: {name} has no results of {task}");
        return (Vec::new(), Some(note));
    };
    let count = value["n-samples"][task]["effective"].as_u64();
    let count = count.and_then(|count| usize::try_from(count).ok());
    let reported = scores.iter().filter_map(|(key, value)| {
        let metric = key.split(',').next().unwrap_or(key);
        let is_error = metric.contains("_stderr");
        (!is_error).then_some(())?;
        Some(Reported {
            path: path.clone(),
            metric: metric.to_owned(),
            value: value.as_f64()?,
            count,
        })
    });
    (reported.collect(), None)
}
