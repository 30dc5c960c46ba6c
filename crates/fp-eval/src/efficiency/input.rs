//! The image and the question that are timed.

use std::path::PathBuf;

use candle_core::Tensor;
use fp_data::dataset::{self, ImageRef};
use fp_data::embedded;
use fp_model::prompt::{EncodedPrompt, PromptTemplate};
use fp_model::{
    DummyInput, ImageFeatures, LlavaModel, ModelConfig, ModelError, OpenedCheckpoint, VisionRequest,
};

use super::error::EfficiencyError;
use crate::study::{Cut, EncodedImage, Inputs, LoadedImage};

/// Tokens before and after the image in a usual prompt, as `finepruner budget` has them.
const NUM_SYSTEM: usize = 35;
const NUM_TEXT: usize = 29;

/// Which image and question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum InputSource {
    /// The first question of the shipped benchmark, with its image; dummies for a model
    /// of dummy weights.
    #[default]
    Usual,
    /// An image's file, and a question about it.
    File {
        /// The image.
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
}

#[derive(Debug)]
enum Image {
    Loaded(LoadedImage),
    Dummy(Tensor),
}

impl Input {
    /// What stands for image and question where there is no tokenizer.
    pub(super) fn dummy(config: &ModelConfig, seed: u64) -> Result<Input, EfficiencyError> {
        let dummy = DummyInput::new(config, NUM_SYSTEM, NUM_TEXT, seed)?;
        Ok(Input {
            name: "random pixels and token ids".to_owned(),
            prompt: dummy.prompt,
            image: Image::Dummy(dummy.pixel_values),
            num_image_tokens: config.tokens_per_square(),
        })
    }

    /// For a checkpoint.
    pub(super) fn of_checkpoint(
        opened: &OpenedCheckpoint,
        source: &InputSource,
    ) -> Result<Input, EfficiencyError> {
        let config = opened.config();
        let inputs = Inputs::new(opened, Cut::default(), PromptTemplate::default())?;
        match source {
            InputSource::File { image, question } => {
                let name = format!("{}: {question}", image.display());
                let image = ImageRef::from(image.clone());
                Input::new(&inputs, config, name, &image, question)
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
                Input::of_sample(&inputs, config, sample)
            }
        }
    }

    /// A question of a data set.
    pub(super) fn of_sample(
        inputs: &Inputs,
        config: &ModelConfig,
        sample: &fp_data::Sample,
    ) -> Result<Input, EfficiencyError> {
        let name = format!("sample {}: {}", sample.id, sample.question);
        Input::new(inputs, config, name, &sample.image, &sample.question)
    }

    fn new(
        inputs: &Inputs,
        config: &ModelConfig,
        name: String,
        image: &ImageRef,
        question: &str,
    ) -> Result<Input, EfficiencyError> {
        let image = inputs.image(EncodedImage::new(image))?;
        Ok(Input {
            name,
            prompt: inputs.prompt(question)?,
            num_image_tokens: image.num_tokens(config),
            image: Image::Loaded(image),
        })
    }

    /// What it is called in a record.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn prompt(&self) -> &EncodedPrompt {
        &self.prompt
    }

    /// Where system, image and text stand.
    pub(super) fn layout(&self) -> fp_scoring::TokenLayout {
        fp_scoring::TokenLayout {
            num_system: self.prompt.num_system(),
            num_image: self.num_image_tokens,
            num_text: self.prompt.num_text(),
        }
    }

    /// Runs the vision tower and the projector.
    pub(super) fn features(&self, model: &LlavaModel) -> Result<ImageFeatures, ModelError> {
        match &self.image {
            Image::Loaded(image) => image.features(model, &VisionRequest::new()),
            Image::Dummy(pixels) => model.encode_image(&pixels.to_device(model.device())?),
        }
    }
}
