//! Shapes of well-known models, for timing without a checkpoint.

use std::path::PathBuf;

use fp_scoring::named_enum;

use crate::families::{Family, onevision_05b, qwen_3b, qwen_7b};

use super::{
    Activation, FeatureSelect, ModelConfig, Origin, RopeScaling, TextConfig, VisionConfig,
};

named_enum! {
    /// A model shape that dummy weights can be made for.
    #[non_exhaustive]
    pub enum Preset as "shape of dummy weights" {
        /// LLaVA-1.5 with a 7B decoder.
        Llava15With7b = "llava-1.5-7b",
        /// LLaVA-1.5 with a 13B decoder.
        Llava15With13b = "llava-1.5-13b",
        /// LLaVA-NeXT with a Vicuna 7B decoder.
        LlavaNextWith7b = "llava-next-7b",
        /// LLaVA-OneVision with a Qwen2 decoder of 0.5B.
        LlavaOnevisionWith05b = "llava-onevision-0.5b",
        /// Qwen2.5-VL with a decoder of 3B.
        Qwen25VlWith3b = "qwen2.5-vl-3b",
        /// Qwen2.5-VL with a decoder of 7B.
        Qwen25VlWith7b = "qwen2.5-vl-7b",
        /// A decoder of width 1024 with 12 layers behind a small tower that still gives 576 image
        /// tokens; small enough to be timed on a CPU.
        Bench1024 = "bench-1024",
        /// A model of a few thousand weights, for tests and examples.
        Tiny = "tiny",
    }
}

impl Preset {
    /// The shape.
    pub fn config(self) -> ModelConfig {
        let text =
            |hidden: usize, intermediate: usize, layers: usize, heads: usize, vocab: usize| {
                TextConfig {
                    model_type: "llama".to_owned(),
                    vocab_size: vocab,
                    hidden_size: hidden,
                    intermediate_size: intermediate,
                    num_layers: layers,
                    num_heads: heads,
                    num_kv_heads: heads,
                    explicit_head_dim: None,
                    rms_norm_eps: 1e-5,
                    rope_theta: 10000.0,
                    rope_scaling: RopeScaling::None,
                    rope_sections: None,
                    max_positions: 4096,
                    sliding_window: None,
                    attention_bias: false,
                    output_bias: false,
                    mlp_bias: false,
                    tie_embeddings: false,
                    eos_tokens: vec![2],
                }
            };
        let small_tower = |hidden: usize, layers: usize, image: usize| VisionConfig {
            hidden_size: hidden,
            intermediate_size: 2 * hidden,
            num_layers: layers,
            num_heads: 4,
            image_size: image,
            ..VisionConfig::clip_large_336()
        };
        let clip = VisionConfig::clip_large_336();
        let (text, vision, next) = match self {
            Preset::Llava15With7b => (text(4096, 11008, 32, 32, 32064), clip, false),
            Preset::Llava15With13b => (text(5120, 13824, 40, 40, 32064), clip, false),
            Preset::LlavaNextWith7b => (text(4096, 11008, 32, 32, 32064), clip, true),
            Preset::LlavaOnevisionWith05b => return onevision_05b(),
            Preset::Qwen25VlWith3b => return qwen_3b(),
            Preset::Qwen25VlWith7b => return qwen_7b(),
            Preset::Bench1024 => (
                text(1024, 2816, 12, 16, 32064),
                small_tower(256, 4, 336),
                false,
            ),
            Preset::Tiny => (text(32, 48, 4, 4, 512), small_tower(16, 2, 56), false),
        };
        ModelConfig {
            family: Family::Llava,
            most_crops: None,
            dynamic: None,
            projector_activation: Activation::Gelu,
            image_token: Some(if self == Preset::Tiny { 500 } else { 32000 }),
            vision_feature_layer: -2,
            feature_select: FeatureSelect::Patches,
            grid_pinpoints: next.then(super::default_grid_pinpoints),
            image_aspect_ratio: Some("pad".to_owned()),
            stored_dtype: None,
            eos_tokens: text.eos_tokens.clone(),
            tie_embeddings_outside: false,
            origin: Origin::HuggingFace,
            path: PathBuf::from(format!("random:{}", self.name())),
            text,
            vision,
        }
    }
}
