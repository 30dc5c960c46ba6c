//! Analyses a run's folder and writes results and a readable report.
//!
//! [`analyse`] turns records into an [`Analysis`], the renderers turn that into files; [`write()`]
//! does both for a folder. Numbers depend only on the records and a seed, never on the machine or
//! the number of threads.
//!
//! ```
//! use fp_eval::study::config::Statistics;
//! use fp_report::compare_scores;
//!
//! // The tests of a report, on scores of one's own: 40 questions on 40 images.
//! let scores = |right: usize| -> Vec<Option<f64>> {
//!     (0..40).map(|at| Some(f64::from(u8::from(at < right)))).collect()
//! };
//! let (base, better) = (("base".to_owned(), scores(20)), ("better".to_owned(), scores(36)));
//! let images: Vec<usize> = (0..40).collect();
//! let compared = compare_scores(&[better], &base, &images, &Statistics::default(), 0)?;
//! assert_eq!(compared.comparisons[0].outcome.name(), "better");
//! # Ok::<(), fp_report::ReportError>(())
//! ```

mod analysis;
mod columns;
mod compare;
pub mod drawing;
mod error;
#[cfg(test)]
mod error_kinds;
mod lookup;
mod measured;
mod near_ties_file;
mod published;
mod render;
mod run;
mod sample;
mod scores_compared;

pub use analysis::*;
pub use compare::{CellDifference, RunComparison, compare};
pub use error::ReportError;
pub use measured::MeasuredTimes;
pub use published::{
    BesidePublished, Origin, PublishedColumn, PublishedComparison, PublishedError, PublishedFigure,
    PublishedModel, PublishedRow, published_rows,
};
pub use render::RESULTS_VERSION;
pub use run::Run;
pub use sample::ReportSample;
pub use scores_compared::{NamedScores, ScoresCompared, compare_scores};

use std::path::{Path, PathBuf};

use fp_eval::efficiency;

use self::near_ties_file::NearTiesFile;

/// All results for programs; the same for every run of the same study.
pub const RESULTS_FILE: &str = "results.json";
/// One line per cell.
pub const CELLS_FILE: &str = "cells.csv";
/// One line per dataset, cell and figure of a benchmark's own; only for runs on benchmarks.
pub const FIGURES_FILE: &str = "figures.csv";
/// Verdict and main tables, as Markdown to paste.
pub const SUMMARY_FILE: &str = "summary.md";
/// Accuracies as a LaTeX table.
pub const TABLE_FILE: &str = "table.tex";
/// One line per answer that rounding may have decided.
pub const NEAR_TIES_FILE: &str = "near_ties.csv";
/// Measured times in seconds.
pub const TIMES_FILE: &str = "timings.json";
/// The report for readers: one page, which loads nothing from a network.
pub const PAGE_FILE: &str = "report.html";
/// Data of the page's explorer, if they are too large for the page.
pub const SAMPLES_FOLDER: &str = "report_samples";

/// A written report.
#[derive(Debug, Clone)]
pub struct Written {
    /// The results.
    pub analysis: Analysis,
    /// Times of the run, if they were measured.
    pub times: Option<MeasuredTimes>,
    /// Paths of the files.
    pub files: Vec<PathBuf>,
}

/// Accuracy of every cell with its interval, in the order of the grid; without strata.
///
/// # Errors
/// Records from which no interval can be computed.
pub fn cell_summaries(run: &Run) -> Result<Vec<CellSummary>, ReportError> {
    analysis::summaries(run)
}

/// The text-only questions of a run; `None` where its datasets have none.
pub fn text_only(run: &Run) -> Option<TextOnly> {
    TextOnly::of(run, &Scores::new(run))
}

/// Analyses the run in `folder` and writes its results and report there.
///
/// # Errors
/// A folder that isn't a run's or can't be written, damaged records.
pub fn write(folder: &Path) -> Result<Written, ReportError> {
    write_with(folder, None)
}

/// As [`write()`], with the folder of a second run of the same study for the noise floor.
///
/// # Errors
/// As [`write()`], or a second run with other cells.
pub fn write_with(folder: &Path, repetition: Option<&Path>) -> Result<Written, ReportError> {
    let run = Run::read(folder)?;
    let repetition = repetition.map(Run::read).transpose()?;
    let mut near_ties = NearTiesFile::create(&folder.join(NEAR_TIES_FILE))?;
    let mut add = |tie: &NearTie| near_ties.add(tie);
    let analysis = analysis::analyse_with(&run, repetition.as_ref(), &mut add)?;
    let times = measured::measured_times(&run);
    let efficiency = efficiency::read(&folder.join(efficiency::EFFICIENCY_FILE))?;
    let cell_index = CellIndex::new(&run.spec.config, &run.spec.grid);
    let source = render::Source {
        run: &run,
        analysis: &analysis,
        cell_index: &cell_index,
        times: times.as_ref(),
        efficiency: efficiency.as_ref(),
    };
    let mut contents = vec![
        (RESULTS_FILE, render::results_json(&source)?),
        (CELLS_FILE, render::cells_csv(&source)),
        (SUMMARY_FILE, render::summary_md(&source)),
        (TABLE_FILE, render::table_tex(&source)),
    ];
    if !source.analysis.figures.is_empty() {
        contents.push((FIGURES_FILE, render::figures_csv(&source)));
    }
    if let Some(times) = &times {
        contents.push((TIMES_FILE, render::timings_json(times)?));
    }
    let near_ties = near_ties.finish()?;
    let page = render::page(&source)?;
    contents.push((PAGE_FILE, page.html));
    let mut files = Vec::new();
    files.extend(write_apart(folder, &page.apart)?);
    for (name, content) in contents {
        let path = folder.join(name);
        write_whole(&path, content.as_bytes())?;
        files.push(path);
    }
    files.push(near_ties);
    Ok(Written {
        analysis,
        times,
        files,
    })
}

/// Writes the files beside the page into a folder of their own, after removing the scripts of an
/// earlier report. Returns the folder, if there is one.
fn write_apart(folder: &Path, apart: &[render::Apart]) -> Result<Option<PathBuf>, ReportError> {
    let path = folder.join(SAMPLES_FOLDER);
    let failed = |source| ReportError::Io {
        path: path.clone(),
        source,
    };
    if path.is_dir() {
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let old = entry.map_err(failed)?.path();
            if old.extension().is_some_and(|extension| extension == "js") {
                std::fs::remove_file(&old).map_err(failed)?;
            }
        }
        // The folder stays if it contains anything else.
        let _ = std::fs::remove_dir(&path);
    }
    if apart.is_empty() {
        return Ok(None);
    }
    std::fs::create_dir_all(&path).map_err(failed)?;
    for file in apart {
        write_whole(&path.join(&file.name), file.content.as_bytes())?;
    }
    Ok(Some(path))
}

/// Writes a file whole or not at all.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), ReportError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = std::fs::write(&part, content).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| {
        // A partial file is removed.
        let _ = std::fs::remove_file(&part);
        ReportError::Io {
            path: path.to_owned(),
            source,
        }
    })
}
