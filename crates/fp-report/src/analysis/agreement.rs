//! Equivalent strategies: how far the tokens that they keep agree.

use rayon::prelude::*;
use serde::Serialize;

use super::kept::{TokenBits, kept_tokens};
use super::roster::Roster;
use super::scores::Scores;
use crate::run::Run;

/// Pairs that keep the same tokens on this share of samples are equivalent in practice.
pub const SAME_IN_PRACTICE: f64 = 0.95;

/// Agreement of every pair at one budget and one head count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgreementMatrix {
    /// The budget's label.
    pub budget: String,
    /// h.
    pub num_selected_heads: usize,
    /// Strategies, then the control `all_heads` where there is one.
    pub labels: Vec<String>,
    /// Samples that all of them have.
    pub n: usize,
    /// `[labels][labels]`, mean Jaccard of the kept sets.
    pub mean_jaccard: Vec<Vec<f64>>,
    /// `[labels][labels]`, share of samples with identical sets.
    pub identical_share: Vec<Vec<f64>>,
}

/// A pair of strategies over every budget and head count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StrategyPair {
    /// One strategy.
    pub a: String,
    /// The other; `all_heads` among them.
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

pub(crate) fn agreement(
    run: &Run,
    roster: &Roster,
    scores: &Scores,
) -> (Vec<AgreementMatrix>, Vec<StrategyPair>) {
    let mut groups = Vec::new();
    for budget in 0..roster.budgets.len() {
        for count in 0..roster.head_counts.len() {
            groups.push((budget, count));
        }
    }
    let mut labels: Vec<String> = roster.strategies.iter().map(|s| s.name.clone()).collect();
    let has_all_heads = roster.all_heads.iter().all(Option::is_some);
    if has_all_heads {
        labels.push("all_heads".to_owned());
    }
    let size = labels.len();
    let sums: Vec<(usize, Vec<PairSums>)> = groups
        .par_iter()
        .map(|&(budget, count)| {
            let cells: Option<Vec<usize>> = (0..roster.strategies.len())
                .map(|strategy| roster.cell(strategy, count, budget))
                .chain(has_all_heads.then(|| roster.all_heads[budget]))
                .collect();
            cells.map_or((0, Vec::new()), |cells| pair_sums(run, scores, &cells))
        })
        .collect();
    let mut matrices = Vec::new();
    let mut total = (0, vec![PairSums::default(); size * size]);
    for (&(budget, count), (n, sums)) in groups.iter().zip(&sums) {
        if *n == 0 {
            continue;
        }
        let matrix = |value: &dyn Fn(&PairSums) -> f64| {
            sums.chunks(size)
                .map(|row| row.iter().map(|sums| value(sums) / *n as f64).collect())
                .collect()
        };
        matrices.push(AgreementMatrix {
            budget: roster.budgets[budget].clone(),
            num_selected_heads: roster.head_counts[count],
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

/// Over the samples that all `cells` have; `[cells · cells]`.
fn pair_sums(run: &Run, scores: &Scores, cells: &[usize]) -> (usize, Vec<PairSums>) {
    let size = cells.len();
    let mut sums = vec![PairSums::default(); size * size];
    let mut n = 0;
    for (sample, record) in run.records.iter().enumerate() {
        let kept: Option<Vec<&[usize]>> = cells
            .iter()
            .map(|&cell| kept_tokens(record, cell))
            .collect();
        let Some(kept) = kept else { continue };
        n += 1;
        let bits: Vec<TokenBits> = kept.iter().map(|tokens| TokenBits::new(tokens)).collect();
        for a in 0..size {
            for b in a..size {
                let is_same = kept[a] == kept[b];
                let score = |cell: usize| scores.cells[cells[cell]][sample];
                let add = PairSums {
                    jaccard: if is_same {
                        1.0
                    } else {
                        bits[a].jaccard(&bits[b])
                    },
                    identical: usize::from(is_same),
                    differs: usize::from(score(a) != score(b)),
                };
                for at in [a * size + b, b * size + a] {
                    sums[at].jaccard += add.jaccard;
                    sums[at].identical += add.identical;
                    sums[at].differs += add.differs;
                    if a == b {
                        break;
                    }
                }
            }
        }
    }
    (n, sums)
}
