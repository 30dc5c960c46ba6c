//! Comparison of two runs, sample by sample.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::analysis::{Column, Comparison, Pair, PairedTester, Untested, kept_tokens};
use super::error::ReportError;
use super::lookup::for_each_pair;
use super::run::Run;
use super::sample::ReportSample;

/// Two runs on the samples and cells that both have. Differences are the second's minus the
/// first's.
#[derive(Debug, Clone, Serialize)]
pub struct RunComparison {
    /// The first run's folder.
    pub first: String,
    /// The second run's folder.
    pub second: String,
    /// Number of samples that both have.
    pub num_shared: usize,
    /// Number of samples that only the first has, or has with another question.
    pub only_first: usize,
    /// The same for the second.
    pub only_second: usize,
    /// Cells that only the first has.
    pub cells_only_first: Vec<String>,
    /// Cells that only the second has.
    pub cells_only_second: Vec<String>,
    /// Differences between the runs other than their answers.
    pub changes: Vec<String>,
    /// All cells that both have, in the first's order.
    pub cells: Vec<CellDifference>,
}

/// One cell under both runs.
#[derive(Debug, Clone, Serialize)]
pub struct CellDifference {
    /// The cell's id.
    pub cell: String,
    /// Number of answers that both have.
    pub num_answers: usize,
    /// Number of answers whose text differs.
    pub texts_differ: usize,
    /// Number of kept sets that differ.
    pub kept_differ: usize,
    /// The test; all cells are one family. `None` where no test was possible.
    pub comparison: Option<Comparison>,
    /// Why no test was possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untested: Option<Untested>,
}

/// Reads and compares two runs, with the first one's statistical settings.
///
/// # Errors
/// A folder that isn't a run's, or runs without a common sample or cell.
pub fn compare(first: &Path, second: &Path) -> Result<RunComparison, ReportError> {
    let (first, second) = (&Run::read(first)?, &Run::read(second)?);
    let incomparable = |reason: &str| ReportError::Incomparable {
        first: first.folder.clone(),
        second: second.folder.clone(),
        reason: reason.to_owned(),
    };
    let of_second = second.records.iter().enumerate();
    let by_key: HashMap<_, usize> = of_second
        .map(|(at, sample)| (key(second, sample), at))
        .collect();
    let of_first = first.records.iter().enumerate();
    let shared: Vec<(usize, usize)> = of_first
        .filter_map(|(at, sample)| Some((at, *by_key.get(&key(first, sample))?)))
        .collect();
    if shared.is_empty() {
        return Err(incomparable("they have no sample in common"));
    }
    let only = |one: &Run, other: &Run| -> Vec<String> {
        let cells = one.spec.grid.cells.iter();
        cells
            .filter(|cell| other.spec.grid.position(&cell.id).is_none())
            .map(|cell| cell.id.clone())
            .collect()
    };
    let cells = cells(first, second, &shared)?;
    if cells.is_empty() {
        return Err(incomparable("they have no cell in common"));
    }
    Ok(RunComparison {
        first: first.folder.display().to_string(),
        second: second.folder.display().to_string(),
        num_shared: shared.len(),
        only_first: first.records.len() - shared.len(),
        only_second: second.records.len() - shared.len(),
        cells_only_first: only(first, second),
        cells_only_second: only(second, first),
        changes: changes(first, second),
        cells,
    })
}

/// Key by which a sample is identified in both runs.
fn key<'a>(run: &'a Run, record: &'a ReportSample) -> (&'a str, &'a str, &'a str, &'a str) {
    let dataset = &run.spec.datasets[record.dataset];
    (&dataset.name, &dataset.split, &record.id, &record.question)
}

fn changes(first: &Run, second: &Run) -> Vec<String> {
    let (a, b) = (&first.spec, &second.spec);
    let mut changes = Vec::new();
    if a.config_sha256 != b.config_sha256 {
        changes.push("configuration".to_owned());
    }
    if a.model.sha256 != b.model.sha256 {
        changes.push("model".to_owned());
    }
    let products = |run: &Run| {
        let products = run.spec.model.products.as_ref()?;
        Some(format!(
            "rows in {}, KV cache in {}, {}",
            products.activations, products.kv_cache, products.rounding
        ))
    };
    if let (Some(a), Some(b)) = (products(first), products(second))
        && a != b
    {
        changes.push(format!("products ({a}; and {b})"));
    }
    let clip = |run: &Run| run.spec.clip.as_ref().map(|clip| clip.sha256.clone());
    if clip(first) != clip(second) {
        changes.push("CLIP model".to_owned());
    }
    let data = |run: &Run| -> Vec<String> {
        run.spec
            .datasets
            .iter()
            .map(|dataset| dataset.sha256.clone())
            .collect()
    };
    if data(first) != data(second) {
        changes.push("data".to_owned());
    }
    if a.environment.version != b.environment.version {
        changes.push(format!(
            "version ({} and {})",
            a.environment.version, b.environment.version
        ));
    }
    changes
}

fn cells(
    first: &Run,
    second: &Run,
    shared: &[(usize, usize)],
) -> Result<Vec<CellDifference>, ReportError> {
    let mut images: HashMap<(usize, &str), usize> = HashMap::new();
    let clusters = shared
        .iter()
        .map(|&(at, _)| {
            let record = &first.records[at];
            let next = images.len();
            *images
                .entry((record.dataset, record.image_id.as_str()))
                .or_insert(next)
        })
        .collect();
    let config = &first.spec.config;
    let tester = PairedTester::new(&config.statistics, config.seed, clusters);
    let (mut differences, mut both) = (Vec::new(), Vec::new());
    for (index, cell) in first.spec.grid.cells.iter().enumerate() {
        if let Some(other) = second.spec.grid.position(&cell.id) {
            both.push((index, other));
            differences.push(CellDifference {
                cell: cell.id.clone(),
                num_answers: 0,
                texts_differ: 0,
                kept_differ: 0,
                comparison: None,
                untested: None,
            });
        }
    }
    count_differences(first, second, shared, &both, &mut differences)?;
    let mut pairs = Vec::new();
    for (&(index, other), difference) in both.iter().zip(&differences) {
        let (a, b) = (&first.columns.scores[index], &second.columns.scores[other]);
        let of_first: Column = shared.iter().map(|&(at, _)| a[at]).collect();
        let of_second: Column = shared.iter().map(|&(_, at)| b[at]).collect();
        pairs.push(Pair::new(
            difference.cell.clone(),
            &of_second,
            "first run",
            &of_first,
            "all cells",
        ));
    }
    let samples: Vec<usize> = (0..shared.len()).collect();
    let tested = tester.test(&pairs, &samples)?;
    for difference in &mut differences {
        let of_cell = |comparison: &&Comparison| comparison.a == difference.cell;
        difference.comparison = tested.comparisons.iter().find(of_cell).cloned();
        let of_cell = |untested: &&Untested| untested.a == difference.cell;
        difference.untested = tested.untested.iter().find(of_cell).cloned();
    }
    Ok(differences)
}

/// Counts the differences in cells of `both`, given by their indices in either grid.
fn count_differences(
    first: &Run,
    second: &Run,
    shared: &[(usize, usize)],
    both: &[(usize, usize)],
    differences: &mut [CellDifference],
) -> Result<(), ReportError> {
    let of_first: Vec<usize> = shared
        .iter()
        .map(|&(a, _)| first.records[a].index)
        .collect();
    let of_second: Vec<usize> = shared
        .iter()
        .map(|&(_, b)| second.records[b].index)
        .collect();
    for_each_pair(first, &of_first, second, &of_second, |a, b| {
        for (&(index, other), difference) in both.iter().zip(&mut *differences) {
            let (Some(run_a), Some(run_b)) = (a.run_of(index), b.run_of(other)) else {
                continue;
            };
            difference.num_answers += 1;
            difference.texts_differ += usize::from(run_a.text != run_b.text);
            let kept = kept_tokens(a, index) != kept_tokens(b, other);
            difference.kept_differ += usize::from(kept);
        }
    })
}
