//! Questions without an answer: how many, why, and which.

use fp_eval::format::{counted, listed};
use fp_eval::study::FailureKind;
use serde::Serialize;
use std::path::Path;

use super::samples::is_answered;
use crate::run::Run;
use crate::sample::ReportSample;

/// Most failed questions that are named; results.json lists all.
const NAMED: usize = 5;

/// All questions of a run that were asked but have no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// Number of questions without an answer under any cell.
    pub num_failed: usize,
    /// Number of recorded questions, text-only ones included.
    pub num_recorded: usize,
    /// Failed questions by kind of reason; empty kinds are omitted.
    pub by_kind: Vec<FailuresOfKind>,
    /// Number of failed answers of single cells on questions that other cells answered.
    pub num_failed_answers: usize,
    /// The failed questions, by index.
    pub samples: Vec<FailedSample>,
}

/// Number of questions that failed for one kind of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FailuresOfKind {
    /// The kind.
    pub kind: FailureKind,
    /// Number of questions.
    pub count: usize,
}

/// A question without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedSample {
    /// Index over all datasets of the run.
    pub index: usize,
    /// Name and split of its dataset.
    pub dataset: String,
    /// Its id in the dataset.
    pub id: String,
    /// The image's file, relative to the dataset's folder; empty for a text-only question.
    pub image: String,
    /// The kind of reason.
    pub kind: FailureKind,
    /// The reason.
    pub reason: String,
}

impl Failures {
    /// The failures of a run, complete or not.
    pub fn of(run: &Run) -> Failures {
        let names = run.dataset_names();
        let mut samples: Vec<FailedSample> = run
            .all_records()
            .filter_map(|record| failed_sample(record, &names))
            .collect();
        samples.sort_by_key(|sample| sample.index);
        let of_kind = |kind| FailuresOfKind {
            kind,
            count: samples.iter().filter(|s| s.kind == kind).count(),
        };
        let answers = run.all_records().filter(|record| is_answered(record));
        Failures {
            num_failed: samples.len(),
            num_recorded: run.all_records().count(),
            by_kind: FailureKind::ALL
                .map(of_kind)
                .into_iter()
                .filter(|of_kind| of_kind.count > 0)
                .collect(),
            num_failed_answers: answers.map(|record| record.num_failed_answers()).sum(),
            samples,
        }
    }

    /// Whether everything has an answer.
    pub fn is_empty(&self) -> bool {
        self.num_failed == 0 && self.num_failed_answers == 0
    }

    /// Whether no question was answered.
    pub fn is_total(&self) -> bool {
        self.num_failed == self.num_recorded
    }

    /// Numbers and reasons:
    /// `9 of 12 questions failed and are excluded from all results: 8 with …, 1 with …`. `None`
    /// where no question failed.
    pub fn sentence(&self) -> Option<String> {
        let kinds = self.by_kind.iter();
        let kinds: Vec<String> = kinds
            .map(|of_kind| format!("{} {}", of_kind.count, of_kind.kind.in_words()))
            .collect();
        (self.num_failed > 0).then(|| {
            format!(
                "{} of {} failed and {} excluded from all results: {}.",
                self.num_failed,
                counted(self.num_recorded, "question"),
                if self.num_failed == 1 { "is" } else { "are" },
                listed(&kinds)
            )
        })
    }

    /// The first failed questions, each with its id, its image and the reason; then the number of
    /// further ones.
    pub fn first(&self) -> Vec<String> {
        let named = self.samples.iter().take(NAMED);
        let mut lines: Vec<String> = named.map(FailedSample::line).collect();
        match self.num_failed.saturating_sub(NAMED) {
            0 => {}
            more => lines.push(format!(
                "and {more} more; `finepruner records`, and results.json of a report, have all of them"
            )),
        }
        lines
    }
}

impl FailedSample {
    fn line(&self) -> String {
        let FailedSample {
            id, image, reason, ..
        } = self;
        if image.is_empty() {
            return format!("{id} (text-only): {reason}");
        }
        // Most reasons begin with the image's path, which is already named.
        let reason = match reason.split_once(": ") {
            Some((path, rest)) if Path::new(path).ends_with(image) => rest,
            _ => reason,
        };
        format!("{id} ({image}): {reason}")
    }
}

fn failed_sample(record: &ReportSample, names: &[String]) -> Option<FailedSample> {
    if is_answered(record) {
        return None;
    }
    let (kind, reason) = match &record.error {
        Some(error) => (record.failure.unwrap_or_default(), error.clone()),
        None => {
            let unknown = || "no cell answered it".to_owned();
            (
                FailureKind::Model,
                record.cell_error().cloned().unwrap_or_else(unknown),
            )
        }
    };
    Some(FailedSample {
        index: record.index,
        dataset: names.get(record.dataset).cloned().unwrap_or_default(),
        id: record.id.clone(),
        image: record.image.clone(),
        kind,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(index: usize, kind: FailureKind, image: &str, reason: &str) -> FailedSample {
        FailedSample {
            index,
            dataset: "n s".to_owned(),
            id: format!("q{index}"),
            image: image.to_owned(),
            kind,
            reason: reason.to_owned(),
        }
    }

    fn failures(samples: Vec<FailedSample>) -> Failures {
        let of_kind = |kind| FailuresOfKind {
            kind,
            count: samples.iter().filter(|s| s.kind == kind).count(),
        };
        let by_kind = FailureKind::ALL.map(of_kind).into_iter();
        Failures {
            num_failed: samples.len(),
            num_recorded: 60,
            by_kind: by_kind.filter(|of_kind| of_kind.count > 0).collect(),
            num_failed_answers: 0,
            samples,
        }
    }

    #[test]
    fn kinds_are_counted_and_the_first_ones_named() {
        assert_eq!(failures(Vec::new()).sentence(), None);
        assert!(failures(Vec::new()).first().is_empty());
        let damaged = FailureKind::DamagedImage;
        let mut samples = vec![
            sample(0, damaged, "a.png", "data/a.png: the image is empty"),
            sample(1, FailureKind::MissingImage, "b.png", "no b.png: there"),
            sample(2, FailureKind::PromptTooLong, "", "2000 tokens"),
        ];
        let three = failures(samples.clone());
        assert_eq!(
            three.sentence().unwrap(),
            "3 of 60 questions failed and are excluded from all results: 1 with a missing image, \
             1 whose image file is damaged or isn't an image and 1 with a prompt that is too long \
             for the model."
        );
        assert_eq!(
            three.first(),
            [
                "q0 (a.png): the image is empty",
                "q1 (b.png): no b.png: there",
                "q2 (text-only): 2000 tokens"
            ]
        );
        samples.extend((3..8).map(|index| sample(index, damaged, "c.png", "cut off")));
        let lines = failures(samples).first();
        assert_eq!((lines.len(), lines[4].as_str()), (6, "q4 (c.png): cut off"));
        assert_eq!(
            lines[5],
            "and 3 more; `finepruner records`, and results.json of a report, have all of them"
        );
        let one = failures(vec![sample(0, damaged, "a.png", "x")]);
        assert!(one.sentence().unwrap().contains("failed and is excluded"));
    }
}
