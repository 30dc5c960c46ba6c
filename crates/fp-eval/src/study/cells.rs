//! What came of each cell, from records alone.

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
    /// Samples.
    pub n: usize,
    /// 0 to 1; 0 where there is no sample.
    pub mean: f64,
}

/// What answering takes, counted and not measured; means over samples. The figures are
/// those of [`counted_cost`](super::counted_cost).
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
    /// The same by dataset, in their order.
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
    let mut sums = ResultSums::new(spec);
    records
        .iter()
        .try_for_each(|record| sums.add(spec, record))?;
    Ok(sums.finish(spec))
}

/// Sums of what came of each cell, record by record.
#[derive(Debug)]
pub struct ResultSums {
    num_records: usize,
    vanilla: Option<usize>,
    /// `[cells]`.
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

/// A sum of so many values.
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
    /// Of no record yet.
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
    /// As [`cell_results`].
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

    /// What came of each cell.
    pub fn finish(self, spec: &RunSpec) -> Vec<CellResult> {
        let (num_records, has_vanilla) = (self.num_records, self.vanilla.is_some());
        let cells = spec.grid.cells.iter().zip(self.cells);
        cells
            .map(|(cell, sums)| CellResult {
                accuracy: sums.accuracy.mean(),
                // None where neither answered any other, or they share none.
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
