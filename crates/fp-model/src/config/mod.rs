//! A model's configuration, from a checkpoint's config files.
//!
//! Each family has fields of its own ([`crate::Family`]); here are the parts that families share.
//! Fields missing from a Hugging Face config take the defaults of its class, as in Hugging Face's
//! own loader.

mod clip;
mod dynamic;
mod fields;
mod presets;
#[cfg(test)]
mod tests;
mod text;
mod vision;

use fp_image::{AnyRes, GridPinpoints, ImageAspect, ImageError, ImageProcessor, ImageSize};

use crate::error::{ModelError, Result};
use crate::families::Family;
pub use clip::{ClipConfig, ClipTextConfig};
pub use dynamic::DynamicVision;
pub(crate) use fields::Fields;
pub use presets::Preset;
use std::path::{Path, PathBuf};

use serde_json::Value;
pub(crate) use text::Qwen2Rotary;
pub use text::{RopeScaling, TextConfig};
pub use vision::{Activation, TowerKind, VisionConfig};

/// Largest number of layers and of heads that a config may state; see [`Fields::size_up_to`].
pub(crate) const MOST_LAYERS: usize = 1 << 10;
pub(crate) const MOST_HEADS: usize = 1 << 12;
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

/// The project whose folder layout a checkpoint has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Hugging Face: everything in one folder.
    HuggingFace,
    /// The original project: the vision tower has a folder of its own, under this name.
    Original {
        /// `mm_vision_tower`.
        vision_tower: String,
    },
}

/// A model's whole configuration.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ModelConfig {
    /// The family.
    pub family: Family,
    /// The decoder.
    pub text: TextConfig,
    /// The vision tower.
    pub vision: VisionConfig,
    /// Activation between the projector's two layers.
    pub projector_activation: Activation,
    /// Token id that stands for the image in a prompt; `None` in the original layout.
    pub image_token: Option<u32>,
    /// Index into the vision tower's hidden states, from the end if negative.
    pub vision_feature_layer: i64,
    /// Which rows are features.
    pub feature_select: FeatureSelect,
    /// Resolutions `(height, width)` of any-resolution input; `None` if the model takes only one
    /// square.
    pub grid_pinpoints: Option<Vec<(usize, usize)>>,
    /// Number of crops up to which features keep their size (`anyres_max_9`), if there is a limit;
    /// see [`fp_image::FeaturePacking::shrunk`].
    pub most_crops: Option<usize>,
    /// Settings for images of any size, if the vision part takes them as patches.
    pub dynamic: Option<DynamicVision>,
    /// `image_aspect_ratio`, if the config states it.
    pub image_aspect_ratio: Option<String>,
    /// Number format of the stored weights, if the config states it.
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
    /// A config in the original layout gets the shape of the default vision tower, CLIP ViT-L/14 at
    /// 336; loading replaces it by the shape in the tower's folder.
    ///
    /// # Errors
    /// A file that can't be read or parsed; an unsupported model type, activation or field value,
    /// reported with the supported ones.
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

    /// Like [`ModelConfig::from_dir`], from a parsed `config.json`.
    ///
    /// # Errors
    /// The same.
    pub fn from_value(value: &Value, path: &Path) -> Result<ModelConfig> {
        let fields = Fields::new(value, path)?;
        Family::config(&fields)
    }

    /// Default treatment of images that aren't square: as the config states, otherwise padding.
    pub fn image_aspect(&self) -> ImageAspect {
        match self.image_aspect_ratio.as_deref() {
            // The original project's name for no padding.
            Some("square") => ImageAspect::Crop,
            _ => ImageAspect::Pad,
        }
    }

    /// Number of vision layers that the features need.
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

    /// Number of image features of one square image; for a vision part that takes images of any
    /// size, of a square of the tower's `image_size`.
    pub fn tokens_per_square(&self) -> usize {
        if let Some(dynamic) = &self.dynamic {
            let side = self.vision.image_size;
            let [columns, rows] = dynamic.grid(&self.vision, [side, side]);
            return columns * rows;
        }
        self.vision.num_patches()
            + match self.feature_select {
                FeatureSelect::Patches => 0,
                FeatureSelect::Full => 1,
            }
    }

    /// Columns and rows of the image tokens of a preprocessed image of `[height, width]` pixels, if
    /// the vision part takes images of any size; `None` for squares and tiles.
    pub fn token_grid(&self, pixels: [usize; 2]) -> Option<[usize; 2]> {
        let dynamic = self.dynamic.as_ref()?;
        Some(dynamic.grid(&self.vision, pixels))
    }

    /// Number of image tokens of every image; `None` if it depends on the image's size.
    pub fn fixed_num_tokens(&self) -> Option<usize> {
        let depends = self.grid_pinpoints.is_some() || self.dynamic.is_some();
        (!depends).then(|| self.tokens_per_square())
    }

    /// Number of vision layers that methods may read; `None` if a token merges several patches,
    /// since nothing is read from such a tower.
    pub fn num_readable_layers(&self) -> Option<usize> {
        self.dynamic.is_none().then_some(self.vision.num_layers)
    }

    /// The sizes that images are resized to, for a model that takes tiles.
    ///
    /// # Errors
    /// Sizes that can't be used.
    pub fn pinpoints(&self) -> std::result::Result<Option<GridPinpoints>, ImageError> {
        let Some(pinpoints) = &self.grid_pinpoints else {
            return Ok(None);
        };
        let pinpoints = GridPinpoints::new(pinpoints)?;
        Ok(Some(pinpoints.with_most_crops(self.most_crops)))
    }

    /// Refuses a form of any-resolution input that this model doesn't support.
    ///
    /// # Errors
    /// Any form if the model takes no tiles; the fixed form if the model isn't of the LLaVA-NeXT
    /// family.
    pub fn check_anyres(&self, form: AnyRes) -> Result<()> {
        let is_there = self.grid_pinpoints.is_some()
            && (form == AnyRes::Unpad || self.family == Family::Llava);
        if is_there {
            return Ok(());
        }
        Err(ModelError::InputValue {
            what: "anyres",
            found: form.to_string(),
            expected: match (&self.grid_pinpoints, &self.dynamic) {
                (Some(_), _) => format!("unpad: {} has no other form", self.family),
                (None, Some(_)) => {
                    "none: this checkpoint takes images of any size as they are".to_owned()
                }
                (None, None) => "none: this checkpoint takes one square image".to_owned(),
            },
        })
    }

    /// For each image token of a single square, whether its patch lies wholly in the padding that
    /// `processor` adds to an image of `size` ([`ImageProcessor::padded_patches`]): `[N]`. The
    /// class token represents the whole image and is never padding. Not applicable to
    /// any-resolution input, which is cut differently.
    pub fn padded_tokens(
        &self,
        processor: &ImageProcessor,
        size: ImageSize,
        aspect: ImageAspect,
    ) -> Vec<bool> {
        if self.dynamic.is_some() {
            let [columns, rows] = processor
                .size_of(size)
                .ok()
                .flatten()
                .and_then(|size| self.token_grid([size.height, size.width]))
                .unwrap_or_default();
            return vec![false; columns * rows];
        }
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
        if self.most_crops == Some(0) {
            let expected = "`anyres_max_` and a number of crops".to_owned();
            return Err(invalid("vision_aspect_ratio", "anyres_max_0", expected));
        }
        if !(-states..states).contains(&self.vision_feature_layer) {
            return Err(invalid(
                "vision_feature_layer",
                &self.vision_feature_layer.to_string(),
                format!("an index into {states} hidden states"),
            ));
        }
        if self.grid_pinpoints.is_some() && self.feature_select == FeatureSelect::Full {
            // A class token has no place in the grid into which tiles are assembled.
            return Err(invalid(
                "vision_feature_select_strategy",
                "full",
                "`default` with any-resolution input".to_owned(),
            ));
        }
        Ok(())
    }
}

pub(crate) fn default_grid_pinpoints() -> Vec<(usize, usize)> {
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
