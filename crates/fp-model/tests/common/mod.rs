//! The golden cases: a tiny model, three images, and the references' results.
#![allow(dead_code)] // each test program uses a part of it

pub(crate) mod checkpoint;
pub(crate) mod family;

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use fp_model::prompt::EncodedPrompt;
use fp_model::{GenerateOptions, ImageFeatures, LlavaModel, LoadOptions, Sampling};
use serde::Deserialize;

/// One golden case.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) image: String,
    pub(crate) aspect: String,
    pub(crate) prompt: String,
    pub(crate) question: String,
    pub(crate) input_ids: Vec<u32>,
    pub(crate) image_position: usize,
    pub(crate) study: Option<String>,
    pub(crate) strategy: Option<String>,
    pub(crate) budget: Option<f64>,
    pub(crate) keep: Option<usize>,
    pub(crate) k: Option<usize>,
    pub(crate) kept_heads: Option<usize>,
    pub(crate) normalize: Option<String>,
    pub(crate) kept_tokens: Option<Vec<usize>>,
    pub(crate) token_gap: Option<f64>,
    pub(crate) generated: Vec<u32>,
    pub(crate) min_margin: f64,
    pub(crate) logits: Option<String>,
}

impl Case {
    fn image_number(&self) -> &str {
        self.image
            .trim_start_matches("image")
            .trim_end_matches(".png")
    }

    pub(crate) fn view(&self) -> String {
        format!("{}_{}", self.image_number(), self.aspect)
    }

    pub(crate) fn logits_name(&self) -> String {
        self.logits
            .clone()
            .unwrap_or_else(|| format!("logits_{}_none", self.view()))
    }

    pub(crate) fn encoded(&self) -> EncodedPrompt {
        EncodedPrompt {
            input_ids: self.input_ids.clone(),
            image_position: self.image_position,
        }
    }
}

pub(crate) fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(path)
}

pub(crate) fn cases() -> Vec<Case> {
    let text = std::fs::read(golden("cases.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

pub(crate) fn expected() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(golden("expected.safetensors"), &Device::Cpu).unwrap()
}

pub(crate) fn load() -> LlavaModel {
    LlavaModel::load(golden("model"), &LoadOptions::default()).unwrap()
}

pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

pub(crate) fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Features of every golden view, by name.
pub(crate) fn features(
    model: &LlavaModel,
    expected: &HashMap<String, Tensor>,
) -> HashMap<String, ImageFeatures> {
    expected
        .iter()
        .filter_map(|(name, pixels)| {
            let view = name.strip_prefix("pixel_values_")?;
            let features = model.encode_image(&pixels.unsqueeze(0).unwrap()).unwrap();
            Some((view.to_owned(), features))
        })
        .collect()
}

/// Greedy options without stop tokens: the golden tokens continue past the end token.
pub(crate) fn greedy(max_new_tokens: usize) -> GenerateOptions {
    GenerateOptions {
        max_new_tokens,
        stop_tokens: Vec::new(),
        sampling: Sampling::Greedy,
    }
}

/// Path of a golden image.
pub(crate) fn image(name: &str) -> PathBuf {
    golden(name)
}
