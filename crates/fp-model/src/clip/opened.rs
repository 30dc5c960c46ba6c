//! A CLIP model's folder before any weight is read.

use std::path::{Path, PathBuf};

use super::tokens::ClipTokenizer;
use super::{Clip, ClipError, VISUAL_PROJECTION, tower};
use crate::config::{ClipConfig, ModelConfig};
use crate::error::Result;
use crate::model::LlavaModel;
use crate::weights::Checkpoint;

/// A CLIP model's folder whose files have been opened and checked, with no weights read yet;
/// [`LlavaModel::with_clip`] takes it.
///
/// # Examples
/// ```no_run
/// use fp_model::{LoadOptions, OpenedCheckpoint, OpenedClip};
///
/// let opened = OpenedCheckpoint::open("llava-1.5-7b-hf", None)?;
/// let clip = OpenedClip::open("clip-vit-large-patch14-336", opened.config())?;
/// let model = opened.load(&LoadOptions::default())?.with_clip(clip)?;
/// # Ok::<(), fp_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct OpenedClip {
    pub(super) config: ClipConfig,
    pub(super) checkpoint: Checkpoint,
    pub(super) tokenizer: ClipTokenizer,
}

impl OpenedClip {
    /// Opens the folder `dir` for use beside the LLaVA model of `model`. Weights may be in any of
    /// the forms supported for LLaVA checkpoints.
    ///
    /// # Errors
    /// A config, weight file or tokenizer that is missing, damaged or unsupported; a tensor
    /// that is missing or contradicts the config; a CLIP model with another vision tower.
    pub fn open(dir: impl AsRef<Path>, model: &ModelConfig) -> Result<OpenedClip> {
        let dir = dir.as_ref();
        let config = ClipConfig::from_dir(dir)?;
        check_tower(&config, model)?;
        let checkpoint = Checkpoint::open(dir)?;
        let (c, v) = (config.projection_dim, config.vision.hidden_size);
        let projection = (format!("{VISUAL_PROJECTION}.weight"), vec![c, v]);
        for (name, shape) in tower::expected(&config).iter().chain([&projection]) {
            checkpoint.check(name, shape, &config.path)?;
        }
        Ok(OpenedClip {
            tokenizer: ClipTokenizer::open(dir, &config)?,
            config,
            checkpoint,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Token ids of a text of any length, with those that mark its beginning and end, before it is
    /// cut into segments of the context.
    ///
    /// # Errors
    /// The tokenizer library fails.
    pub fn token_ids(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.ids(text)
    }

    /// The files that the embeddings depend on: config, weights and tokenizer.
    pub fn files(&self) -> Vec<PathBuf> {
        let weights = self.checkpoint.files().map(Path::to_owned);
        let tokenizer = self.tokenizer.files().iter().cloned();
        std::iter::once(self.config.path.clone())
            .chain(weights)
            .chain(tokenizer)
            .collect()
    }
}

impl LlavaModel {
    /// Adds the rest of the vision tower's CLIP model, for methods that compare image and question
    /// ([`fp_scoring::Needs::clip`]).
    ///
    /// # Errors
    /// A CLIP model with another vision tower; weights that can't be read or aren't finite.
    pub fn with_clip(mut self, opened: OpenedClip) -> Result<LlavaModel> {
        check_tower(&opened.config, self.config())?;
        let clip = Clip::load(opened, self.decoder.context())?;
        self.clip = Some(clip);
        Ok(self)
    }
}

/// Embeddings are meaningful only if the tower is the one that CLIP was trained with.
fn check_tower(config: &ClipConfig, model: &ModelConfig) -> Result<(), ClipError> {
    let (theirs, ours) = (&config.vision, &model.vision);
    for (field, found, expected) in [
        ("hidden_size", theirs.hidden_size, ours.hidden_size),
        ("num_hidden_layers", theirs.num_layers, ours.num_layers),
        ("num_attention_heads", theirs.num_heads, ours.num_heads),
        ("patch_size", theirs.patch_size, ours.patch_size),
        ("image_size", theirs.image_size, ours.image_size),
    ] {
        if found != expected {
            return Err(ClipError::OtherTower {
                config: config.path.clone(),
                field,
                found,
                expected,
                model: model.path.clone(),
            });
        }
    }
    Ok(())
}
