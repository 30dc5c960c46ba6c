//! From a request to a plan and all inputs, before weights are read.

use std::path::{Path, PathBuf};

use candle_core::DType;
use fp_model::{LlavaModel, LoadOptions, ModelSource};
use fp_scoring::{
    HeadCount, HeadStrategy, ImageCrops, MethodRegistry, Normalization, PlanSetting, QueryStrategy,
    TokenBudget, error_text,
};

use super::error::EfficiencyError;
use super::input::{Input, InputSource};
use super::named::{NamedMethod, RunnableMethod, SkippedMethod, entering};
use super::plan::{Plan, Pruning};
use super::settings::EfficiencySettings;
use crate::study::{MemoryNeeds, ModelShape, model_folder, number_format};

/// Seed of dummy weights and inputs.
const SEED: u64 = 1;

/// A requested measurement.
#[derive(Debug, Clone)]
pub struct Request {
    /// `embedded`, a checkpoint's folder, or `random:SHAPE`.
    pub model: String,
    /// Folder of the vision tower, for checkpoints in the original layout.
    pub vision_tower: Option<PathBuf>,
    /// Image and question.
    pub input: InputSource,
    /// Numbers of image tokens to keep, as budgets of any kind.
    pub budgets: Vec<TokenBudget>,
    /// Strategies that select tokens: every head strategy with every query strategy. The first pair
    /// selects in the runs of the schedules, the others are timed separately.
    pub head_strategies: Vec<HeadStrategy>,
    /// Query strategies; see `head_strategies`.
    pub query_strategies: Vec<QueryStrategy>,
    /// Names of registered methods to run whole at every budget.
    pub methods: Vec<String>,
    /// h, the number of top-scoring heads to average.
    pub num_selected_heads: HeadCount,
    /// How a head's row is normalised to a distribution.
    pub normalization: Normalization,
    /// K, counted from 1.
    pub prune_layer: usize,
    /// The device to compute on: `cpu`, `cuda` or `cuda:1`.
    pub device: String,
    /// Precision, as in [`LoadOptions::dtype`].
    pub dtype: Option<DType>,
    /// Compute threads.
    pub threads: usize,
    /// Numbers of tokens, rounds and batches.
    pub settings: EfficiencySettings,
    /// Continue even if the query rows have no attention to the image.
    pub allow_degenerate: bool,
}

/// A measurement that is ready to run.
#[derive(Debug)]
pub struct Prepared {
    pub(super) plan: Plan,
    pub(super) input: Input,
    pub(super) source: ModelSource,
    pub(super) options: LoadOptions,
    /// Methods to run whole, in the plan's order.
    pub(super) named: Vec<RunnableMethod>,
}

impl Prepared {
    /// Reads the model's configuration, the image and the question, and makes the plan.
    ///
    /// # Errors
    /// Everything that can be checked without the weights: only errors of the weights themselves
    /// can come later.
    pub fn new(request: &Request) -> Result<Prepared, EfficiencyError> {
        request.settings.check()?;
        let options = LoadOptions {
            device: fp_model::device(&request.device)?,
            dtype: request.dtype,
            vision_tower: request.vision_tower.clone(),
            ..LoadOptions::default()
        };
        let folder = model_folder(Path::new(&request.model))?;
        let name = folder.display().to_string();
        let source = ModelSource::open(&name, request.vision_tower.as_deref())?;
        let config = source.config();
        let input = match (&request.input, source.checkpoint()) {
            (InputSource::Usual, None) => Input::dummy(config, SEED)?,
            (InputSource::File { image, .. }, None) => {
                return Err(EfficiencyError::Setting {
                    what: "the image for dummy weights",
                    found: image.display().to_string(),
                    expected: "none: they have no tokenizer and take random pixels and ids"
                        .to_owned(),
                });
            }
            (input, Some(opened)) => Input::of_checkpoint(opened, input)?,
        };
        let methods = every_pair(
            &request.head_strategies,
            &request.query_strategies,
            request.num_selected_heads,
        );
        let plan = Plan {
            normalization: request.normalization,
            allow_degenerate: request.allow_degenerate,
            device: request.device.clone(),
            threads: request.threads,
            settings: request.settings,
            ..bare(
                &request.model,
                &source,
                &input,
                &options,
                request.prune_layer,
            )
        };
        let plan = plan.with(&Pruning {
            budgets: &request.budgets,
            drop_all: false,
            methods: &methods,
        })?;
        let mut prepared = Prepared {
            plan,
            input,
            source,
            options,
            named: Vec::new(),
        };
        prepared.add_requested(request)?;
        Ok(prepared)
    }

    /// The plan of the measurement.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The pool of compute threads.
    pub(super) fn pool(&self) -> Result<rayon::ThreadPool, EfficiencyError> {
        let count = self.plan.threads;
        if count == 0 {
            return Err(EfficiencyError::Setting {
                what: "the number of threads",
                found: "0".to_owned(),
                expected: "at least 1".to_owned(),
            });
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count);
        pool.build().map_err(|error| EfficiencyError::Threads {
            count,
            reason: error.to_string(),
        })
    }

    /// Reads the weights.
    pub(super) fn load(self) -> Result<Loaded, EfficiencyError> {
        self.check_memory()?;
        let model = self.source.load(SEED, &self.options)?;
        Ok(Loaded {
            plan: self.plan,
            input: self.input,
            model,
            named: self.named,
        })
    }

    /// Checks that the model and one sample fit the GPU, if it runs on one.
    fn check_memory(&self) -> Result<(), EfficiencyError> {
        let plan = &self.plan;
        let needs = MemoryNeeds::new(
            self.source.config(),
            (&plan.dtype, plan.bytes_per_value),
            plan.prune_layer,
            plan.layout.sequence_len(),
            plan.settings.new_tokens,
        );
        needs.check(&self.options.device, &plan.device)??;
        Ok(())
    }

    /// Adds the registered methods of a request, each at every budget (once if it takes none).
    fn add_requested(&mut self, request: &Request) -> Result<(), EfficiencyError> {
        let registry = MethodRegistry::standard();
        for name in &request.methods {
            let method = registry
                .get(name)
                .map_err(|error| EfficiencyError::Setting {
                    what: "a method",
                    found: format!("`{name}`"),
                    expected: format!("one of: {}", error.known.join(", ")),
                })?;
            let budgets: Vec<Option<TokenBudget>> = match method.takes_budget() {
                true => request.budgets.iter().copied().map(Some).collect(),
                false => vec![None],
            };
            for budget in budgets {
                let plan = method.plan(&PlanSetting {
                    shape: self.plan.shape,
                    num_image_tokens: self.plan.layout.num_image,
                    grid: self.input.grid(),
                    num_vision_layers: self.source.config().num_readable_layers(),
                    has_class_token: self.source.config().vision.num_class_tokens() > 0,
                    crops: match (self.input.grid(), &self.source.config().dynamic) {
                        (_, Some(_)) => ImageCrops::Joined,
                        (Some(_), None) => ImageCrops::One,
                        (None, None) => ImageCrops::Unpadded,
                    },
                    prune_layer: request.prune_layer,
                    budget,
                    schedule: None,
                    query_strategy: QueryStrategy::LastToken,
                    normalization: request.normalization,
                    allow_degenerate: request.allow_degenerate,
                    seed: SEED,
                });
                let at = budget.map_or(String::new(), |budget| format!(" at {budget}"));
                self.add_method(format!("{name}{at}"), plan.map_err(|e| error_text(&e)));
            }
        }
        Ok(())
    }

    /// Adds a method to run whole, or the reason why it can't be run.
    pub(super) fn add_method(&mut self, cell: String, plan: Result<fp_scoring::Plan, String>) {
        let (num_layers, n) = (self.plan.shape.num_layers, self.plan.layout.num_image);
        let described = plan.and_then(|plan| {
            let text = |error: &dyn std::error::Error| error_text(error);
            plan.check(&cell, num_layers, n).map_err(|e| text(&e))?;
            let schedule = plan.schedule(num_layers, n).map_err(|e| text(&e))?;
            let request = self.source.config().vision_request([&plan]);
            let request = request.map_err(|e| text(&e))?;
            if plan.input == fp_scoring::ImageInput::None {
                return Err("it uses no image".to_owned());
            }
            let parts = request.parts();
            let vision = &mut self.options.vision;
            vision.num_layers = vision.num_layers.max(parts.num_layers);
            vision.post_norm |= parts.post_norm;
            let method = NamedMethod {
                cell: cell.clone(),
                schedule: entering(&schedule),
                reads_vision: !request.is_empty(),
                predicted: self.plan.counted().predict_schedule(&schedule, 0),
            };
            Ok(RunnableMethod { method, plan })
        });
        match described {
            Ok(found) => {
                self.plan.named.push(found.method.clone());
                self.named.push(found);
            }
            Err(reason) => self.plan.skipped.push(SkippedMethod { cell, reason }),
        }
    }
}

/// Everything that a measurement needs, with the weights loaded.
pub(super) struct Loaded {
    pub(super) plan: Plan,
    pub(super) input: Input,
    pub(super) model: LlavaModel,
    pub(super) named: Vec<RunnableMethod>,
}

/// Every head strategy with every query strategy, with the same number of heads.
pub(super) fn every_pair(
    heads: &[HeadStrategy],
    queries: &[QueryStrategy],
    num_selected_heads: HeadCount,
) -> Vec<(HeadStrategy, QueryStrategy, HeadCount)> {
    let pairs = heads.iter().flat_map(|head| {
        let of_head = queries.iter();
        of_head.map(|query| (*head, *query, num_selected_heads))
    });
    pairs.collect()
}

/// A plan for a model and an input, without schedules and methods.
pub(super) fn bare(
    name: &str,
    source: &ModelSource,
    input: &Input,
    options: &LoadOptions,
    prune_layer: usize,
) -> Plan {
    let (dtype, bytes_per_value) = number_format(options, source.config());
    Plan {
        model: name.to_owned(),
        model_sha256: None,
        config_sha256: None,
        input: input.name().to_owned(),
        layout: input.layout(),
        shape: ModelShape::new(source.config()).decoder,
        prune_layer,
        normalization: Normalization::L1,
        allow_degenerate: false,
        device: "cpu".to_owned(),
        dtype,
        bytes_per_value,
        threads: 1,
        settings: EfficiencySettings::default(),
        schedules: Vec::new(),
        methods: Vec::new(),
        named: Vec::new(),
        skipped: Vec::new(),
    }
}
