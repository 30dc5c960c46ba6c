//! The cells of a study: strategy × budget × h, and the controls.

use fp_image::{AnyRes, ImageAspect, Tiling};
use fp_model::{ClipError, ModelConfig};
use fp_scoring::{
    BudgetError, DecoderShape, DuplicateMethod, ImageCrops, MethodRegistry, PlanError, PlanSetting,
    PruningMethod, QueryStrategy, ScheduleStages, TokenBudget, TokenSchedule, UnknownMethod,
    average_visual_tokens,
};
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::config::{HeadSetting, StudyConfig, StudyKind};
use super::method::Method;

/// N assumed for an image of unknown size.
const SOME_TOKENS: usize = 576;

/// The properties of a model on which a grid depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    /// Sizes of the decoder.
    pub decoder: DecoderShape,
    /// N, if all images have the same number of tokens; `None` for any-resolution input.
    pub num_image_tokens: Option<usize>,
    /// Number of layers of the vision tower; `None` in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_vision_layers: Option<usize>,
    /// Whether the vision tower has a class token. If a run doesn't state it, it has one; only runs
    /// of earlier versions on families other than LLaVA are exceptions.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub has_class_token: bool,
}

impl ModelShape {
    /// Columns and rows of the single square grid of image tokens; `None` if they are on several
    /// grids or include the class token.
    pub fn grid(&self) -> Option<[usize; 2]> {
        square_grid(self.num_image_tokens?)
    }

    /// The shape described by a configuration.
    pub fn new(config: &ModelConfig) -> ModelShape {
        ModelShape::cut(config, None, None)
    }

    /// The same with images cut according to `anyres`, or made square according to `aspect`: the
    /// fixed form and squares give every image the same number of tokens.
    pub fn cut(
        config: &ModelConfig,
        anyres: Option<AnyRes>,
        aspect: Option<ImageAspect>,
    ) -> ModelShape {
        let fixed = Tiling::FIXED_SQUARES * config.vision.num_patches();
        ModelShape {
            decoder: config.text.decoder_shape(),
            num_image_tokens: match (&config.grid_pinpoints, anyres) {
                (Some(_), _) if aspect.is_some() => Some(config.tokens_per_square()),
                (Some(_), Some(AnyRes::Fixed2880)) => Some(fixed),
                (Some(_), Some(AnyRes::Unpad) | None) => None,
                (None, _) => config.fixed_num_tokens(),
            },
            num_vision_layers: config.num_readable_layers(),
            has_class_token: config.vision.num_class_tokens() > 0,
        }
    }
}

fn yes() -> bool {
    true
}

fn is_true(flag: &bool) -> bool {
    *flag
}

/// The square grid of this number of image tokens, if it is a square number.
pub(crate) fn square_grid(num_image_tokens: usize) -> Option<[usize; 2]> {
    let side = num_image_tokens.isqrt();
    (side * side == num_image_tokens).then_some([side, side])
}

impl ModelShape {
    /// The crops that contain the tokens of images whose number of tokens depends on the image: one
    /// image of any size (nothing is read from its tower), or tiles in the checkpoint's own form;
    /// `crops` if it is more specific.
    pub(crate) fn crops_of_any_size(&self, crops: ImageCrops) -> ImageCrops {
        match crops {
            ImageCrops::One if self.num_vision_layers.is_none() => ImageCrops::Joined,
            ImageCrops::One => ImageCrops::Unpadded,
            other => other,
        }
    }
}

/// One combination of method, budget and head count under which every sample is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Unique and stable id, such as `variance+last_token/h4/R42`.
    pub id: String,
    /// The method that selects image tokens.
    #[serde(flatten)]
    pub method: Method,
    /// Index of the budget; `None` for cells without one.
    pub budget: Option<usize>,
    /// K, if the study has several and the method depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_layer: Option<usize>,
}

/// All cells of a study for a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// The budgets, in the order of the configuration.
    pub budgets: Vec<Budget>,
    /// The cells: controls without a budget first, then budget by budget.
    pub cells: Vec<Cell>,
}

/// A configuration that a model can't run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GridError {
    /// A budget or number of heads that is impossible.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// A method that isn't registered.
    #[error(transparent)]
    Method(#[from] UnknownMethod),
    /// Two methods with the same name.
    #[error(transparent)]
    Duplicate(#[from] DuplicateMethod),
    /// A method that can't be planned for the model or the setting.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Every head is selected, which makes all head strategies equivalent.
    #[error(
        "{setting} selects all {num_heads} heads, and then every head strategy is the same method; use the control all_heads"
    )]
    AllHeads {
        /// The setting as configured.
        setting: String,
        /// H, the number of heads.
        num_heads: usize,
    },
    /// Two settings that resolve to the same value.
    #[error("{first} and {second} both resolve to {value}; remove one")]
    Same {
        /// One setting.
        first: String,
        /// The other.
        second: String,
        /// The value.
        value: String,
    },
}

impl Grid {
    /// The cells of `config` for a model of `shape`, with the methods of a registry.
    ///
    /// # Errors
    /// A budget, layer or number of heads that is impossible for the model, two that resolve to the
    /// same value, or a method that isn't registered.
    pub fn new(
        config: &StudyConfig,
        shape: &ModelShape,
        registry: &MethodRegistry,
    ) -> Result<Grid, GridError> {
        let mut problems = Vec::new();
        let budgets = budgets(config, shape, &mut problems);
        let settings = &config.num_selected_heads;
        let head_counts = head_counts(settings, shape.decoder.num_heads, &mut problems);
        let methods = methods(config, shape, registry, &mut problems);
        if let Some((_, error)) = problems.into_iter().next() {
            return Err(error);
        }
        let mut grid = Grid {
            budgets,
            cells: Vec::new(),
        };
        let layers = config.prune_layer.as_slice();
        for method in methods.iter().filter(|method| !method.takes_budget()) {
            let several = layers.len() > 1 && method.takes_prune_layer();
            for layer in &layers[..if several { layers.len() } else { 1 }] {
                let layer = several.then_some(*layer);
                for named in named(&**method, config) {
                    grid.add(named, None, layer);
                }
            }
        }
        for index in 0..grid.budgets.len() {
            for &head_strategy in &config.head_selection_strategies {
                for &query_strategy in &config.query_selection_strategies {
                    for &num_selected_heads in &head_counts {
                        let method = Method::Strategy {
                            head_strategy,
                            query_strategy,
                            num_selected_heads,
                        };
                        grid.add(method, Some(index), grid.budgets[index].prune_layer);
                    }
                }
            }
            if config.static_heads {
                grid.add_static_variants(index);
            }
            for method in methods.iter().filter(|method| method.takes_budget()) {
                for named in named(&**method, config) {
                    grid.add(named, Some(index), grid.budgets[index].prune_layer);
                }
            }
        }
        Ok(grid)
    }

    /// Adds a static variant of every strategy's cell at a budget.
    fn add_static_variants(&mut self, budget: usize) {
        let of_budget = self.cells.iter().filter(|cell| cell.budget == Some(budget));
        let variants: Vec<Method> = of_budget
            .filter_map(|cell| match cell.method {
                Method::Strategy {
                    head_strategy,
                    query_strategy,
                    num_selected_heads,
                } => Some(Method::Static {
                    head_strategy,
                    query_strategy,
                    num_selected_heads,
                }),
                _ => None,
            })
            .collect();
        for method in variants {
            self.add(method, Some(budget), self.budgets[budget].prune_layer);
        }
    }

    fn add(&mut self, method: Method, budget: Option<usize>, prune_layer: Option<usize>) {
        let mut id = method.label();
        if let Some(num_selected_heads) = method.num_selected_heads() {
            id += &format!("/h{num_selected_heads}");
        }
        match (budget, prune_layer) {
            // A budget's label includes its layer.
            (Some(index), _) => id += &format!("/{}", self.budgets[index].label),
            (None, Some(layer)) => id += &format!("/K{layer}"),
            (None, None) => {}
        }
        self.cells.push(Cell {
            id,
            method,
            budget,
            prune_layer,
        });
    }

    /// All settings that a model of `shape` can't run, each with its place in the configuration.
    pub fn problems(
        config: &StudyConfig,
        shape: &ModelShape,
        registry: &MethodRegistry,
    ) -> Vec<(String, GridError)> {
        let mut problems = Vec::new();
        let budgets = budgets(config, shape, &mut problems);
        let settings = &config.num_selected_heads;
        head_counts(settings, shape.decoder.num_heads, &mut problems);
        let methods = methods(config, shape, registry, &mut problems);
        if !problems.is_empty() {
            return problems;
        }
        // Settings that a method itself refuses.
        for (method, budget) in methods
            .iter()
            .flat_map(|m| budgets.iter().map(move |b| (m, b)))
        {
            let budget = method.takes_budget().then_some(budget);
            let place = config.method_place(method.name());
            let Some(num_image_tokens) = shape.num_image_tokens else {
                if let Some(error) = tower_refusal(config, shape, &**method, budget)
                    && problems.iter().all(|(known, _)| *known != place)
                {
                    problems.push((place, error.into()));
                }
                continue;
            };
            let setting = config.plan_setting(shape, num_image_tokens, shape.grid(), budget);
            match method.plan(&setting) {
                Ok(plan) if plan.needs_clip() && config.clip.is_none() => {
                    // Reported once, not per budget.
                    if problems.iter().all(|(known, _)| *known != place) {
                        let error = PlanError::Setting {
                            method: method.name().to_owned(),
                            reason: ClipError::NotGiven.to_string(),
                        };
                        problems.push((place, error.into()));
                    }
                }
                // These cells are skipped, with the reason.
                Ok(_) | Err(PlanError::NoGrid { .. }) => {}
                Err(error) => problems.push((place, error.into())),
            }
        }
        problems
    }

    /// Settings that have no effect on a model of `shape`, in words.
    pub fn without_effect(&self, shape: &ModelShape) -> Vec<String> {
        let keeps_all = |budget: &&Budget| match (shape.num_image_tokens, budget.kept) {
            (Some(n), Some(kept)) => kept >= n,
            _ => budget.setting == TokenBudget::Retention(1.0),
        };
        let all = match shape.num_image_tokens {
            Some(n) => format!("all {n} image tokens"),
            None => "every image token".to_owned(),
        };
        let budgets = self.budgets.iter().filter(keeps_all);
        budgets
            .map(|budget| {
                format!(
                    "{} keeps {all}: nothing is pruned, and every strategy at {} is the same as \
                     vanilla",
                    budget.setting, budget.label
                )
            })
            .collect()
    }

    /// The query strategies by which any cell reads attention, each once.
    pub fn query_strategies(&self) -> Vec<QueryStrategy> {
        let mut strategies = Vec::new();
        for strategy in self
            .cells
            .iter()
            .filter_map(|cell| cell.method.query_strategy())
        {
            if !strategies.contains(&strategy) {
                strategies.push(strategy);
            }
        }
        strategies
    }

    /// Index of the cell with this id.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.cells.iter().position(|cell| cell.id == id)
    }
}

/// The registered methods of a configuration, in the order of the registry; unknown names go to
/// `problems`.
fn methods(
    config: &StudyConfig,
    shape: &ModelShape,
    registry: &MethodRegistry,
    problems: &mut Vec<(String, GridError)>,
) -> Vec<std::sync::Arc<dyn PruningMethod>> {
    let names = config.method_names();
    let wanted = |method: &dyn PruningMethod| {
        // By default, all methods that the model's tower allows.
        let is_allowed =
            || !config.has_usual_methods() || tower_refusal(config, shape, method, None).is_none();
        config.controls.has(method.name())
            || (names.iter().any(|name| name == method.name()) && is_allowed())
    };
    for (index, name) in config.methods.iter().enumerate() {
        if let Err(error) = registry.get(name) {
            problems.push((format!("methods[{index}]"), error.into()));
        }
    }
    let found = registry.iter().filter(|method| wanted(&***method));
    found.cloned().collect()
}

/// Why a method that reads the vision tower can't be applied to a model of `shape`, for any image;
/// other reasons against a plan are not checked.
fn tower_refusal(
    config: &StudyConfig,
    shape: &ModelShape,
    method: &dyn PruningMethod,
    budget: Option<&Budget>,
) -> Option<PlanError> {
    let n = shape.num_image_tokens.unwrap_or(SOME_TOKENS);
    let setting = config.plan_setting(shape, n, shape.grid(), budget);
    let setting = PlanSetting {
        crops: match shape.num_image_tokens {
            None => shape.crops_of_any_size(setting.crops),
            Some(_) => setting.crops,
        },
        ..setting
    };
    match method.plan(&setting) {
        Err(error @ PlanError::Tower { .. }) => Some(error),
        _ => None,
    }
}

/// A registered method, once for each of its seeds.
fn named(method: &dyn PruningMethod, config: &StudyConfig) -> Vec<Method> {
    let query = method.takes_query().then(|| config.all_heads_query());
    let with = |seed| Method::Named {
        name: method.name().to_owned(),
        query_strategy: query,
        seed,
    };
    if method.takes_seed() {
        let seeds = config.controls.random_seeds.iter();
        seeds.map(|&seed| with(Some(seed))).collect()
    } else {
        vec![with(None)]
    }
}

/// The possible budgets, layer by layer; problems with the others go to `problems`.
fn budgets(
    config: &StudyConfig,
    shape: &ModelShape,
    problems: &mut Vec<(String, GridError)>,
) -> Vec<Budget> {
    let num_layers = shape.decoder.num_layers;
    let layers = config.prune_layer.as_slice();
    let mut budgets: Vec<Budget> = Vec::new();
    for (position, &prune_layer) in layers.iter().enumerate() {
        let has_layer = (1..num_layers).contains(&prune_layer);
        if !has_layer {
            let error = BudgetError::PruneLayer {
                prune_layer,
                num_layers,
            };
            let place = match layers.len() {
                1 => "prune_layer".to_owned(),
                _ => format!("prune_layer[{position}]"),
            };
            problems.push((place, error.into()));
        }
        for (index, &setting) in config.budgets.iter().enumerate() {
            if !has_layer && matches!(setting, TokenBudget::AverageVisualTokens(_)) {
                continue;
            }
            // R depends on the layer only for layer averages.
            let layer = if has_layer { prune_layer } else { 1 };
            let kept = shape
                .num_image_tokens
                .map(|n| setting.kept(n, num_layers.max(2), layer))
                .transpose();
            let place = format!("budgets[{index}]");
            let kept = match kept {
                Ok(kept) => kept,
                Err(error) => {
                    problems.push((place, error.into()));
                    continue;
                }
            };
            // Methods have the average in common; how many tokens each keeps for it differs.
            let kept_by_all = kept.filter(|_| {
                let is_average = matches!(setting, TokenBudget::AverageVisualTokens(_));
                config.study != StudyKind::Methods || !is_average
            });
            let label = label(layers, prune_layer, kept_by_all, setting);
            if let Some(same) = budgets.iter().find(|budget| budget.label == label) {
                let error = GridError::Same {
                    first: same.setting.to_string(),
                    second: setting.to_string(),
                    value: label,
                };
                problems.push((place, error));
                continue;
            }
            budgets.push(Budget {
                setting,
                label,
                kept,
                average_visual_tokens: kept.zip(shape.num_image_tokens).filter(|_| has_layer).map(
                    |(kept, n)| average_visual_tokens(kept as f64, n, num_layers, prune_layer),
                ),
                prune_layer: (layers.len() > 1).then_some(prune_layer),
                schedule: None,
            });
        }
    }
    for (index, stages) in config.schedules.iter().enumerate() {
        match scheduled(stages, shape) {
            Ok(budget) => budgets.push(budget),
            Err(error) => problems.push((format!("schedules[{index}]"), error.into())),
        }
    }
    budgets
}

/// A schedule as a budget.
fn scheduled(stages: &ScheduleStages, shape: &ModelShape) -> Result<Budget, BudgetError> {
    let num_layers = shape.decoder.num_layers;
    // If images differ in their number of tokens, a stage that fits one may not fit another.
    let n = shape
        .num_image_tokens
        .unwrap_or(usize::MAX / num_layers.max(1));
    let schedule = TokenSchedule::from_stages(num_layers, n, &stages.0)?;
    let average = shape.num_image_tokens.map(|_| schedule.average());
    Ok(Budget {
        setting: match average {
            Some(average) => TokenBudget::AverageVisualTokens(average),
            None => TokenBudget::Kept(schedule.last()),
        },
        label: stages.to_string().replace(',', "_"),
        kept: Some(schedule.last()),
        average_visual_tokens: average,
        prune_layer: None,
        schedule: Some(stages.clone()),
    })
}

fn label(
    layers: &[usize],
    prune_layer: usize,
    kept: Option<usize>,
    setting: TokenBudget,
) -> String {
    let tokens = match (kept, setting) {
        (Some(kept), _) | (None, TokenBudget::Kept(kept)) => format!("R{kept}"),
        (None, TokenBudget::AverageVisualTokens(average)) => format!("B{average}"),
        (None, TokenBudget::Retention(share)) => format!("r{share}"),
    };
    match layers.len() {
        1 => tokens,
        _ => format!("K{prune_layer}/{tokens}"),
    }
}

/// The possible head counts, each once; problems go to `problems`.
fn head_counts(
    settings: &[HeadSetting],
    num_heads: usize,
    problems: &mut Vec<(String, GridError)>,
) -> Vec<usize> {
    let mut counts: Vec<(usize, HeadSetting)> = Vec::new();
    for (index, &setting) in settings.iter().enumerate() {
        let found = setting.head_count().resolve(num_heads);
        let error = match found {
            Err(error) => error.into(),
            Ok(count) if count == num_heads => GridError::AllHeads {
                setting: setting.to_string(),
                num_heads,
            },
            Ok(count) => match counts.iter().find(|(other, _)| *other == count) {
                Some((_, same)) => GridError::Same {
                    first: same.to_string(),
                    second: setting.to_string(),
                    value: format!("h = {count}"),
                },
                None => {
                    counts.push((count, setting));
                    continue;
                }
            },
        };
        problems.push((format!("num_selected_heads[{index}]"), error));
    }
    counts.into_iter().map(|(count, _)| count).collect()
}
