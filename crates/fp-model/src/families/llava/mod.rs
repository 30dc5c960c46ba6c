//! LLaVA-1.5 and LLaVA-NeXT: CLIP, a projector of two layers, and a Llama or Mistral decoder;
//! one square image, or tiles of any resolution.

mod names;
mod original;

use super::{Family, ModelFamily};
use crate::config::{
    Activation, FeatureSelect, Fields, ModelConfig, Origin, TextConfig, VisionConfig,
    default_grid_pinpoints,
};
use crate::error::Result;
use crate::prompt::PromptTemplate;
use crate::weights::Names;
pub(super) use original::parse as original;
pub(crate) use original::vision_tower as vision_tower_config;

pub(super) struct Llava;

impl ModelFamily for Llava {
    fn model_types(&self) -> &'static [&'static str] {
        &["llava", "llava_next"]
    }

    fn classes(&self) -> &'static [&'static str] {
        &[
            "LlavaForConditionalGeneration",
            "LlavaNextForConditionalGeneration",
            "LlavaLlamaForCausalLM",
            "LlavaMistralForCausalLM",
        ]
    }

    fn config(&self, fields: &Fields<'_>) -> Result<ModelConfig> {
        let is_next = fields.string("model_type", "llava")? == "llava_next";
        let text = TextConfig::from_fields(&fields.object("text_config")?)?;
        let vision = VisionConfig::from_hugging_face(&fields.object("vision_config")?)?;
        let config = ModelConfig {
            family: Family::Llava,
            projector_activation: Activation::parse(fields, "projector_hidden_act", "gelu")?,
            image_token: Some(fields.image_token(32000)?),
            vision_feature_layer: fields.integer("vision_feature_layer", -2)?,
            feature_select: match fields
                .string("vision_feature_select_strategy", "default")?
                .as_str()
            {
                "default" => FeatureSelect::Patches,
                "full" => FeatureSelect::Full,
                _ => {
                    return Err(
                        fields.invalid("vision_feature_select_strategy", "`default` or `full`")
                    );
                }
            },
            grid_pinpoints: if is_next {
                Some(if fields.has("image_grid_pinpoints") {
                    fields.size_pairs("image_grid_pinpoints")?
                } else {
                    default_grid_pinpoints()
                })
            } else {
                None
            },
            most_crops: None,
            dynamic: None,
            image_aspect_ratio: fields.optional_string("image_aspect_ratio")?,
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

    fn layouts(&self, origin: &Origin) -> &'static [Names] {
        match origin {
            Origin::HuggingFace => &names::HUGGING_FACE,
            Origin::Original { .. } => &names::ORIGINAL,
        }
    }

    fn layout_of_dummies(&self) -> &'static Names {
        &names::NEWER
    }

    fn template(&self) -> PromptTemplate {
        PromptTemplate::VicunaV1
    }

    fn begins_with_bos(&self) -> bool {
        true
    }
}
