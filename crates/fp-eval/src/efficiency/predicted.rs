//! What counting multiply-accumulates and cached tokens predicts.

use fp_scoring::{BudgetError, DecoderShape, MlpConvention, TokenLayout, average_visual_tokens};
use serde::{Deserialize, Serialize};

/// Counted cost of one prefill, beside the dense one: what `finepruner budget` says, with
/// three matrices per MLP, as a LLaMA decoder has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicted {
    /// B: image tokens of an average layer.
    pub average_visual_tokens: f64,
    /// Multiply-accumulates of the decoder on the whole prompt, scoring included.
    pub sequence_macs: f64,
    /// Of that, scoring.
    pub scoring_macs: f64,
    /// The dense decoder's.
    pub dense_sequence_macs: f64,
    /// Dense ÷ pruned: how many times as fast the decoder's prefill should be.
    pub prefill_speed_up: f64,
    /// Bytes of keys and values after the prefill.
    pub kv_bytes: u64,
    /// The dense model's.
    pub dense_kv_bytes: u64,
}

/// What the cost of a schedule follows from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted<'a> {
    pub(super) shape: &'a DecoderShape,
    pub(super) layout: &'a TokenLayout,
    pub(super) prune_layer: usize,
    pub(super) bytes_per_value: usize,
}

impl Counted<'_> {
    /// Cost of keeping `kept` image tokens, chosen from `query_rows` rows; 0 rows where
    /// nothing is scored.
    ///
    /// # Errors
    /// K outside 1..L.
    pub(super) fn predict(&self, kept: usize, query_rows: usize) -> Result<Predicted, BudgetError> {
        let (n, k) = (self.layout.num_image, self.prune_layer);
        let sequence = self.layout.sequence_len();
        let after = sequence - n + kept;
        let macs = |after: usize| {
            let mlp = MlpConvention::ThreeMatrices;
            let (before, after) = (sequence as f64, after as f64);
            self.shape.prefill_macs(before, after, k, mlp)
        };
        let kv = |after| {
            let bytes = self
                .shape
                .kv_bytes(sequence, after, k, self.bytes_per_value)?;
            Ok::<_, BudgetError>(u64::try_from(bytes).unwrap_or(u64::MAX))
        };
        let scoring_macs = match query_rows {
            0 => 0.0,
            rows => self.shape.scoring_macs(rows, sequence, n),
        };
        let sequence_macs = macs(after)? + scoring_macs;
        let dense_sequence_macs = macs(sequence)?;
        Ok(Predicted {
            average_visual_tokens: average_visual_tokens(kept as f64, n, self.shape.num_layers, k),
            sequence_macs,
            scoring_macs,
            dense_sequence_macs,
            prefill_speed_up: dense_sequence_macs / sequence_macs,
            kv_bytes: kv(after)?,
            dense_kv_bytes: kv(sequence)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fp_scoring::PrunedCost;

    #[test]
    fn the_figures_of_a_budget() {
        let layout = TokenLayout {
            num_system: 35,
            num_image: 576,
            num_text: 29,
        };
        let shape = DecoderShape::LLAVA_1_5_7B;
        let counted = Counted {
            shape: &shape,
            layout: &layout,
            prune_layer: 2,
            bytes_per_value: 2,
        };
        let mlp = MlpConvention::ThreeMatrices;
        for (kept, rows) in [(166, 1), (30, 5), (576, 1)] {
            let cost = PrunedCost::new(&shape, &layout, 2, kept, mlp, rows, 2).unwrap();
            let predicted = counted.predict(kept, rows).unwrap();
            let ratio = predicted.prefill_speed_up * cost.sequence_ratio();
            assert!((ratio - 1.0).abs() < 1e-15, "{predicted:?}");
            assert_eq!(predicted.dense_sequence_macs, cost.unpruned_sequence_macs);
            assert_eq!(u128::from(predicted.kv_bytes), cost.kv_bytes);
            assert_eq!(predicted.average_visual_tokens, cost.average_visual_tokens);
            assert_eq!(predicted.scoring_macs, cost.scoring_macs);
        }
        let dense = counted.predict(576, 0).unwrap();
        assert_eq!(dense.prefill_speed_up, 1.0);
        assert_eq!(dense.kv_bytes, dense.dense_kv_bytes);
        // Without any image token after layer K, which a budget can't ask for.
        let none = counted.predict(0, 0).unwrap();
        assert!(none.prefill_speed_up > counted.predict(1, 1).unwrap().prefill_speed_up);
        // (2 × 640 + 30 × 64) tokens × 524288 / 32 bytes.
        assert_eq!(none.kv_bytes, (2 * 640 + 30 * 64) * 16384);
        assert!(
            Counted {
                prune_layer: 32,
                ..counted
            }
            .predict(5, 1)
            .is_err()
        );
    }
}
