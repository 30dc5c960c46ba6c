//! VLMEvalKit's scores, beside the predictions: `<model>_<dataset>_acc.csv` (`image_vqa.py`,
//! `image_mcq.py`), `_score.csv` (`image_yorn.py`) or `_score.json` (OCRBench). Tables have one row
//! per split, or only one.

use std::path::Path;

use serde_json::Value;

use super::measure::{Measure, Rate};
use super::{Metric, Reported};
use crate::dataset::{Benchmark, read_text};
use crate::metric::{AnswerRule, YesNo, mme};

/// Suffixes of the names of score files.
pub(in crate::rescore) const ENDINGS: [&str; 4] =
    ["_acc.csv", "_score.csv", "_score.json", "_acc.json"];

const fn percent(name: &'static str, measure: Measure) -> Metric {
    Metric {
        name,
        scale: 1.0,
        measure,
    }
}

const fn share(name: &'static str, measure: Measure) -> Metric {
    Metric {
        name,
        scale: 100.0,
        measure,
    }
}

/// Answers that are neither yes nor no count as no in their F1.
fn yes_or_not(answer: &str) -> YesNo {
    match YesNo::by_whole_words(answer) {
        YesNo::Yes => YesNo::Yes,
        _ => YesNo::No,
    }
}

const POPE: [Metric; 4] = [
    percent("Overall", Measure::YesNo(Rate::F1, yes_or_not)),
    percent("acc", Measure::Mean(AnswerRule::PopeVlmevalkit)),
    percent("precision", Measure::YesNo(Rate::Precision, yes_or_not)),
    percent("recall", Measure::YesNo(Rate::Recall, yes_or_not)),
];
const MME: [Metric; 2] = [
    percent(
        "perception",
        Measure::Mme(&mme::PERCEPTION, YesNo::by_whole_words),
    ),
    percent(
        "reasoning",
        Measure::Mme(&mme::COGNITION, YesNo::by_whole_words),
    ),
];
const GQA: [Metric; 1] = [percent("Overall", Measure::Mean(AnswerRule::GqaVlmevalkit))];
const VQA: [Metric; 1] = [percent("Overall", Measure::Mean(AnswerRule::VqaVlmevalkit))];
const ANLS: [Metric; 1] = [percent(
    "Overall",
    Measure::Mean(AnswerRule::AnlsVlmevalkit),
)];
const CHARTQA: [Metric; 1] = [percent(
    "Overall",
    Measure::Mean(AnswerRule::ChartqaVlmevalkit),
)];
const CHOICE: [Metric; 1] = [share(
    "Overall",
    Measure::Mean(AnswerRule::ChoiceVlmevalkit),
)];
const MMMU: [Metric; 1] = [share("Overall", Measure::Mean(AnswerRule::MmmuVlmevalkit))];
const MMBENCH: [Metric; 1] = [share("Overall", Measure::Circular(AnswerRule::Mmbench))];
const OCRBENCH: [Metric; 1] = [percent("Final Score", Measure::Right(AnswerRule::Ocrbench))];

/// The metrics of a benchmark.
pub(super) const fn metrics(benchmark: Benchmark) -> &'static [Metric] {
    match benchmark {
        Benchmark::Pope => &POPE,
        Benchmark::Mme => &MME,
        Benchmark::Gqa => &GQA,
        Benchmark::Textvqa | Benchmark::Vizwiz => &VQA,
        Benchmark::Docvqa | Benchmark::Infovqa => &ANLS,
        Benchmark::Chartqa => &CHARTQA,
        Benchmark::Scienceqa | Benchmark::Ai2d | Benchmark::Seedbench | Benchmark::Mmstar => {
            &CHOICE
        }
        Benchmark::Mmmu => &MMMU,
        Benchmark::Mmbench => &MMBENCH,
        Benchmark::Ocrbench => &OCRBENCH,
        _ => &[],
    }
}

/// Names of the scores that are shown: those of a whole benchmark, not of its parts.
const SHOWN: [&str; 7] = [
    "Overall",
    "acc",
    "precision",
    "recall",
    "perception",
    "reasoning",
    "Final Score",
];

/// The scores in the file beside the predictions whose name begins with `shared`, and a remark if
/// there are none.
pub(in crate::rescore) fn beside(path: &Path, shared: &str) -> (Vec<Reported>, Option<String>) {
    let names = ENDINGS.map(|ending| format!("{shared}{ending}"));
    let found = names
        .iter()
        .find(|name| path.with_file_name(name).is_file());
    let Some(name) = found else {
        let note = format!(
            "VLMEvalKit's own scores aren't shown: none of {} is beside the answers",
            names.join(", ")
        );
        return (Vec::new(), Some(note));
    };
    let path = path.with_file_name(name);
    let text = read_text(&path).unwrap_or_default();
    let scores = if name.ends_with(".json") {
        of_json(&text)
    } else {
        of_csv(&text)
    };
    let shown = scores
        .into_iter()
        .filter(|(name, _)| SHOWN.contains(&name.as_str()));
    let reported: Vec<Reported> = shown
        .map(|(metric, value)| Reported {
            path: path.clone(),
            metric,
            value,
            count: None,
        })
        .collect();
    let note = reported.is_empty().then(|| {
        format!(
            "VLMEvalKit's own scores aren't shown: {name} has no overall row with a known score"
        )
    });
    (reported, note)
}

fn of_json(text: &str) -> Vec<(String, f64)> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let scores = value.as_object().into_iter().flatten();
    scores
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

/// The scores in the only row, or in the row of the whole benchmark.
fn of_csv(text: &str) -> Vec<(String, f64)> {
    let mut lines = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(cells);
    let header = lines.next().unwrap_or_default();
    let rows: Vec<Vec<String>> = lines.collect();
    let split = header.iter().position(|name| name == "split");
    let is_whole = |row: &&Vec<String>| {
        split
            .and_then(|split| row.get(split))
            .is_some_and(|split| split == "Overall")
    };
    let row = match rows.as_slice() {
        [row] => Some(row),
        rows => rows.iter().find(is_whole),
    };
    let cells = row.into_iter().flatten();
    let scores = header.into_iter().zip(cells);
    scores
        .filter_map(|(name, cell)| Some((name, cell.parse().ok()?)))
        .collect()
}

/// Comma-separated cells; quoted cells may contain commas.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    for character in line.chars() {
        match (character, cells.last_mut()) {
            ('"', _) => is_quoted = !is_quoted,
            (',', _) if !is_quoted => cells.push(String::new()),
            (other, Some(cell)) => cell.push(other),
            (_, None) => {}
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_the_whole_is_read() {
        let one = "\"Overall\",\"a, b\"\n\"61.5\",\"3\"\n";
        let expected = [("Overall".to_owned(), 61.5), ("a, b".to_owned(), 3.0)];
        assert_eq!(of_csv(one), expected);
        let several = "\"split\",\"Overall\"\n\"popular\",\"1\"\n\"Overall\",\"2\"\n";
        assert_eq!(of_csv(several), [("Overall".to_owned(), 2.0)]);
        assert_eq!(
            of_csv("\"split\",\"Overall\"\n\"a\",\"1\"\n\"b\",\"2\"\n"),
            []
        );
        assert_eq!(of_csv(""), []);
    }
}
