//! Results of each cell, from records alone.

use std::collections::BTreeMap;

use fp_scoring::{BudgetError, MlpConvention};
use serde::Serialize;

use super::cost::{CostSums, CountedCost, CountedMacs};
use super::grid::Cell;
use super::record::SampleRecord;
use super::spec::RunSpec;

/// A mean over samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Mean {
    /// Number of samples.
    pub n: usize,
    /// Mean from 0 to 1; 0 without samples.
    pub mean: f64,
}

/// Cost of answering, counted rather than measured; means over samples. The figures are those of
/// [`counted_cost`](super::counted_cost).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CellCost {
    /// How the MLP was counted.
    pub mlp: MlpConvention,
    /// B, the mean number of image tokens per layer.
    pub average_visual_tokens: f64,
    /// Multiply-accumulates on image tokens alone.
    pub visual_macs: f64,
    /// Multiply-accumulates on the whole prompt, including scoring.
    pub sequence_macs: f64,
    /// The part of these for scoring.
    pub scoring_macs: f64,
    /// FLOPs on the whole prompt, including scoring.
    pub sequence_flops: f64,
    /// Bytes of keys and values after the prompt.
    pub kv_bytes: f64,
    /// `visual_macs` as a share of the unpruned ones.
    pub visual_ratio: f64,
    /// `sequence_macs` as a share of the unpruned ones.
    pub sequence_ratio: f64,
}

/// Results of one cell over all samples of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellResult {
    /// The cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// Accuracy over the samples that the cell answered.
    pub accuracy: Mean,
    /// Accuracy of vanilla over the samples that both answered, if the two didn't answer the same
    /// samples: only this value can then be compared with the cell's. See [`on_same_questions`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vanilla_on_same: Option<Mean>,
    /// Accuracy by family of questions.
    pub by_family: BTreeMap<String, Mean>,
    /// Accuracy by dataset, in the datasets' order.
    pub by_dataset: Vec<Mean>,
    /// Number of samples to which the cell doesn't apply.
    pub num_skipped: usize,
    /// Number of samples that failed in this cell or as a whole.
    pub num_failed: usize,
    /// Number of samples whose selection may depend on rounding.
    pub num_near_ties: usize,
    /// Mean number of image tokens in the last layer.
    pub mean_kept: f64,
    /// Costs counted with three matrices per MLP and with two; empty if nothing was answered.
    pub costs: Vec<CellCost>,
}

/// Results of each cell of a run, in the order of the grid.
///
/// # Errors
/// Records that keep more tokens than their images have.
pub fn cell_results(
    spec: &RunSpec,
    records: &[SampleRecord],
) -> Result<Vec<CellResult>, BudgetError> {
    let mut sums = ResultSums::new(spec);
    records
        .iter()
        .try_for_each(|record| sums.add(spec, record))?;
    Ok(sums.finish(spec))
}

/// Running sums of the cells' results, added record by record.
#[derive(Debug)]
pub struct ResultSums {
    num_records: usize,
    vanilla: Option<usize>,
    /// Sums of each cell.
    cells: Vec<CellSums>,
}

#[derive(Debug)]
struct CellSums {
    accuracy: Sum,
    on_same: SameSums,
    by_family: BTreeMap<String, Sum>,
    by_dataset: Vec<Sum>,
    num_skipped: usize,
    num_near_ties: usize,
    kept: Sum,
    cost: CostSums,
}

/// A sum and its number of values.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    n: usize,
    sum: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.n += 1;
        self.sum += value;
    }

    fn mean(self) -> Mean {
        let Sum { n, sum } = self;
        Mean {
            n,
            mean: if n == 0 { 0.0 } else { sum / n as f64 },
        }
    }
}

impl ResultSums {
    /// Sums before any record.
    pub fn new(spec: &RunSpec) -> ResultSums {
        let cells = &spec.grid.cells;
        let sums = |cell| CellSums {
            accuracy: Sum::default(),
            on_same: SameSums::default(),
            by_family: BTreeMap::new(),
            by_dataset: vec![Sum::default(); spec.datasets.len()],
            num_skipped: 0,
            num_near_ties: 0,
            kept: Sum::default(),
            cost: CostSums::new(spec, cell),
        };
        ResultSums {
            num_records: 0,
            vanilla: cells.iter().position(|cell| cell.method.is("vanilla")),
            cells: (0..cells.len()).map(sums).collect(),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Those of [`cell_results`].
    pub fn add(&mut self, spec: &RunSpec, record: &SampleRecord) -> Result<(), BudgetError> {
        self.num_records += 1;
        let vanilla = self.vanilla.and_then(|vanilla| record.run_of(vanilla));
        let vanilla = vanilla.map(|run| run.score);
        for (index, sums) in self.cells.iter_mut().enumerate() {
            let cell = record.cells.get(index);
            sums.num_skipped += usize::from(cell.is_some_and(|cell| cell.skipped.is_some()));
            let run = record.run_of(index);
            sums.on_same.add(run.map(|run| run.score), vanilla);
            sums.cost.add(spec, record)?;
            let Some(run) = run else { continue };
            sums.accuracy.add(run.score);
            match sums.by_family.get_mut(&record.family) {
                Some(family) => family.add(run.score),
                None => {
                    let mut family = Sum::default();
                    family.add(run.score);
                    sums.by_family.insert(record.family.clone(), family);
                }
            }
            if let Some(dataset) = sums.by_dataset.get_mut(record.dataset) {
                dataset.add(run.score);
            }
            sums.num_near_ties += usize::from(record.is_near_tie(index));
            let n = record.layout.map_or(0, |layout| layout.num_image);
            sums.kept.add(run.seen.num_last(n) as f64);
        }
        Ok(())
    }

    /// The results of each cell.
    pub fn finish(self, spec: &RunSpec) -> Vec<CellResult> {
        let (num_records, has_vanilla) = (self.num_records, self.vanilla.is_some());
        let cells = spec.grid.cells.iter().zip(self.cells);
        cells
            .map(|(cell, sums)| CellResult {
                accuracy: sums.accuracy.mean(),
                // `None` if both answered the same questions, or share none.
                vanilla_on_same: sums
                    .on_same
                    .finish()
                    .filter(|same| has_vanilla && !same.is_all)
                    .map(|same| Mean {
                        n: same.n,
                        mean: same.vanilla,
                    }),
                by_family: sums
                    .by_family
                    .into_iter()
                    .map(|(family, sum)| (family, sum.mean()))
                    .collect(),
                by_dataset: sums.by_dataset.into_iter().map(Sum::mean).collect(),
                num_skipped: sums.num_skipped,
                num_failed: num_records - sums.accuracy.n - sums.num_skipped,
                num_near_ties: sums.num_near_ties,
                mean_kept: sums.kept.mean().mean,
                costs: CellCost::all(&sums.cost.mean()),
                cell: cell.clone(),
            })
            .collect()
    }
}

/// A cell and vanilla compared on the questions that both answered. Scores are 0 to 1.
///
/// Accuracies are comparable only on the same questions: the oracle answers only those with boxes,
/// and a cell may fail where vanilla does not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OnSameQuestions {
    /// Number of questions that both answered.
    pub n: usize,
    /// Vanilla's mean score on them.
    pub vanilla: f64,
    /// The cell's mean score minus vanilla's.
    pub difference: f64,
    /// Whether each answered only these questions; otherwise their accuracies are over different
    /// questions and must not be compared.
    pub is_all: bool,
}

/// Compares scores `[samples]` of a cell and of vanilla; `None` if they answered no question in
/// common.
pub fn on_same_questions(
    scores: impl IntoIterator<Item = (Option<f64>, Option<f64>)>,
) -> Option<OnSameQuestions> {
    let mut sums = SameSums::default();
    for (cell, vanilla) in scores {
        sums.add(cell, vanilla);
    }
    sums.finish()
}

#[derive(Debug, Clone, Copy, Default)]
struct SameSums {
    n: usize,
    cell: f64,
    vanilla: f64,
    is_apart: bool,
}

impl SameSums {
    fn add(&mut self, cell: Option<f64>, vanilla: Option<f64>) {
        self.is_apart |= cell.is_some() != vanilla.is_some();
        if let (Some(cell), Some(vanilla)) = (cell, vanilla) {
            self.n += 1;
            self.cell += cell;
            self.vanilla += vanilla;
        }
    }

    fn finish(self) -> Option<OnSameQuestions> {
        let mean = |sum: f64| sum / self.n as f64;
        (self.n > 0).then(|| OnSameQuestions {
            n: self.n,
            vanilla: mean(self.vanilla),
            difference: mean(self.cell) - mean(self.vanilla),
            is_all: !self.is_apart,
        })
    }
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
