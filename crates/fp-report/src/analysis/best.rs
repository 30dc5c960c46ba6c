//! The best of many strategies, selected on one half of the images and tested on the other, because
//! the largest of many means is biased upwards.
//!
//! Strategies are compared at their best: for each budget, each strategy takes the number of heads
//! with its largest mean on the selection half, and so does the baseline. At equal numbers of heads
//! a strategy could win only because that number is bad for the baseline. No budget is selected,
//! since more tokens are always better.

use serde::Serialize;

use super::at_best_heads::{AtBestHeads, Choice, at_best_heads};
use super::cell_index::CellIndex;
use super::compare::{Comparison, Outcome, Pair, PairedTester, TestResults, Untested};
use super::halves::{Halves, Split};
use super::samples::{distinct, is_answered};
use super::scores::{Column, Scores, mean_columns};
use crate::error::ReportError;
use crate::run::Run;

/// The best strategy, with its number of heads selected for each budget, and all other strategies,
/// selected and tested in the same way.
#[derive(Debug, Clone, Serialize)]
pub struct BestOfMany {
    /// The split of the images.
    pub halves: Halves,
    /// Number of answered samples in the selection half.
    pub num_select: usize,
    /// Number of answered samples in the confirmation half.
    pub num_confirm: usize,
    /// Number of their images.
    pub num_confirm_images: usize,
    /// Mean score of each strategy on the selection half, over all budgets, each with its best
    /// number of heads; best first.
    pub ranking: Vec<(String, f64)>,
    /// The first strategy of the ranking.
    pub candidate: String,
    /// The candidate's number of heads at each budget, in the order of the budgets.
    pub candidate_heads: Vec<usize>,
    /// Strategies that are not shown to be worse than the candidate on the selection half.
    pub contenders: Vec<String>,
    /// Tests of the candidate against the baseline (at its own best numbers of heads), chance and
    /// FastV on the confirmation half; means over all budgets.
    pub confirmation: Vec<Comparison>,
    /// Pairs that could not be tested, on either half.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
    /// The candidate, if the test confirms that it beats the baseline; the next phase of
    /// the study then uses it.
    pub recommended: Option<String>,
    /// The best cell of each budget.
    pub per_budget: Vec<BestCell>,
    /// Every strategy at every budget with its best number of heads, tested against FastV and
    /// against the baseline on the confirmation half.
    pub strategies: Vec<AtBestHeads>,
}

/// The best cell of one budget.
#[derive(Debug, Clone, Serialize)]
pub struct BestCell {
    /// The budget's label.
    pub budget: String,
    /// The cell with the largest mean on the selection half.
    pub cell: String,
    /// Its mean there.
    pub select_mean: f64,
    /// Test against the baseline at its own best number of heads, on the confirmation half; `None`
    /// where the cell is the baseline's own or no test is possible.
    pub confirmation: Option<Comparison>,
    /// Test against FastV on the confirmation half; `None` without that control or where no test is
    /// possible.
    pub against_all_heads: Option<Comparison>,
    /// Whether the cell is the baseline's own.
    pub is_baseline: bool,
}

impl BestOfMany {
    /// Looks up a strategy at a budget, both by name.
    pub fn strategy(&self, strategy: &str, budget: &str) -> Option<&AtBestHeads> {
        let mut strategies = self.strategies.iter();
        strategies.find(|entry| entry.strategy == strategy && entry.budget == budget)
    }
}

/// `None` where the run has no strategy, or no answer in the selection half.
pub(crate) fn best_of_many(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    tester: &PairedTester,
) -> Result<Option<BestOfMany>, ReportError> {
    let split = Split::new(run);
    let choice = Choice::new(cell_index, scores, &split.select);
    let columns: Vec<Option<Column>> = (0..cell_index.strategies.len())
        .map(|strategy| choice.mean_over_budgets(scores, strategy))
        .collect();
    let mut ranking: Vec<(usize, f64)> = columns
        .iter()
        .enumerate()
        .filter_map(|(strategy, column)| {
            Some((strategy, mean_on(column.as_ref()?, &split.select)?))
        })
        .collect();
    // The sort is stable: of equal means the first strategy in the configuration comes first.
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some(&(candidate, _)) = ranking.first() else {
        return Ok(None);
    };
    let name = |strategy: usize| cell_index.strategies[strategy].name.clone();
    let confirmation = confirmation(cell_index, scores, tester, &columns, candidate, &split)?;
    let baseline = cell_index.reference_of(candidate).map(name);
    let is_confirmed = confirmation.comparisons.iter().any(|comparison| {
        Some(&comparison.b) == baseline.as_ref() && comparison.outcome == Outcome::Better
    });
    let contenders = contenders(cell_index, tester, &columns, &ranking, &split)?;
    let (strategies, untested) = at_best_heads(run, cell_index, scores, tester, &choice, &split)?;
    let answered = |half: &[usize]| -> Vec<usize> {
        let half = half.iter().copied();
        half.filter(|&at| is_answered(&run.records[at])).collect()
    };
    let confirm = answered(&split.confirm);
    Ok(Some(BestOfMany {
        halves: split.halves,
        num_select: answered(&split.select).len(),
        num_confirm: confirm.len(),
        num_confirm_images: distinct(confirm.iter().map(|&at| scores.clusters[at]).collect()),
        candidate: name(candidate),
        candidate_heads: choice.heads(cell_index, candidate),
        contenders: not_worse(contenders.comparisons),
        untested: [contenders.untested, confirmation.untested, untested].concat(),
        recommended: is_confirmed.then(|| name(candidate)),
        confirmation: confirmation.comparisons,
        per_budget: per_budget(cell_index, &strategies),
        strategies,
        ranking: ranking
            .into_iter()
            .map(|(strategy, mean)| (name(strategy), mean))
            .collect(),
    }))
}

/// Mean of a column's values at `samples`.
pub(super) fn mean_on(column: &Column, samples: &[usize]) -> Option<f64> {
    let values: Vec<f64> = samples.iter().filter_map(|&at| column[at]).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn not_worse(comparisons: Vec<Comparison>) -> Vec<String> {
    let comparisons = comparisons.into_iter();
    let not_worse = comparisons.filter(|comparison| comparison.outcome != Outcome::Worse);
    not_worse.map(|comparison| comparison.a).collect()
}

/// Tests of the other strategies against the candidate on the selection half.
fn contenders(
    cell_index: &CellIndex,
    tester: &PairedTester,
    columns: &[Option<Column>],
    ranking: &[(usize, f64)],
    split: &Split,
) -> Result<TestResults, ReportError> {
    let name = |strategy: usize| cell_index.strategies[strategy].name.as_str();
    let [(candidate, _), others @ ..] = ranking else {
        return Ok(TestResults::default());
    };
    let pairs = others.iter().filter_map(|&(other, _)| {
        let family = "candidate against the others, select half";
        let (a, b) = (columns[other].as_ref()?, columns[*candidate].as_ref()?);
        Some(Pair::new(name(other), a, name(*candidate), b, family))
    });
    tester.test(&pairs.collect::<Vec<_>>(), &split.select)
}

/// Tests of the candidate against its references, as one family.
fn confirmation(
    cell_index: &CellIndex,
    scores: &Scores,
    tester: &PairedTester,
    columns: &[Option<Column>],
    candidate: usize,
    split: &Split,
) -> Result<TestResults, ReportError> {
    let Some(column) = &columns[candidate] else {
        return Ok(TestResults::default());
    };
    let baseline = cell_index.reference_of(candidate).and_then(|baseline| {
        let name = cell_index.strategies[baseline].name.clone();
        Some((name, columns[baseline].clone()?))
    });
    let random = pooled_random(cell_index, scores).map(|column| ("random".to_owned(), column));
    let all_heads =
        pooled_all_heads(cell_index, scores).map(|column| ("all_heads".to_owned(), column));
    let pairs: Vec<Pair> = [baseline, random, all_heads]
        .into_iter()
        .flatten()
        .map(|(name, other)| {
            let family = "candidate at its best h, means over all budgets, confirm half";
            let a = cell_index.strategies[candidate].name.clone();
            Pair::new(a, column, name, &other, family)
        })
        .collect();
    tester.test(&pairs, &split.confirm)
}

/// Each strategy's mean over all head counts and budgets, sample by sample.
pub(crate) fn pooled(cell_index: &CellIndex, scores: &Scores) -> Vec<Column> {
    (0..cell_index.strategies.len())
        .map(|strategy| scores.mean_of(&cell_index.cells_of(strategy)))
        .collect()
}

/// Chance over all seeds and budgets; `None` without that control.
pub(crate) fn pooled_random(cell_index: &CellIndex, scores: &Scores) -> Option<Column> {
    let by_budget: Vec<Column> = cell_index
        .random
        .iter()
        .filter(|seeds| !seeds.is_empty())
        .map(|seeds| scores.mean_of(seeds))
        .collect();
    (!by_budget.is_empty() && by_budget.len() == cell_index.budgets.len())
        .then(|| mean_columns(&by_budget.iter().collect::<Vec<_>>()))
}

fn pooled_all_heads(cell_index: &CellIndex, scores: &Scores) -> Option<Column> {
    let cells: Option<Vec<usize>> = cell_index.all_heads.iter().copied().collect();
    Some(scores.mean_of(&cells?))
}

/// The best cell of each budget, with its tests.
fn per_budget(cell_index: &CellIndex, strategies: &[AtBestHeads]) -> Vec<BestCell> {
    let best = cell_index.budgets.iter().filter_map(|budget| {
        let mut leader: Option<&AtBestHeads> = None;
        for entry in strategies.iter().filter(|entry| entry.budget == *budget) {
            if leader.is_none_or(|leader| entry.select_mean > leader.select_mean) {
                leader = Some(entry);
            }
        }
        let leader = leader?;
        Some(BestCell {
            budget: budget.clone(),
            cell: leader.cell.clone(),
            select_mean: leader.select_mean,
            confirmation: leader.against_baseline.clone(),
            against_all_heads: leader.against_all_heads.clone(),
            is_baseline: leader.is_baseline,
        })
    });
    best.collect()
}
