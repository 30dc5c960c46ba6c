//! What came of each cell, from records alone.

use std::collections::BTreeMap;

use fp_scoring::{BudgetError, MlpConvention};
use serde::Serialize;

use super::cost::{CountedCost, CountedMacs, counted_cost};
use super::grid::Cell;
use super::record::SampleRecord;
use super::spec::RunSpec;

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
    /// those that each answered: only then may the two be read side by side. See
    /// [`on_same_questions`].
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
    /// Mean number of image tokens in the last layer.
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
    let kept = answered.iter().map(|(record, run)| {
        let n = record.layout.map_or(0, |layout| layout.num_image);
        run.seen.num_last(n)
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
/// any other, or they share none.
fn vanilla_on_same(spec: &RunSpec, records: &[SampleRecord], cell: usize) -> Option<Mean> {
    let cells = &spec.grid.cells;
    let vanilla = cells.iter().position(|cell| cell.method.is("vanilla"))?;
    let score = |record: &SampleRecord, cell| Some(record.run_of(cell)?.score);
    let same = on_same_questions(
        records
            .iter()
            .map(|record| (score(record, cell), score(record, vanilla))),
    )?;
    (!same.is_all).then_some(Mean {
        n: same.n,
        mean: same.vanilla,
    })
}

/// A cell and vanilla on the questions that both answered. Scores are 0 to 1.
///
/// Accuracies side by side are only comparable on the same questions: the oracle answers
/// those with boxes alone, and a cell may fail where vanilla does not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OnSameQuestions {
    /// Questions that both answered.
    pub n: usize,
    /// Vanilla's mean score on them.
    pub vanilla: f64,
    /// The cell's less vanilla's.
    pub difference: f64,
    /// Whether each answered just these; else their own accuracies are of different
    /// questions and must not be read side by side.
    pub is_all: bool,
}

/// Of `[samples]` scores of a cell and of vanilla; none without a question that both
/// answered.
pub fn on_same_questions(
    scores: impl IntoIterator<Item = (Option<f64>, Option<f64>)>,
) -> Option<OnSameQuestions> {
    let (mut n, mut sum, mut sum_vanilla, mut is_all) = (0_usize, 0.0, 0.0, true);
    for (cell, vanilla) in scores {
        is_all &= cell.is_some() == vanilla.is_some();
        if let (Some(cell), Some(vanilla)) = (cell, vanilla) {
            n += 1;
            sum += cell;
            sum_vanilla += vanilla;
        }
    }
    let mean = |sum: f64| sum / n as f64;
    (n > 0).then(|| OnSameQuestions {
        n,
        vanilla: mean(sum_vanilla),
        difference: mean(sum) - mean(sum_vanilla),
        is_all,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vanilla_is_taken_where_the_cell_answered() {
        let vanilla = [Some(0.0), Some(1.0), Some(1.0), None];
        let oracle = [None, Some(1.0), Some(1.0), Some(1.0)];
        let same = on_same_questions(oracle.into_iter().zip(vanilla)).unwrap();
        assert_eq!((same.n, same.vanilla, same.difference), (2, 1.0, 0.0));
        assert!(!same.is_all);
        assert!(
            on_same_questions(vanilla.into_iter().zip(vanilla))
                .unwrap()
                .is_all
        );
        assert_eq!(on_same_questions(oracle.into_iter().zip([None; 4])), None);
    }
}
