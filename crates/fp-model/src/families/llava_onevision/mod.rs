//! LLaVA-OneVision: SigLIP without a class token, a projector of two layers, and a Qwen2 decoder;
//! any-resolution tiles whose features are downsampled if there are too many.
//!
//! According to transformers 5.24 (`models/llava_onevision`).

mod names;
mod preset;

use super::{Family, ModelFamily};
use crate::config::{
    Activation, FeatureSelect, Fields, ModelConfig, Origin, Qwen2Rotary, TextConfig, VisionConfig,
};
use crate::error::Result;
use crate::prompt::PromptTemplate;
use crate::weights::Names;
pub(crate) use preset::preset_05b;

pub(super) struct LlavaOnevision;

impl ModelFamily for LlavaOnevision {
    fn model_types(&self) -> &'static [&'static str] {
        &["llava_onevision"]
    }

    fn classes(&self) -> &'static [&'static str] {
        &["LlavaOnevisionForConditionalGeneration"]
    }

    fn config(&self, fields: &Fields<'_>) -> Result<ModelConfig> {
        let text = fields.object("text_config")?;
        let text = TextConfig::qwen2(&text, &["qwen2"], Qwen2Rotary::Line)?;
        let vision = VisionConfig::siglip(&fields.object("vision_config")?)?;
        // All tokens of a tower without a class token are patches; `default` would drop the first
        // of them.
        let strategy = "vision_feature_select_strategy";
        if fields.string(strategy, "full")? != "full" {
            return Err(fields.invalid(strategy, "`full`"));
        }
        if !fields.flag("multimodal_projector_bias", true)? {
            return Err(fields.invalid("multimodal_projector_bias", "true"));
        }
        let config = ModelConfig {
            family: Family::LlavaOnevision,
            projector_activation: Activation::parse(fields, "projector_hidden_act", "gelu")?,
            image_token: Some(fields.image_token(151_646)?),
            vision_feature_layer: fields.integer("vision_feature_layer", -1)?,
            feature_select: FeatureSelect::Patches,
            grid_pinpoints: Some(if fields.has("image_grid_pinpoints") {
                fields.size_pairs("image_grid_pinpoints")?
            } else {
                fp_image::onevision_pinpoints()
            }),
            most_crops: Some(most_crops(fields)?),
            dynamic: None,
            image_aspect_ratio: None,
            stored_dtype: fields.stored_dtype()?,
            eos_tokens: text.eos_tokens.clone(),
            tie_embeddings_outside: fields.flag("tie_word_embeddings", false)?,
            origin: Origin::HuggingFace,
            path: fields.path().to_owned(),
            text,
            vision,
        };
        config.check()?;
        Ok(config)
    }

    fn layouts(&self, _: &Origin) -> &'static [Names] {
        &names::LAYOUTS
    }

    fn layout_of_dummies(&self) -> &'static Names {
        &names::NEWER
    }

    fn template(&self) -> PromptTemplate {
        PromptTemplate::LlavaOnevision
    }

    fn begins_with_bos(&self) -> bool {
        false
    }
}

/// The number behind `anyres_max_`.
fn most_crops(fields: &Fields<'_>) -> Result<usize> {
    const FIELD: &str = "vision_aspect_ratio";
    let stated = fields.string(FIELD, "anyres_max_9")?;
    stated
        .strip_prefix("anyres_max_")
        .and_then(|number| number.parse().ok())
        .filter(|number| (1..=1 << 10).contains(number))
        .ok_or_else(|| fields.invalid(FIELD, "`anyres_max_` and a number of crops"))
}
