//! What a checkpoint's config files say about the model.
//!
//! Three forms are read: Hugging Face's `LlavaForConditionalGeneration` and
//! `LlavaNextForConditionalGeneration`, and the original LLaVA layout. Fields
//! that a Hugging Face config leaves out take the defaults of its class, as its
//! own loader does.

mod clip;
mod fields;
mod original;
pub(crate) use original::vision_tower as vision_tower_config;
mod presets;
#[cfg(test)]
mod tests;
mod text;
mod vision;

use fp_image::{ImageAspect, ImageProcessor, ImageSize};

use crate::error::{ModelError, Result};
pub use clip::{ClipConfig, ClipTextConfig};
use fields::Fields;
pub use presets::Preset;
use std::path::{Path, PathBuf};

use serde_json::Value;
pub use text::{RopeScaling, TextConfig};
pub use vision::{Activation, VisionConfig};

/// Most layers, heads or values of a head that a config may state; see
/// [`Fields::size_up_to`].
const MOST_LAYERS: usize = 1 << 10;
const MOST_HEADS: usize = 1 << 12;
const MOST_VALUES_OF_A_HEAD: usize = 1 << 12;

/// Which rows of the vision tower's output are image features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSelect {
    /// The patches, without the class token.
    Patches,
    /// The class token and the patches.
    Full,
}

/// Whose folder layout a checkpoint has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Hugging Face: everything in one folder.
    HuggingFace,
    /// The original project: the vision tower lies apart, under this name.
    Original {
        /// `mm_vision_tower`.
        vision_tower: String,
    },
}

/// The whole of a model's configuration.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ModelConfig {
    /// The decoder.
    pub text: TextConfig,
    /// The vision tower.
    pub vision: VisionConfig,
    /// Activation between the projector's two layers.
    pub projector_activation: Activation,
    /// Id that stands for the image in a prompt; the original layout has none.
    pub image_token: Option<u32>,
    /// Index into the vision tower's hidden states, from the end if negative.
    pub vision_feature_layer: i64,
    /// Which rows are features.
    pub feature_select: FeatureSelect,
    /// Resolutions `(height, width)` of any-resolution input; `None` where one
    /// square is all that the model takes.
    pub grid_pinpoints: Option<Vec<(usize, usize)>>,
    /// `image_aspect_ratio`, where the config states it.
    pub image_aspect_ratio: Option<String>,
    /// Number format of the stored weights, where the config states it.
    pub stored_dtype: Option<String>,
    /// Tokens at which generation stops.
    pub eos_tokens: Vec<u32>,
    /// Whether the outer config says that the output layer is the embedding
    /// table. The decoder's own flag decides; this one counts only where the
    /// checkpoint has no output layer.
    pub tie_embeddings_outside: bool,
    /// Folder layout.
    pub origin: Origin,
    /// The file that it was read from.
    pub path: PathBuf,
}

impl ModelConfig {
    /// Reads `config.json` (and `generation_config.json`, if there) in `dir`.
    ///
    /// An original-layout config gets the default vision tower's shape, CLIP
    /// ViT-L/14 at 336; loading replaces it by what the tower's folder says.
    ///
    /// # Errors
    /// A file that can't be read or parsed; a model type, activation or field
    /// value that isn't supported, with what would be.
    pub fn from_dir(dir: &Path) -> Result<ModelConfig> {
        let path = dir.join("config.json");
        let value = read_json(&path)?;
        let mut config = ModelConfig::from_value(&value, &path)?;
        let generation = dir.join("generation_config.json");
        if generation.is_file() {
            let value = read_json(&generation)?;
            let tokens = Fields::new(&value, &generation)?.token_list("eos_token_id")?;
            if let Some(tokens) = tokens {
                config.eos_tokens = tokens;
            }
        }
        Ok(config)
    }

    /// As [`ModelConfig::from_dir`], from a parsed `config.json`.
    ///
    /// # Errors
    /// As there.
    pub fn from_value(value: &Value, path: &Path) -> Result<ModelConfig> {
        let fields = Fields::new(value, path)?;
        if fields.has("mm_vision_tower") {
            return original::parse(&fields);
        }
        let model_type = fields.string("model_type", "llava")?;
        let next = match model_type.as_str() {
            "llava" => false,
            "llava_next" => true,
            _ => {
                return Err(fields.invalid(
                    "model_type",
                    "`llava`, `llava_next`, or an original LLaVA config with `mm_vision_tower`",
                ));
            }
        };
        let text = TextConfig::from_fields(&fields.object("text_config")?)?;
        let vision = VisionConfig::from_hugging_face(&fields.object("vision_config")?)?;
        let config = ModelConfig {
            projector_activation: Activation::parse(&fields, "projector_hidden_act", "gelu")?,
            image_token: Some(if fields.has("image_token_index") {
                fields.token("image_token_index", 0)?
            } else {
                // Newer releases renamed the field.
                fields.token("image_token_id", 32000)?
            }),
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
            grid_pinpoints: if next {
                Some(if fields.has("image_grid_pinpoints") {
                    fields.size_pairs("image_grid_pinpoints")?
                } else {
                    default_grid_pinpoints()
                })
            } else {
                None
            },
            image_aspect_ratio: fields.optional_string("image_aspect_ratio")?,
            stored_dtype: fields.stored_dtype()?,
            eos_tokens: text.eos_tokens.clone(),
            tie_embeddings_outside: fields.flag("tie_word_embeddings", false)?,
            origin: Origin::HuggingFace,
            path: path.to_owned(),
            text,
            vision,
        };
        config.check()?;
        Ok(config)
    }

    /// What happens to an image that isn't square where nobody says otherwise: what
    /// the config states, else padding.
    pub fn image_aspect(&self) -> ImageAspect {
        match self.image_aspect_ratio.as_deref() {
            // The original's name for no padding.
            Some("square") => ImageAspect::Crop,
            _ => ImageAspect::Pad,
        }
    }

    /// Number of vision layers to run for the features.
    pub fn num_vision_layers_used(&self) -> usize {
        let states = self.vision.num_layers as i64 + 1;
        let index = match self.vision_feature_layer {
            layer if layer < 0 => states + layer,
            layer => layer,
        };
        usize::try_from(index)
            .unwrap_or(0)
            .min(self.vision.num_layers)
    }

    /// Image features that one square image gives.
    pub fn tokens_per_square(&self) -> usize {
        self.vision.num_patches()
            + match self.feature_select {
                FeatureSelect::Patches => 0,
                FeatureSelect::Full => 1,
            }
    }

    /// Of each image token of a single square, whether its patch lies wholly in the padding
    /// that `processor` puts around an image of `size`
    /// ([`ImageProcessor::padded_patches`]): `[N]`. The class token stands for the whole
    /// image and is never padding. Any-resolution input is cut otherwise; this isn't of it.
    pub fn padded_tokens(
        &self,
        processor: &ImageProcessor,
        size: ImageSize,
        aspect: ImageAspect,
    ) -> Vec<bool> {
        let side = self.vision.patches_per_side();
        let class = match self.feature_select {
            FeatureSelect::Patches => None,
            FeatureSelect::Full => Some(false),
        };
        let patches = processor.padded_patches(size, aspect, [side, side]);
        class.into_iter().chain(patches).collect()
    }

    /// Checks that the parts fit together.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |field: &str, found: &str, expected: String| ModelError::ConfigField {
            path: self.path.clone(),
            field: field.to_owned(),
            found: found.to_owned(),
            expected,
        };
        let states = self.vision.num_layers as i64 + 1;
        if !(-states..states).contains(&self.vision_feature_layer) {
            return Err(invalid(
                "vision_feature_layer",
                &self.vision_feature_layer.to_string(),
                format!("an index into {states} hidden states"),
            ));
        }
        if self.grid_pinpoints.is_some() && self.feature_select == FeatureSelect::Full {
            // A class token has no place in the grid that tiles are put together to.
            return Err(invalid(
                "vision_feature_select_strategy",
                "full",
                "`default` with any-resolution input".to_owned(),
            ));
        }
        Ok(())
    }
}

fn default_grid_pinpoints() -> Vec<(usize, usize)> {
    vec![(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]
}

pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let text = fp_scoring::read_file(path).map_err(|source| ModelError::Io {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| ModelError::Json {
        path: path.to_owned(),
        source,
    })
}
