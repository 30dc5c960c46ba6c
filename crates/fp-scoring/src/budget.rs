//! Numbers of kept tokens and of selected heads.

/// A budget or a head count that can't be met.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// R outside 1..=N.
    #[error(
        "{budget}: R = {kept} of {num_image_tokens} image tokens; R must be between 1 and {num_image_tokens}{}",
        if budget.starts_with("retention") { ", and a retention is a share, such as 0.5" } else { "" }
    )]
    Kept {
        /// The budget in words.
        budget: String,
        /// The resulting R.
        kept: f64,
        /// N.
        num_image_tokens: usize,
    },
    /// A layer average that no R results in.
    #[error(
        "average_visual_tokens = {average} can't be reached by pruning after layer {prune_layer} of {num_layers} with {num_image_tokens} image tokens: it gives R = {kept}; the average must be between {lowest:.2} and {num_image_tokens}"
    )]
    Average {
        /// B.
        average: f64,
        /// The resulting R.
        kept: f64,
        /// K.
        prune_layer: usize,
        /// L.
        num_layers: usize,
        /// N.
        num_image_tokens: usize,
        /// The average for R = 1.
        lowest: f64,
    },
    /// K outside 1..L.
    #[error("can't prune after layer {prune_layer} of {num_layers}; the layer must be between 1 and {}", num_layers.saturating_sub(1))]
    PruneLayer {
        /// K.
        prune_layer: usize,
        /// L.
        num_layers: usize,
    },
    /// Stages of a schedule out of order.
    #[error(
        "schedule: layer {after_layer} does not come after the stage before it; list stages by ascending layer"
    )]
    StageOrder {
        /// The stage's layer.
        after_layer: usize,
    },
    /// A stage that keeps more tokens than enter it.
    #[error("schedule: {tokens} tokens after layer {after_layer}, but only {entering} enter it")]
    StageTokens {
        /// The stage's layer.
        after_layer: usize,
        /// Tokens that it keeps.
        tokens: usize,
        /// Tokens that entered it.
        entering: usize,
    },
    /// h outside 1..=H.
    #[error(
        "can't select {num_selected_heads} of {num_heads} heads; the number must be between 1 and {num_heads}"
    )]
    Heads {
        /// h.
        num_selected_heads: usize,
        /// H.
        num_heads: usize,
    },
}

/// How many image tokens layers K+1..L work on, in one of three ways to say it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenBudget {
    /// B: image tokens of an average layer, as papers state it.
    AverageVisualTokens(
        #[cfg_attr(feature = "schema", schemars(extend("exclusiveMinimum" = 0)))] f64,
    ),
    /// R: image tokens that stay.
    Kept(#[cfg_attr(feature = "schema", schemars(range(min = 1)))] usize),
    /// R / N: share of the image tokens that stays.
    Retention(
        #[cfg_attr(feature = "schema", schemars(extend("exclusiveMinimum" = 0, "maximum" = 1)))]
        f64,
    ),
}

impl TokenBudget {
    /// R for N image tokens in a decoder of L layers that prunes after layer K.
    ///
    /// R = round((B·L − K·N) / (L − K)) for an average, round(N·retention) for a
    /// share; halves round away from zero.
    ///
    /// # Errors
    /// R outside 1..=N, or K outside 1..L.
    pub fn kept(
        &self,
        num_image_tokens: usize,
        num_layers: usize,
        prune_layer: usize,
    ) -> Result<usize, BudgetError> {
        if prune_layer == 0 || prune_layer >= num_layers {
            return Err(BudgetError::PruneLayer {
                prune_layer,
                num_layers,
            });
        }
        let (n, l, k) = (
            num_image_tokens as f64,
            num_layers as f64,
            prune_layer as f64,
        );
        let kept = match *self {
            TokenBudget::AverageVisualTokens(average) => ((average * l - k * n) / (l - k)).round(),
            TokenBudget::Kept(kept) => kept as f64,
            TokenBudget::Retention(retention) => (n * retention).round(),
        };
        if (1.0..=n).contains(&kept) {
            return Ok(kept as usize);
        }
        Err(match *self {
            TokenBudget::AverageVisualTokens(average) => BudgetError::Average {
                average,
                kept,
                prune_layer,
                num_layers,
                num_image_tokens,
                lowest: average_visual_tokens(1.0, num_image_tokens, num_layers, prune_layer),
            },
            _ => BudgetError::Kept {
                budget: self.to_string(),
                kept,
                num_image_tokens,
            },
        })
    }
}

impl std::fmt::Display for TokenBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TokenBudget::AverageVisualTokens(average) => {
                write!(f, "average_visual_tokens = {average}")
            }
            TokenBudget::Kept(kept) => write!(f, "kept = {kept}"),
            TokenBudget::Retention(retention) => write!(f, "retention = {retention}"),
        }
    }
}

/// (K·N + (L − K)·R) / L: the visual tokens in an average layer.
pub fn average_visual_tokens(
    kept: f64,
    num_image_tokens: usize,
    num_layers: usize,
    prune_layer: usize,
) -> f64 {
    let full = (prune_layer * num_image_tokens) as f64;
    (full + (num_layers - prune_layer) as f64 * kept) / num_layers as f64
}

/// h, the number of heads to select. *All* is not the default: with every head selected, all head
/// strategies are the same method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadCount {
    /// Every head: the control `all_heads`, FastV itself.
    All,
    /// This many.
    Count(usize),
    /// H · numerator / denominator, rounded down; the study's grid is ¾, ½ and ¼.
    Share {
        /// Numerator.
        numerator: usize,
        /// Denominator.
        denominator: usize,
    },
}

impl HeadCount {
    /// Half of the heads, the default of a study.
    pub const HALF: HeadCount = HeadCount::Share {
        numerator: 1,
        denominator: 2,
    };

    /// h for H heads.
    ///
    /// # Errors
    /// h outside 1..=H.
    pub fn resolve(&self, num_heads: usize) -> Result<usize, BudgetError> {
        let num_selected_heads = match *self {
            HeadCount::All => num_heads,
            HeadCount::Count(count) => count,
            HeadCount::Share {
                numerator,
                denominator,
            } => {
                let share = num_heads.saturating_mul(numerator).checked_div(denominator);
                // Half of one head, which is only the default, is rounded up to that head.
                let least = usize::from(*self == HeadCount::HALF);
                share.unwrap_or(0).max(least)
            }
        };
        if num_selected_heads == 0 || num_selected_heads > num_heads {
            return Err(BudgetError::Heads {
                num_selected_heads,
                num_heads,
            });
        }
        Ok(num_selected_heads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_budgets() {
        // The table of layer averages: 7B has 32 layers, 13B has 40.
        for (layers, k, expected) in [
            (32, 2, [166, 98, 30]),
            (32, 3, [152, 82, 11]),
            (40, 2, [172, 104, 37]),
            (40, 3, [161, 92, 22]),
        ] {
            let kept = [192.0, 128.0, 64.0].map(|average| {
                TokenBudget::AverageVisualTokens(average)
                    .kept(576, layers, k)
                    .unwrap()
            });
            assert_eq!(kept, expected, "L = {layers}, K = {k}");
        }
        // Any resolution: B / N = 1/3, 2/9, 1/9 of 2880.
        let kept = [960.0, 640.0, 320.0].map(|average| {
            TokenBudget::AverageVisualTokens(average)
                .kept(2880, 32, 2)
                .unwrap()
        });
        assert_eq!(kept, [832, 491, 149]);
    }

    #[test]
    fn retention_of_the_published_budgets() {
        let kept = [166.0, 98.0, 30.0].map(|kept| {
            TokenBudget::Retention(kept / 576.0)
                .kept(144, 12, 2)
                .unwrap()
        });
        assert_eq!(kept, [42, 25, 8]);
    }

    #[test]
    fn impossible_budgets_say_what_is_possible() {
        let error = TokenBudget::AverageVisualTokens(36.0)
            .kept(576, 32, 2)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the average must be between 36.94 and 576"),
            "{error}"
        );
        for budget in [
            TokenBudget::Kept(0),
            TokenBudget::Kept(577),
            TokenBudget::Retention(0.0),
            TokenBudget::Retention(1.1),
            TokenBudget::Retention(f64::NAN),
            TokenBudget::AverageVisualTokens(f64::NAN),
            TokenBudget::AverageVisualTokens(577.0),
        ] {
            assert!(budget.kept(576, 32, 2).is_err(), "{budget}");
        }
        assert!(TokenBudget::Kept(5).kept(576, 32, 0).is_err());
        assert!(TokenBudget::Kept(5).kept(576, 32, 32).is_err());
        assert_eq!(TokenBudget::Kept(576).kept(576, 32, 31), Ok(576));
    }

    #[test]
    fn head_counts() {
        assert_eq!(HeadCount::HALF.resolve(32), Ok(16));
        for (num_heads, expected) in [(1, 1), (2, 1), (3, 1), (5, 2)] {
            assert_eq!(HeadCount::HALF.resolve(num_heads), Ok(expected));
        }
        assert!(HeadCount::HALF.resolve(0).is_err());
        assert_eq!(
            HeadCount::Share {
                numerator: 3,
                denominator: 4
            }
            .resolve(10),
            Ok(7)
        );
        assert_eq!(HeadCount::All.resolve(5), Ok(5));
        for count in [
            HeadCount::Count(0),
            HeadCount::Count(9),
            HeadCount::Share {
                numerator: 1,
                denominator: 0,
            },
        ] {
            assert!(matches!(
                count.resolve(8),
                Err(BudgetError::Heads { num_heads: 8, .. })
            ));
        }
    }
}
