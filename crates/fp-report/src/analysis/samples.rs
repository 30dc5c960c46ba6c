//! How many samples there are, how many were answered, and why the others weren't.

use fp_eval::format::counted;
use fp_eval::study::SampleRecord;
use serde::Serialize;

use super::scores::Scores;
use crate::run::Run;

/// Failed samples that are named; the rest is counted.
const NAMED: usize = 3;

/// Samples of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleCounts {
    /// Recorded, failed ones included.
    pub recorded: usize,
    /// Of the whole run.
    pub expected: usize,
    /// Images of those recorded.
    pub images: usize,
    /// Answered under at least one cell: what every figure is made of.
    pub answered: usize,
    /// Images of those answered.
    pub answered_images: usize,
    /// Failed as a whole, with why: index, id, error.
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
            expected: run.spec.num_samples,
            images: scores.num_images,
            answered: answered().count(),
            answered_images: distinct(answered().map(|(at, _)| scores.clusters[at]).collect()),
            failed: failed.collect(),
        }
    }

    /// The questions that figures are made of, such as `60 questions on 20 images` or
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

    /// Which samples failed and why, the first few by name and the rest counted; none
    /// where none did. Samples that failed for one reason are named together.
    pub fn failures(&self) -> Option<String> {
        let mut causes: Vec<(&str, Vec<&str>)> = Vec::new();
        for (_, id, error) in &self.failed {
            match causes.iter_mut().find(|(cause, _)| cause == error) {
                Some((_, ids)) => ids.push(id),
                None => causes.push((error, vec![id])),
            }
        }
        let (named, rest) = causes.split_at(causes.len().min(NAMED));
        let mut parts: Vec<String> = named
            .iter()
            .map(|(cause, ids)| format!("{}: {cause}", first_few(ids)))
            .collect();
        let more: usize = rest.iter().map(|(_, ids)| ids.len()).sum();
        if more > 0 {
            parts.push(format!(
                "and {more} more for {}",
                counted(rest.len(), "other reason")
            ));
        }
        (!self.failed.is_empty()).then(|| {
            format!(
                "{} of {} failed and {} left out of every figure: {}.",
                self.failed.len(),
                counted(self.recorded, "question"),
                if self.failed.len() == 1 { "is" } else { "are" },
                parts.join("; ")
            )
        })
    }
}

fn first_few(ids: &[&str]) -> String {
    let shown = ids[..ids.len().min(NAMED)].join(", ");
    match ids.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether a sample has an answer under at least one cell.
pub(crate) fn is_answered(record: &SampleRecord) -> bool {
    record.error.is_none() && record.cells.iter().any(|cell| cell.run.is_some())
}

/// Why a sample has no answer under any cell.
fn failure(record: &SampleRecord) -> Option<String> {
    if is_answered(record) {
        return None;
    }
    let of_cells = || record.cells.iter().find_map(|cell| cell.error.clone());
    let unknown = || "no cell answered it".to_owned();
    Some(
        record
            .error
            .clone()
            .or_else(of_cells)
            .unwrap_or_else(unknown),
    )
}

/// How many different images there are.
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
    fn failed_samples_are_counted_named_and_explained() {
        assert_eq!(counts(&[]).failures(), None);
        assert_eq!(counts(&[]).text(), "60 questions on 18 images");
        let six = counts(&[
            ("a", "x.png: cut off"),
            ("b", "x.png: cut off"),
            ("c", "x.png: cut off"),
            ("d", "x.png: cut off"),
            ("e", "too long"),
        ]);
        assert_eq!(six.text(), "55 of 60 questions on 18 images (5 failed)");
        assert_eq!(
            six.failures().unwrap(),
            "5 of 60 questions failed and are left out of every figure: \
             a, b, c and 1 more: x.png: cut off; e: too long."
        );
        let many = counts(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")]);
        let text = many.failures().unwrap();
        assert!(
            text.ends_with("c: 3; and 2 more for 2 other reasons."),
            "{text}"
        );
    }
}
