//! How a configuration's model is loaded.

use std::path::PathBuf;

use candle_core::{DType, Device};
use fp_model::{LoadOptions, ModelConfig};

use super::config::{Precision, StudyConfig};
use super::error::StudyError;

/// The number format that a model computes in, and bytes of one of its keys or values.
pub(crate) fn number_format(load: &LoadOptions, config: &ModelConfig) -> (String, usize) {
    let dtype = match (load.device.is_cpu(), load.dtype) {
        // On the CPU values are rounded to the format and kept in 32 bits.
        (true, Some(dtype)) => format!("f32 rounded to {}", dtype.as_str()),
        (true, None) => "f32".to_owned(),
        (false, Some(dtype)) => dtype.as_str().to_owned(),
        (false, None) => config
            .stored_dtype
            .clone()
            .unwrap_or_else(|| "f16".to_owned()),
    };
    let is_wide = load.device.is_cpu() || matches!(dtype.as_str(), "f32" | "float32");
    (dtype, if is_wide { 4 } else { 2 })
}

/// How a configuration's model is loaded.
pub(crate) fn load_options(config: &StudyConfig) -> Result<LoadOptions, StudyError> {
    Ok(LoadOptions {
        device: device(&config.device)?,
        dtype: config.dtype.map(|precision| match precision {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
            Precision::Bf16 => DType::BF16,
        }),
        vision_tower: config.vision_tower.as_ref().map(PathBuf::from),
        ..LoadOptions::default()
    })
}

fn device(name: &str) -> Result<Device, StudyError> {
    fp_model::device(name).map_err(|source| StudyError::Device {
        name: name.to_owned(),
        source,
    })
}
