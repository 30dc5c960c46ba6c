//! Image and prompt, ready for the model.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use fp_model::image::{
    AnyResPixels, GridPinpoints, ImageAspect, ImageProcessor, PixelValues, PreprocessorConfig,
    decode_file,
};
use fp_model::prompt::{EncodedPrompt, PromptTemplate};
use fp_model::tokenizer::{LlavaTokenizer, SpecialTokenIds};
use fp_model::{ImageFeatures, LlavaModel, ModelConfig, Preset};

use super::GenerateArgs;

/// What one answer is made from.
pub(super) struct Inputs {
    pub(super) prompt: EncodedPrompt,
    /// Time to decode and preprocess the image.
    pub(super) preprocess: Duration,
    pixels: Pixels,
    tokenizer: Option<LlavaTokenizer>,
}

enum Pixels {
    Square(PixelValues),
    AnyResolution(AnyResPixels),
    /// Zeros of the model's size.
    Dummy,
}

impl Inputs {
    /// Reads what the flags name, with the checkpoint's own preprocessing.
    pub(super) fn read(args: &GenerateArgs, dir: &Path) -> Result<Inputs> {
        let config = ModelConfig::from_dir(dir)?;
        let path = args
            .image
            .as_deref()
            .context("an image is needed: --image FILE")?;
        let text = match (&args.prompt, &args.raw_prompt) {
            (Some(text), _) => PromptTemplate::VicunaV1.render(text),
            (None, Some(raw)) => raw.clone(),
            (None, None) => {
                anyhow::bail!("a question is needed: --prompt TEXT or --raw-prompt TEXT")
            }
        };
        let ids = SpecialTokenIds {
            image: config.image_token,
            bos: None,
        };
        let tokenizer = LlavaTokenizer::from_file(&dir.join("tokenizer.json"), ids)?;
        let prompt = tokenizer.encode(&text)?;
        let start = Instant::now();
        let image = decode_file(path).with_context(|| format!("image {}", path.display()))?;
        let processor = ImageProcessor::new(PreprocessorConfig::load_or_default(
            &dir.join("preprocessor_config.json"),
        )?);
        let pixels = match (&config.grid_pinpoints, args.aspect) {
            (Some(pinpoints), None) => {
                let pinpoints = GridPinpoints::new(pinpoints)?;
                Pixels::AnyResolution(processor.preprocess_anyres(&image, &pinpoints)?)
            }
            (_, aspect) => {
                let aspect = aspect.unwrap_or(ImageAspect::Pad);
                Pixels::Square(processor.preprocess(&image, aspect)?)
            }
        };
        let preprocess = start.elapsed();
        Ok(Inputs {
            prompt,
            preprocess,
            pixels,
            tokenizer: Some(tokenizer),
        })
    }

    /// As long as the prompt of a benchmark question, of tokens that mean nothing.
    pub(super) fn dummy(preset: Preset) -> Inputs {
        const NUM_SYSTEM: usize = 35;
        const NUM_TEXT: usize = 29;
        let vocab = preset.config().text.vocab_size as u32;
        let id = |index: usize| 3 + index as u32 % (vocab - 3).max(1);
        Inputs {
            prompt: EncodedPrompt {
                input_ids: (0..NUM_SYSTEM + 1 + NUM_TEXT).map(id).collect(),
                image_position: NUM_SYSTEM,
            },
            preprocess: Duration::ZERO,
            pixels: Pixels::Dummy,
            tokenizer: None,
        }
    }

    /// Runs the vision tower and the projector.
    pub(super) fn features(&self, model: &LlavaModel) -> Result<ImageFeatures> {
        let device = model.device();
        Ok(match &self.pixels {
            Pixels::Square(pixels) => model.encode_image(&pixels.to_tensor(device)?)?,
            Pixels::AnyResolution(tiles) => {
                let vision = &model.config().vision;
                let packing = tiles.tiling.packing(vision.image_size / vision.patch_size);
                model.encode_tiles(&tiles.to_tensor(device)?, &packing)?
            }
            Pixels::Dummy => {
                let side = model.config().vision.image_size;
                model.encode_image(&Tensor::zeros((1, 3, side, side), DType::F32, device)?)?
            }
        })
    }

    /// The tokens as text; none for dummies, which have no tokenizer.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<Option<String>> {
        Ok(self
            .tokenizer
            .as_ref()
            .map(|tokenizer| tokenizer.decode(ids))
            .transpose()?)
    }
}
