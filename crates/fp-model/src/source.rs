//! Models by their command-line names, and inputs for dummy models.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use fp_scoring::hash::{GOLDEN_GAMMA, split_mix};

use crate::config::{ModelConfig, Preset};
use crate::error::{ModelError, Result};
use crate::model::{LlavaModel, LoadOptions};
use crate::opened::OpenedCheckpoint;
use crate::prompt::EncodedPrompt;

/// Prefix of a [`Preset`]'s name.
const RANDOM: &str = "random:";

/// A model before its weights are read: a checkpoint's folder, or `random:NAME` for dummy weights
/// of a known shape.
///
/// # Examples
/// ```
/// use fp_model::{LoadOptions, ModelSource};
///
/// let source = ModelSource::open("random:tiny", None)?;
/// assert_eq!(source.config().text.num_layers, 4);
/// let model = source.load(1, &LoadOptions::default())?;
/// # Ok::<(), fp_model::ModelError>(())
/// ```
#[derive(Debug)]
pub enum ModelSource {
    /// A checkpoint, opened.
    Checkpoint(Box<OpenedCheckpoint>),
    /// Dummy weights of a known shape.
    Random(Preset, Box<ModelConfig>),
}

impl ModelSource {
    /// Opens the model called `name`. `vision_tower` is as in [`LoadOptions::vision_tower`].
    ///
    /// # Errors
    /// An unknown shape, and as [`OpenedCheckpoint::open`].
    pub fn open(name: &str, vision_tower: Option<&Path>) -> Result<ModelSource> {
        match name.strip_prefix(RANDOM) {
            Some(shape) => {
                let preset: Preset = shape.parse().map_err(|_| ModelError::InputValue {
                    what: "the shape of dummy weights",
                    found: format!("`{shape}`"),
                    expected: format!("one of: {}", Preset::NAMES.join(", ")),
                })?;
                Ok(ModelSource::Random(preset, Box::new(preset.config())))
            }
            None => {
                let opened = OpenedCheckpoint::open(name, vision_tower)?;
                Ok(ModelSource::Checkpoint(Box::new(opened)))
            }
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        match self {
            ModelSource::Checkpoint(opened) => opened.config(),
            ModelSource::Random(_, config) => config,
        }
    }

    /// The checkpoint; `None` for dummy weights.
    pub fn checkpoint(&self) -> Option<&OpenedCheckpoint> {
        match self {
            ModelSource::Checkpoint(opened) => Some(opened),
            ModelSource::Random(..) => None,
        }
    }

    /// Whether the weights are dummies, without a tokenizer and meaningful answers.
    pub fn is_random(&self) -> bool {
        matches!(self, ModelSource::Random(..))
    }

    /// Reads the weights, or generates dummy weights from `seed`.
    ///
    /// # Errors
    /// Those of [`OpenedCheckpoint::load`] and [`LlavaModel::random`].
    pub fn load(self, seed: u64, options: &LoadOptions) -> Result<LlavaModel> {
        match self {
            ModelSource::Checkpoint(opened) => opened.load(options),
            ModelSource::Random(preset, _) => LlavaModel::random(preset, seed, options),
        }
    }
}

/// A meaningless prompt and image, to time models with dummy weights.
#[derive(Debug, Clone)]
pub struct DummyInput {
    /// Ids within the vocabulary, and the image's id.
    pub prompt: EncodedPrompt,
    /// `[1, 3, side, side]` on the CPU, uniform between -√3 and √3: mean 0, deviation 1.
    pub pixel_values: Tensor,
}

impl DummyInput {
    /// An input with `num_system` and `num_text` tokens before and after the image, one square.
    ///
    /// # Errors
    /// None for a model's configuration.
    pub fn new(
        config: &ModelConfig,
        num_system: usize,
        num_text: usize,
        seed: u64,
    ) -> Result<DummyInput> {
        // The first ids are those of special tokens.
        const FIRST: u64 = 3;
        let vocabulary = config.text.vocab_size as u64;
        let id = |index: u64| (FIRST + index % vocabulary.saturating_sub(FIRST).max(1)) as u32;
        let side = config.vision.image_size;
        let pixels: Vec<f32> = (0..(3 * side * side) as u64)
            .map(|index| {
                let bits = split_mix(seed.wrapping_add(index.wrapping_mul(GOLDEN_GAMMA)));
                let unit = (bits >> 40) as f32 / (1 << 23) as f32 - 1.0;
                unit * 3.0_f32.sqrt()
            })
            .collect();
        Ok(DummyInput {
            prompt: EncodedPrompt {
                input_ids: (0..(num_system + 1 + num_text) as u64).map(id).collect(),
                image_position: num_system,
            },
            pixel_values: Tensor::from_vec(pixels, (1, 3, side, side), &Device::Cpu)?
                .to_dtype(DType::F32)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_shapes() {
        let source = ModelSource::open("random:tiny", None).unwrap();
        assert!(source.is_random());
        assert_eq!(source.config().text.num_layers, 4);
        let error = ModelSource::open("random:tny", None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`tny`") && error.contains("bench-1024, tiny"),
            "{error}"
        );
    }

    #[test]
    fn dummy_weights_are_named_for_known_shapes() {
        let text = |name: &str| ModelSource::open(name, None).unwrap_err().to_string();
        let known = "; for dummy weights of that shape: random:llava-1.5-7b";
        for name in ["no/llava-1.5-7b", "no/llava-1.5-7b-hf"] {
            let found = text(name);
            assert!(found.starts_with(&format!("no folder `{name}`; expected the folder")));
            assert!(found.ends_with(known), "{found}");
        }
        assert!(text("no/model").ends_with("or embedded"));
    }

    #[test]
    fn dummy_inputs_are_the_same_every_time() {
        let config = Preset::Tiny.config();
        let input = || DummyInput::new(&config, 3, 2, 7).unwrap();
        let values = |input: &DummyInput| -> Vec<f32> {
            let flat = input.pixel_values.flatten_all().unwrap();
            flat.to_vec1().unwrap()
        };
        let (a, b) = (input(), input());
        assert_eq!((&a.prompt, values(&a)), (&b.prompt, values(&b)));
        assert_eq!((a.prompt.num_system(), a.prompt.num_text()), (3, 2));
        let mean = values(&a).iter().sum::<f32>() / values(&a).len() as f32;
        assert!(mean.abs() < 0.05, "{mean}");
    }
}
