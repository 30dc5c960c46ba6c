//! From a configuration to everything that a run needs, before weights are read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use fp_data::Sample;
use fp_data::dataset::{self, Dataset};
use fp_image::{ResizeTarget, Tiling};
use fp_model::{
    LlavaModel, LoadOptions, ModelConfig, OpenedCheckpoint, OpenedClip, ResidentMemory,
    ResidentRun, VisionRequest, inspect,
};
use fp_scoring::MethodRegistry;

use super::choose::Chooser;
use super::config::{ConfigError, Model, StudyConfig, surroundings_with};
use super::error::StudyError;
use super::grid::{Grid, ModelShape};
use super::hashes;
use super::inputs::{Cut, Inputs};
use super::load::{load_options, number_format, products};
use super::names::{dataset_selector, model_dir};
use super::needs::{MemoryNeeds, most_tokens};
use super::order::{Shard, image_groups};
use super::own_methods::OwnMethods;
use super::selection_file::Questions;
use super::shards::{self, CostModel};
use super::spec::{ClipSpec, DatasetSpec, Environment, FORMAT, ModelSpec, RunSpec};
use super::subset::{Subset, spread};

/// A study that is ready to run.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) spec: RunSpec,
    pub(crate) datasets: Vec<Dataset>,
    pub(crate) inputs: Inputs,
    /// Samples of this run or shard, grouped by image in the order of running: indices over all
    /// datasets.
    pub(crate) groups: Vec<Vec<usize>>,
    /// The methods that cells name.
    pub(crate) registry: MethodRegistry,
    /// Evidence of the vision tower that the cells need.
    pub(crate) vision: VisionRequest,
    load: LoadOptions,
}

impl Prepared {
    /// Reads data and the model's configuration, and hashes both.
    pub(crate) fn new(
        config: &StudyConfig,
        shard: Option<Shard>,
        registry: &MethodRegistry,
    ) -> Result<Prepared, StudyError> {
        let own = OwnMethods::new(config, registry);
        check(config, &own)?;
        let OwnMethods {
            registry,
            selections,
            ..
        } = own;
        let load = load_options(config)?;
        let folder = model_dir(config)?;
        let opened = OpenedCheckpoint::open(&folder, load.vision_tower.as_deref())?;
        let model_config = opened.config();
        // Made explicit, so that the run's files state the template that was used.
        let template = config.prompt_template;
        let config = &StudyConfig {
            prompt_template: Some(template.unwrap_or(model_config.family.template())),
            ..config.clone()
        };
        let shape = ModelShape::cut(model_config, config.anyres, config.image_aspect);
        let grid = Grid::new(config, &shape, &registry)?;
        let cut = Cut {
            aspect: config.image_aspect,
            anyres: config.anyres,
        };
        let inputs = Inputs::new(&opened, cut, config.prompt_template)?;
        let (mut datasets, absent) = open_all(config)?;
        if datasets.iter().all(|dataset| dataset.samples.is_empty()) {
            return Err(StudyError::Setting {
                what: "datasets",
                found: "none of their questions has an image".to_owned(),
                expected: "at least one with an image: without one there is nothing to prune"
                    .to_owned(),
            });
        }
        let questions = (!selections.is_empty()).then(|| Questions::of(&datasets));
        let subsets: Vec<Option<Subset>> = datasets
            .iter_mut()
            .map(|dataset| {
                if config.text_only {
                    dataset.samples.append(&mut dataset.text_only);
                }
                let limit = config.limit.unwrap_or(usize::MAX);
                spread(&mut dataset.samples, limit, config.seed)
            })
            .collect();
        // With a limit, lines are needed for the questions under it; others may have one.
        if let Some(questions) = questions {
            let questions = questions.asking(&datasets);
            for file in &selections {
                file.check(&questions, shape.num_image_tokens)?;
            }
        }
        let mut specs: Vec<DatasetSpec> = Vec::new();
        let mut first_index = 0;
        for ((dataset, absent), subset) in datasets.iter_mut().zip(&absent).zip(subsets) {
            let mut spec = dataset_spec(dataset, first_index, subset)?;
            let is_absent = |sample: &&Sample| absent.contains(&sample.id);
            spec.num_missing_images = dataset.samples.iter().filter(is_absent).count();
            first_index += dataset.samples.len();
            specs.push(spec);
        }
        let groups = image_groups(&samples(&datasets));
        let spec = RunSpec {
            format: FORMAT,
            config: config.clone(),
            config_sha256: hashes::config(config).map_err(StudyError::json(&folder))?,
            model: model_spec(&folder, model_config, shape, &inputs, &load)?,
            clip: clip_spec(config, model_config)?,
            datasets: specs,
            grid,
            selections: selections.iter().map(|file| file.hash()).collect(),
            num_samples: first_index,
            shard: None,
            shard_plan: None,
            accepted_changes: Vec::new(),
            environment: Environment::now(),
        };
        let vision = vision_request(&spec, &registry, model_config)?;
        let load = LoadOptions {
            vision: vision.parts(),
            ..load
        };
        let mut prepared = Prepared {
            spec,
            datasets,
            inputs,
            groups,
            registry,
            vision,
            load,
        };
        if let Some(shard) = shard {
            let costs = prepared.costs();
            let groups = std::mem::take(&mut prepared.groups);
            let (own, plan) = shards::own_shard(groups, &costs, shard);
            prepared.groups = own;
            prepared.spec.shard = Some(shard);
            prepared.spec.shard_plan = Some(plan);
        }
        Ok(prepared)
    }

    /// Cost of each image with its questions.
    pub(super) fn costs(&self) -> Vec<u64> {
        let RunSpec { config, grid, .. } = &self.spec;
        let model = CostModel::new(config, grid, self.inputs.model_config());
        shards::costs(&model, &self.inputs, &self.datasets, &self.groups)
    }

    /// Checks that the model and one question fit the GPU, if it runs on one; `planned` is called
    /// with their needs.
    /// On the CPU, whose memory the system can extend, `predicted` is called with the resident
    /// memory.
    /// resident.
    pub(super) fn check_memory(
        &self,
        planned: fn(&MemoryNeeds, u64),
        predicted: fn(&ResidentMemory),
    ) -> Result<(), StudyError> {
        if self.load.device.is_cpu() {
            let tower = self.load.vision_tower.as_deref();
            let opened = OpenedCheckpoint::open(&self.spec.model.path, tower)?;
            let text = most_tokens(0);
            let new_tokens = self.spec.config.max_new_tokens;
            let run = ResidentRun::usual(opened.config(), text, new_tokens);
            predicted(&ResidentMemory::of_checkpoint(&opened, &self.load, &run));
            return Ok(());
        }
        let config = &self.spec.config;
        let tower = self.load.vision_tower.as_deref();
        let opened = OpenedCheckpoint::open(&self.spec.model.path, tower)?;
        let model = opened.config();
        let (dtype, bytes_per_value) = number_format(&self.load, model);
        let num_image_tokens = match self.spec.model.shape.num_image_tokens {
            Some(count) => count,
            None => most_image_tokens(&opened)?,
        };
        let needs = MemoryNeeds::new(
            model,
            (&dtype, bytes_per_value),
            config.prune_layer.deepest(),
            most_tokens(num_image_tokens),
            config.max_new_tokens,
        );
        if let Some(free) = needs.check(&self.load.device, &config.device)?? {
            planned(&needs, free);
        }
        Ok(())
    }

    /// Reads the weights.
    pub(crate) fn load_model(&self) -> Result<LlavaModel, StudyError> {
        let model = LlavaModel::load(&self.spec.model.path, &self.load)?;
        let Some(clip) = &self.spec.clip else {
            return Ok(model);
        };
        let clip = OpenedClip::open(&clip.path, model.config())?;
        Ok(model.with_clip(clip)?)
    }
}

/// Largest number of tokens of an image, for models in which it depends on the image's size.
fn most_image_tokens(opened: &OpenedCheckpoint) -> Result<usize, StudyError> {
    let config = opened.config();
    let square = config.vision.num_patches();
    if config.dynamic.is_some() {
        let processor = opened.image_processor()?;
        return Ok(match processor.config().resize {
            Some(ResizeTarget::Smart(rule)) => rule.max_pixels / rule.factor.pow(2).max(1),
            _ => config.tokens_per_square(),
        });
    }
    Ok(match config.most_crops {
        // Feature maps keep their size up to 1.1² times the limit; ends of rows and the resized
        // whole image come on top.
        Some(most) => square * (2 + most * 5 / 4),
        None => Tiling::FIXED_SQUARES * square,
    })
}

/// The samples of each dataset.
pub(super) fn samples(datasets: &[Dataset]) -> Vec<&[Sample]> {
    let samples = datasets.iter().map(|dataset| dataset.samples.as_slice());
    samples.collect()
}

/// Evidence of the vision tower that the cells need; empty for any-resolution input, whose plans
/// depend on the image.
fn vision_request(
    spec: &RunSpec,
    registry: &MethodRegistry,
    model: &ModelConfig,
) -> Result<VisionRequest, StudyError> {
    let Some(num_image_tokens) = spec.model.shape.num_image_tokens else {
        return Ok(VisionRequest::new());
    };
    let plans = Chooser::new(spec, registry, None).plans_for(num_image_tokens);
    Ok(model.vision_request(plans.iter().flatten())?)
}

/// Refuses a configuration, with all problems that it has on this machine.
fn check(config: &StudyConfig, own: &OwnMethods) -> Result<(), StudyError> {
    let mut diagnostics = config.problems();
    diagnostics.merge(surroundings_with(config, Model::Named, true, own));
    if diagnostics.is_empty() {
        return Ok(());
    }
    Err(StudyError::Config(ConfigError::Invalid {
        path: None,
        diagnostics,
    }))
}

/// Ids of one dataset's samples whose image is missing.
type Absent = HashSet<String>;

/// Opens every dataset, and reports the problems of all of them together.
fn open_all(config: &StudyConfig) -> Result<(Vec<Dataset>, Vec<Absent>), StudyError> {
    let mut datasets = Vec::new();
    let mut errors = Vec::new();
    for name in &config.datasets {
        match open(name) {
            Ok(opened) => datasets.push(opened),
            Err(error) => errors.push(error),
        }
    }
    match (errors.len(), errors.pop()) {
        (1, Some(only)) => Err(only),
        (_, Some(last)) => {
            errors.push(last);
            Err(StudyError::Several(errors))
        }
        _ => Ok(datasets.into_iter().unzip()),
    }
}

fn open(name: &str) -> Result<(Dataset, Absent), StudyError> {
    let (dataset, absent) = dataset::open_but_for_images(&dataset_selector(name)?)?;
    dataset.require_answers()?;
    Ok((dataset, absent.into_iter().collect()))
}

fn dataset_spec(
    dataset: &Dataset,
    first_index: usize,
    subset: Option<Subset>,
) -> Result<DatasetSpec, StudyError> {
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
        num_text_only: dataset.samples.iter().filter(|s| s.is_text_only()).count(),
        num_text_only_left_out: dataset.text_only.len(),
        num_missing_images: 0,
        subset,
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
        products: products(load),
        files,
        sha256,
    })
}

/// The CLIP model that a configuration names beside its model.
fn clip_spec(config: &StudyConfig, model: &ModelConfig) -> Result<Option<ClipSpec>, StudyError> {
    let Some(folder) = config.clip.as_ref().map(PathBuf::from) else {
        return Ok(None);
    };
    let files = OpenedClip::open(&folder, model)?.files();
    let (sha256, files) = hashes::files_of(&folder, files.into_iter().collect())?;
    Ok(Some(ClipSpec {
        path: folder,
        files,
        sha256,
    }))
}
