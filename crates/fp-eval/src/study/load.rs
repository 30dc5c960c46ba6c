//! Options for loading a configuration's model.

use std::path::PathBuf;

use candle_core::{DType, Device};
use fp_model::{CpuFormat, LoadOptions, ModelConfig};

use super::config::{Precision, StudyConfig};
use super::error::StudyError;
use super::spec::Products;

/// The number format in which a model computes, and the bytes of one key or value.
pub(crate) fn number_format(load: &LoadOptions, config: &ModelConfig) -> (String, usize) {
    let dtype = match (load.device.is_cpu(), load.dtype) {
        (true, Some(dtype)) if load.activations == CpuFormat::Bf16 => {
            format!("{} with sums in f32", dtype.as_str())
        }
        // On the CPU weights are rounded to the format, but computed with in 32 bits.
        (true, Some(dtype)) => format!("f32 rounded to {}", dtype.as_str()),
        (true, None) => "f32".to_owned(),
        (false, Some(dtype)) => dtype.as_str().to_owned(),
        (false, None) => config
            .stored_dtype
            .clone()
            .unwrap_or_else(|| "f16".to_owned()),
    };
    let bytes = if load.device.is_cpu() {
        load.kv_cache.bytes()
    } else if matches!(dtype.as_str(), "f32" | "float32") {
        4
    } else {
        2
    };
    (dtype, bytes)
}

/// Options for loading a configuration's model.
pub(crate) fn load_options(config: &StudyConfig) -> Result<LoadOptions, StudyError> {
    Ok(LoadOptions {
        device: device(&config.device)?,
        dtype: config.dtype.map(|precision| match precision {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
            Precision::Bf16 => DType::BF16,
        }),
        activations: config.activations.map_or(CpuFormat::F32, CpuFormat::from),
        kv_cache: config.kv_cache.map_or(CpuFormat::F32, CpuFormat::from),
        vision_tower: config.vision_tower.as_ref().map(PathBuf::from),
        ..LoadOptions::default()
    })
}

/// How a model's products are rounded on this machine; `None` on a GPU.
pub(crate) fn products(load: &LoadOptions) -> Option<Products> {
    load.device.is_cpu().then(|| {
        let rows_in_bf16 = load.activations == CpuFormat::Bf16;
        Products {
            rounding: fp_model::rounding(rows_in_bf16).to_owned(),
            instructions: fp_model::instructions(rows_in_bf16).to_owned(),
            activations: load.activations.name().to_owned(),
            kv_cache: load.kv_cache.name().to_owned(),
        }
    })
}

fn device(name: &str) -> Result<Device, StudyError> {
    fp_model::device(name).map_err(|source| StudyError::Device {
        name: name.to_owned(),
        source,
    })
}
