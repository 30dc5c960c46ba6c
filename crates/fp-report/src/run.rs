//! A run as its folder holds it: everything that a report is made from.

use std::path::{Path, PathBuf};

use fp_eval::study::{RunSpec, SampleRecord, TimingRecord, read_records, read_spec, read_timings};

use super::error::ReportError;

/// A run, read from its folder.
#[derive(Debug, Clone)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// What the run is of.
    pub spec: RunSpec,
    /// Its samples on images, by index: what every figure and every test is made of.
    pub records: Vec<SampleRecord>,
    /// Its text-only questions, by index, which no cell can prune anything of.
    pub text_only: Vec<SampleRecord>,
    /// What its stages took; empty where nothing was measured.
    pub timings: Vec<TimingRecord>,
}

impl Run {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// A file that can't be read, a damaged record, a record of other cells than the
    /// run's, or no record at all.
    pub fn read(folder: &Path) -> Result<Run, ReportError> {
        let spec = read_spec(folder)?;
        let mut records = read_records(folder)?;
        records.sort_by_key(|record| record.index);
        check_indices(&records)?;
        let (text_only, records): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| record.text_only);
        let timings = if folder.join(fp_eval::study::TIMINGS_FILE).is_file() {
            read_timings(folder)?
        } else {
            Vec::new()
        };
        let run = Run {
            folder: folder.to_owned(),
            spec,
            records,
            text_only,
            timings,
        };
        run.check()?;
        Ok(run)
    }

    fn check(&self) -> Result<(), ReportError> {
        if self.records.is_empty() && self.text_only.is_empty() {
            return Err(ReportError::NoSamples {
                folder: self.folder.clone(),
            });
        }
        let num_cells = self.spec.grid.cells.len();
        for record in self.all_records() {
            let wrong = |reason: String| wrong(record, reason);
            if record.dataset >= self.spec.datasets.len() {
                let known = self.spec.datasets.len();
                return Err(wrong(format!(
                    "it is of data set {}, the run has {known}",
                    record.dataset
                )));
            }
            if record.error.is_some() {
                continue;
            }
            if record.cells.len() != num_cells {
                let found = record.cells.len();
                return Err(wrong(format!(
                    "it has {found} cells, the run has {num_cells}"
                )));
            }
            let num_runs = record.runs.len();
            let outside = record.cells.iter().filter_map(|cell| cell.run);
            if let Some(run) = outside.into_iter().find(|&run| run >= num_runs) {
                return Err(wrong(format!(
                    "a cell points at run {run}, it has {num_runs}"
                )));
            }
            let score = record.runs.iter().map(|run| run.score);
            if let Some(score) = score.into_iter().find(|score| !score.is_finite()) {
                return Err(wrong(format!("a score is {score}")));
            }
        }
        Ok(())
    }

    /// Samples on images, then text-only questions.
    pub(crate) fn all_records(&self) -> impl Iterator<Item = &SampleRecord> {
        self.records.iter().chain(&self.text_only)
    }

    /// Samples on images of the whole run, recorded or not.
    pub(crate) fn num_expected(&self) -> usize {
        let text_only: usize = self.spec.datasets.iter().map(|d| d.num_text_only).sum();
        self.spec.num_samples.saturating_sub(text_only)
    }

    /// Whether every sample of the run, or of its piece, was there to be read. A piece
    /// is never the whole.
    pub(crate) fn is_complete(&self) -> bool {
        self.all_records().count() == self.spec.num_samples
    }

    /// The data sets by name and part, in order; one that is there twice is told apart
    /// by a number.
    pub(crate) fn dataset_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for dataset in &self.spec.datasets {
            let name = format!("{} {}", dataset.name, dataset.split);
            let numbered = (2..).map(|number| format!("{name} ({number})"));
            let mut candidates = std::iter::once(name.clone()).chain(numbered);
            names.extend(candidates.find(|candidate| !names.contains(candidate)));
        }
        names
    }

    /// Where a sample's image lies.
    pub(crate) fn image_path(&self, record: &SampleRecord) -> PathBuf {
        self.spec.datasets[record.dataset].path.join(&record.image)
    }

    /// Image tokens along one side of their square, where every sample has one.
    pub(crate) fn grid_side(&self) -> Option<usize> {
        let n = self.spec.model.shape.num_image_tokens?;
        let side = n.isqrt();
        (side * side == n).then_some(side)
    }
}

fn wrong(record: &SampleRecord, reason: String) -> ReportError {
    ReportError::Record {
        index: record.index,
        id: record.id.clone(),
        reason,
    }
}

/// Refuses sorted records of which two are of one sample.
fn check_indices(records: &[SampleRecord]) -> Result<(), ReportError> {
    let twice = records.array_windows().find(|[a, b]| a.index == b.index);
    match twice {
        Some([_, record]) => Err(wrong(record, "it is recorded twice".to_owned())),
        None => Ok(()),
    }
}
