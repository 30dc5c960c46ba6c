//! Difficult samples: those that an uninformed selection of tokens gets wrong.
//!
//! On many questions any tokens will do. The questions on which chance fails show the value of
//! selection; the idea is VTC-Bench's. A sample is difficult at a budget if every cell of the
//! filtering controls gets it wrong there. Those cells are not compared, since they are wrong on
//! all of these samples by construction. Of several seeds of chance, some filter and the others are
//! compared, so that the comparison is unbiased.

use serde::Serialize;

use super::best::{BestOfMany, mean_on};
use super::cell_index::CellIndex;
use super::compare::{Comparison, Pair, PairedTester, Untested};
use super::estimate::Estimate;
use super::flips::RIGHT;
use super::halves::Split;
use super::samples::distinct;
use super::scores::{Column, Scores, present};
use crate::error::ReportError;
use crate::run::Run;

/// Controls that choose the difficult samples (the filtering controls), by the first part of their
/// names. Those that a run lacks are ignored.
pub const CHOOSING_CONTROLS: [&str; 2] = ["random", "downsample"];

/// Every budget on its difficult samples.
#[derive(Debug, Clone, Serialize)]
pub struct DifficultSamples {
    /// The rule of selection, as a sentence.
    pub rule: String,
    /// Results by budget, in the configuration's order; budgets without a filtering control are
    /// omitted.
    pub budgets: Vec<DifficultBudget>,
    /// Each strategy at its best number of heads (selected over all questions of the selection
    /// half) against FastV, on the difficult samples of the confirmation half; one family.
    pub against_all_heads: Vec<Comparison>,
    /// The same against the baseline at its own best number of heads; one family.
    pub against_baseline: Vec<Comparison>,
    /// Pairs that could not be tested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
}

impl DifficultSamples {
    /// A cell's accuracy on the difficult samples of a budget; `None` for filtering cells.
    pub fn accuracy(&self, budget: &str, cell: &str) -> Option<&Estimate> {
        let mut budgets = self.budgets.iter();
        let budget = budgets.find(|of| of.budget == budget)?;
        let accuracy = budget.cells.iter().find(|of| of.cell == cell)?;
        Some(&accuracy.accuracy)
    }
}

/// The difficult samples of one budget.
#[derive(Debug, Clone, Serialize)]
pub struct DifficultBudget {
    /// The budget's label.
    pub budget: String,
    /// Filtering cells: each gets every one of these samples wrong.
    pub chosen_by: Vec<String>,
    /// Number of difficult samples.
    pub n: usize,
    /// Number of their images.
    pub num_images: usize,
    /// Number of samples that were filtered: those that all filtering cells answered.
    pub of: usize,
    /// Accuracy on these samples of every other cell of the budget, and of cells without a budget.
    pub cells: Vec<DifficultAccuracy>,
    /// Chance by the seeds that didn't filter; `None` with a single seed.
    pub random: Option<Estimate>,
}

/// A cell's accuracy on the difficult samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DifficultAccuracy {
    /// The cell's id.
    pub cell: String,
    /// Mean score.
    #[serde(flatten)]
    pub accuracy: Estimate,
}

/// The filtering cells at one budget, and the seeds of chance that remain to be compared.
struct Choosers {
    choosing: Vec<usize>,
    left: Vec<usize>,
}

impl Choosers {
    /// The first half of the seeds of each filtering control filter, rounded up.
    fn new(run: &Run, budget: usize) -> Choosers {
        let (mut choosing, mut left) = (Vec::new(), Vec::new());
        for name in CHOOSING_CONTROLS {
            let cells = run.spec.grid.cells.iter().enumerate();
            let of: Vec<usize> = cells
                .filter(|(_, cell)| cell.budget == Some(budget) && cell.method.is(name))
                .map(|(index, _)| index)
                .collect();
            let (first, rest) = of.split_at(of.len().div_ceil(2));
            choosing.extend_from_slice(first);
            left.extend_from_slice(rest);
        }
        Choosers { choosing, left }
    }
}

/// The inputs of a budget's figures.
struct Grounds<'a> {
    run: &'a Run,
    cell_index: &'a CellIndex,
    scores: &'a Scores,
    tester: &'a PairedTester,
}

/// `None` where no control of the run filters.
pub(crate) fn difficult_samples(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    tester: &PairedTester,
    best: Option<&BestOfMany>,
) -> Result<Option<DifficultSamples>, ReportError> {
    let grounds = Grounds {
        run,
        cell_index,
        scores,
        tester,
    };
    let (mut budgets, mut tests) = (Vec::new(), Tests::default());
    let (mut is_single, mut names) = (false, Vec::new());
    let confirm = Split::new(run).confirm;
    for budget in 0..cell_index.budgets.len() {
        let choosers = Choosers::new(run, budget);
        if choosers.choosing.is_empty() {
            continue;
        }
        is_single |= choosers.left.is_empty();
        for &cell in &choosers.choosing {
            let name = run.spec.grid.cells[cell].method.label();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let (of, samples) = difficult(scores, &choosers.choosing, run.records.len());
        if let Some(best) = best {
            let is_difficult = |at: &usize| samples.binary_search(at).is_ok();
            let on: Vec<usize> = confirm.iter().copied().filter(is_difficult).collect();
            tests.add(&grounds, best, budget, &on);
        }
        budgets.push(describe(&grounds, budget, &choosers, of, &samples)?);
    }
    if budgets.is_empty() {
        return Ok(None);
    }
    let all: Vec<usize> = (0..run.records.len()).collect();
    let to_all_heads = tester.test(&tests.all_heads, &all)?;
    let to_baseline = tester.test(&tests.baseline, &all)?;
    Ok(Some(DifficultSamples {
        rule: rule(&names, is_single),
        budgets,
        against_all_heads: to_all_heads.comparisons,
        against_baseline: to_baseline.comparisons,
        untested: [to_all_heads.untested, to_baseline.untested].concat(),
    }))
}

fn rule(names: &[String], is_single: bool) -> String {
    let chosen = format!(
        "A sample is difficult at a budget if {} {} it wrong there",
        fp_eval::format::listed(names),
        match names.len() {
            1 => "gets",
            2 => "both get",
            _ => "all get",
        }
    );
    if is_single {
        format!(
            "{chosen}; there is no second seed of random to compare, so random is not shown on these samples."
        )
    } else {
        format!("{chosen}; the other seeds of random are compared.")
    }
}

/// Number of samples that all filtering cells answered, and those that all get wrong.
fn difficult(scores: &Scores, choosing: &[usize], num_samples: usize) -> (usize, Vec<usize>) {
    let columns: Vec<&Column> = choosing.iter().map(|&cell| &scores.cells[cell]).collect();
    let answered = |at: &usize| columns.iter().all(|column| column[*at].is_some());
    let is_wrong = |at: &usize| columns.iter().all(|c| c[*at].is_some_and(|s| s < RIGHT));
    let of: Vec<usize> = (0..num_samples).filter(answered).collect();
    let wrong = of.iter().copied().filter(is_wrong).collect();
    (of.len(), wrong)
}

/// Results of one budget on its difficult samples, which are in ascending order.
fn describe(
    grounds: &Grounds<'_>,
    budget: usize,
    choosers: &Choosers,
    of: usize,
    samples: &[usize],
) -> Result<DifficultBudget, ReportError> {
    let Grounds {
        run,
        scores,
        tester,
        ..
    } = grounds;
    let cells = &run.spec.grid.cells;
    let estimate = |column: &Column| {
        let (values, images) = present(column, &scores.clusters, samples.iter().copied());
        Estimate::new(&values, &images, tester.confidence())
    };
    let mut accuracies = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        let is_here = cell.budget.is_none_or(|at| at == budget);
        if is_here && !choosers.choosing.contains(&index) {
            accuracies.push(DifficultAccuracy {
                cell: cell.id.clone(),
                accuracy: estimate(&scores.cells[index])?,
            });
        }
    }
    let left: Vec<usize> = choosers
        .left
        .iter()
        .copied()
        .filter(|&cell| cells[cell].method.is("random"))
        .collect();
    Ok(DifficultBudget {
        budget: grounds.cell_index.budgets[budget].clone(),
        chosen_by: choosers
            .choosing
            .iter()
            .map(|&cell| cells[cell].id.clone())
            .collect(),
        n: samples.len(),
        num_images: distinct(samples.iter().map(|&at| scores.clusters[at]).collect()),
        of,
        cells: accuracies,
        random: if left.is_empty() {
            None
        } else {
            Some(estimate(&scores.mean_of(&left))?)
        },
    })
}

/// Pairs to test over all budgets.
#[derive(Default)]
struct Tests {
    all_heads: Vec<Pair>,
    baseline: Vec<Pair>,
}

impl Tests {
    fn add(&mut self, grounds: &Grounds<'_>, best: &BestOfMany, budget: usize, samples: &[usize]) {
        let Grounds {
            run,
            cell_index,
            scores,
            ..
        } = grounds;
        let label = &cell_index.budgets[budget];
        let grid = &run.spec.grid;
        // Only on these samples: the others have no value.
        let only = |cell: usize| -> Column {
            let mut values = vec![None; run.records.len()];
            for &sample in samples {
                values[sample] = scores.cells[cell][sample];
            }
            values.into()
        };
        for entry in best
            .strategies
            .iter()
            .filter(|entry| entry.budget == *label)
        {
            let Some(cell) = grid.position(&entry.cell) else {
                continue;
            };
            let a = only(cell);
            if mean_on(&a, samples).is_none() {
                continue;
            }
            if let Some(other) = cell_index.all_heads[budget] {
                let (b, family) = (only(other), "difficult samples against all_heads");
                let name = grid.cells[other].id.clone();
                self.all_heads
                    .push(Pair::new(entry.cell.clone(), &a, name, &b, family));
            }
            let names = || cell_index.strategies.iter().map(|strategy| &strategy.name);
            let baseline = names()
                .position(|name| *name == entry.strategy)
                .and_then(|strategy| cell_index.reference_of(strategy))
                .and_then(|other| best.strategy(&cell_index.strategies[other].name, label));
            if let Some(other) = baseline.and_then(|other| grid.position(&other.cell)) {
                let (b, family) = (only(other), "difficult samples against the baseline");
                let name = grid.cells[other].id.clone();
                self.baseline
                    .push(Pair::new(entry.cell.clone(), &a, name, &b, family));
            }
        }
    }
}
