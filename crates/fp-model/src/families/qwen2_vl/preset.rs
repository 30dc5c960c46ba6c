//! Shapes of well-known checkpoints.

use std::path::PathBuf;

use super::config::DUMMY_SIDE;
use crate::config::{
    Activation, DynamicVision, FeatureSelect, ModelConfig, Origin, RopeScaling, TextConfig,
    TowerKind, VisionConfig,
};
use crate::families::Family;

/// Qwen/Qwen2.5-VL-3B-Instruct.
pub(crate) fn preset_3b() -> ModelConfig {
    qwen2_5_vl(
        "random:qwen2.5-vl-3b",
        TextConfig {
            vocab_size: 151_936,
            hidden_size: 2048,
            intermediate_size: 11_008,
            num_layers: 36,
            num_heads: 16,
            num_kv_heads: 2,
            tie_embeddings: true,
            ..text()
        },
    )
}

/// Qwen/Qwen2.5-VL-7B-Instruct.
pub(crate) fn preset_7b() -> ModelConfig {
    qwen2_5_vl(
        "random:qwen2.5-vl-7b",
        TextConfig {
            vocab_size: 152_064,
            hidden_size: 3584,
            intermediate_size: 18_944,
            num_layers: 28,
            num_heads: 28,
            num_kv_heads: 4,
            ..text()
        },
    )
}

/// Decoder settings that all sizes have in common.
fn text() -> TextConfig {
    TextConfig {
        model_type: "qwen2_5_vl".to_owned(),
        vocab_size: 0,
        hidden_size: 0,
        intermediate_size: 0,
        num_layers: 0,
        num_heads: 0,
        num_kv_heads: 0,
        explicit_head_dim: None,
        rms_norm_eps: 1e-6,
        rope_theta: 1_000_000.0,
        rope_scaling: RopeScaling::None,
        rope_sections: Some([16, 24, 24]),
        max_positions: 128_000,
        sliding_window: None,
        attention_bias: true,
        output_bias: false,
        mlp_bias: false,
        tie_embeddings: false,
        eos_tokens: vec![151_645, 151_643],
    }
}

fn qwen2_5_vl(name: &str, text: TextConfig) -> ModelConfig {
    let (patch_size, merge_size) = (14, 2);
    ModelConfig {
        family: Family::Qwen2Vl,
        vision: VisionConfig {
            kind: TowerKind::Rotary,
            hidden_size: 1280,
            intermediate_size: 3420,
            num_layers: 32,
            num_heads: 16,
            num_channels: 3,
            image_size: DUMMY_SIDE * patch_size * merge_size,
            patch_size,
            activation: Activation::Gelu,
            layer_norm_eps: 1e-6,
        },
        projector_activation: Activation::Gelu,
        image_token: Some(151_655),
        vision_feature_layer: -1,
        feature_select: FeatureSelect::Patches,
        grid_pinpoints: None,
        most_crops: None,
        dynamic: Some(DynamicVision {
            merge_size,
            temporal_patch_size: 2,
            window_size: Some(112),
            full_layers: vec![7, 15, 23, 31],
            is_gated: true,
        }),
        image_aspect_ratio: None,
        stored_dtype: None,
        eos_tokens: text.eos_tokens.clone(),
        tie_embeddings_outside: text.tie_embeddings,
        origin: Origin::HuggingFace,
        path: PathBuf::from(name),
        text,
    }
}
