//! What decided selections: ties, scores without differences, heads without mass, and
//! where each query strategy looked from.

use std::collections::BTreeMap;

use fp_eval::study::{CellRecord, CutRecord, Method};
use serde::Serialize;

use super::roster::Roster;
use crate::run::Run;

/// A strategy whose heads were chosen by index order on this share of samples is named
/// as degenerate.
pub const DEGENERATE_SHARE: f64 = 0.05;

/// How one cell's selections came about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellAudit {
    /// The cell's id.
    pub cell: String,
    /// Selections looked at.
    pub n: usize,
    /// Head choices that fell on a tie: index order decided.
    pub head_ties: usize,
    /// Head choices that rounding may have decided, ties included.
    pub head_near_ties: usize,
    /// Most heads that were tied at a cut.
    pub widest_head_tie: usize,
    /// Token choices that fell on a tie.
    pub token_ties: usize,
    /// Token choices that rounding may have decided, ties included.
    pub token_near_ties: usize,
    /// Most tokens that were tied at a cut.
    pub widest_token_tie: usize,
    /// Samples on which every head had the same score.
    pub constant_scores: usize,
    /// Samples with heads whose score wasn't a number.
    pub nan_scores: usize,
    /// Answers with a near-tie between two tokens of the vocabulary.
    pub answer_near_ties: usize,
}

impl CellAudit {
    /// Share of samples on which index order, not the score, chose among heads.
    pub fn index_order_share(&self) -> f64 {
        match self.n {
            0 => 0.0,
            n => self.head_ties.max(self.constant_scores) as f64 / n as f64,
        }
    }

    /// See [`DEGENERATE_SHARE`].
    pub fn is_degenerate(&self) -> bool {
        self.index_order_share() >= DEGENERATE_SHARE
    }
}

/// Where one query strategy looked from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LookAudit {
    /// The strategy.
    pub query_strategy: String,
    /// Samples.
    pub n: usize,
    /// The rule that it came to, and on how many samples.
    pub branches: BTreeMap<String, usize>,
    /// Mean number of rows.
    pub mean_rows: f64,
    /// Mean share of the weight on each stretch of the sequence.
    pub weight: LookWeight,
    /// Samples on which some head had no attention to the image.
    pub zero_mass_samples: usize,
}

/// Shares of a query strategy's weight; they sum to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LookWeight {
    /// Rows before the image, which see nothing of it.
    pub system: f64,
    /// Rows of the image itself.
    pub image: f64,
    /// Rows after the image before the last five: the question.
    pub earlier_text: f64,
    /// The last five rows but the last one: the question's end and the template's.
    pub last_five: f64,
    /// The very last row, the template's own.
    pub last: f64,
}

pub(crate) fn cell_audits(run: &Run) -> Vec<CellAudit> {
    let cells = run.spec.grid.cells.iter().enumerate();
    let reads_attention = |method: &Method| method.query_strategy().is_some();
    cells
        .filter(|(_, cell)| reads_attention(&cell.method))
        .map(|(index, cell)| {
            let records: Vec<&CellRecord> = run
                .records
                .iter()
                .filter_map(|record| record.cells.get(index))
                .filter(|cell| cell.run.is_some())
                .collect();
            let head_cuts: Vec<CutRecord> = records
                .iter()
                .flat_map(|record| [record.head_cut, record.coarse_head_cut])
                .flatten()
                .collect();
            let token_cuts: Vec<CutRecord> = records
                .iter()
                .filter_map(|record| record.token_cut)
                .collect();
            let count = |cuts: &[CutRecord], is: fn(&CutRecord) -> bool| {
                cuts.iter().filter(|cut| is(cut)).count()
            };
            let widest = |cuts: &[CutRecord]| {
                let ties = cuts.iter().filter(|cut| cut.is_tie());
                ties.map(|cut| cut.num_tied).max().unwrap_or(0)
            };
            CellAudit {
                cell: cell.id.clone(),
                n: records.len(),
                head_ties: count(&head_cuts, CutRecord::is_tie),
                head_near_ties: count(&head_cuts, CutRecord::is_near_tie),
                widest_head_tie: widest(&head_cuts),
                token_ties: count(&token_cuts, CutRecord::is_tie),
                token_near_ties: count(&token_cuts, CutRecord::is_near_tie),
                widest_token_tie: widest(&token_cuts),
                constant_scores: records.iter().filter(|r| r.is_head_score_constant).count(),
                nan_scores: records.iter().filter(|r| !r.nan_heads.is_empty()).count(),
                answer_near_ties: run
                    .records
                    .iter()
                    .filter_map(|record| record.run_of(index))
                    .filter(|run| run.is_near_tie())
                    .count(),
            }
        })
        .collect()
}

pub(crate) fn look_audits(run: &Run) -> Vec<LookAudit> {
    let mut audits = Vec::new();
    for strategy in run.spec.grid.query_strategies() {
        let looks: Vec<_> = run
            .records
            .iter()
            .filter_map(|record| {
                let look = record
                    .looks
                    .iter()
                    .find(|look| look.query_strategy == strategy)?;
                Some((record.layout?, look))
            })
            .filter(|(_, look)| !look.rows.is_empty())
            .collect();
        let n = looks.len();
        let mut branches = BTreeMap::new();
        let (mut rows, mut weight) = (0, LookWeight::default());
        for (layout, look) in &looks {
            *branches.entry(look.branch.clone()).or_insert(0) += 1;
            rows += look.rows.len();
            let even = 1.0 / look.rows.len() as f64;
            // Stored weights are rounded: divided by their sum they are shares again.
            let sum: f64 = look.weights.iter().sum();
            for (position, &row) in look.rows.iter().enumerate() {
                let share = match look.weights.get(position) {
                    Some(weight) if sum > 0.0 => weight / sum,
                    _ => even,
                };
                let end = layout.sequence_len();
                let part = if row < layout.num_system {
                    &mut weight.system
                } else if layout.image_range().contains(&row) {
                    &mut weight.image
                } else if row + 1 == end {
                    &mut weight.last
                } else if row + 5 >= end {
                    &mut weight.last_five
                } else {
                    &mut weight.earlier_text
                };
                *part += share / n as f64;
            }
        }
        audits.push(LookAudit {
            query_strategy: strategy.to_string(),
            n,
            branches,
            mean_rows: if n > 0 { rows as f64 / n as f64 } else { 0.0 },
            weight,
            zero_mass_samples: looks
                .iter()
                .filter(|(_, look)| !look.zero_mass_heads.is_empty())
                .count(),
        });
    }
    audits
}

/// How often each head was selected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadUsage {
    /// The strategy.
    pub strategy: String,
    /// h.
    pub num_selected_heads: usize,
    /// Samples.
    pub n: usize,
    /// `[H]`, share of samples in which each head was selected.
    pub shares: Vec<f64>,
}

/// The choice of heads doesn't depend on the budget, so the first one stands for all.
pub(crate) fn head_usage(run: &Run, roster: &Roster) -> Vec<HeadUsage> {
    let num_heads = run.spec.model.shape.decoder.num_heads;
    let mut usage = Vec::new();
    for (strategy, count, budget, cell) in roster.studied() {
        if budget != 0 {
            continue;
        }
        let (mut n, mut counts) = (0, vec![0_usize; num_heads]);
        for record in &run.records {
            let Some(record) = record.cells.get(cell).filter(|cell| !cell.heads.is_empty()) else {
                continue;
            };
            n += 1;
            for &head in &record.heads {
                if let Some(count) = counts.get_mut(head) {
                    *count += 1;
                }
            }
        }
        if n > 0 {
            usage.push(HeadUsage {
                strategy: roster.strategies[strategy].name.clone(),
                num_selected_heads: roster.head_counts[count],
                n,
                shares: counts
                    .iter()
                    .map(|&count| count as f64 / n as f64)
                    .collect(),
            });
        }
    }
    usage
}
