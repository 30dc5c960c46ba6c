//! Qwen2-VL and Qwen2.5-VL: patches of images of any size, a vision transformer that rotates
//! queries and keys by row and column, a merger of two by two patches into one token, and a Qwen2
//! decoder whose positions have three axes (M-RoPE).
//!
//! According to transformers 5.24 (`models/qwen2_vl`, `models/qwen2_5_vl` and `vision_utils`).

mod config;
mod layer;
mod names;
#[cfg(feature = "cuda")]
mod on_gpu;
mod preset;
mod tensors;
mod tower;
mod windows;

use super::{Family, Loaders, ModelFamily};
use crate::config::{Fields, ModelConfig, Origin};
use crate::error::{ModelError, Result};
use crate::prompt::PromptTemplate;
use crate::vision::{Vision, VisionParts};
use crate::weights::{ExpectedTensor, Names};
pub(crate) use preset::{preset_3b, preset_7b};
pub(crate) use tower::PatchVision;

pub(super) struct Qwen2Vl;

impl ModelFamily for Qwen2Vl {
    fn model_types(&self) -> &'static [&'static str] {
        &["qwen2_vl", "qwen2_5_vl"]
    }

    fn classes(&self) -> &'static [&'static str] {
        &[
            "Qwen2VLForConditionalGeneration",
            "Qwen2_5_VLForConditionalGeneration",
        ]
    }

    fn config(&self, fields: &Fields<'_>) -> Result<ModelConfig> {
        config::parse(fields, Family::Qwen2Vl)
    }

    fn layouts(&self, _: &Origin) -> &'static [Names] {
        &names::LAYOUTS
    }

    fn layout_of_dummies(&self) -> &'static Names {
        &names::NEWER
    }

    fn template(&self) -> PromptTemplate {
        PromptTemplate::Qwen2Vl
    }

    fn begins_with_bos(&self) -> bool {
        false
    }

    fn image_token(&self) -> &'static str {
        "<|image_pad|>"
    }

    fn vision_tensors(&self, config: &ModelConfig, names: &Names) -> Vec<ExpectedTensor> {
        tensors::expected(config, names)
    }

    fn extra_vision_tensors(
        &self,
        _: &ModelConfig,
        _: &Names,
        _: &VisionParts,
    ) -> Vec<ExpectedTensor> {
        Vec::new()
    }

    fn load_vision(
        &self,
        loaders: &Loaders<'_>,
        config: &ModelConfig,
        names: &Names,
        parts: &VisionParts,
    ) -> Result<Vision> {
        if *parts != VisionParts::default() {
            return Err(ModelError::InputValue {
                what: "parts of the vision tower to load",
                found: format!("{parts:?}"),
                expected: "none: only features are read from this family's tower".to_owned(),
            });
        }
        let vision = PatchVision::load(&loaders.main, config, names)?;
        Ok(Vision::Patches(Box::new(vision)))
    }
}
