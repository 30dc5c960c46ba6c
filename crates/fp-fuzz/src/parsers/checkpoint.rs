//! Checkpoints: weights and the files beside them.

use std::hint::black_box;
use std::path::Path;

use fp_image::{ImageAspect, PreprocessorConfig, RgbImage};
use fp_model::tokenizer::LlavaTokenizer;
use fp_model::{LoadOptions, ModelConfig, OpenedCheckpoint};

use super::Input;

pub(super) fn inspect(input: &Input<'_>) -> bool {
    match fp_model::inspect(input.folder, None) {
        Ok(found) => {
            black_box(found.to_string());
            found.is_complete()
        }
        Err(error) => {
            told(&error);
            false
        }
    }
}

/// Formats an error as a message would.
fn told(error: &dyn std::error::Error) {
    black_box(fp_scoring::error_text(error));
}

/// Most weights that are loaded: a configuration can ask for more than any file holds.
const MOST_WEIGHTS: usize = 1 << 20;

/// Also loads the checkpoint if it is whole.
pub(super) fn load(input: &Input<'_>) -> bool {
    if !inspect(input) {
        return false;
    }
    let opened = match OpenedCheckpoint::open(input.folder, None) {
        Ok(opened) => opened,
        Err(error) => {
            told(&error);
            return false;
        }
    };
    let config = opened.config();
    if config
        .text
        .vocab_size
        .saturating_mul(config.text.hidden_size)
        > MOST_WEIGHTS
    {
        return true;
    }
    match opened.load(&LoadOptions::default()) {
        Ok(model) => black_box(model.config().text.num_layers) > 0,
        Err(error) => {
            told(&error);
            false
        }
    }
}

/// Largest side, in pixels, on which preprocessing is tried: more only takes more time.
const MOST_SIDE: usize = 512;

pub(super) fn preprocess(input: &Input<'_>) -> bool {
    let is_complete = inspect(input);
    let Ok(config) = PreprocessorConfig::load(input.file) else {
        return false;
    };
    let is_small = |side: usize| side <= MOST_SIDE;
    let crop_is_small = config
        .crop
        .is_none_or(|sides| sides.into_iter().all(is_small));
    let resize_is_small = match config.resize {
        None => true,
        Some(fp_image::ResizeTarget::ShortestEdge(side)) => is_small(side),
        Some(fp_image::ResizeTarget::Exact { height, width }) => {
            is_small(height) && is_small(width)
        }
        Some(fp_image::ResizeTarget::Smart(rule)) => {
            is_small(rule.factor) && is_small(rule.min_pixels.isqrt())
        }
    };
    if !(crop_is_small && resize_is_small) {
        return is_complete;
    }
    let Ok(image) = RgbImage::new(3, 2, vec![7; 18]) else {
        return false;
    };
    let processor = fp_image::ImageProcessor::new(config);
    let pixels = processor.preprocess(&image, ImageAspect::Pad);
    is_complete && pixels.is_ok()
}

pub(super) fn tokenize(input: &Input<'_>) -> bool {
    let is_complete = inspect(input);
    tokens(input.folder).is_some() && is_complete
}

fn tokens(folder: &Path) -> Option<()> {
    let config = ModelConfig::from_dir(folder).ok()?;
    let tokenizer = LlavaTokenizer::for_checkpoint(folder, &config).ok()?;
    let texts = [
        "USER: <image>\nWhat color is the object? ASSISTANT:",
        "<image>",
        "Is there a red circle? é 𝟘 \u{0}\t<s></s>",
    ];
    let mut ids = vec![0, 1, 2, 3, 4, 173, u32::MAX];
    for text in texts {
        if let Ok(prompt) = tokenizer.encode(text) {
            ids.extend(prompt.input_ids);
        }
        if let Ok(more) = tokenizer.encode_text_only(text) {
            ids.extend(more);
        }
    }
    black_box(tokenizer.token_id("red"));
    black_box(tokenizer.token(5));
    tokenizer.decode(&ids).ok().map(drop)
}
