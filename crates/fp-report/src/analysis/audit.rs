//! Audit of selections: ties, constant scores, heads without attention to the image, and the rows
//! that each query strategy read.

use std::collections::{BTreeMap, HashMap};

use fp_eval::study::{CutRecord, Method, QueryRows, RunRecord, SampleRecord};
use fp_scoring::{QueryStrategy, TokenLayout};
use serde::Serialize;

use super::cell_index::CellIndex;
use super::gather::{CellSums, Gathered, Given};
use crate::run::Run;

/// A strategy whose heads were selected by index order on at least this share of samples is
/// reported as degenerate.
pub const DEGENERATE_SHARE: f64 = 0.05;

/// Counts of how one cell's selections were decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellAudit {
    /// The cell's id.
    pub cell: String,
    /// Number of selections.
    pub n: usize,
    /// Head selections with a tie at the cut, decided by index order.
    pub head_ties: usize,
    /// Head selections that rounding may have decided, ties included.
    pub head_near_ties: usize,
    /// Largest number of heads tied at a cut.
    pub widest_head_tie: usize,
    /// Token selections with a tie at the cut.
    pub token_ties: usize,
    /// Token selections that rounding may have decided, ties included.
    pub token_near_ties: usize,
    /// Largest number of tokens tied at a cut.
    pub widest_token_tie: usize,
    /// Samples on which every head had the same score.
    pub constant_scores: usize,
    /// Samples with heads whose score was NaN.
    pub nan_scores: usize,
    /// Answers with a near-tie between two vocabulary tokens.
    pub answer_near_ties: usize,
}

impl CellAudit {
    /// Share of samples on which index order, not the score, selected heads.
    pub fn index_order_share(&self) -> f64 {
        match self.n {
            0 => 0.0,
            n => self.head_ties.max(self.constant_scores) as f64 / n as f64,
        }
    }

    /// Whether the share reaches [`DEGENERATE_SHARE`].
    pub fn is_degenerate(&self) -> bool {
        self.index_order_share() >= DEGENERATE_SHARE
    }
}

/// The rows that one query strategy read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LookAudit {
    /// The strategy.
    pub query_strategy: String,
    /// Number of samples.
    pub n: usize,
    /// The rule that the strategy resolved to, with its number of samples.
    pub branches: BTreeMap<String, usize>,
    /// Mean number of rows.
    pub mean_rows: f64,
    /// Mean share of the weight on each part of the sequence.
    pub weight: LookWeight,
    /// Samples on which some head had no attention to the image.
    pub zero_mass_samples: usize,
}

/// Shares of a query strategy's weight; they sum to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LookWeight {
    /// Rows before the image, which can't attend to it.
    pub system: f64,
    /// Rows of the image itself.
    pub image: f64,
    /// Rows after the image, before the last five: the question.
    pub earlier_text: f64,
    /// The last five rows except the last: the end of the question and of the template.
    pub last_five: f64,
    /// The last row, which belongs to the template.
    pub last: f64,
}

/// Counts of one cell's [`CellAudit`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AuditSums {
    n: usize,
    heads: CutCounts,
    tokens: CutCounts,
    constant_scores: usize,
    nan_scores: usize,
    answer_near_ties: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct CutCounts {
    ties: usize,
    near_ties: usize,
    widest: usize,
}

impl CutCounts {
    fn add(&mut self, cut: Option<CutRecord>) {
        let Some(cut) = cut else { return };
        self.near_ties += usize::from(cut.is_near_tie());
        if cut.is_tie() {
            self.ties += 1;
            self.widest = self.widest.max(cut.num_tied);
        }
    }
}

impl AuditSums {
    pub(super) fn add(&mut self, record: &SampleRecord, cell: usize) {
        let run = record.run_of(cell);
        self.answer_near_ties += usize::from(run.is_some_and(RunRecord::is_near_tie));
        let cell = record.cells.get(cell).filter(|cell| cell.run.is_some());
        let Some(cell) = cell else { return };
        self.n += 1;
        self.heads.add(cell.head_cut);
        self.heads.add(cell.coarse_head_cut);
        self.tokens.add(cell.token_cut);
        self.constant_scores += usize::from(cell.is_head_score_constant);
        self.nan_scores += usize::from(!cell.nan_heads.is_empty());
    }
}

pub(crate) fn cell_audits(run: &Run, gathered: &Gathered) -> Vec<CellAudit> {
    let cells = run.spec.grid.cells.iter().zip(&gathered.cells);
    let reads_attention = |method: &Method| method.query_strategy().is_some();
    cells
        .filter(|(cell, _)| reads_attention(&cell.method))
        .map(|(cell, CellSums { audit, .. })| CellAudit {
            cell: cell.id.clone(),
            n: audit.n,
            head_ties: audit.heads.ties,
            head_near_ties: audit.heads.near_ties,
            widest_head_tie: audit.heads.widest,
            token_ties: audit.tokens.ties,
            token_near_ties: audit.tokens.near_ties,
            widest_token_tie: audit.tokens.widest,
            constant_scores: audit.constant_scores,
            nan_scores: audit.nan_scores,
            answer_near_ties: audit.answer_near_ties,
        })
        .collect()
}

/// Parts of a sequence, in the order of [`LookWeight`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stretch {
    System,
    Image,
    EarlierText,
    LastFive,
    Last,
}

/// The parts of the sequence that rows are in, with their weights, in order and run-length encoded:
/// part, bits of the weight's share, number of consecutive equal rows.
type Shape = Vec<(Stretch, u64, u32)>;

/// Sums over the rows that one query strategy read.
#[derive(Debug)]
pub(super) struct LookSums {
    strategy: QueryStrategy,
    branches: BTreeMap<String, usize>,
    rows: usize,
    zero_mass_samples: usize,
    /// Distinct shapes, with their numbers of samples.
    shapes: HashMap<Shape, u32>,
    n: usize,
    /// `[samples]`, number of the sample's shape from 1; 0 for none.
    of_samples: Vec<u32>,
}

impl LookSums {
    pub(super) fn new(run: &Run, strategy: QueryStrategy) -> LookSums {
        LookSums {
            strategy,
            branches: BTreeMap::new(),
            rows: 0,
            zero_mass_samples: 0,
            shapes: HashMap::new(),
            n: 0,
            of_samples: vec![0; run.records.len()],
        }
    }

    pub(super) fn add(&mut self, given: &Given) {
        let record = &given.record;
        let mut looks = record.looks.iter();
        let query_rows = looks.find(|query_rows| query_rows.query_strategy == self.strategy);
        let Some((layout, query_rows)) = record.layout.zip(query_rows) else {
            return;
        };
        if query_rows.rows.is_empty() {
            return;
        }
        self.n += 1;
        *self.branches.entry(query_rows.branch.clone()).or_insert(0) += 1;
        self.rows += query_rows.rows.len();
        self.zero_mass_samples += usize::from(!query_rows.zero_mass_heads.is_empty());
        let shape = shape_of(layout, query_rows);
        let next = self.shapes.len() as u32 + 1;
        self.of_samples[given.place] = *self.shapes.entry(shape).or_insert(next);
    }

    fn audit(&self) -> LookAudit {
        let n = self.n;
        let mut shapes: Vec<(&Shape, u32)> = self.shapes.iter().map(|(k, v)| (k, *v)).collect();
        shapes.sort_unstable_by_key(|(_, number)| *number);
        let mut weight = LookWeight::default();
        let with_shape = self.of_samples.iter().filter(|number| **number > 0);
        for number in with_shape {
            let Some((shape, _)) = shapes.get(*number as usize - 1) else {
                continue;
            };
            for &(stretch, share, count) in *shape {
                let part = match stretch {
                    Stretch::System => &mut weight.system,
                    Stretch::Image => &mut weight.image,
                    Stretch::EarlierText => &mut weight.earlier_text,
                    Stretch::LastFive => &mut weight.last_five,
                    Stretch::Last => &mut weight.last,
                };
                for _ in 0..count {
                    *part += f64::from_bits(share) / n as f64;
                }
            }
        }
        LookAudit {
            query_strategy: self.strategy.to_string(),
            n,
            branches: self.branches.clone(),
            mean_rows: if n > 0 {
                self.rows as f64 / n as f64
            } else {
                0.0
            },
            weight,
            zero_mass_samples: self.zero_mass_samples,
        }
    }
}

fn shape_of(layout: TokenLayout, query_rows: &QueryRows) -> Shape {
    let even = 1.0 / query_rows.rows.len() as f64;
    // Stored weights are rounded, so they are normalised again.
    let sum: f64 = query_rows.weights.iter().sum();
    let end = layout.sequence_len();
    let mut shape: Shape = Vec::new();
    for (position, &row) in query_rows.rows.iter().enumerate() {
        let share = match query_rows.weights.get(position) {
            Some(weight) if sum > 0.0 => weight / sum,
            _ => even,
        };
        let stretch = if row < layout.num_system {
            Stretch::System
        } else if layout.image_range().contains(&row) {
            Stretch::Image
        } else if row + 1 == end {
            Stretch::Last
        } else if row + 5 >= end {
            Stretch::LastFive
        } else {
            Stretch::EarlierText
        };
        let share = share.to_bits();
        match shape.last_mut() {
            Some((same, of, count)) if (*same, *of) == (stretch, share) => *count += 1,
            _ => shape.push((stretch, share, 1)),
        }
    }
    shape
}

pub(crate) fn look_audits(gathered: &Gathered) -> Vec<LookAudit> {
    gathered.looks.iter().map(LookSums::audit).collect()
}

/// Frequency with which each head was selected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadUsage {
    /// The strategy.
    pub strategy: String,
    /// h, the number of selected heads.
    pub num_selected_heads: usize,
    /// Number of samples.
    pub n: usize,
    /// `[H]`, share of samples in which each head was selected.
    pub shares: Vec<f64>,
}

/// Counts of how often one cell selected each head.
#[derive(Debug)]
pub(super) struct HeadCounts {
    n: usize,
    /// `[H]`.
    counts: Vec<usize>,
}

impl HeadCounts {
    pub(super) fn new(run: &Run) -> HeadCounts {
        HeadCounts {
            n: 0,
            counts: vec![0; run.spec.model.shape.decoder.num_heads],
        }
    }

    pub(super) fn add(&mut self, record: &SampleRecord, cell: usize) {
        let cell = record.cells.get(cell);
        let Some(cell) = cell.filter(|cell| !cell.heads.is_empty()) else {
            return;
        };
        self.n += 1;
        for &head in &cell.heads {
            if let Some(count) = self.counts.get_mut(head) {
                *count += 1;
            }
        }
    }
}

/// The selection of heads doesn't depend on the budget, so the first budget represents all.
pub(crate) fn head_usage(cell_index: &CellIndex, gathered: &Gathered) -> Vec<HeadUsage> {
    let mut usage = Vec::new();
    for (strategy, count, budget, cell) in cell_index.studied() {
        let HeadCounts { n, counts } = &gathered.cells[cell].heads;
        if budget != 0 || *n == 0 {
            continue;
        }
        usage.push(HeadUsage {
            strategy: cell_index.strategies[strategy].name.clone(),
            num_selected_heads: cell_index.head_counts[count],
            n: *n,
            shares: counts
                .iter()
                .map(|&count| count as f64 / *n as f64)
                .collect(),
        });
    }
    usage
}
