//! Numbers of samples and of answered samples, and the reasons for the others.

use fp_eval::format::counted;
use serde::Serialize;

use super::scores::Scores;
use crate::run::Run;
use crate::sample::ReportSample;

/// Numbers of samples of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleCounts {
    /// Recorded samples, failed ones included.
    pub recorded: usize,
    /// Samples of the whole run.
    pub expected: usize,
    /// Images of the recorded samples.
    pub images: usize,
    /// Samples answered under at least one cell, on which every figure is based.
    pub answered: usize,
    /// Images of the answered samples.
    pub answered_images: usize,
    /// Samples that failed under all cells, with the reason: index, id, error.
    pub failed: Vec<(usize, String, String)>,
}

impl SampleCounts {
    pub(crate) fn new(run: &Run, scores: &Scores) -> SampleCounts {
        let answered = || {
            let records = run.records.iter().enumerate();
            records.filter(|(_, record)| is_answered(record))
        };
        let failed = run.records.iter().filter_map(|record| {
            let error = failure(record)?;
            Some((record.index, record.id.clone(), error))
        });
        SampleCounts {
            recorded: run.records.len(),
            expected: run.num_expected(),
            images: scores.num_images,
            answered: answered().count(),
            answered_images: distinct(answered().map(|(at, _)| scores.clusters[at]).collect()),
            failed: failed.collect(),
        }
    }

    /// The questions that figures are based on, such as `60 questions on 20 images` or
    /// `54 of 60 questions on 18 images (6 failed)`.
    pub fn text(&self) -> String {
        let images = counted(self.answered_images, "image");
        match self.failed.len() {
            0 => format!("{} on {images}", counted(self.answered, "question")),
            failed => format!(
                "{} of {} on {images} ({failed} failed)",
                self.answered,
                counted(self.recorded, "question"),
            ),
        }
    }
}

/// Whether a sample has an answer under at least one cell.
pub(crate) fn is_answered(sample: &ReportSample) -> bool {
    sample.is_answered
}

/// Why a sample has no answer under any cell.
fn failure(sample: &ReportSample) -> Option<String> {
    let unknown = || "no cell answered it".to_owned();
    let reason = sample.error.as_ref().or(sample.cell_error());
    (!sample.is_answered).then(|| reason.cloned().unwrap_or_else(unknown))
}

/// Number of distinct images.
pub(crate) fn distinct(mut images: Vec<usize>) -> usize {
    images.sort_unstable();
    images.dedup();
    images.len()
}

#[cfg(test)]
mod tests {
    use super::SampleCounts;

    fn counts(failed: &[(&str, &str)]) -> SampleCounts {
        let failed = failed.iter().enumerate();
        let failed: Vec<_> = failed
            .map(|(at, (id, why))| (at, (*id).to_owned(), (*why).to_owned()))
            .collect();
        SampleCounts {
            recorded: 60,
            expected: 60,
            images: 20,
            answered: 60 - failed.len(),
            answered_images: 18,
            failed,
        }
    }

    #[test]
    fn questions_are_those_answered() {
        assert_eq!(counts(&[]).text(), "60 questions on 18 images");
        let five = counts(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")]);
        assert_eq!(five.text(), "55 of 60 questions on 18 images (5 failed)");
    }
}
