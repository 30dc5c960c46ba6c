//! The best of many, chosen on one half of the images and tested on the other: the
//! largest of many means is too large by chance.

use serde::Serialize;

use super::compare::{Comparison, Judge, Outcome, Pair, Untested};
use super::roster::Roster;
use super::scores::{Column, Scores, mean_columns, present};
use crate::report::error::ReportError;
use crate::report::run::Run;

/// How the halves came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Halves {
    /// Data sets whose split is called `select`, and those called `confirm`.
    BySplit,
    /// Images by the parity of a hash of their names.
    ByImageHash,
}

/// The best strategy, with every head count and budget taken together, and the best
/// cell of each budget.
#[derive(Debug, Clone, Serialize)]
pub struct BestOfMany {
    /// How the images were split.
    pub halves: Halves,
    /// Samples to choose by.
    pub num_select: usize,
    /// Samples to test on.
    pub num_confirm: usize,
    /// Mean score of each strategy on the samples to choose by, best first.
    pub ranking: Vec<(String, f64)>,
    /// The first of the ranking.
    pub candidate: String,
    /// Strategies that the samples to choose by don't show to be worse than the
    /// candidate.
    pub contenders: Vec<String>,
    /// The candidate against the baseline, chance and FastV on the samples to test on.
    pub confirmation: Vec<Comparison>,
    /// The candidate against the other strategies on the samples to choose by, and
    /// against what it is held to on the others, where no test was possible.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
    /// The candidate, if the test confirms that it beats the baseline; the study then
    /// goes on with it.
    pub recommended: Option<String>,
    /// The best cell of each budget against the baseline there.
    pub per_budget: Vec<BestCell>,
}

/// The best cell of one budget.
#[derive(Debug, Clone, Serialize)]
pub struct BestCell {
    /// The budget's label.
    pub budget: String,
    /// The cell with the largest mean on the samples to choose by.
    pub cell: String,
    /// Its mean there.
    pub select_mean: f64,
    /// The test on the other half; none where the cell is the baseline's own, or where no
    /// test was possible.
    pub confirmation: Option<Comparison>,
    /// Why no test was possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untested: Option<Untested>,
}

/// Whether each sample is one to choose by.
fn halves(run: &Run) -> (Halves, Vec<bool>) {
    let has = |split: &str| {
        run.spec
            .datasets
            .iter()
            .any(|dataset| dataset.split == split)
    };
    if has("select") && has("confirm") {
        let is_select = run
            .records
            .iter()
            .map(|record| run.spec.datasets[record.dataset].split == "select")
            .collect();
        return (Halves::BySplit, is_select);
    }
    let is_even =
        |image: &str| crate::hash::sha256_hex(image.as_bytes()).as_bytes()[0].is_multiple_of(2);
    let is_select = run
        .records
        .iter()
        .map(|record| is_even(&record.image_id))
        .collect();
    (Halves::ByImageHash, is_select)
}

/// None where the run has fewer than two strategies, or no score to choose by.
pub(crate) fn best_of_many(
    run: &Run,
    roster: &Roster,
    scores: &Scores,
    judge: &Judge,
) -> Result<Option<BestOfMany>, ReportError> {
    let (halves, is_select) = halves(run);
    let (select, confirm): (Vec<usize>, Vec<usize>) =
        (0..run.records.len()).partition(|&sample| is_select[sample]);
    if roster.strategies.len() < 2 {
        return Ok(None);
    }
    let pooled = pooled(roster, scores);
    let mean_on = |column: &Column, samples: &[usize]| {
        let (values, _) = present(column, &scores.clusters, samples.iter().copied());
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let mut ranking: Vec<(usize, f64)> = pooled
        .iter()
        .enumerate()
        .filter_map(|(strategy, column)| Some((strategy, mean_on(column, &select)?)))
        .collect();
    // Stable: of equal means the first strategy of the configuration leads.
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some(&(candidate, _)) = ranking.first() else {
        return Ok(None);
    };
    let name = |strategy: usize| roster.strategies[strategy].name.clone();
    let others = ranking[1..].iter().map(|&(other, _)| {
        let family = "candidate against the others, select half";
        Pair::new(
            name(other),
            &pooled[other],
            name(candidate),
            &pooled[candidate],
            family,
        )
    });
    let on_select = judge.judge(&others.collect::<Vec<_>>(), &select)?;
    let contenders = on_select
        .comparisons
        .iter()
        .filter(|comparison| comparison.outcome != Outcome::Worse)
        .map(|comparison| comparison.a.clone())
        .collect();
    let confirmation = judge.judge(
        &candidate_pairs(roster, scores, &pooled, candidate),
        &confirm,
    )?;
    let baseline = roster.reference_of(candidate).map(name);
    let is_confirmed = confirmation.comparisons.iter().any(|comparison| {
        Some(&comparison.b) == baseline.as_ref() && comparison.outcome == Outcome::Better
    });
    Ok(Some(BestOfMany {
        halves,
        num_select: select.len(),
        num_confirm: confirm.len(),
        ranking: ranking
            .iter()
            .map(|&(strategy, mean)| (name(strategy), mean))
            .collect(),
        candidate: name(candidate),
        contenders,
        recommended: is_confirmed.then(|| name(candidate)),
        confirmation: confirmation.comparisons,
        untested: [on_select.untested, confirmation.untested].concat(),
        per_budget: per_budget(run, roster, scores, judge, &select, &confirm)?,
    }))
}

/// Each strategy's mean over all head counts and budgets, sample by sample.
pub(crate) fn pooled(roster: &Roster, scores: &Scores) -> Vec<Column> {
    (0..roster.strategies.len())
        .map(|strategy| scores.mean_of(&roster.cells_of(strategy)))
        .collect()
}

/// Chance over all seeds and budgets; none without that control.
pub(crate) fn pooled_random(roster: &Roster, scores: &Scores) -> Option<Column> {
    let by_budget: Vec<Column> = roster
        .random
        .iter()
        .filter(|seeds| !seeds.is_empty())
        .map(|seeds| scores.mean_of(seeds))
        .collect();
    (by_budget.len() == roster.budgets.len())
        .then(|| mean_columns(&by_budget.iter().collect::<Vec<_>>()))
}

fn pooled_all_heads(roster: &Roster, scores: &Scores) -> Option<Column> {
    let cells: Option<Vec<usize>> = roster.all_heads.iter().copied().collect();
    Some(scores.mean_of(&cells?))
}

fn candidate_pairs(
    roster: &Roster,
    scores: &Scores,
    pooled: &[Column],
    candidate: usize,
) -> Vec<Pair> {
    let baseline = roster.reference_of(candidate).map(|baseline| {
        (
            roster.strategies[baseline].name.clone(),
            pooled[baseline].clone(),
        )
    });
    let random = pooled_random(roster, scores).map(|column| ("random".to_owned(), column));
    let all_heads = pooled_all_heads(roster, scores).map(|column| ("all_heads".to_owned(), column));
    [baseline, random, all_heads]
        .into_iter()
        .flatten()
        .map(|(name, column)| {
            let family = "candidate, confirm half";
            let a = roster.strategies[candidate].name.clone();
            Pair::new(a, &pooled[candidate], name, &column, family)
        })
        .collect()
}

fn per_budget(
    run: &Run,
    roster: &Roster,
    scores: &Scores,
    judge: &Judge,
    select: &[usize],
    confirm: &[usize],
) -> Result<Vec<BestCell>, ReportError> {
    let cells = &run.spec.grid.cells;
    let (mut best, mut pairs) = (Vec::new(), Vec::new());
    for (budget, label) in roster.budgets.iter().enumerate() {
        let mut leader: Option<(usize, usize, usize, f64)> = None;
        for (strategy, count, at, cell) in roster.studied() {
            let (values, _) = present(
                &scores.cells[cell],
                &scores.clusters,
                select.iter().copied(),
            );
            if at != budget || values.is_empty() {
                continue;
            }
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            if leader.is_none_or(|(.., most)| mean > most) {
                leader = Some((strategy, count, cell, mean));
            }
        }
        let Some((strategy, count, cell, select_mean)) = leader else {
            continue;
        };
        let baseline = roster.reference_of(strategy);
        if let Some(other) = baseline.and_then(|b| roster.cell(b, count, budget)) {
            pairs.push(Pair::new(
                cells[cell].id.clone(),
                &scores.cells[cell],
                cells[other].id.clone(),
                &scores.cells[other],
                "best cell of each budget, confirm half",
            ));
        }
        best.push(BestCell {
            budget: label.clone(),
            cell: cells[cell].id.clone(),
            select_mean,
            confirmation: None,
            untested: None,
        });
    }
    let confirmed = judge.judge(&pairs, confirm)?;
    for cell in &mut best {
        let of_cell = |comparison: &&Comparison| comparison.a == cell.cell;
        cell.confirmation = confirmed.comparisons.iter().find(of_cell).cloned();
        let of_cell = |untested: &&Untested| untested.a == cell.cell;
        cell.untested = confirmed.untested.iter().find(of_cell).cloned();
    }
    Ok(best)
}
