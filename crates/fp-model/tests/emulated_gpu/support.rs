//! Models on both devices, and the differences between their results.

use candle_core::{DType, Device, Tensor};
use fp_kernels::cuda::emulated::last_refusal;
use fp_model::prompt::EncodedPrompt;
use fp_model::{ImageFeatures, LlavaModel, LoadOptions, Preset, device};

use crate::common::golden;

/// The emulated GPU; `None`, with a message, if the loader finds another driver or none.
pub(crate) fn gpu(test: &str) -> Option<Device> {
    if last_refusal().is_none() {
        eprintln!("{test}: no emulated driver is loaded, nothing was checked");
        return None;
    }
    Some(device("cuda").unwrap())
}

/// Models to compare.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    /// The golden model.
    Golden,
    /// Grouped heads and tied embeddings.
    Grouped,
    /// Biases, scaled positions, and the class token among the features.
    Biased,
    /// Any resolution and a Mistral decoder.
    Next,
    /// The shipped model.
    Embedded,
    /// Dummy weights.
    Random,
}

impl Which {
    pub(crate) const ALL: [Which; 6] = [
        Which::Golden,
        Which::Grouped,
        Which::Biased,
        Which::Next,
        Which::Embedded,
        Which::Random,
    ];

    pub(crate) fn load(self, device: &Device, dtype: DType) -> LlavaModel {
        let options = LoadOptions {
            device: device.clone(),
            dtype: Some(dtype),
            ..LoadOptions::default()
        };
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/finepruner-tiny");
        let folder = match self {
            Which::Golden => golden("model"),
            Which::Grouped => golden("variants/grouped"),
            Which::Biased => golden("variants/biased"),
            Which::Next => golden("variants/next"),
            Which::Embedded => root.into(),
            Which::Random => return LlavaModel::random(Preset::Tiny, 5, &options).unwrap(),
        };
        LlavaModel::load(folder, &options).unwrap()
    }
}

/// Numbers between -1 and 1 from a seed.
pub(crate) fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

pub(crate) fn pixels(model: &LlavaModel, seed: u64) -> Tensor {
    let side = model.config().vision.image_size;
    Tensor::from_vec(
        numbers(3 * side * side, seed),
        (1, 3, side, side),
        &Device::Cpu,
    )
    .unwrap()
}

/// Ids of the vocabulary around one image.
pub(crate) fn prompt(model: &LlavaModel, num_system: usize, num_text: usize) -> EncodedPrompt {
    let vocabulary = model.config().text.vocab_size as u32;
    EncodedPrompt {
        input_ids: (0..(num_system + 1 + num_text) as u32)
            .map(|index| 5 + (index * 7) % (vocabulary - 5))
            .collect(),
        image_position: num_system,
    }
}

/// Values of a tensor on either device.
pub(crate) fn host(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.contiguous().unwrap();
    let tensor = tensor.to_device(&Device::Cpu).unwrap();
    let tensor = tensor.to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest number of tokens of an image, since the emulation is slow.
const MOST_TOKENS: usize = 144;

/// An image for both models, encoded on the CPU so that both continue from the same rows.
pub(crate) fn same_image(cpu: &LlavaModel, gpu: &LlavaModel, seed: u64) -> [ImageFeatures; 2] {
    let image = cpu.encode_image(&pixels(cpu, seed)).unwrap();
    let count = image.num_tokens().min(MOST_TOKENS);
    let rows = image.embeds().narrow(0, 0, count).unwrap();
    [cpu, gpu].map(|model| model.image_features(&rows).unwrap())
}
