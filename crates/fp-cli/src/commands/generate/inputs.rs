//! Image and prompt, prepared for the model.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor};
use fp_eval::study::is_embedded;
use fp_image::{
    AnyRes, AnyResPixels, DecodeLimits, ImageProcessor, PixelValues, Remark, RgbImage, TokenGrid,
    decode_file, inspect,
};
use fp_model::prompt::EncodedPrompt;
use fp_model::tokenizer::LlavaTokenizer;
use fp_model::{ImageFeatures, LlavaModel, ModelConfig, OpenedCheckpoint, ToTensor, VisionRequest};
use fp_scoring::{CropBudget, ImageCrops, read_file};
use serde::Serialize;

use super::GenerateArgs;
use super::sequence::Tiles;
use super::shipped::ShippedQuestion;

/// The inputs of one answer.
pub(super) struct Inputs {
    pub(super) prompt: EncodedPrompt,
    /// The question and its origin.
    pub(super) source: Source,
    /// Time to decode and preprocess the image.
    pub(super) preprocess: Duration,
    /// Differences between the model's view of the image and that of other programs.
    pub(super) remarks: Vec<Remark>,
    /// `[N]`, which image tokens show only padding; `None` for any-resolution and dummy input.
    pub(super) padding: Option<Vec<bool>>,
    pixels: Pixels,
    /// `None` for dummies.
    processor: Option<ImageProcessor>,
    tokenizer: Option<LlavaTokenizer>,
}

/// The question and its origin; empty for dummies.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Source {
    pub(super) image: Option<PathBuf>,
    /// The question, or the whole prompt where that was given.
    pub(super) question: Option<String>,
    /// The reference answer, if image and question are from the shipped benchmark.
    pub(super) right_answer: Option<String>,
}

impl Source {
    /// The image and the text that the flags name; for the shipped model, without an image flag,
    /// those of the shipped benchmark.
    fn of(args: &GenerateArgs) -> Result<Source> {
        let is_embedded = args.model.as_deref().is_some_and(is_embedded);
        let text = args.prompt.as_ref().or(args.raw_prompt.as_ref()).cloned();
        match (&args.image, text) {
            (Some(image), Some(text)) => Ok(Source {
                image: Some(image.clone()),
                question: Some(text),
                right_answer: None,
            }),
            (Some(_), None) => bail!("a question is needed: --prompt TEXT or --raw-prompt TEXT"),
            (None, text) if is_embedded => {
                let shipped = ShippedQuestion::first()?;
                let is_own = text.is_some();
                Ok(Source {
                    image: Some(shipped.image),
                    question: Some(text.unwrap_or(shipped.question)),
                    right_answer: (!is_own).then_some(shipped.answer),
                })
            }
            (None, _) => bail!("an image or a prompt is needed: --image FILE, --prompt TEXT"),
        }
    }
}

enum Pixels {
    Square(PixelValues),
    AnyResolution(AnyResPixels),
    /// Zeros of the model's input size.
    Dummy,
}

impl Pixels {
    /// Height and width of the vision tower's input.
    fn size(&self) -> Option<(usize, usize)> {
        match self {
            Pixels::Square(pixels) => Some(pixels),
            Pixels::AnyResolution(tiles) => tiles.tiles.first(),
            Pixels::Dummy => None,
        }
        .map(|pixels| (pixels.height, pixels.width))
    }
}

/// Remarks on a decoded image.
fn remarks(path: &Path) -> Vec<Remark> {
    let inspected = read_file(path)
        .ok()
        .and_then(|bytes| inspect(&bytes, DecodeLimits::default()).ok());
    inspected.map_or_else(Vec::new, |inspected| inspected.remarks)
}

impl Inputs {
    /// Warnings about the image, one line each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let name = self.source.image.as_deref().unwrap_or(Path::new(""));
        let remarks = self.remarks.iter();
        remarks
            .map(|remark| format!("{}: {remark}", name.display()))
            .collect()
    }

    /// Reads the inputs that the flags name, with the checkpoint's own preprocessing.
    pub(super) fn read(args: &GenerateArgs, opened: &OpenedCheckpoint) -> Result<Inputs> {
        let config = opened.config();
        let source = Source::of(args)?;
        let asked = source.question.as_deref().unwrap_or_default();
        let text = match args.raw_prompt {
            Some(_) => asked.to_owned(),
            None => config.family.template().render(asked),
        };
        if let (Some(form), Some(_)) = (args.anyres, &config.grid_pinpoints) {
            config.check_anyres(form).context("--anyres")?;
        }
        if let (Some(aspect), Some(_)) = (args.aspect, &config.dynamic) {
            bail!(
                "--aspect {aspect}: this checkpoint takes images of any size as they are; \
                 expected no --aspect"
            );
        }
        if let (Some(form), None) = (args.anyres, &config.grid_pinpoints) {
            bail!(
                "--anyres {form}: this checkpoint takes one square image and has no \
                 any-resolution input; expected one of LLaVA-NeXT's form, or no --anyres"
            );
        }
        let tokenizer = opened.tokenizer()?;
        opened.check_images(args.aspect.is_none())?;
        let prompt = tokenizer.encode(&text)?;
        let start = Instant::now();
        let path = source.image.as_deref();
        let path = path.context("an image is needed: --image FILE")?;
        let image = decode_file(path).context("--image")?;
        let processor = opened.image_processor()?;
        let (pixels, padding) = match (config.pinpoints()?, args.aspect) {
            (Some(pinpoints), None) => {
                let tiles = match args.anyres {
                    Some(AnyRes::Fixed2880) => processor.preprocess_fixed(&image)?,
                    Some(AnyRes::Unpad) | None => {
                        processor.preprocess_anyres(&image, &pinpoints)?
                    }
                };
                (Pixels::AnyResolution(tiles), None)
            }
            (_, aspect) => {
                let aspect = aspect.unwrap_or(config.image_aspect());
                let padding = config.padded_tokens(&processor, image.size(), aspect);
                let square = processor.preprocess(&image, aspect)?;
                (Pixels::Square(square), Some(padding))
            }
        };
        let side = config.vision.image_size;
        let takes_any_size = config.dynamic.is_some();
        if let Some((height, width)) = pixels.size().filter(|_| !takes_any_size) {
            ensure!(
                (height, width) == (side, side),
                "{} (with class defaults for missing values) resizes images to {width}x{height} \
                 pixels; the vision tower takes {side}x{side}",
                opened.preprocessor_file().display(),
            );
        }
        let preprocess = start.elapsed();
        let remarks = remarks(path);
        Ok(Inputs {
            prompt,
            source,
            preprocess,
            remarks,
            padding,
            pixels,
            processor: Some(processor),
            tokenizer: Some(tokenizer),
        })
    }

    /// Arbitrary tokens, as many as in the prompt of a benchmark question.
    pub(super) fn dummy(config: &ModelConfig) -> Inputs {
        const NUM_SYSTEM: usize = 35;
        const NUM_TEXT: usize = 29;
        let vocab = config.text.vocab_size as u32;
        let id = |index: usize| 3 + index as u32 % (vocab - 3).max(1);
        Inputs {
            prompt: EncodedPrompt {
                input_ids: (0..NUM_SYSTEM + 1 + NUM_TEXT).map(id).collect(),
                image_position: NUM_SYSTEM,
            },
            source: Source::default(),
            preprocess: Duration::ZERO,
            remarks: Vec::new(),
            padding: None,
            pixels: Pixels::Dummy,
            processor: None,
            tokenizer: None,
        }
    }

    /// Number of tokens that the image becomes.
    pub(super) fn num_image_tokens(&self, config: &ModelConfig) -> usize {
        match &self.pixels {
            Pixels::Square(pixels) => config
                .token_grid([pixels.height, pixels.width])
                .map_or(config.tokens_per_square(), |[columns, rows]| columns * rows),
            Pixels::Dummy => config.tokens_per_square(),
            Pixels::AnyResolution(tiles) => {
                let packing = tiles.tiling.packing(config.vision.patches_per_side());
                packing.num_image_tokens()
            }
        }
    }

    /// Columns and rows of the grid to draw: that of the image if it keeps its own shape, else that
    /// of the tower's patches in one square.
    pub(super) fn drawn_grid(&self, config: &ModelConfig) -> [usize; 2] {
        let patches = config.vision.patches_per_side();
        match &self.pixels {
            Pixels::Square(pixels) => config.token_grid([pixels.height, pixels.width]),
            Pixels::Dummy => {
                let side = config.vision.image_size;
                config.token_grid([side, side])
            }
            Pixels::AnyResolution(_) => None,
        }
        .unwrap_or([patches, patches])
    }

    /// The crops that contain the image tokens.
    pub(super) fn crops(&self, config: &ModelConfig, budget: Option<CropBudget>) -> ImageCrops {
        if config.dynamic.is_some() {
            return ImageCrops::Joined;
        }
        let Pixels::AnyResolution(tiles) = &self.pixels else {
            return ImageCrops::One;
        };
        let packing = tiles.tiling.packing(config.vision.patches_per_side());
        match packing.tokens_of_squares() {
            None => ImageCrops::Unpadded,
            Some(squares) => ImageCrops::Whole {
                num_crops: squares.len(),
                tokens_per_crop: config.vision.num_patches(),
                budget,
            },
        }
    }

    /// The tiles that the image was cut into, if any.
    pub(super) fn tiles(&self, config: &ModelConfig) -> Option<Tiles> {
        match &self.pixels {
            Pixels::Square(_) | Pixels::Dummy => None,
            Pixels::AnyResolution(tiles) => {
                let side = config.vision.patches_per_side();
                Some(Tiles::new(&tiles.tiling, side))
            }
        }
    }

    /// The vision tower's input: the square, or the whole image that precedes the tiles of
    /// any-resolution input. `None` for dummies.
    pub(super) fn seen(&self) -> Result<Option<RgbImage>> {
        let pixels = match &self.pixels {
            Pixels::Square(pixels) => Some(pixels),
            Pixels::AnyResolution(tiles) => tiles.tiles.first(),
            Pixels::Dummy => None,
        };
        match (pixels, &self.processor) {
            (Some(pixels), Some(processor)) => Ok(Some(processor.picture(pixels)?)),
            _ => Ok(None),
        }
    }

    /// The tiles of an image side by side, without the parts that are left out, and the grid of
    /// tokens there; `None` where the image has no tiles.
    pub(super) fn stitched(&self, config: &ModelConfig) -> Result<Option<(RgbImage, TokenGrid)>> {
        let (Pixels::AnyResolution(tiles), Some(processor)) = (&self.pixels, &self.processor)
        else {
            return Ok(None);
        };
        let patches = config.vision.patches_per_side();
        let packing = tiles.tiling.packing(patches);
        let (side, [_, across]) = (tiles.tiling.tile_side, tiles.tiling.grid());
        let pictures = tiles.tiles.iter().skip(1);
        let pictures = pictures
            .map(|tile| processor.picture(tile))
            .collect::<Result<Vec<_>, _>>()?;
        let pixel = |patch: usize| patch * side / patches.max(1);
        let (top, bottom) = (pixel(packing.rows.start), pixel(packing.rows.end));
        let (left, right) = (pixel(packing.columns.start), pixel(packing.columns.end));
        let mut data = Vec::with_capacity(3 * (bottom - top) * (right - left));
        for y in top..bottom {
            for x in left..right {
                let tile = &pictures[y / side * across + x / side];
                let at = 3 * (y % side * tile.width() + x % side);
                data.extend_from_slice(&tile.as_raw()[at..at + 3]);
            }
        }
        let picture = RgbImage::new(right - left, bottom - top, data)?;
        let [_, grid] = tiles.tiling.token_grids(patches);
        Ok(Some((picture, grid)))
    }

    /// Runs the vision tower and the projector. The features of a single square, or of each of
    /// several whole crops, include the tower's evidence that `request` asks for.
    pub(super) fn features(
        &self,
        model: &LlavaModel,
        request: &VisionRequest,
    ) -> Result<ImageFeatures> {
        let device = model.device();
        Ok(match &self.pixels {
            Pixels::Square(pixels) => {
                model.encode_image_for(&pixels.to_tensor(device)?, request)?
            }
            Pixels::AnyResolution(tiles) => {
                let side = model.config().vision.patches_per_side();
                let packing = tiles.tiling.packing(side);
                model.encode_tiles_for(&tiles.to_tensor(device)?, &packing, request)?
            }
            Pixels::Dummy => {
                let side = model.config().vision.image_size;
                let pixels = Tensor::zeros((1, 3, side, side), DType::F32, device)?;
                model.encode_image_for(&pixels, request)?
            }
        })
    }

    /// Decodes tokens to text; `None` for dummies, which have no tokenizer.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<Option<String>> {
        Ok(self
            .tokenizer
            .as_ref()
            .map(|tokenizer| tokenizer.decode(ids))
            .transpose()?)
    }
}
