//! Model families: one folder per family, with what is specific to it.
//!
//! A family defines its configuration, the names of its tensors, its vision part with the
//! connector, its prompt and the numbering of positions; image preparation follows from its
//! preprocessor file ([`fp_image::PreprocessorConfig`]). The decoder, caches, prefixes, pruning and
//! evidence are the same for all.

mod llava;
mod llava_onevision;
mod qwen2_vl;

use fp_image::IMAGE_PLACEHOLDER;
use fp_scoring::named_enum;

use crate::config::{Fields, ModelConfig, Origin};
use crate::error::Result;
use crate::prompt::PromptTemplate;
use crate::vision::{SquareVision, Vision, VisionParts};
use crate::weights::{ExpectedTensor, Loader, Names, extra_square_tensors, square_tensors};
pub(crate) use llava::vision_tower_config;
pub(crate) use llava_onevision::preset_05b as onevision_05b;
pub(crate) use qwen2_vl::{PatchVision, preset_3b as qwen_3b, preset_7b as qwen_7b};

named_enum! {
    /// A family of models.
    pub enum Family as "model family" {
        /// LLaVA-1.5 and LLaVA-NeXT: CLIP and a Llama-like decoder.
        Llava = "llava",
        /// LLaVA-OneVision: SigLIP and a Qwen2 decoder.
        LlavaOnevision = "llava_onevision",
        /// Qwen2-VL and Qwen2.5-VL: patches of images of any size, and a Qwen2 decoder.
        Qwen2Vl = "qwen2_vl",
    }
}

/// The parts that are specific to a family.
pub(crate) trait ModelFamily: Sync {
    /// Values of `model_type` in a Hugging Face config.
    fn model_types(&self) -> &'static [&'static str];

    /// Names of its Hugging Face classes.
    fn classes(&self) -> &'static [&'static str];

    /// Reads its configuration.
    fn config(&self, fields: &Fields<'_>) -> Result<ModelConfig>;

    /// Its tensor names, layout by layout, the likeliest first.
    fn layouts(&self, origin: &Origin) -> &'static [Names];

    /// The layout whose tensor names dummy weights use.
    fn layout_of_dummies(&self) -> &'static Names;

    /// The prompt that its models were trained to answer.
    fn template(&self) -> PromptTemplate;

    /// Whether every sequence begins with the tokenizer's BOS token.
    fn begins_with_bos(&self) -> bool;

    /// The tokenizer's name of the token that stands for the image.
    fn image_token(&self) -> &'static str {
        IMAGE_PLACEHOLDER
    }

    /// All tensors of the vision part and the connector.
    fn vision_tensors(&self, config: &ModelConfig, names: &Names) -> Vec<ExpectedTensor> {
        square_tensors(config, names)
    }

    /// The additional tensors that `parts` of the vision tower require.
    fn extra_vision_tensors(
        &self,
        config: &ModelConfig,
        names: &Names,
        parts: &VisionParts,
    ) -> Vec<ExpectedTensor> {
        extra_square_tensors(config, names, parts)
    }

    /// Loads the vision part and the connector; `loaders.tower` reads a tower stored in another
    /// folder.
    fn load_vision(
        &self,
        loaders: &Loaders<'_>,
        config: &ModelConfig,
        names: &Names,
        parts: &VisionParts,
    ) -> Result<Vision> {
        let vision = SquareVision::load(loaders, config, names, parts)?;
        Ok(Vision::Square(Box::new(vision)))
    }
}

/// Readers of a model's tensors.
pub(crate) struct Loaders<'a> {
    pub(crate) main: Loader<'a>,
    /// Reads the vision tower, which may have a folder of its own.
    pub(crate) tower: Loader<'a>,
}

impl Family {
    /// The parts that are specific to this family.
    pub(crate) fn card(self) -> &'static dyn ModelFamily {
        match self {
            Family::Llava => &llava::Llava,
            Family::LlavaOnevision => &llava_onevision::LlavaOnevision,
            Family::Qwen2Vl => &qwen2_vl::Qwen2Vl,
        }
    }

    /// The prompt that its models were trained to answer.
    pub fn template(self) -> PromptTemplate {
        self.card().template()
    }

    /// The family of a Hugging Face config, by its `model_type`.
    pub(crate) fn of_model_type(model_type: &str) -> Option<Family> {
        let mut families = Family::ALL.iter().copied();
        families.find(|family| family.card().model_types().contains(&model_type))
    }

    /// All supported values of `model_type`.
    pub(crate) fn all_model_types() -> Vec<&'static str> {
        let types = Family::ALL.iter().map(|family| family.card().model_types());
        types.flatten().copied().collect()
    }

    /// Reads a configuration of any family.
    pub(crate) fn config(fields: &Fields<'_>) -> Result<ModelConfig> {
        if fields.has("mm_vision_tower") {
            return llava::original(fields);
        }
        let model_type = fields.string("model_type", "llava")?;
        match Family::of_model_type(&model_type) {
            Some(family) => family.card().config(fields),
            None => {
                let types = Family::all_model_types();
                let types: Vec<String> = types.iter().map(|name| format!("`{name}`")).collect();
                Err(fields.invalid(
                    "model_type",
                    &format!(
                        "{}, or an original LLaVA config with `mm_vision_tower`",
                        types.join(", ")
                    ),
                ))
            }
        }
    }
}
