//! The image and the question to time.

use std::path::PathBuf;

use candle_core::Tensor;
use fp_data::dataset::{self, ImageRef};
use fp_data::embedded;
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    DummyInput, ImageFeatures, LlavaModel, ModelConfig, ModelError, OpenedCheckpoint, VisionRequest,
};
use fp_scoring::ImageInput;

use super::error::EfficiencyError;
use crate::study::{Cut, EncodedImage, Inputs, LoadedImage, ModelShape};

/// Tokens before and after the image in a usual prompt, as in `finepruner budget`.
const NUM_SYSTEM: usize = 35;
const NUM_TEXT: usize = 29;

/// Source of the image and the question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum InputSource {
    /// The first question of the shipped benchmark, with its image; dummy inputs for dummy weights.
    #[default]
    Usual,
    /// An image file, and a question about it.
    File {
        /// Path of the image.
        image: PathBuf,
        /// The question.
        question: String,
    },
}

/// An image and a prompt, ready for the model.
#[derive(Debug)]
pub(super) struct Input {
    name: String,
    prompt: EncodedPrompt,
    image: Image,
    num_image_tokens: usize,
    /// The question's id, which selectors with random choices use as part of their seed.
    id: String,
    grid: Option<[usize; 2]>,
}

#[derive(Debug)]
enum Image {
    Loaded(LoadedImage, Box<Inputs>),
    Dummy(Tensor),
}

impl Input {
    /// Dummy image and prompt for models without a tokenizer.
    pub(super) fn dummy(config: &ModelConfig, seed: u64) -> Result<Input, EfficiencyError> {
        let dummy = DummyInput::new(config, NUM_SYSTEM, NUM_TEXT, seed)?;
        Ok(Input {
            name: "random pixels and token ids".to_owned(),
            prompt: dummy.prompt,
            image: Image::Dummy(dummy.pixel_values),
            num_image_tokens: config.tokens_per_square(),
            id: String::new(),
            grid: {
                let side = config.vision.image_size;
                let grid = config.token_grid([side, side]);
                grid.or_else(|| ModelShape::new(config).grid())
            },
        })
    }

    /// An input for a checkpoint.
    pub(super) fn of_checkpoint(
        opened: &OpenedCheckpoint,
        source: &InputSource,
    ) -> Result<Input, EfficiencyError> {
        let config = opened.config();
        let inputs = Inputs::new(opened, Cut::default(), None)?;
        match source {
            InputSource::File { image, question } => {
                let name = format!("{}: {question}", image.display());
                let image = ImageRef::from(image.clone());
                Input::new(inputs, config, (name, String::new()), &image, question)
            }
            InputSource::Usual => {
                let benchmark = embedded::benchmark_dir(embedded::SPLITS[0])?;
                let dataset = dataset::open(&benchmark.display().to_string())?;
                let Some(sample) = dataset.samples.first() else {
                    return Err(EfficiencyError::Setting {
                        what: "the shipped benchmark",
                        found: "empty".to_owned(),
                        expected: "at least one question; or name an image and a question"
                            .to_owned(),
                    });
                };
                Input::of_sample(inputs, config, sample)
            }
        }
    }

    /// A question of a dataset.
    pub(super) fn of_sample(
        inputs: Inputs,
        config: &ModelConfig,
        sample: &fp_data::Sample,
    ) -> Result<Input, EfficiencyError> {
        let name = format!("sample {}: {}", sample.id, sample.question);
        let names = (name, sample.id.clone());
        Input::new(inputs, config, names, &sample.image, &sample.question)
    }

    fn new(
        inputs: Inputs,
        config: &ModelConfig,
        (name, id): (String, String),
        image: &ImageRef,
        question: &str,
    ) -> Result<Input, EfficiencyError> {
        let image = inputs.image(EncodedImage::new(image))?;
        Ok(Input {
            name,
            prompt: inputs.prompt(question)?,
            num_image_tokens: image.num_tokens(config),
            id,
            grid: inputs.one_grid(&image),
            image: Image::Loaded(image, Box::new(inputs)),
        })
    }

    /// The input's name in a record.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn prompt(&self) -> &EncodedPrompt {
        &self.prompt
    }

    /// Layout of system, image and text.
    pub(super) fn layout(&self) -> fp_scoring::TokenLayout {
        fp_scoring::TokenLayout {
            num_system: self.prompt.num_system(),
            num_image: self.num_image_tokens,
            num_text: self.prompt.num_text(),
        }
    }

    /// Runs the vision tower and the projector.
    pub(super) fn features(&self, model: &LlavaModel) -> Result<ImageFeatures, ModelError> {
        self.features_for(model, ImageInput::Whole, &VisionRequest::new())
    }

    /// Like [`Input::features`], for the image as a method gives it to the tower, with the
    /// requested evidence of the tower.
    pub(super) fn features_for(
        &self,
        model: &LlavaModel,
        input: ImageInput,
        request: &VisionRequest,
    ) -> Result<ImageFeatures, ModelError> {
        match &self.image {
            Image::Loaded(image, inputs) => image.features_of(input, model, inputs, request),
            Image::Dummy(pixels) if input == ImageInput::Whole => {
                model.encode_image_for(&pixels.to_device(model.device())?, request)
            }
            Image::Dummy(_) => Err(ModelError::InputValue {
                what: "the image for dummy weights",
                found: "random pixels".to_owned(),
                expected: "an image, which this method gives to the vision tower in another size"
                    .to_owned(),
            }),
        }
    }

    /// The question's id; empty if it has none.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Columns and rows of the image tokens; `None` for any-resolution input.
    pub(super) fn grid(&self) -> Option<[usize; 2]> {
        self.grid
    }
}
