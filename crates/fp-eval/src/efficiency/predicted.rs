//! Costs predicted by counting multiply-accumulates and cached tokens.

use fp_scoring::{
    BudgetError, DecoderShape, MlpConvention, PrunedCost, TokenLayout, TokenSchedule,
};
use serde::{Deserialize, Serialize};

/// Counted cost of one prefill, beside the dense one: as in `finepruner budget`, with three
/// matrices per MLP as in a LLaMA decoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicted {
    /// B, the mean number of image tokens per layer.
    pub average_visual_tokens: f64,
    /// Multiply-accumulates of the decoder on the whole prompt, including scoring.
    pub sequence_macs: f64,
    /// The part of these for scoring.
    pub scoring_macs: f64,
    /// Multiply-accumulates of the dense decoder.
    pub dense_sequence_macs: f64,
    /// Dense ÷ pruned: the predicted speed-up of the decoder's prefill.
    pub prefill_speed_up: f64,
    /// Bytes of keys and values after the prefill.
    pub kv_bytes: u64,
    /// The same for the dense model.
    pub dense_kv_bytes: u64,
}

/// The quantities that determine a schedule's cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted<'a> {
    pub(super) shape: &'a DecoderShape,
    pub(super) layout: &'a TokenLayout,
    pub(super) prune_layer: usize,
    pub(super) bytes_per_value: usize,
}

impl Counted<'_> {
    /// Cost of keeping `kept` image tokens, selected by `query_rows` rows; 0 rows without scoring.
    ///
    /// # Errors
    /// K outside 1..L.
    pub(super) fn predict(&self, kept: usize, query_rows: usize) -> Result<Predicted, BudgetError> {
        let (num_layers, n) = (self.shape.num_layers, self.layout.num_image);
        let schedule = TokenSchedule::one_stage(num_layers, n, self.prune_layer, kept)?;
        Ok(self.predict_schedule(&schedule, query_rows))
    }

    /// Like [`Counted::predict`], for any schedule.
    pub(super) fn predict_schedule(
        &self,
        schedule: &TokenSchedule,
        query_rows: usize,
    ) -> Predicted {
        let cost = PrunedCost::new(
            self.shape,
            self.layout,
            schedule,
            MlpConvention::ThreeMatrices,
            query_rows,
            self.bytes_per_value,
        );
        let bytes = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
        Predicted {
            average_visual_tokens: cost.average_visual_tokens,
            sequence_macs: cost.sequence_macs + cost.scoring_macs,
            scoring_macs: cost.scoring_macs,
            dense_sequence_macs: cost.unpruned_sequence_macs,
            prefill_speed_up: 1.0 / cost.sequence_ratio(),
            kv_bytes: bytes(cost.kv_bytes),
            dense_kv_bytes: bytes(cost.unpruned_kv_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
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
        let dense = counted.predict(576, 0).unwrap();
        assert_eq!(dense.prefill_speed_up, 1.0);
        assert_eq!(dense.kv_bytes, dense.dense_kv_bytes);
        // 640 tokens × 524288 bytes.
        assert_eq!(dense.kv_bytes, 640 * 524_288);
        // The published layer average of 192 keeps 166.
        let pruned = counted.predict(166, 1).unwrap();
        assert!((pruned.average_visual_tokens - 191.625).abs() < 1e-12);
        assert!(pruned.scoring_macs > 0.0 && pruned.prefill_speed_up > 2.0);
        // Scoring adds cost.
        assert!(counted.predict(576, 1).unwrap().prefill_speed_up < 1.0);
        // Without image tokens after layer K, which no budget can express.
        let none = counted.predict(0, 0).unwrap();
        assert!(none.prefill_speed_up > counted.predict(1, 1).unwrap().prefill_speed_up);
        // (2 × 640 + 30 × 64) tokens × 524288 / 32 bytes.
        assert_eq!(none.kv_bytes, (2 * 640 + 30 * 64) * 16384);
        let last = Counted {
            prune_layer: 32,
            ..counted
        };
        assert!(last.predict(5, 1).is_err());
    }
}
