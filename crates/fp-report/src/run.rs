//! A run as stored in its folder: the input of a report.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use fp_data::metric::token_quality::TokenPlaces;
use fp_eval::study::{
    Records, RunSpec, SampleRecord, StudyError, TimingRecord, read_spec, read_timings,
};

use super::columns::{Columns, ColumnsOfRecords};
use super::error::ReportError;
use super::sample::ReportSample;

/// A run, read from its folder: its samples, and its cells' answers as columns. Other content of
/// the records is read again, a few records at a time, by the functions that need it.
#[derive(Debug, Clone)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// Specification of the run.
    pub spec: RunSpec,
    /// Its samples with images, by index, on which every figure and test is based.
    pub records: Vec<ReportSample>,
    /// Its text-only questions, by index, which have no image tokens to prune.
    pub text_only: Vec<ReportSample>,
    /// Measured times of its stages; empty where nothing was measured.
    pub timings: Vec<TimingRecord>,
    /// Answers of all cells to the samples with images.
    pub(crate) columns: Columns,
}

impl Run {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// A file that can't be read, a damaged record, a record with other cells than the run's, or no
    /// record at all.
    pub fn read(folder: &Path) -> Result<Run, ReportError> {
        let spec = read_spec(folder)?;
        let stored = Records::open(folder)?;
        let mut order: Vec<usize> = stored.indices()?.concat();
        order.sort_unstable();
        let mut samples: Vec<ReportSample> = Vec::with_capacity(order.len());
        let mut columns = ColumnsOfRecords::new(spec.grid.cells.len(), order.len());
        stream(&stored, &spec, |records| {
            records.iter().try_for_each(|record| check(&spec, record))?;
            let place = |record: &SampleRecord| order.partition_point(|at| *at < record.index);
            let records: Vec<_> = records.into_iter().map(|it| (place(&it), it)).collect();
            columns.add(&records);
            samples.extend(records.into_iter().map(|(_, it)| ReportSample::new(it)));
            Ok::<_, ReportError>(ControlFlow::Continue(()))
        })?;
        samples.sort_by_key(|sample| sample.index);
        check_indices(&samples)?;
        let on_image: Vec<bool> = samples.iter().map(|sample| !sample.text_only).collect();
        let columns = columns.finish(&on_image);
        let (text_only, records): (Vec<_>, Vec<_>) =
            samples.into_iter().partition(|sample| sample.text_only);
        if records.is_empty() && text_only.is_empty() {
            return Err(ReportError::NoSamples {
                folder: folder.to_owned(),
            });
        }
        let timings = if folder.join(fp_eval::study::TIMINGS_FILE).is_file() {
            read_timings(folder)?
        } else {
            Vec::new()
        };
        Ok(Run {
            folder: folder.to_owned(),
            spec,
            records,
            text_only,
            timings,
            columns,
        })
    }

    /// Passes the records of the run to `visit` by index, text-only questions included, a few at a
    /// time; they are read again.
    ///
    /// # Errors
    /// Records that can't be read any more, or an error of `visit`.
    pub fn stream<E: From<StudyError> + Send>(
        &self,
        mut visit: impl FnMut(Vec<SampleRecord>) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        self.stream_while(|records| visit(records).map(|()| ControlFlow::Continue(())))
    }

    /// As [`Run::stream`], until `visit` asks to stop.
    pub(crate) fn stream_while<E: From<StudyError> + Send>(
        &self,
        visit: impl FnMut(Vec<SampleRecord>) -> Result<ControlFlow<()>, E> + Send,
    ) -> Result<(), E> {
        stream(&Records::open(&self.folder)?, &self.spec, visit)
    }

    /// Index of a record among the samples with images; `None` for one that was added after the run
    /// was read.
    pub(crate) fn place_of(&self, record: &SampleRecord) -> Option<usize> {
        let found = self
            .records
            .binary_search_by_key(&record.index, |it| it.index);
        found.ok().filter(|_| !record.text_only)
    }

    /// Samples with images, then text-only questions.
    pub(crate) fn all_records(&self) -> impl Iterator<Item = &ReportSample> {
        self.records.iter().chain(&self.text_only)
    }

    /// Number of samples with images of the whole run, recorded or not.
    pub(crate) fn num_expected(&self) -> usize {
        let text_only: usize = self.spec.datasets.iter().map(|d| d.num_text_only).sum();
        self.spec.num_samples.saturating_sub(text_only)
    }

    /// Whether every sample of the run, or of its shard, was recorded. A shard is never the whole
    /// run.
    pub(crate) fn is_complete(&self) -> bool {
        self.all_records().count() == self.spec.num_samples
    }

    /// The datasets by name and split, in order; repeated names get a number.
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

    /// Path of a sample's image.
    pub(crate) fn image_path(&self, record: &ReportSample) -> PathBuf {
        self.spec.datasets[record.dataset].path.join(&record.image)
    }

    /// Number of image tokens per side, if every sample has one square of that size.
    pub(crate) fn grid_side(&self) -> Option<usize> {
        let n = self.spec.model.shape.num_image_tokens?;
        let side = n.isqrt();
        (side * side == n).then_some(side)
    }

    /// Positions of a sample's image tokens over its image; `None` where they are unknown.
    pub(crate) fn places(&self, sample: &ReportSample) -> Option<TokenPlaces> {
        let count = sample.layout.map(|layout| layout.num_image);
        let model = &self.spec.model;
        let places = model.places_of(sample.image_size, &sample.grids, count);
        places.ok().flatten()
    }
}

/// The next records are decoded while `visit` processes the previous ones.
fn stream<E: From<StudyError> + Send>(
    records: &Records,
    spec: &RunSpec,
    mut visit: impl FnMut(Vec<SampleRecord>) -> Result<ControlFlow<()>, E> + Send,
) -> Result<(), E> {
    let mut records = records.by_index(spec)?;
    let mut some = records.next_records()?;
    while !some.is_empty() {
        let (visited, next) = rayon::join(|| visit(some), || records.next_records());
        if visited?.is_break() {
            break;
        }
        some = next?;
    }
    Ok(())
}

/// Refuses a record that contradicts the run or has an invalid score.
fn check(spec: &RunSpec, record: &SampleRecord) -> Result<(), ReportError> {
    let wrong = |reason: String| Err(wrong(record.index, &record.id, reason));
    let num_cells = spec.grid.cells.len();
    if record.dataset >= spec.datasets.len() {
        let known = spec.datasets.len();
        return wrong(format!(
            "its dataset is {}, but the run has {known} datasets",
            record.dataset
        ));
    }
    if record.error.is_some() {
        return Ok(());
    }
    if record.cells.len() != num_cells {
        let found = record.cells.len();
        return wrong(format!("it has {found} cells, the run has {num_cells}"));
    }
    let num_runs = record.runs.len();
    let mut runs = record.cells.iter().filter_map(|cell| cell.run);
    if let Some(run) = runs.find(|&run| run >= num_runs) {
        return wrong(format!("a cell points at run {run}, it has {num_runs}"));
    }
    let mut scores = record.runs.iter().map(|run| run.score);
    match scores.find(|score| !score.is_finite()) {
        Some(score) => wrong(format!("a score is {score}")),
        None => Ok(()),
    }
}

fn wrong(index: usize, id: &str, reason: String) -> ReportError {
    ReportError::Record {
        index,
        id: id.to_owned(),
        reason,
    }
}

/// Refuses sorted samples with a repeated index.
fn check_indices(samples: &[ReportSample]) -> Result<(), ReportError> {
    let twice = samples.array_windows().find(|[a, b]| a.index == b.index);
    match twice {
        Some([_, sample]) => {
            let reason = "it is recorded twice".to_owned();
            Err(wrong(sample.index, &sample.id, reason))
        }
        None => Ok(()),
    }
}
