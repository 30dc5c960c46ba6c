//! Cost of a forward pass, with and without pruning.
//!
//! A decoder layer on n tokens with hidden size d and MLP width m takes
//! 4nd² + 2n²d + 3ndm multiply-accumulates (MACs): four projections, QKᵀ and the
//! weighted sum of V, three MLP matrices. One MAC is two FLOPs. The formula
//! counts both halves of the attention square, as the literature does, although a causal mask
//! needs only one. Norms, embeddings and the vocabulary head are excluded: pruning doesn't change
//! them.

use crate::named::UnknownName;
use crate::{TokenLayout, TokenSchedule};

/// FLOPs per multiply-accumulate.
pub const FLOPS_PER_MAC: f64 = 2.0;

/// Number of matrices that an MLP is counted with.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum MlpConvention {
    /// 3ndm: gate, up and down, as in a LLaMA decoder.
    #[default]
    ThreeMatrices,
    /// 2ndm, as in the first FastV paper.
    TwoMatrices,
}

impl MlpConvention {
    /// Both conventions.
    pub const ALL: &'static [MlpConvention] =
        &[MlpConvention::ThreeMatrices, MlpConvention::TwoMatrices];

    /// Number of matrices of width m.
    pub const fn num_matrices(self) -> usize {
        match self {
            MlpConvention::ThreeMatrices => 3,
            MlpConvention::TwoMatrices => 2,
        }
    }
}

/// The sizes of a decoder that its cost depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderShape {
    /// L.
    pub num_layers: usize,
    /// d.
    pub hidden_size: usize,
    /// m.
    pub intermediate_size: usize,
    /// H, query heads.
    pub num_heads: usize,
    /// Heads of K and V; fewer than H under grouped-query attention.
    pub num_kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
}

impl DecoderShape {
    /// The decoder of LLaVA-1.5 7B.
    pub const LLAVA_1_5_7B: DecoderShape = DecoderShape {
        num_layers: 32,
        hidden_size: 4096,
        intermediate_size: 11008,
        num_heads: 32,
        num_kv_heads: 32,
        head_dim: 128,
    };

    /// The decoder of LLaVA-1.5 13B.
    pub const LLAVA_1_5_13B: DecoderShape = DecoderShape {
        num_layers: 40,
        hidden_size: 5120,
        intermediate_size: 13824,
        num_heads: 40,
        num_kv_heads: 40,
        head_dim: 128,
    };

    /// Names that [`DecoderShape::preset`] accepts.
    pub const PRESETS: &'static [&'static str] = &["llava-1.5-7b", "llava-1.5-13b"];

    /// The shape of a published model.
    ///
    /// # Errors
    /// An unknown name; the error lists the known ones.
    pub fn preset(name: &str) -> Result<Self, UnknownName> {
        match name {
            "llava-1.5-7b" => Ok(Self::LLAVA_1_5_7B),
            "llava-1.5-13b" => Ok(Self::LLAVA_1_5_13B),
            _ => Err(UnknownName {
                kind: "model shape",
                name: name.to_owned(),
                known: Self::PRESETS,
            }),
        }
    }

    /// Width of all query heads side by side; equal to d if H divides d.
    fn query_width(&self) -> f64 {
        self.num_heads as f64 * self.head_dim as f64
    }

    /// MACs of one layer on `num_tokens`: 4nd² + 2n²d + 3ndm if every query head has its own K
    /// and V. In general Q and O take 2nd·(H·head_dim), K and V 2nd·(kv heads·head_dim), the
    /// attention square 2n²·(H·head_dim).
    ///
    /// Fractional token counts are not rounded, since published tables use them.
    pub fn layer_macs(&self, num_tokens: f64, mlp: MlpConvention) -> f64 {
        let (n, d) = (num_tokens, self.hidden_size as f64);
        let kv_width = self.num_kv_heads as f64 * self.head_dim as f64;
        let projections = 2.0 * n * d * (self.query_width() + kv_width);
        let attention = 2.0 * n * n * self.query_width();
        let matrices = mlp.num_matrices() as f64;
        projections + attention + matrices * n * d * self.intermediate_size as f64
    }

    /// MACs of a prefill in which each layer runs on the visual tokens of `schedule` and
    /// `num_other` other tokens; 0 counts visual tokens only.
    pub fn prefill_macs(
        &self,
        schedule: &TokenSchedule,
        num_other: usize,
        mlp: MlpConvention,
    ) -> f64 {
        let layers = schedule.entering().iter();
        layers
            .map(|&visual| self.layer_macs((visual + num_other) as f64, mlp))
            .sum()
    }

    /// Bytes of K and V if the layers hold `lengths` tokens, `[L]`.
    pub fn kv_bytes(
        &self,
        lengths: impl IntoIterator<Item = usize>,
        bytes_per_value: usize,
    ) -> u128 {
        // Products of five user-given sizes can overflow 64 bits.
        let values_per_token = 2 * self.num_kv_heads as u128 * self.head_dim as u128;
        let tokens: u128 = lengths.into_iter().map(|length| length as u128).sum();
        tokens * values_per_token * bytes_per_value as u128
    }

    /// MACs of scoring itself, for a model whose attention kernel does not return its rows:
    /// `num_query_rows` × `num_keys` × H·head_dim to compute the rows again, then one operation
    /// for each of the H × N values read: per row to combine the rows, once for the heads'
    /// statistics, once for the mean over the selected heads. Zero for no rows.
    pub fn scoring_macs(
        &self,
        num_query_rows: usize,
        num_keys: usize,
        num_image_tokens: usize,
    ) -> f64 {
        if num_query_rows == 0 {
            return 0.0;
        }
        let rows = num_query_rows as f64;
        let image_values = self.num_heads as f64 * num_image_tokens as f64;
        rows * num_keys as f64 * self.query_width() + (rows + 2.0) * image_values
    }
}

/// One prefill under a token schedule, compared with the unpruned prefill.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PrunedCost {
    /// Convention for counting the MLP.
    pub mlp: MlpConvention,
    /// R, the visual tokens that enter the last layer.
    pub kept: usize,
    /// B, the mean over layers of the visual tokens that enter a layer.
    pub average_visual_tokens: f64,
    /// MACs on image tokens alone.
    pub visual_macs: f64,
    /// The same without pruning.
    pub unpruned_visual_macs: f64,
    /// MACs on the whole sequence, excluding scoring.
    pub sequence_macs: f64,
    /// The same without pruning.
    pub unpruned_sequence_macs: f64,
    /// MACs of scoring, see [`DecoderShape::scoring_macs`].
    pub scoring_macs: f64,
    /// Bytes of K and V of the whole sequence after the prefill.
    pub kv_bytes: u128,
    /// The same without pruning.
    pub unpruned_kv_bytes: u128,
}

impl PrunedCost {
    /// Cost of a prompt of `layout` whose layers run on the visual tokens of `schedule`, scored
    /// from `num_query_rows` rows (0: no scoring), with `bytes_per_value` in the KV cache.
    pub fn new(
        shape: &DecoderShape,
        layout: &TokenLayout,
        schedule: &TokenSchedule,
        mlp: MlpConvention,
        num_query_rows: usize,
        bytes_per_value: usize,
    ) -> Self {
        let (num_image, sequence) = (layout.num_image, layout.sequence_len());
        let others = sequence - num_image;
        let unpruned = TokenSchedule::constant(schedule.num_layers(), num_image);
        let kv = |schedule: &TokenSchedule| {
            let lengths = schedule.entering().iter().map(|visual| visual + others);
            shape.kv_bytes(lengths, bytes_per_value)
        };
        PrunedCost {
            mlp,
            kept: schedule.last(),
            average_visual_tokens: schedule.average(),
            visual_macs: shape.prefill_macs(schedule, 0, mlp),
            unpruned_visual_macs: shape.prefill_macs(&unpruned, 0, mlp),
            sequence_macs: shape.prefill_macs(schedule, others, mlp),
            unpruned_sequence_macs: shape.prefill_macs(&unpruned, others, mlp),
            scoring_macs: shape.scoring_macs(num_query_rows, sequence, num_image),
            kv_bytes: kv(schedule),
            unpruned_kv_bytes: kv(&unpruned),
        }
    }

    /// MACs on image tokens as a fraction of the unpruned MACs.
    pub fn visual_ratio(&self) -> f64 {
        self.visual_macs / self.unpruned_visual_macs
    }

    /// MACs on the whole sequence, including scoring, as a fraction of the unpruned MACs.
    pub fn sequence_ratio(&self) -> f64 {
        (self.sequence_macs + self.scoring_macs) / self.unpruned_sequence_macs
    }

    /// FLOPs on image tokens alone.
    pub fn visual_flops(&self) -> f64 {
        FLOPS_PER_MAC * self.visual_macs
    }

    /// FLOPs on the whole sequence, including scoring.
    pub fn sequence_flops(&self) -> f64 {
        FLOPS_PER_MAC * (self.sequence_macs + self.scoring_macs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenBudget;

    const MIB: f64 = (1024 * 1024) as f64;

    fn costs(shape: &DecoderShape) -> [PrunedCost; 3] {
        let layout = TokenLayout {
            num_system: 35,
            num_image: 576,
            num_text: 29,
        };
        [192.0, 128.0, 64.0].map(|average| {
            let kept = TokenBudget::AverageVisualTokens(average)
                .kept(layout.num_image, shape.num_layers, 2)
                .unwrap();
            let schedule =
                TokenSchedule::one_stage(shape.num_layers, layout.num_image, 2, kept).unwrap();
            PrunedCost::new(
                shape,
                &layout,
                &schedule,
                MlpConvention::ThreeMatrices,
                1,
                2,
            )
        })
    }

    #[track_caller]
    fn check_table(shape: &DecoderShape, unpruned: &str, pruned: [&str; 3], kv: [f64; 4]) {
        let costs = costs(shape);
        let tera = |macs: f64| format!("{:.3}", macs / 1e12);
        assert_eq!(tera(costs[0].unpruned_visual_macs), unpruned);
        assert_eq!(costs.map(|cost| tera(cost.visual_macs)), pruned);
        assert_eq!(costs[0].unpruned_kv_bytes as f64 / MIB, kv[0]);
        for (cost, kv) in costs.iter().zip(&kv[1..]) {
            // Published to four decimals.
            assert!(
                (cost.kv_bytes as f64 / MIB - kv).abs() <= 0.5e-4,
                "{cost:?}"
            );
        }
    }

    #[test]
    fn published_models() {
        check_table(
            &DecoderShape::LLAVA_1_5_7B,
            "3.817",
            ["1.253", "0.836", "0.421"],
            [320.0, 127.8125, 95.9375, 64.0625],
        );
        check_table(
            &DecoderShape::LLAVA_1_5_13B,
            "7.444",
            ["2.457", "1.630", "0.819"],
            [500.0, 200.1563, 149.6875, 99.9609],
        );
    }

    #[test]
    fn one_layers_average_of_fastv() {
        // 13B, two MLP matrices, 612 tokens of which 576 are visual, in 10⁹ MACs.
        let shape = DecoderShape::LLAVA_1_5_13B;
        // The paper's token counts are fractional.
        let average = |prune_layer: usize, retained: f64| {
            let after = 612.0 - 576.0 * (1.0 - retained);
            let layer = |tokens| shape.layer_macs(tokens, MlpConvention::TwoMatrices);
            let rest = shape.num_layers - prune_layer;
            let macs = prune_layer as f64 * layer(612.0) + rest as f64 * layer(after);
            format!("{:.1}", macs / shape.num_layers as f64 / 1e9)
        };
        assert_eq!(average(2, 1.0), "154.6");
        for (k, expected) in [
            (2, ["29.7", "50.2", "84.6"]),
            (3, ["33.0", "52.9", "86.4"]),
            (5, ["39.6", "58.4", "90.1"]),
        ] {
            assert_eq!(
                [0.1, 0.25, 0.5].map(|retained| average(k, retained)),
                expected,
                "K = {k}"
            );
        }
    }

    #[test]
    fn a_layer_by_hand() {
        let shape = DecoderShape {
            num_layers: 3,
            hidden_size: 4,
            intermediate_size: 5,
            num_heads: 2,
            num_kv_heads: 2,
            head_dim: 2,
        };
        // 4·3·16 + 2·9·4 + 3·3·4·5 = 192 + 72 + 180.
        assert_eq!(shape.layer_macs(3.0, MlpConvention::ThreeMatrices), 444.0);
        assert_eq!(shape.layer_macs(3.0, MlpConvention::TwoMatrices), 384.0);
        // Half the KV heads: K and V projections take 2·3·4·2 instead of 2·3·4·4.
        let grouped = DecoderShape {
            num_kv_heads: 1,
            ..shape
        };
        assert_eq!(grouped.layer_macs(3.0, MlpConvention::ThreeMatrices), 396.0);
        // (1·10 + 2·6) tokens × K and V × 1 head × 2 wide × 2 bytes.
        assert_eq!(grouped.kv_bytes([10, 6, 6], 2), 176);
        // 2 rows × 10 keys × 4, and each of 2 × 5 values read 2 + 2 times.
        assert_eq!(shape.scoring_macs(2, 10, 5), 120.0);
        assert_eq!(shape.scoring_macs(0, 10, 5), 0.0);
    }

    #[test]
    fn keeping_everything_costs_what_no_pruning_costs() {
        let layout = TokenLayout {
            num_system: 3,
            num_image: 7,
            num_text: 2,
        };
        let mlp = MlpConvention::TwoMatrices;
        let schedule = TokenSchedule::one_stage(32, 7, 2, 7).unwrap();
        let cost = PrunedCost::new(&DecoderShape::LLAVA_1_5_7B, &layout, &schedule, mlp, 1, 2);
        assert_eq!(cost.visual_ratio(), 1.0);
        assert_eq!(cost.kv_bytes, cost.unpruned_kv_bytes);
        assert!(cost.sequence_ratio() > 1.0, "scoring is not free");
        assert_eq!(cost.visual_flops(), 2.0 * cost.visual_macs);
    }

    #[test]
    fn an_unknown_shape_is_an_error() {
        assert_eq!(
            DecoderShape::preset("llava-1.5-13b"),
            Ok(DecoderShape::LLAVA_1_5_13B)
        );
        let error = DecoderShape::preset("llava").unwrap_err().to_string();
        assert!(
            error.contains("expected one of: llava-1.5-7b, llava-1.5-13b"),
            "{error}"
        );
    }
}
