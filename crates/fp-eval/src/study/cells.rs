//! What came of each cell, from records alone.

use super::cost::{CountedCost, CountedMacs, counted_cost};
use super::grid::{Cell, Method};
use super::record::{SampleRecord, Seen};
use super::spec::RunSpec;
use fp_scoring::{BudgetError, MlpConvention};
use serde::Serialize;
use std::collections::BTreeMap;

/// A mean over samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Mean {
    /// Samples.
    pub n: usize,
    /// 0 to 1; 0 where there is no sample.
    pub mean: f64,
}

impl Mean {
    fn of(values: impl IntoIterator<Item = f64>) -> Mean {
        let (mut n, mut sum) = (0, 0.0);
        for value in values {
            n += 1;
            sum += value;
        }
        Mean {
            n,
            mean: if n == 0 { 0.0 } else { sum / n as f64 },
        }
    }
}

/// What answering takes, counted and not measured; means over samples. The figures are
/// those of [`counted_cost`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CellCost {
    /// How the MLP was counted.
    pub mlp: MlpConvention,
    /// B: image tokens of an average layer.
    pub average_visual_tokens: f64,
    /// Multiply-accumulates on image tokens alone.
    pub visual_macs: f64,
    /// Of the whole prompt, scoring included.
    pub sequence_macs: f64,
    /// Of that, scoring.
    pub scoring_macs: f64,
    /// FLOPs of the whole prompt, scoring included.
    pub sequence_flops: f64,
    /// Bytes of keys and values after the prompt.
    pub kv_bytes: f64,
    /// `visual_macs` as a share of the unpruned ones.
    pub visual_ratio: f64,
    /// `sequence_macs` as a share of the unpruned ones.
    pub sequence_ratio: f64,
}

/// One cell over all samples of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellResult {
    /// The cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// Over the samples that it answered.
    pub accuracy: Mean,
    /// Without pruning, over the samples that both answered, where these aren't just
    /// those that each answered: only then may the two be read side by side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vanilla_on_same: Option<Mean>,
    /// The same by kind of question.
    pub by_family: BTreeMap<String, Mean>,
    /// The same by data set, in their order.
    pub by_dataset: Vec<Mean>,
    /// Samples that it doesn't apply to.
    pub num_skipped: usize,
    /// Samples that it failed on, or that failed as a whole.
    pub num_failed: usize,
    /// Samples in which rounding may have decided.
    pub num_near_ties: usize,
    /// Mean number of image tokens after layer K.
    pub mean_kept: f64,
    /// Counted with three matrices per MLP and with two; empty where nothing was answered.
    pub costs: Vec<CellCost>,
}

/// What came of each cell of a run, in the order of the grid.
///
/// # Errors
/// Records that keep more tokens than their images have.
pub fn cell_results(
    spec: &RunSpec,
    records: &[SampleRecord],
) -> Result<Vec<CellResult>, BudgetError> {
    let cells = spec.grid.cells.iter().enumerate();
    cells
        .map(|(index, cell)| result(spec, records, index, cell))
        .collect()
}

fn result(
    spec: &RunSpec,
    records: &[SampleRecord],
    index: usize,
    cell: &Cell,
) -> Result<CellResult, BudgetError> {
    let answered: Vec<_> = records
        .iter()
        .filter_map(|record| Some((record, record.run_of(index)?)))
        .collect();
    let scores = |is_wanted: &dyn Fn(&SampleRecord) -> bool| {
        let wanted = answered.iter().filter(|(record, _)| is_wanted(record));
        Mean::of(wanted.map(|(_, run)| run.score))
    };
    let families: std::collections::BTreeSet<&str> = answered
        .iter()
        .map(|(record, _)| record.family.as_str())
        .collect();
    let is_skipped = |record: &&SampleRecord| {
        let cell = record.cells.get(index);
        cell.is_some_and(|cell| cell.skipped.is_some())
    };
    let num_skipped = records.iter().filter(is_skipped).count();
    let kept = answered.iter().map(|(record, run)| match &run.seen {
        Seen::All => record.layout.map_or(0, |layout| layout.num_image),
        Seen::Kept(kept) => kept.len(),
        Seen::NoImage => 0,
    });
    Ok(CellResult {
        accuracy: scores(&|_| true),
        vanilla_on_same: vanilla_on_same(spec, records, index),
        by_family: families
            .into_iter()
            .map(|family| (family.to_owned(), scores(&|record| record.family == family)))
            .collect(),
        by_dataset: (0..spec.datasets.len())
            .map(|dataset| scores(&|record| record.dataset == dataset))
            .collect(),
        num_skipped,
        num_failed: records.len() - answered.len() - num_skipped,
        num_near_ties: answered
            .iter()
            .filter(|(record, _)| record.is_near_tie(index))
            .count(),
        mean_kept: Mean::of(kept.map(|count| count as f64)).mean,
        costs: CellCost::all(&counted_cost(spec, records, index)?),
        cell: cell.clone(),
    })
}

/// Vanilla on the samples that it and a cell both answered; none where neither answered
/// any other.
fn vanilla_on_same(spec: &RunSpec, records: &[SampleRecord], cell: usize) -> Option<Mean> {
    let cells = &spec.grid.cells;
    let vanilla = cells
        .iter()
        .position(|cell| cell.method == Method::Vanilla)?;
    let is_both = |record: &&SampleRecord| record.run_of(cell).is_some();
    let is_one =
        |record: &SampleRecord| record.run_of(cell).is_some() != record.run_of(vanilla).is_some();
    if !records.iter().any(is_one) {
        return None;
    }
    let both = records.iter().filter(is_both);
    Some(Mean::of(
        both.filter_map(|record| Some(record.run_of(vanilla)?.score)),
    ))
}

impl CellCost {
    fn all(cost: &CountedCost) -> Vec<CellCost> {
        let of = |macs: &CountedMacs| CellCost {
            mlp: macs.mlp,
            average_visual_tokens: cost.average_visual_tokens,
            visual_macs: macs.visual,
            sequence_macs: macs.sequence,
            scoring_macs: macs.scoring,
            sequence_flops: macs.sequence_flops(),
            kv_bytes: cost.kv_bytes,
            visual_ratio: macs.visual_ratio(),
            sequence_ratio: macs.sequence_ratio(),
        };
        match cost.n {
            0 => Vec::new(),
            _ => cost.macs.iter().map(of).collect(),
        }
    }
}
