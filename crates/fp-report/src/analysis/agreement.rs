//! Equivalent strategies: agreement of the tokens that they keep.

use fp_eval::study::SampleRecord;
use serde::Serialize;

use super::cell_index::CellIndex;
use super::kept::{TokenBits, kept_tokens};

/// Pairs that keep the same tokens on at least this share of samples are equivalent in practice.
pub const SAME_IN_PRACTICE: f64 = 0.95;

/// Agreement of every pair at one budget and one head count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgreementMatrix {
    /// The budget's label.
    pub budget: String,
    /// h, the number of selected heads.
    pub num_selected_heads: usize,
    /// Strategies, followed by the control `all_heads` if the run has it.
    pub labels: Vec<String>,
    /// Number of samples that all of them have.
    pub n: usize,
    /// `[labels][labels]`, mean Jaccard of the kept sets.
    pub mean_jaccard: Vec<Vec<f64>>,
    /// `[labels][labels]`, share of samples with identical sets.
    pub identical_share: Vec<Vec<f64>>,
}

/// A pair of strategies, over every budget and head count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StrategyPair {
    /// One strategy.
    pub a: String,
    /// The other strategy, or `all_heads`.
    pub b: String,
    /// Mean Jaccard of the kept sets.
    pub mean_jaccard: f64,
    /// Share of samples and cells with identical sets.
    pub identical_share: f64,
    /// Share of samples and cells whose scores differ.
    pub score_differs_share: f64,
}

impl StrategyPair {
    /// Whether both kept the same tokens throughout.
    pub fn is_same(&self) -> bool {
        self.identical_share == 1.0
    }

    /// Whether both are equivalent in practice, see [`SAME_IN_PRACTICE`].
    pub fn is_same_in_practice(&self) -> bool {
        self.identical_share >= SAME_IN_PRACTICE
    }
}

/// Sums over samples of one pair.
#[derive(Debug, Clone, Copy, Default)]
struct PairSums {
    jaccard: f64,
    identical: usize,
    differs: usize,
}

/// Sums of all pairs at one budget and one head count.
#[derive(Debug)]
pub(super) struct GroupSums {
    budget: usize,
    count: usize,
    /// Cells of the strategies, then of `all_heads`; `None` where the run lacks one.
    cells: Option<Vec<usize>>,
    n: usize,
    /// `[cells · cells]`.
    sums: Vec<PairSums>,
}

/// The groups of a run, before any record.
pub(super) fn groups(cell_index: &CellIndex) -> Vec<GroupSums> {
    let size = labels(cell_index).len();
    let has_all_heads = has_all_heads(cell_index);
    let mut groups = Vec::new();
    for budget in 0..cell_index.budgets.len() {
        for count in 0..cell_index.head_counts.len() {
            let strategies = 0..cell_index.strategies.len();
            let cells = strategies
                .map(|strategy| cell_index.cell(strategy, count, budget))
                .chain(has_all_heads.then(|| cell_index.all_heads[budget]))
                .collect();
            groups.push(GroupSums {
                budget,
                count,
                cells,
                n: 0,
                sums: vec![PairSums::default(); size * size],
            });
        }
    }
    groups
}

fn has_all_heads(cell_index: &CellIndex) -> bool {
    cell_index.all_heads.iter().all(Option::is_some)
}

fn labels(cell_index: &CellIndex) -> Vec<String> {
    let mut labels: Vec<String> = cell_index
        .strategies
        .iter()
        .map(|s| s.name.clone())
        .collect();
    if has_all_heads(cell_index) {
        labels.push("all_heads".to_owned());
    }
    labels
}

/// Computes the agreement from the groups' sums.
pub(crate) fn agreement(
    cell_index: &CellIndex,
    groups: &[GroupSums],
) -> (Vec<AgreementMatrix>, Vec<StrategyPair>) {
    let labels = labels(cell_index);
    let size = labels.len();
    let mut matrices = Vec::new();
    let mut total = (0, vec![PairSums::default(); size * size]);
    for GroupSums {
        budget,
        count,
        n,
        sums,
        ..
    } in groups
    {
        let (budget, count) = (*budget, *count);
        if *n == 0 {
            continue;
        }
        let matrix = |value: &dyn Fn(&PairSums) -> f64| {
            sums.chunks(size)
                .map(|row| row.iter().map(|sums| value(sums) / *n as f64).collect())
                .collect()
        };
        matrices.push(AgreementMatrix {
            budget: cell_index.budgets[budget].clone(),
            num_selected_heads: cell_index.head_counts[count],
            labels: labels.clone(),
            n: *n,
            mean_jaccard: matrix(&|sums| sums.jaccard),
            identical_share: matrix(&|sums| sums.identical as f64),
        });
        total.0 += n;
        for (total, sums) in total.1.iter_mut().zip(sums) {
            total.jaccard += sums.jaccard;
            total.identical += sums.identical;
            total.differs += sums.differs;
        }
    }
    let mut pairs = Vec::new();
    if total.0 > 0 {
        for a in 0..size {
            for b in a + 1..size {
                let sums = total.1[a * size + b];
                let share = |value: f64| value / total.0 as f64;
                pairs.push(StrategyPair {
                    a: labels[a].clone(),
                    b: labels[b].clone(),
                    mean_jaccard: share(sums.jaccard),
                    identical_share: share(sums.identical as f64),
                    score_differs_share: share(sums.differs as f64),
                });
            }
        }
    }
    (matrices, pairs)
}

impl GroupSums {
    /// Adds a record, if all of the group's cells have it.
    pub(super) fn add(&mut self, record: &SampleRecord) {
        let Some(cells) = &self.cells else { return };
        let kept = cells.iter().map(|&cell| kept_tokens(record, cell));
        let Some(kept) = kept.collect::<Option<Vec<&[usize]>>>() else {
            return;
        };
        self.n += 1;
        let size = cells.len();
        let bits: Vec<TokenBits> = kept.iter().map(|tokens| TokenBits::new(tokens)).collect();
        let scores: Vec<Option<f64>> = cells
            .iter()
            .map(|&cell| Some(record.run_of(cell)?.score))
            .collect();
        for a in 0..size {
            for b in a..size {
                let is_same = kept[a] == kept[b];
                let add = PairSums {
                    jaccard: if is_same {
                        1.0
                    } else {
                        bits[a].jaccard(&bits[b])
                    },
                    identical: usize::from(is_same),
                    differs: usize::from(scores[a] != scores[b]),
                };
                for at in [a * size + b, b * size + a] {
                    self.sums[at].jaccard += add.jaccard;
                    self.sums[at].identical += add.identical;
                    self.sums[at].differs += add.differs;
                    if a == b {
                        break;
                    }
                }
            }
        }
    }
}
