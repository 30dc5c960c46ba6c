//! Configuration, preprocessor and tokenizer: whether images and prompts can be made from them, and
//! which of their values contradict the model without changing its answers.

use std::path::{Path, PathBuf};

use fp_image::{IMAGE_PLACEHOLDER, PreprocessorConfig, ResizeTarget};
use fp_scoring::error_text;
use serde_json::Value;

use super::error::CheckpointError;
use crate::config::{FeatureSelect, ModelConfig, Origin, read_json};
use crate::error::{ModelError, Result};
use crate::families::Family;
use crate::prompt::PromptError;
use crate::tokenizer::LlavaTokenizer;

/// The files beside a checkpoint's weights, and the model that they belong to.
pub(crate) struct Inputs<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) config: &'a ModelConfig,
    /// Path of `preprocessor_config.json`, whether or not it exists.
    pub(crate) preprocessor: PathBuf,
}

impl Inputs<'_> {
    /// Checks that the images that `preprocessor_config.json` makes fit the model; with `tiles`,
    /// any-resolution images too.
    ///
    /// # Errors
    /// A file that can't be read, or whose images are of another size or grid.
    pub(crate) fn check_images(&self, tiles: bool) -> Result<()> {
        let config = PreprocessorConfig::load_or_default(&self.preprocessor)?;
        let pinpoints = self.config.grid_pinpoints.as_ref().filter(|_| tiles);
        if let (Some(expected), Some(found)) = (pinpoints, &config.grid_pinpoints)
            && found != expected
        {
            return Err(CheckpointError::Pinpoints {
                path: self.preprocessor.clone(),
                found: found.clone(),
                config: self.config.path.clone(),
                expected: expected.clone(),
            }
            .into());
        }
        let cell = self.config.dynamic.as_ref();
        let cell = cell.map(|vision| self.config.vision.patch_size * vision.merge_size);
        match (config.resize, cell) {
            (Some(ResizeTarget::Smart(rule)), Some(cell)) if rule.factor == cell => return Ok(()),
            (None | Some(ResizeTarget::Exact { .. } | ResizeTarget::ShortestEdge(_)), None) => {}
            (found, _) => {
                return Err(CheckpointError::Cells {
                    path: self.preprocessor.clone(),
                    found: match found {
                        Some(ResizeTarget::Smart(rule)) => {
                            format!("images of whole cells of {} pixels", rule.factor)
                        }
                        _ => "squares".to_owned(),
                    },
                    expected: match cell {
                        Some(cell) => format!("images of whole cells of {cell} pixels"),
                        None => "squares".to_owned(),
                    },
                }
                .into());
            }
        }
        let side = self.config.vision.image_size;
        match made_size(&config) {
            Some([height, width]) if [height, width] != [side, side] => {
                Err(CheckpointError::ImageSize {
                    path: self.preprocessor.clone(),
                    width,
                    height,
                    side,
                }
                .into())
            }
            _ => Ok(()),
        }
    }

    /// The tokenizer, after checking that the model has an embedding for each of its ids.
    ///
    /// # Errors
    /// A file that can't be read or contradicts the config.
    pub(crate) fn tokenizer(&self) -> Result<LlavaTokenizer> {
        let tokenizer = LlavaTokenizer::for_checkpoint(self.dir, self.config)?;
        let vocab_size = self.config.text.vocab_size;
        let is_beyond = |id: u32| usize::try_from(id).is_ok_and(|id| id >= vocab_size);
        match tokenizer.largest_id() {
            Some((token, id)) if is_beyond(id) => Err(CheckpointError::Vocabulary {
                token,
                id,
                vocab_size,
                config: self.config.path.clone(),
            }
            .into()),
            _ => Ok(tokenizer),
        }
    }

    /// Everything that prevents making images and prompts, and the names of missing files.
    pub(crate) fn problems(&self) -> (Vec<ModelError>, Vec<String>) {
        let (mut problems, mut missing) = (Vec::new(), Vec::new());
        match self.tokenizer() {
            Ok(_) => {}
            Err(ModelError::Prompt(PromptError::TokenizerFile { path, source }))
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                missing.push(file_name(&path));
            }
            Err(error) => problems.push(error),
        }
        match self.check_images(true) {
            Ok(()) => {}
            // The class defaults are for another tower.
            Err(_) if !self.preprocessor.exists() => missing.push(file_name(&self.preprocessor)),
            Err(error) => problems.push(error),
        }
        (problems, missing)
    }

    /// Values that contradict the model and are ignored.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = self.config_notes();
        notes.extend(self.processor_notes());
        notes.extend(self.tokenizer_note());
        notes
    }

    fn config_notes(&self) -> Vec<String> {
        let (config, path) = (self.config, self.config.path.display());
        let num_tokens = config.tokens_per_square();
        let vocab_size = config.text.vocab_size;
        let mut notes = Vec::new();
        let stated = read_json(&config.path).ok();
        let stated = stated
            .as_ref()
            .and_then(|value| value.get("image_seq_length"));
        if let Some(stated) = stated.and_then(Value::as_u64)
            && stated != num_tokens as u64
            && config.dynamic.is_none()
        {
            notes.push(format!(
                "{path} states `image_seq_length` {stated}, and the vision tower gives \
                 {num_tokens} tokens for a square image, and the latter is used"
            ));
        }
        let is_beyond = |id: &u32| usize::try_from(*id).is_ok_and(|id| id >= vocab_size);
        if config.origin == Origin::HuggingFace
            && let Some(id) = config.image_token.filter(is_beyond)
        {
            notes.push(format!(
                "{path} states `image_token_index` {id} and a vocabulary of {vocab_size}, which \
                 ends before it"
            ));
        }
        if let Some(id) = config.eos_tokens.iter().copied().find(is_beyond) {
            notes.push(format!(
                "the token {id} that ends answers is outside the vocabulary of {vocab_size}: \
                 answers continue until the limit"
            ));
        }
        notes
    }

    /// Notes on `processor_config.json`, by which Hugging Face's processors count an image's
    /// tokens.
    fn processor_notes(&self) -> Vec<String> {
        let path = self.dir.join("processor_config.json");
        // For other families this file agrees with the rest of the checkpoint.
        if !path.is_file() || self.config.family != Family::Llava {
            return Vec::new();
        }
        let value = match read_json(&path) {
            Ok(value) => value,
            Err(error) => return vec![error_text(&error)],
        };
        let (config, file) = (self.config, path.display());
        let mut notes = Vec::new();
        let mut note = |field: &str, found: String, ours: String| {
            notes.push(format!(
                "{file} states `{field}` {found}, and {} makes it {ours}, and the latter is used",
                config.path.display()
            ));
        };
        let number = |field: &str| value.get(field).and_then(Value::as_u64);
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let patch = config.vision.patch_size as u64;
        if let Some(found) = number("patch_size")
            && found != patch
        {
            note("patch_size", found.to_string(), patch.to_string());
        }
        let strategy = match config.feature_select {
            FeatureSelect::Patches => "default",
            FeatureSelect::Full => "full",
        };
        if let Some(found) = text("vision_feature_select_strategy")
            && found != strategy
        {
            let field = "vision_feature_select_strategy";
            note(field, format!("`{found}`"), format!("`{strategy}`"));
        }
        // CLIP's one class token, which `default` drops again.
        if let Some(found) = number("num_additional_image_tokens")
            && found != 1
        {
            note(
                "num_additional_image_tokens",
                found.to_string(),
                "1".to_owned(),
            );
        }
        if let Some(found) = text("image_token")
            && found != IMAGE_PLACEHOLDER
        {
            notes.push(format!(
                "{file} states `image_token` `{found}`; prompts here are written with \
                 `{IMAGE_PLACEHOLDER}`"
            ));
        }
        notes
    }

    /// LLaVA was trained with a tokenizer that puts a space before every segment of text.
    fn tokenizer_note(&self) -> Option<String> {
        if self.config.family != Family::Llava {
            return None;
        }
        let tokenizer = self.tokenizer().ok()?;
        let is_without = !tokenizer.puts_space_before_text()?;
        is_without.then(|| {
            format!(
                "{} puts no space before the text after the image; LLaVA's own tokenizer (slow \
                 and legacy) does, so prompts are one token shorter than those it was trained on",
                self.dir.join("tokenizer.json").display()
            )
        })
    }
}

/// Height and width of every preprocessed square image, if they are fixed.
fn made_size(config: &PreprocessorConfig) -> Option<[usize; 2]> {
    config.crop.or(match config.resize {
        Some(ResizeTarget::Exact { height, width }) => Some([height, width]),
        Some(ResizeTarget::ShortestEdge(edge)) => Some([edge, edge]),
        Some(ResizeTarget::Smart(_)) | None => None,
    })
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
