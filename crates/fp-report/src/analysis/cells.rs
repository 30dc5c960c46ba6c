//! Accuracy of every cell, overall and by stratum, and the spread of chance.

use fp_eval::study::Method;
use serde::Serialize;

use super::cell_index::CellIndex;
use super::estimate::Estimate;
use super::on_same::{OnSameQuestions, on_same_questions};
use super::scores::{Scores, present};
use super::strata::Strata;
use crate::error::ReportError;
use crate::run::Run;

/// Summary of one cell's answers.
#[derive(Debug, Clone, Serialize)]
pub struct CellSummary {
    /// Unique and stable, such as `variance+last_token/h4/R42`.
    pub id: String,
    /// Method that selects image tokens.
    #[serde(flatten)]
    pub method: Method,
    /// The budget's label.
    pub budget: Option<String>,
    /// Mean number of image tokens after layer K.
    pub mean_kept: Option<f64>,
    /// Mean score.
    pub accuracy: Estimate,
    /// Comparison with vanilla on the questions that both answered; `None` for vanilla itself and
    /// without that control.
    pub vanilla_on_same: Option<OnSameQuestions>,
    /// Samples to which the cell doesn't apply.
    pub num_skipped: usize,
    /// Samples on which it failed, including those that failed under all cells.
    pub num_failed: usize,
    /// Answers or selections that rounding may have decided.
    pub num_near_ties: usize,
    /// Accuracy by stratum.
    pub strata: Vec<StratumAccuracy>,
}

/// A cell's mean score in one stratum.
#[derive(Debug, Clone, Serialize)]
pub struct StratumAccuracy {
    /// Name of the grouping.
    pub by: String,
    /// The group.
    pub group: String,
    /// Mean score.
    #[serde(flatten)]
    pub accuracy: Estimate,
}

/// Chance at one budget, over seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RandomControl {
    /// The budget's label.
    pub budget: String,
    /// Number of seeds.
    pub num_seeds: usize,
    /// Mean over seeds, with the interval of the samples' means.
    pub accuracy: Estimate,
    /// Comparison with vanilla on the questions that all seeds answered.
    pub vanilla_on_same: Option<OnSameQuestions>,
    /// Standard deviation over seeds; `None` with fewer than two.
    pub seed_deviation: Option<f64>,
    /// Smallest accuracy of a seed.
    pub min: f64,
    /// Largest accuracy of a seed.
    pub max: f64,
}

pub(crate) fn summaries(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    strata: &[Strata],
    confidence: f64,
) -> Result<Vec<CellSummary>, ReportError> {
    let grid = &run.spec.grid;
    let vanilla = |cell: &usize| cell_index.vanilla.filter(|vanilla| vanilla != cell);
    let estimate = |cell: usize, samples: &mut dyn Iterator<Item = usize>| {
        let (values, images) = present(&scores.cells[cell], &scores.clusters, samples);
        Estimate::new(&values, &images, confidence)
    };
    grid.cells
        .iter()
        .enumerate()
        .map(|(index, cell)| {
            let records = &run.records;
            let counts = run.columns.counts[index];
            let n = counts.num_kept_known;
            let mut by_stratum = Vec::new();
            for strata in strata {
                for group in &strata.groups {
                    by_stratum.push(StratumAccuracy {
                        by: strata.by.clone(),
                        group: group.name.clone(),
                        accuracy: estimate(index, &mut group.samples.iter().copied())?,
                    });
                }
            }
            let failed = records
                .iter()
                .filter(|record| record.error.is_some())
                .count();
            Ok(CellSummary {
                id: cell.id.clone(),
                method: cell.method.clone(),
                budget: cell.budget.map(|budget| grid.budgets[budget].label.clone()),
                mean_kept: (n > 0).then(|| counts.num_kept as f64 / n as f64),
                accuracy: estimate(index, &mut (0..records.len()))?,
                vanilla_on_same: vanilla(&index).and_then(|vanilla| {
                    on_same_questions(&scores.cells[index], &scores.cells[vanilla])
                }),
                num_skipped: counts.num_skipped,
                num_failed: failed + counts.num_failed,
                num_near_ties: counts.num_near_ties,
                strata: by_stratum,
            })
        })
        .collect()
}

pub(crate) fn random_controls(
    cell_index: &CellIndex,
    scores: &Scores,
    cells: &[CellSummary],
    confidence: f64,
) -> Result<Vec<RandomControl>, ReportError> {
    let mut controls = Vec::new();
    for (budget, seeds) in cell_index.random.iter().enumerate() {
        let means: Vec<f64> = seeds
            .iter()
            .filter_map(|&cell| cells[cell].accuracy.mean)
            .collect();
        if means.is_empty() {
            continue;
        }
        let column = scores.mean_of(seeds);
        let (values, images) = present(&column, &scores.clusters, 0..column.len());
        let mean = means.iter().sum::<f64>() / means.len() as f64;
        let squares: f64 = means.iter().map(|value| (value - mean).powi(2)).sum();
        controls.push(RandomControl {
            budget: cell_index.budgets[budget].clone(),
            num_seeds: seeds.len(),
            accuracy: Estimate::new(&values, &images, confidence)?,
            vanilla_on_same: cell_index
                .vanilla
                .and_then(|vanilla| on_same_questions(&column, &scores.cells[vanilla])),
            seed_deviation: (means.len() > 1).then(|| (squares / (means.len() - 1) as f64).sqrt()),
            min: means.iter().copied().fold(f64::INFINITY, f64::min),
            max: means.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        });
    }
    Ok(controls)
}
