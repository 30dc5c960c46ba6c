//! Images and questions, ready for the model.

use std::time::{Duration, Instant};

use fp_data::Sample;
use fp_data::dataset::ImageRef;
use fp_image::{
    AnyRes, AnyResPixels, DecodeLimits, GridPinpoints, ImageAspect, ImageError, ImageProcessor,
    ImageSize, PixelValues, RgbImage, Tiling, TokenGrid, decode, decode_file,
};
use fp_model::prompt::{EncodedPrompt, PromptTemplate};
use fp_model::tokenizer::LlavaTokenizer;
use fp_model::{
    ImageFeatures, LlavaModel, ModelConfig, ModelError, OpenedCheckpoint, ToTensor, VisionRequest,
};
use fp_scoring::ImageInput;

use super::grid::square_grid;

/// Converts files and texts to the model's inputs, as the checkpoint specifies.
#[derive(Debug)]
pub(crate) struct Inputs {
    processor: ImageProcessor,
    /// How images are cut into tiles; `None` for single squares and images of any size.
    tiles: Option<Tiles>,
    aspect: ImageAspect,
    tokenizer: LlavaTokenizer,
    template: PromptTemplate,
    model: ModelConfig,
}

/// A study's settings for cutting images.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cut {
    /// Replaces the checkpoint's own treatment, including any-resolution tiles.
    pub(crate) aspect: Option<ImageAspect>,
    /// The form of any-resolution input.
    pub(crate) anyres: Option<AnyRes>,
}

/// How images are cut into tiles.
#[derive(Debug)]
enum Tiles {
    Best(GridPinpoints),
    Fixed,
}

/// A decoded and preprocessed image.
#[derive(Debug)]
pub(crate) struct LoadedImage {
    /// Width and height of the file's image.
    pub(crate) size: [usize; 2],
    /// Columns and rows of the tokens of an image that keeps its aspect ratio.
    pub(crate) grid: Option<[usize; 2]>,
    /// Location of its tokens on the image; empty for one square, whose framing determines it.
    pub(crate) grids: Vec<TokenGrid>,
    /// `[N]`: whether each image token shows only padding; `None` for any-resolution input.
    pub(crate) padding: Option<Vec<bool>>,
    pixels: Pixels,
    /// Time for reading, decoding and preprocessing.
    pub(crate) duration: Duration,
}

/// What records state about an image.
#[derive(Debug, Clone)]
pub(crate) struct ImageFacts {
    /// Width and height in pixels.
    pub(crate) size: [usize; 2],
    /// Location of its tokens on the image; empty for one square.
    pub(crate) grids: Vec<TokenGrid>,
}

/// An image that has not been decoded yet.
#[derive(Debug)]
pub struct EncodedImage<'a> {
    source: &'a ImageRef,
    /// The bytes of an image inside another file; an image in a file of its own is read when it is
    /// decoded.
    inside: Option<std::io::Result<Vec<u8>>>,
    /// Time for reading so far.
    duration: Duration,
}

#[derive(Debug)]
enum Pixels {
    Square(PixelValues),
    AnyResolution(AnyResPixels),
}

impl Inputs {
    /// Settings of the checkpoint, unless `cut` overrides them.
    pub(crate) fn new(
        opened: &OpenedCheckpoint,
        cut: Cut,
        template: Option<PromptTemplate>,
    ) -> Result<Inputs, ModelError> {
        let config = opened.config();
        let aspect = cut.aspect;
        opened.check_images(aspect.is_none())?;
        if let Some(form) = cut.anyres {
            config.check_anyres(form)?;
        }
        if let (Some(aspect), Some(_)) = (aspect, &config.dynamic) {
            return Err(ModelError::InputValue {
                what: "image_aspect",
                found: aspect.to_string(),
                expected: "none: this checkpoint takes images of any size as they are".to_owned(),
            });
        }
        let tiles = match (config.pinpoints()?, aspect, cut.anyres) {
            (Some(_), None, Some(AnyRes::Fixed2880)) => Some(Tiles::Fixed),
            (Some(pinpoints), None, _) => Some(Tiles::Best(pinpoints)),
            _ => None,
        };
        Ok(Inputs {
            processor: opened.image_processor()?,
            tiles,
            aspect: aspect.unwrap_or_else(|| config.image_aspect()),
            tokenizer: opened.tokenizer()?,
            template: template.unwrap_or(config.family.template()),
            model: config.clone(),
        })
    }

    /// Treatment of images that aren't square; `None` for any-resolution tiles and for images of
    /// any size.
    pub(crate) fn aspect(&self) -> Option<ImageAspect> {
        match (&self.tiles, &self.model.dynamic) {
            (None, None) => Some(self.aspect),
            _ => None,
        }
    }

    /// Columns and rows of the single grid of an image's tokens; `None` for any-resolution tiles.
    pub(crate) fn one_grid(&self, image: &LoadedImage) -> Option<[usize; 2]> {
        let is_square = self.tiles.is_none();
        image
            .grid
            .or_else(|| square_grid(image.num_tokens(&self.model)).filter(|_| is_square))
    }

    /// Number of tokens of a sample's image, without decoding it; that of one square if the image's
    /// size can't be read.
    pub(crate) fn estimated_tokens(&self, sample: &Sample) -> usize {
        let patches = self.model.vision.patches_per_side();
        let square = self.model.tokens_per_square();
        match &self.tiles {
            None if self.model.dynamic.is_some() => {
                let size = sample.image_size.or_else(|| sample.image.size().ok());
                let size = size.and_then(|[width, height]| {
                    let size = ImageSize { width, height };
                    self.processor.size_of(size).ok().flatten()
                });
                let grid = size.and_then(|size| self.model.token_grid([size.height, size.width]));
                grid.map_or(square, |[columns, rows]| columns * rows)
            }
            None => square,
            Some(Tiles::Fixed) => Tiling::FIXED_SQUARES * self.model.vision.num_patches(),
            Some(Tiles::Best(pinpoints)) => {
                let size = sample.image_size.or_else(|| sample.image.size().ok());
                let tiling = size.and_then(|[width, height]| {
                    let size = ImageSize { width, height };
                    Tiling::new(size, pinpoints, self.model.vision.image_size).ok()
                });
                tiling.map_or(square, |tiling| tiling.packing(patches).num_image_tokens())
            }
        }
    }

    /// The model's configuration.
    pub(crate) fn model_config(&self) -> &ModelConfig {
        &self.model
    }

    /// Decodes and preprocesses an image.
    pub(crate) fn image(&self, encoded: EncodedImage<'_>) -> Result<LoadedImage, ModelError> {
        let start = Instant::now();
        let (reading, source) = (encoded.duration, encoded.source());
        let image = encoded.decode()?;
        let size = [image.width(), image.height()];
        let pixels = match &self.tiles {
            Some(Tiles::Best(pinpoints)) => self
                .processor
                .preprocess_anyres(&image, pinpoints)
                .map(Pixels::AnyResolution),
            Some(Tiles::Fixed) => self
                .processor
                .preprocess_fixed(&image)
                .map(Pixels::AnyResolution),
            None => self
                .processor
                .preprocess(&image, self.aspect)
                .map(Pixels::Square),
        };
        let pixels = pixels.map_err(|error| ImageError::InFile {
            path: source.to_string().into(),
            source: Box::new(error),
        })?;
        let padding = self.aspect().map(|aspect| {
            let size = image.size();
            self.model.padded_tokens(&self.processor, size, aspect)
        });
        let grid = match &pixels {
            Pixels::Square(pixels) => self.model.token_grid([pixels.height, pixels.width]),
            Pixels::AnyResolution(_) => None,
        };
        let grids = match (&pixels, grid) {
            (Pixels::AnyResolution(tiles), _) => {
                let patches = self.model.vision.patches_per_side();
                tiles.tiling.token_grids(patches).to_vec()
            }
            (Pixels::Square(_), Some(grid)) => vec![TokenGrid::over(image.size(), grid)],
            (Pixels::Square(_), None) => Vec::new(),
        };
        Ok(LoadedImage {
            size,
            grid,
            grids,
            padding,
            pixels,
            duration: reading + start.elapsed(),
        })
    }

    /// The whole prompt of a question.
    pub(crate) fn prompt_text(&self, question: &str) -> String {
        self.template.render(question)
    }

    /// The whole prompt of a text-only question.
    pub(crate) fn text_only_prompt(&self, question: &str) -> String {
        self.template.render_text_only(question)
    }

    /// A question's prompt with its image, tokenised.
    pub(crate) fn prompt(&self, question: &str) -> Result<EncodedPrompt, ModelError> {
        Ok(self.tokenizer.encode(&self.prompt_text(question))?)
    }

    /// A question's prompt without its image, tokenised.
    pub(crate) fn prompt_without_image(&self, question: &str) -> Result<Vec<u32>, ModelError> {
        let text = self.text_only_prompt(question);
        Ok(self.tokenizer.encode_text_only(&text)?)
    }

    /// An answer's text, with surrounding white space trimmed.
    pub(crate) fn answer(&self, token_ids: &[u32]) -> Result<String, ModelError> {
        Ok(self.tokenizer.decode(token_ids)?.trim().to_owned())
    }
}

impl<'a> EncodedImage<'a> {
    /// Reads an image inside another file now, since such images are read fastest in order and one
    /// at a time.
    pub fn new(source: &'a ImageRef) -> EncodedImage<'a> {
        let start = Instant::now();
        EncodedImage {
            source,
            inside: source.as_file().is_none().then(|| source.read()),
            duration: start.elapsed(),
        }
    }

    /// Location of the image.
    pub fn source(&self) -> &'a ImageRef {
        self.source
    }

    /// Decodes the image.
    ///
    /// # Errors
    /// An image that can't be read or decoded.
    pub fn decode(self) -> Result<RgbImage, ImageError> {
        let path = || self.source.container().to_owned();
        let bytes = match self.inside {
            None => return decode_file(&path()),
            Some(bytes) => bytes.map_err(|source| ImageError::Io {
                path: path(),
                source,
            })?,
        };
        decode(&bytes, DecodeLimits::default()).map_err(|error| ImageError::InFile {
            path: self.source.to_string().into(),
            source: Box::new(error),
        })
    }
}

impl LoadedImage {
    /// What records state about the image.
    pub(crate) fn facts(&self) -> ImageFacts {
        ImageFacts {
            size: self.size,
            grids: self.grids.clone(),
        }
    }

    /// Number of tokens of the image.
    pub(crate) fn num_tokens(&self, config: &ModelConfig) -> usize {
        if let Some([columns, rows]) = self.grid {
            return columns * rows;
        }
        match &self.pixels {
            Pixels::Square(_) => config.tokens_per_square(),
            Pixels::AnyResolution(tiles) => {
                let packing = tiles.tiling.packing(config.vision.patches_per_side());
                packing.num_image_tokens()
            }
        }
    }

    /// Like [`LoadedImage::features`], for the image as a method gives it to the tower.
    pub(crate) fn features_of(
        &self,
        input: ImageInput,
        model: &LlavaModel,
        inputs: &Inputs,
        request: &VisionRequest,
    ) -> Result<ImageFeatures, ModelError> {
        match (input, &self.pixels) {
            (ImageInput::Shrunk { columns, rows }, Pixels::Square(pixels)) => {
                let config = model.config();
                let merged = config
                    .dynamic
                    .as_ref()
                    .map_or(1, |vision| vision.merge_size);
                let cell = config.vision.patch_size * merged;
                let (width, height) = (columns * cell, rows * cell);
                let shrunk = inputs.processor.shrink(pixels, width, height)?;
                model.encode_image_for(&shrunk.to_tensor(model.device())?, request)
            }
            _ => self.features(model, request),
        }
    }

    /// Runs the vision tower and the projector. The evidence that `request` lists is included for a
    /// single square, and for each of several whole crops.
    pub(crate) fn features(
        &self,
        model: &LlavaModel,
        request: &VisionRequest,
    ) -> Result<ImageFeatures, ModelError> {
        let device = model.device();
        match &self.pixels {
            Pixels::Square(pixels) => model.encode_image_for(&pixels.to_tensor(device)?, request),
            Pixels::AnyResolution(tiles) => {
                let vision = &model.config().vision;
                let packing = tiles.tiling.packing(vision.patches_per_side());
                model.encode_tiles_for(&tiles.to_tensor(device)?, &packing, request)
            }
        }
    }
}
