//! Missing answers on samples that other cells answered, as verdicts report them.

use fp_eval::format::counted;
use fp_eval::study::SampleRecord;

use crate::run::Run;

/// Most cases of one kind that are named; the others are counted.
pub(super) const NAMED: usize = 3;

/// Failed answers of single cells, and methods that don't apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    num_failed: usize,
    /// The first ones by sample and cell, as text.
    failed: Vec<((usize, usize), String)>,
    skipped: Vec<Skipped>,
    pub(super) num_answered: usize,
}

/// A method that doesn't apply to some samples, with one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Skipped {
    /// The first sample and cell.
    first: (usize, usize),
    label: String,
    reason: String,
    /// `[cells]`, numbers of samples.
    of_cells: Vec<usize>,
}

impl LeftOut {
    /// Adds a record, if any cell answered it.
    pub(super) fn add(&mut self, run: &Run, record: &SampleRecord) {
        if record.error.is_some() || record.cells.iter().all(|cell| cell.run.is_none()) {
            return;
        }
        self.num_answered += 1;
        let cells = &run.spec.grid.cells;
        for (index, (cell, of_cell)) in cells.iter().zip(&record.cells).enumerate() {
            let at = (record.index, index);
            if let Some(error) = &of_cell.error {
                self.num_failed += 1;
                if self.failed.len() < NAMED || self.failed.iter().any(|(other, _)| at < *other) {
                    let text = format!("{} on {} ({error})", cell.id, record.id);
                    self.failed.push((at, text));
                    self.failed.sort_unstable();
                    self.failed.truncate(NAMED);
                }
            }
            // The oracle's own reason, questions without boxes, is reported with its figures.
            if let Some(reason) = &of_cell.skipped
                && !cell.method.is("oracle")
            {
                self.add_skipped(at, &cell.method.label(), reason, cells.len());
            }
        }
    }

    fn add_skipped(&mut self, at: (usize, usize), label: &str, reason: &str, num_cells: usize) {
        let reason = reason.strip_prefix(&format!("{label}: ")).unwrap_or(reason);
        let mut known = self.skipped.iter_mut();
        let known = known.find(|other| other.label == label && other.reason == reason);
        match known {
            Some(known) => {
                known.of_cells[at.1] += 1;
                known.first = known.first.min(at);
            }
            None => {
                let mut of_cells = vec![0; num_cells];
                of_cells[at.1] = 1;
                self.skipped.push(Skipped {
                    first: at,
                    label: label.to_owned(),
                    reason: reason.to_owned(),
                    of_cells,
                });
            }
        }
    }

    /// Failed answers of single cells on samples that other cells answered.
    pub(super) fn failed_cells(&self) -> Option<String> {
        let more = match self.num_failed.saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let failed: Vec<&str> = self.failed.iter().map(|(_, text)| text.as_str()).collect();
        (self.num_failed > 0).then(|| {
            format!(
                "{} of single cells failed and {} excluded: {}{more}.",
                counted(self.num_failed, "answer"),
                if self.num_failed == 1 { "is" } else { "are" },
                failed.join("; ")
            )
        })
    }

    /// Methods that don't apply to some samples, with their reasons.
    pub(super) fn skipped_methods(&self) -> Vec<String> {
        let mut skipped: Vec<&Skipped> = self.skipped.iter().collect();
        skipped.sort_by_key(|skipped| skipped.first);
        let cases = skipped.iter().map(|of| {
            let most = of.of_cells.iter().copied().max().unwrap_or(0);
            let (label, reason) = (&of.label, &of.reason);
            format!(
                "{label} to {most} of {} questions ({reason})",
                self.num_answered
            )
        });
        cases.collect()
    }
}
