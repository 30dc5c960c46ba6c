//! The cost of a prefill in the conventions of the pruning literature, by the formula of
//! [`fp_scoring::DecoderShape`].

use fp_scoring::{BudgetError, DecoderShape, MlpConvention, TokenSchedule};

/// Cost of a prefill with and without pruning after layer K, in multiply–accumulates. The papers
/// call this number FLOPs; actual FLOPs are twice as many.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PrefillCost {
    /// Every layer on all tokens.
    pub full: f64,
    /// K layers on all tokens, the others without the pruned ones.
    pub pruned: f64,
}

impl PrefillCost {
    /// Cost of a prompt of `num_tokens` tokens, `num_visual` of them visual, when n − round((1 −
    /// `retention`)·`num_visual`) tokens remain after layer K. DivPrune's script counts tokens
    /// without the system prompt.
    ///
    /// # Errors
    /// K outside 1..L, or more visual tokens to prune than tokens.
    pub fn new(
        shape: &DecoderShape,
        num_tokens: usize,
        num_visual: usize,
        retention: f64,
        prune_layer: usize,
        mlp: MlpConvention,
    ) -> Result<Self, BudgetError> {
        let num_pruned = ((1.0 - retention) * num_visual as f64).round_ties_even();
        if !(0.0..=1.0).contains(&retention) || num_visual > num_tokens {
            return Err(BudgetError::Kept {
                budget: format!("retention = {retention}"),
                kept: num_visual as f64 - num_pruned,
                num_image_tokens: num_visual.min(num_tokens),
            });
        }
        let schedule =
            |kept| TokenSchedule::one_stage(shape.num_layers, num_visual, prune_layer, kept);
        let macs = |kept| {
            let schedule = schedule(kept)?;
            Ok(shape.prefill_macs(&schedule, num_tokens - num_visual, mlp))
        };
        Ok(PrefillCost {
            full: macs(num_visual)?,
            pruned: macs(num_visual - num_pruned as usize)?,
        })
    }

    /// Pruned cost divided by full cost.
    pub fn ratio(&self) -> f64 {
        self.pruned / self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_layers_by_hand() {
        let shape = DecoderShape {
            num_layers: 2,
            hidden_size: 1,
            intermediate_size: 1,
            num_heads: 1,
            num_kv_heads: 1,
            head_dim: 1,
        };
        // A layer on n tokens: 4n + 2n² + 2n. For 5 tokens 80, for 3 tokens 36.
        let mlp = MlpConvention::TwoMatrices;
        let cost = PrefillCost::new(&shape, 5, 4, 0.5, 1, mlp).unwrap();
        assert_eq!((cost.full, cost.pruned), (160.0, 116.0));
        assert_eq!(cost.ratio(), 0.725);
        // Halves round to even, as in Python: 1.5 → 2, 0.5 → 0.
        assert_eq!(
            PrefillCost::new(&shape, 5, 3, 0.5, 1, mlp).unwrap().pruned,
            116.0
        );
        assert_eq!(
            PrefillCost::new(&shape, 5, 1, 0.5, 1, mlp).unwrap().pruned,
            160.0
        );
    }

    #[test]
    fn impossible_budgets_are_errors() {
        let shape = DecoderShape::LLAVA_1_5_7B;
        let mlp = MlpConvention::ThreeMatrices;
        assert!(PrefillCost::new(&shape, 5, 6, 0.5, 2, mlp).is_err());
        assert!(PrefillCost::new(&shape, 5, 4, 1.5, 2, mlp).is_err());
        assert!(PrefillCost::new(&shape, 5, 4, f64::NAN, 2, mlp).is_err());
        assert!(PrefillCost::new(&shape, 5, 4, 0.5, 32, mlp).is_err());
    }
}
