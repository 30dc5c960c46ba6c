//! Shapes of well-known checkpoints.

use std::path::PathBuf;

use crate::config::{
    Activation, FeatureSelect, ModelConfig, Origin, RopeScaling, TextConfig, VisionConfig,
};
use crate::families::Family;

/// llava-hf/llava-onevision-qwen2-0.5b-ov-hf.
pub(crate) fn preset_05b() -> ModelConfig {
    ModelConfig {
        family: Family::LlavaOnevision,
        text: TextConfig {
            model_type: "qwen2".to_owned(),
            vocab_size: 152_000,
            hidden_size: 896,
            intermediate_size: 4864,
            num_layers: 24,
            num_heads: 14,
            num_kv_heads: 2,
            explicit_head_dim: None,
            rms_norm_eps: 1e-6,
            rope_theta: 1_000_000.0,
            rope_scaling: RopeScaling::None,
            rope_sections: None,
            max_positions: 32_768,
            sliding_window: None,
            attention_bias: true,
            output_bias: false,
            mlp_bias: false,
            tie_embeddings: true,
            eos_tokens: vec![151_645],
        },
        vision: VisionConfig::siglip_so400m_384(),
        projector_activation: Activation::Gelu,
        image_token: Some(151_646),
        vision_feature_layer: -1,
        feature_select: FeatureSelect::Patches,
        grid_pinpoints: Some(fp_image::onevision_pinpoints()),
        most_crops: Some(9),
        dynamic: None,
        image_aspect_ratio: None,
        stored_dtype: None,
        eos_tokens: vec![151_645],
        tie_embeddings_outside: true,
        origin: Origin::HuggingFace,
        path: PathBuf::from("random:llava-onevision-0.5b"),
    }
}
