//! Whole pruning methods, budget by budget: each is tested against one reference cell, FastV by
//! default, and against the mean over the seeds of chance.

mod contestants;
mod reference;
mod words;

use fp_eval::study::CountedCost;
use fp_eval::study::config::HolmFamily;
use serde::Serialize;

use self::contestants::Contestant;
use super::cell_index::CellIndex;
use super::compare::{Comparison, Pair, PairedTester, Untested};
use super::scores::Scores;
use crate::error::ReportError;
use crate::run::Run;

pub(crate) use reference::{reference_cell, reference_name};
pub(crate) use words::{headline as method_headline, samples as samples_of_tests};

/// All methods at one budget.
#[derive(Debug, Clone, Serialize)]
pub struct MethodTests {
    /// The budget's label.
    pub budget: String,
    /// The reference: a cell's id; `None` where the run has no such cell.
    pub reference: Option<String>,
    /// Name of the reference.
    pub reference_name: String,
    /// Number of seeds of chance whose mean methods are tested against.
    pub num_random_seeds: usize,
    /// The methods, in the order of the grid.
    pub methods: Vec<MethodEntry>,
    /// Tests that could not be made, each with its reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
}

/// One method at one budget.
#[derive(Debug, Clone, Serialize)]
pub struct MethodEntry {
    /// The cell's id.
    pub cell: String,
    /// The method's name.
    pub method: String,
    /// Whether the method has a schedule of its own instead of the budget. It is then listed at the
    /// budget whose reference has the nearest layer average of visual tokens.
    pub has_own_schedule: bool,
    /// B of the cell: the mean number of visual tokens that enter a layer.
    pub average_visual_tokens: f64,
    /// Test against the reference; `None` for the reference itself and where no test was possible.
    pub against_reference: Option<Comparison>,
    /// Test against the mean over the seeds of chance, on the samples that all of them answered.
    pub against_random: Option<Comparison>,
}

/// The data that methods are tested on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MethodGrounds<'a> {
    pub(crate) run: &'a Run,
    pub(crate) cell_index: &'a CellIndex,
    pub(crate) scores: &'a Scores,
    pub(crate) tester: &'a PairedTester,
    /// `[cells]`.
    pub(crate) costs: &'a [CountedCost],
}

/// Every method of a run at every budget, with the reference cell at each given by `reference`;
/// empty for runs with only strategies and controls. Tests against one reference at one budget are
/// a family, or all tests of the study where it corrects them together.
pub(crate) fn method_tests(
    grounds: &MethodGrounds<'_>,
    reference: &dyn Fn(usize) -> Option<usize>,
) -> Result<Vec<MethodTests>, ReportError> {
    let by_budget = contestants::by_budget(grounds, reference);
    let mut asked = Vec::new();
    let mut tests = Vec::new();
    for (budget, contestants) in by_budget.iter().enumerate() {
        if contestants.is_empty() {
            continue;
        }
        let at = Budget {
            grounds,
            budget,
            reference: reference(budget),
        };
        asked.extend(at.pairs(contestants));
        tests.push(at.empty(contestants));
    }
    let samples: Vec<usize> = (0..grounds.run.records.len()).collect();
    let tested = grounds.tester.test(&asked, &samples)?;
    for of_budget in &mut tests {
        let random = random_name(&of_budget.budget);
        for entry in &mut of_budget.methods {
            let of = |b: &str| {
                let mut all = tested.comparisons.iter();
                all.find(|c| c.a == entry.cell && c.b == b).cloned()
            };
            entry.against_reference = of_budget.reference.as_deref().and_then(of);
            entry.against_random = of(&random);
        }
        let is_here = |untested: &&Untested| {
            let mut cells = of_budget.methods.iter();
            cells.any(|entry| entry.cell == untested.a)
                && (untested.b == random || Some(&untested.b) == of_budget.reference.as_ref())
        };
        of_budget.untested = tested.untested.iter().filter(is_here).cloned().collect();
    }
    Ok(tests)
}

/// One budget of a run.
struct Budget<'a> {
    grounds: &'a MethodGrounds<'a>,
    budget: usize,
    reference: Option<usize>,
}

impl Budget<'_> {
    fn label(&self) -> &str {
        &self.grounds.cell_index.budgets[self.budget]
    }

    fn reference_name(&self) -> String {
        let cells = &self.grounds.run.spec.grid.cells;
        match self.reference {
            Some(cell) => reference_name(&cells[cell]),
            None => self.grounds.cell_index.baseline_name().to_owned(),
        }
    }

    /// All methods against the reference and against chance.
    fn pairs(&self, contestants: &[Contestant]) -> Vec<Pair> {
        let MethodGrounds { run, scores, .. } = self.grounds;
        let cells = &run.spec.grid.cells;
        let seeds = &self.grounds.cell_index.random[self.budget];
        let random = (!seeds.is_empty())
            .then(|| (random_name(self.label()), scores.mean_of(seeds), "random"));
        let name = self.reference_name();
        let reference = self.reference.map(|cell| {
            let column = scores.cells[cell].clone();
            (cells[cell].id.clone(), column, name.as_str())
        });
        let mut pairs = Vec::new();
        for (b, column, name) in reference.into_iter().chain(random) {
            for contestant in contestants {
                let cell = contestant.cell;
                if cells[cell].id == b {
                    continue;
                }
                pairs.push(Pair::new(
                    cells[cell].id.clone(),
                    &scores.cells[cell],
                    b.clone(),
                    &column,
                    self.family(name),
                ));
            }
        }
        pairs
    }

    fn family(&self, against: &str) -> String {
        match self.grounds.run.spec.config.statistics.holm_family {
            HolmFamily::Budget | HolmFamily::BudgetAndHeads => {
                format!("methods against {against} at {}", self.label())
            }
            HolmFamily::Study => format!("methods against {against}"),
        }
    }

    /// The budget's methods, before any test.
    fn empty(&self, contestants: &[Contestant]) -> MethodTests {
        let cells = &self.grounds.run.spec.grid.cells;
        let entry = |contestant: &Contestant| MethodEntry {
            cell: cells[contestant.cell].id.clone(),
            method: contestant.name.clone(),
            has_own_schedule: contestant.has_own_schedule,
            average_visual_tokens: self.grounds.costs[contestant.cell].average_visual_tokens,
            against_reference: None,
            against_random: None,
        };
        MethodTests {
            budget: self.label().to_owned(),
            reference: self.reference.map(|cell| cells[cell].id.clone()),
            reference_name: self.reference_name(),
            num_random_seeds: self.grounds.cell_index.random[self.budget].len(),
            methods: contestants.iter().map(entry).collect(),
            untested: Vec::new(),
        }
    }
}

fn random_name(budget: &str) -> String {
    format!("random/{budget}")
}
