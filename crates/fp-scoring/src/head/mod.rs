//! Head strategies: from one attention row per head to one score per head.
//!
//! A strategy is one file with one pure function. Those of the study read each head's statistics;
//! the three others compare heads. To add one, add a variant here and a file beside this one; the
//! compiler then reports the `match` arms to add.

mod attention_range;
mod entropy;
mod gini_coefficient;
mod graph_based;
mod hierarchical;
mod max_attention;
mod multi_objective;
mod sparsity;
mod sum;
mod top_k_sum;
mod variance;
mod weighted_quality;

mod distributions;

pub(crate) use distributions::HeadContext;
pub(crate) use top_k_sum::TOP_K;
pub(crate) use weighted_quality::COVERAGE_THRESHOLD;

use fp_kernels::cpu::Cut;

use crate::named::named_enum;
use crate::{Normalization, ScoringError, StrategyCard};

named_enum! {
    /// Which heads best identify the image tokens that matter. Higher scores are better
    /// for every strategy. `a` is one head's attention row over the image, `p`
    /// that row normalised.
    pub enum HeadStrategy as "head-selection strategy" {
        /// Σ a, the study's baseline.
        Sum = "sum",
        /// Unbiased variance of a.
        Variance = "variance",
        /// Negated entropy of p.
        Entropy = "entropy",
        /// max a.
        MaxAttention = "max_attention",
        /// max a − min a.
        AttentionRange = "attention_range",
        /// Σ p².
        Sparsity = "sparsity",
        /// Sum of the ten largest a.
        TopKSum = "top_k_sum",
        /// Concentration, sharpness and coverage of p, weighted.
        WeightedQuality = "weighted_quality",
        /// Gini coefficient of p.
        GiniCoefficient = "gini_coefficient",
        /// Entropy, kurtosis, distance from other heads and sparsity; outside the nine.
        MultiObjective = "multi_objective",
        /// Two rounds of passing features among similar heads; outside the nine.
        GraphBased = "graph_based",
        /// Candidates first, then a finer choice among them; outside the nine.
        Hierarchical = "hierarchical",
    }
}

/// Scores of all heads, and the first cut of a strategy that makes two.
pub(crate) struct HeadScores {
    pub(crate) scores: Vec<f64>,
    pub(crate) coarse_cut: Option<(Cut, Vec<f64>)>,
}

impl HeadStrategy {
    /// The nine strategies of study A.
    pub const STUDY: &'static [HeadStrategy] = Self::ALL.split_at(9).0;

    /// Formula, hypothesis and source.
    pub const fn card(self) -> StrategyCard {
        match self {
            HeadStrategy::Sum => sum::CARD,
            HeadStrategy::Variance => variance::CARD,
            HeadStrategy::Entropy => entropy::CARD,
            HeadStrategy::MaxAttention => max_attention::CARD,
            HeadStrategy::AttentionRange => attention_range::CARD,
            HeadStrategy::Sparsity => sparsity::CARD,
            HeadStrategy::TopKSum => top_k_sum::CARD,
            HeadStrategy::WeightedQuality => weighted_quality::CARD,
            HeadStrategy::GiniCoefficient => gini_coefficient::CARD,
            HeadStrategy::MultiObjective => multi_objective::CARD,
            HeadStrategy::GraphBased => graph_based::CARD,
            HeadStrategy::Hierarchical => hierarchical::CARD,
        }
    }

    /// Whether the score needs the sorted row.
    pub(crate) const fn needs_order_statistics(self) -> bool {
        matches!(self, HeadStrategy::TopKSum | HeadStrategy::GiniCoefficient)
    }

    /// Scores every head. `num_selected_heads` is h, which `hierarchical` depends on.
    ///
    /// Under `l1` a head without mass has no distribution: every strategy gives it −∞, the lowest
    /// score of all.
    pub(crate) fn scores(
        self,
        heads: &HeadContext<'_>,
        num_selected_heads: usize,
    ) -> Result<HeadScores, ScoringError> {
        let normalization = heads.normalization();
        let one_by_one = |score: fn(&fp_kernels::HeadStatistics) -> f64| heads.score_each(score);
        let scores = match self {
            HeadStrategy::Sum => one_by_one(sum::score),
            HeadStrategy::Variance => one_by_one(variance::score),
            HeadStrategy::Entropy => one_by_one(entropy::score),
            HeadStrategy::MaxAttention => one_by_one(max_attention::score),
            HeadStrategy::AttentionRange => one_by_one(attention_range::score),
            HeadStrategy::Sparsity => one_by_one(sparsity::score),
            HeadStrategy::TopKSum => one_by_one(top_k_sum::score),
            HeadStrategy::WeightedQuality => match normalization {
                Normalization::L1 => one_by_one(weighted_quality::score_l1),
                Normalization::Softmax => one_by_one(weighted_quality::score_softmax),
            },
            HeadStrategy::GiniCoefficient => one_by_one(gini_coefficient::score),
            HeadStrategy::MultiObjective => multi_objective::scores(heads)?,
            HeadStrategy::GraphBased => graph_based::scores(heads)?,
            HeadStrategy::Hierarchical => {
                return hierarchical::scores(heads, num_selected_heads);
            }
        };
        Ok(HeadScores {
            scores,
            coarse_cut: None,
        })
    }
}
