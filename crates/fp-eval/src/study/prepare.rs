//! From a configuration to everything that a run needs, the weights not yet read.

use super::config::{Precision, StudyConfig};
use super::error::StudyError;
use super::grid::{Grid, ModelShape};
use super::hashes;
use super::inputs::Inputs;
use super::order::Shard;
use super::spec::{DatasetSpec, Environment, FORMAT, ModelSpec, RunSpec};
use crate::dataset::Dataset;
use crate::{dataset, embedded};
use candle_core::{DType, Device};
use fp_model::{LlavaModel, LoadOptions, ModelConfig, inspect};
use std::path::{Path, PathBuf};

/// The name that stands for what is shipped.
const EMBEDDED: &str = "embedded";

/// A study that is ready to be run.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) spec: RunSpec,
    pub(crate) datasets: Vec<Dataset>,
    pub(crate) inputs: Inputs,
    load: LoadOptions,
}

/// Folder of the model that a configuration names.
///
/// # Errors
/// The shipped model is named and isn't there.
pub fn model_dir(config: &StudyConfig) -> Result<PathBuf, StudyError> {
    Ok(match config.model.as_str() {
        EMBEDDED => embedded::model_dir()?,
        path => PathBuf::from(path),
    })
}

/// What a data set is opened by, from the name that a configuration has for it: a
/// folder, or a folder and a part of it, `FOLDER:PART`.
///
/// # Errors
/// A shipped data set is named and isn't there.
pub fn dataset_selector(name: &str) -> Result<String, StudyError> {
    Ok(match name.split_once(':') {
        Some((EMBEDDED, split)) => embedded::benchmark_dir(split)?.display().to_string(),
        _ => name.to_owned(),
    })
}

impl Prepared {
    /// Reads data and the model's description, and hashes both.
    pub(crate) fn new(config: &StudyConfig, shard: Option<Shard>) -> Result<Prepared, StudyError> {
        config.check()?;
        let load = load_options(config)?;
        let folder = model_dir(config)?;
        let model_config = ModelConfig::from_dir(&folder)?;
        let shape = ModelShape::new(&model_config);
        let grid = Grid::new(config, &shape)?;
        let inputs = Inputs::new(
            &folder,
            &model_config,
            config.image_aspect,
            config.prompt_template,
        )?;
        let mut datasets = Vec::new();
        let mut specs: Vec<DatasetSpec> = Vec::new();
        let mut first_index = 0;
        for name in &config.datasets {
            let mut dataset = dataset::open(&dataset_selector(name)?)?;
            dataset.require_answers()?;
            dataset.samples.truncate(config.limit.unwrap_or(usize::MAX));
            specs.push(dataset_spec(&dataset, first_index)?);
            first_index += dataset.samples.len();
            datasets.push(dataset);
        }
        let spec = RunSpec {
            format: FORMAT,
            config: config.clone(),
            config_sha256: hashes::config(config).map_err(StudyError::json(&folder))?,
            model: model_spec(&folder, &model_config, shape, &inputs, &load)?,
            datasets: specs,
            grid,
            num_samples: first_index,
            shard,
            accepted_changes: Vec::new(),
            environment: Environment::now(),
        };
        Ok(Prepared {
            spec,
            datasets,
            inputs,
            load,
        })
    }

    /// Reads the weights.
    pub(crate) fn load_model(&self) -> Result<LlavaModel, StudyError> {
        Ok(LlavaModel::load(&self.spec.model.path, &self.load)?)
    }
}

fn dataset_spec(dataset: &Dataset, first_index: usize) -> Result<DatasetSpec, StudyError> {
    let (sha256, images_hashed) = hashes::dataset(dataset)?;
    Ok(DatasetSpec {
        name: dataset.name.clone(),
        split: dataset.split.clone(),
        path: dataset.folder.clone(),
        answer_rule: dataset.answer_rule,
        families: dataset.families.clone(),
        license: dataset.license.clone(),
        source: dataset.source.clone(),
        first_index,
        num_samples: dataset.samples.len(),
        sha256,
        images_hashed,
    })
}

fn model_spec(
    folder: &Path,
    config: &ModelConfig,
    shape: ModelShape,
    inputs: &Inputs,
    load: &LoadOptions,
) -> Result<ModelSpec, StudyError> {
    let inspection = inspect(folder, load.vision_tower.as_deref())?;
    let (sha256, files) = hashes::model(folder, &inspection.files)?;
    let (dtype, bytes_per_value) = number_format(load, config);
    Ok(ModelSpec {
        path: folder.to_owned(),
        shape,
        image_side: config.vision.image_size,
        patches_per_side: config.vision.patches_per_side(),
        image_aspect: inputs.aspect(),
        dtype,
        bytes_per_value,
        files,
        sha256,
    })
}

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
