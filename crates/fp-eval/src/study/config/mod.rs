//! Configuration of a study.

mod check;
mod controls;
mod expectation;
mod file;
mod fixed_heads;
mod heads;
mod lists;
mod method_settings;
mod prune_layers;
pub mod schema;

pub(crate) use check::surroundings::surroundings_with;
pub use check::surroundings::{Model, surroundings};
pub use check::{ConfigError, Diagnostics};
pub use controls::Controls;
pub use expectation::{Expectation, Suffice};
pub use file::ConfigFile;
pub use fixed_heads::{FixedHeadsError, FixedHeadsSetting};
pub use heads::HeadSetting;
pub use method_settings::{MethodSetting, MethodSettingError};
pub use prune_layers::PruneLayers;

use std::path::Path;

use fp_image::{AnyRes, ImageAspect, Tiling};
use fp_model::CpuFormat;
use fp_model::prompt::PromptTemplate;
use fp_scoring::{
    CropBudget, HeadStrategy, ImageCrops, Normalization, PlanSetting, QueryStrategy,
    ScheduleStages, TokenBudget,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::budget::Budget;
use super::grid::ModelShape;
use crate::efficiency::EfficiencySettings;

/// What a study varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StudyKind {
    /// Head strategies, under one query strategy.
    A,
    /// Query strategies, with one head strategy.
    B,
    /// Every head strategy with every query strategy.
    Full,
    /// Whole pruning methods, at the same budgets.
    Methods,
}

impl StudyKind {
    /// The kind's name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            StudyKind::A => "a",
            StudyKind::B => "b",
            StudyKind::Full => "full",
            StudyKind::Methods => "methods",
        }
    }
}

/// A whole study: strategies, budgets, controls, model, data and statistics.
///
/// Only `study` has to be given: `{"study": "a"}` is the nine head strategies of study A
/// with the shipped model on the shipped benchmark.
///
/// The docs of these keys are their JSON schema descriptions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
// Defaults that depend on what is varied are filled in by the implementation below.
#[serde(remote = "Self", deny_unknown_fields)]
#[schemars(
    title = "FinePruner study",
    description = "Which strategies are compared, on which data, and how differences are tested."
)]
pub struct StudyConfig {
    /// Where this schema lies; for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What is varied: a, head strategies; b, query strategies; full, every one with every
    /// other; methods, whole pruning methods.
    pub study: StudyKind,
    /// How heads are chosen, or "all" for the nine of study a, the default; exactly one in
    /// study b, by default variance; in a study of methods by default weighted_quality.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lists::head_strategies"
    )]
    #[schemars(schema_with = "lists::head_strategies_schema")]
    pub head_selection_strategies: Vec<HeadStrategy>,
    /// Which rows the attention is read from, or "all", the default; exactly one in study a,
    /// by default last_token, as in a study of methods.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lists::query_strategies"
    )]
    #[schemars(schema_with = "lists::query_strategies_schema")]
    pub query_selection_strategies: Vec<QueryStrategy>,
    /// How a head's row becomes a distribution.
    #[serde(default = "l1")]
    #[schemars(with = "String", extend("enum" = Normalization::NAMES))]
    pub normalization: Normalization,
    /// K, counted from 1: attention is read in this layer, tokens are dropped after it. A
    /// list runs everything at each of its layers.
    #[serde(default = "two")]
    pub prune_layer: PruneLayers,
    /// Numbers of image tokens to keep, each in one of three notations; by default the
    /// shares that published layer averages of 192, 128 and 64 leave.
    #[serde(default = "default_budgets")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub budgets: Vec<TokenBudget>,
    /// Further budgets as schedules: layers, and how many image tokens are kept after each.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "lists::texts",
        deserialize_with = "lists::schedules"
    )]
    #[schemars(schema_with = "lists::schedules_schema")]
    pub schedules: Vec<ScheduleStages>,
    /// h: a count such as 16, or a share of the model's heads such as "3/4". All heads are
    /// the control all_heads.
    #[serde(default = "HeadSetting::grid")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub num_selected_heads: Vec<HeadSetting>,
    /// Controls that strategies are compared with: "all", "none", or each on or off.
    #[serde(default, deserialize_with = "lists::controls")]
    #[schemars(schema_with = "lists::controls_schema")]
    pub controls: Controls,
    /// Further methods to compare at every budget, by the names that `finepruner strategies`
    /// lists; in a study of methods by default every published one that the model's vision
    /// tower allows, cdpruner where clip is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub methods: Vec<String>,
    /// Published methods with settings of their own, whatever the budgets are, each compared
    /// as a method, METHOD:NAME.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub method_settings: Vec<MethodSetting>,
    /// Also compare each head strategy's static variant: the heads with the highest mean
    /// score on the selection half, the same for every sample.
    #[serde(default, skip_serializing_if = "is_false")]
    pub static_heads: bool,
    /// Heads that are fixed beforehand, each compared as a method, fixed_heads:NAME: a list
    /// of heads, a weight per head, or a JSON file with either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed_heads: Vec<FixedHeadsSetting>,
    /// Files of selections that were made elsewhere, each compared as a method: JSON lines
    /// with id, site and kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub selections: Vec<String>,
    /// Folder of a checkpoint, or embedded for the shipped model.
    #[serde(default = "embedded")]
    pub model: String,
    /// Folder of the vision tower, for checkpoints of the original layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision_tower: Option<String>,
    /// Folder of the CLIP model that the vision tower was taken from, such as
    /// openai/clip-vit-large-patch14-336, for methods that compare image and question by its
    /// embeddings: cdpruner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<String>,
    /// Folders of datasets, or embedded:select and embedded:confirm, the default.
    #[serde(default = "embedded_splits")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub datasets: Vec<String>,
    /// How a question becomes a prompt; by default as the model's family was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("enum" = PromptTemplate::NAMES))]
    pub prompt_template: Option<PromptTemplate>,
    /// What to do with an image that isn't square; by default what the checkpoint says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("enum" = ImageAspect::NAMES))]
    pub image_aspect: Option<ImageAspect>,
    /// How an any-resolution checkpoint cuts images: unpad, its own way and the default, or
    /// fixed-2880, 2 x 2 tiles and the whole image, every patch a token and no newlines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("enum" = AnyRes::NAMES))]
    pub anyres: Option<AnyRes>,
    /// What the numbers of published methods apply to on the crops of fixed-2880: per-crop, each
    /// crop is pruned separately, or whole, all crops are one set; by default as in the code of
    /// each method's authors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("enum" = CropBudget::NAMES))]
    pub crop_budget: Option<CropBudget>,
    /// Exclude image tokens whose patch shows only padding from the candidates of a method's
    /// first stage. Off by default, as in the authors' code of every method here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mask_padding: bool,
    /// Where to compute: cpu, cuda or cuda:N.
    #[serde(default = "cpu")]
    pub device: String,
    /// Precision of the weights; the checkpoint's own by default. On the CPU sums are in
    /// f32 with any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Precision>,
    /// On the CPU, what rows are rounded to before they are multiplied by weights: f32, or
    /// bf16 with weights in bf16, which is faster where the processor has AVX512_BF16; f32 by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<CpuPrecision>,
    /// On the CPU, what the KV cache keeps: f32, or bf16 in half of the memory; f32 by
    /// default. On a GPU it has the precision of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_cache: Option<CpuPrecision>,
    /// Maximum number of tokens per answer.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_new_tokens: usize,
    /// Only this many samples of each dataset, spread over its images: one question of each
    /// image first, then a second of each, chosen by the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<usize>,
    /// Also ask the datasets' questions without an image: unpruned, once for all cells, and
    /// reported separately. Otherwise they are skipped and counted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub text_only: bool,
    /// Seed of the statistics, and of the samples that a limit chooses.
    #[serde(default)]
    pub seed: u64,
    /// Continue even if the query rows have no attention to the image.
    #[serde(default)]
    pub allow_degenerate: bool,
    /// What is measured of the diversity of kept tokens: nothing, what follows from
    /// cosines, or effective rank and volume too.
    #[serde(default)]
    pub token_diversity: TokenDiversity,
    /// How differences are judged.
    #[serde(default)]
    pub statistics: Statistics,
    /// What is expected of strategies together, answered in the report. A run that is
    /// resumed keeps what was expected when it was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub expectations: Vec<Expectation>,
    /// Measure time, throughput and memory of every budget after the last record; left out,
    /// nothing is measured. {} measures with the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub efficiency: Option<EfficiencySettings>,
}

/// Number format of the model's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits, IEEE.
    F16,
    /// 16 bits, brain.
    Bf16,
}

/// Number format of activations or of the KV cache on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CpuPrecision {
    /// 32 bits.
    F32,
    /// 16 bits, brain.
    Bf16,
}

impl From<CpuPrecision> for CpuFormat {
    fn from(precision: CpuPrecision) -> CpuFormat {
        match precision {
            CpuPrecision::F32 => CpuFormat::F32,
            CpuPrecision::Bf16 => CpuFormat::Bf16,
        }
    }
}

/// What is measured of the diversity of kept tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenDiversity {
    /// Nothing.
    None,
    /// What follows from the cosines between tokens.
    #[default]
    Cosine,
    /// Effective rank and what else takes a decomposition, too; slow for many tokens.
    Full,
}

/// Which tests are corrected together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HolmFamily {
    /// All strategies and head counts at one budget.
    #[default]
    Budget,
    /// All strategies at one budget and one head count.
    BudgetAndHeads,
    /// Everything that the study tests.
    Study,
}

/// How differences are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Statistics {
    /// The strategy that the others are tested against, one of those that are varied; by
    /// default sum, or last_token in study b.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Which tests are corrected together: those at one budget, those at one budget and one
    /// head count, or all.
    pub holm_family: HolmFamily,
    /// Differences up to this many percentage points count as none.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 100))]
    pub equivalence_margin: f64,
    /// Confidence level of intervals.
    #[schemars(extend("exclusiveMinimum" = 0.5, "exclusiveMaximum" = 1))]
    pub confidence: f64,
    /// Bootstrap draws and permutations.
    #[schemars(range(min = 1000, max = 1_000_000))]
    pub num_draws: usize,
}

impl Default for Statistics {
    fn default() -> Statistics {
        Statistics {
            baseline: None,
            holm_family: HolmFamily::Budget,
            equivalence_margin: 0.5,
            confidence: 0.95,
            num_draws: 10_000,
        }
    }
}

impl Serialize for StudyConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StudyConfig::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for StudyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StudyConfig, D::Error> {
        let mut config = StudyConfig::deserialize(deserializer)?;
        // A list given in the file is never empty.
        if config.head_selection_strategies.is_empty() {
            config.head_selection_strategies = match config.study {
                StudyKind::B => vec![HeadStrategy::Variance],
                StudyKind::Methods => vec![HeadStrategy::WeightedQuality],
                StudyKind::A | StudyKind::Full => HeadStrategy::STUDY.to_vec(),
            };
        }
        if config.query_selection_strategies.is_empty() {
            config.query_selection_strategies = match config.study {
                StudyKind::A | StudyKind::Methods => vec![QueryStrategy::LastToken],
                StudyKind::B | StudyKind::Full => QueryStrategy::ALL.to_vec(),
            };
        }
        if config.study == StudyKind::Methods && config.methods.is_empty() {
            config.methods = published_names(config.clip.is_some());
        }
        Ok(config)
    }
}

/// Names of the published methods that a model can run; `has_clip` says whether a CLIP model is
/// given.
fn published_names(has_clip: bool) -> Vec<String> {
    let methods = fp_scoring::published_methods().iter();
    methods
        .filter(|method| method.runs_in_models() && (has_clip || !method.needs_another_model()))
        .map(|method| method.card().name.to_owned())
        .collect()
}

impl StudyConfig {
    /// Whether the methods are the default ones of a study of methods.
    pub(super) fn has_usual_methods(&self) -> bool {
        self.study == StudyKind::Methods && self.methods == published_names(self.clip.is_some())
    }

    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// A file that can't be read; all problems that exist for every model and dataset.
    pub fn read(path: &Path) -> Result<StudyConfig, ConfigError> {
        let mut file = ConfigFile::read(path)?;
        if let Some(config) = &file.config {
            let found = config.problems();
            file.add(found);
        }
        file.finish()
    }

    /// The strategy that the others are tested against: the configured one, else `sum` or
    /// `last_token`, else the first of the varied strategies.
    pub fn baseline(&self) -> &str {
        if let Some(name) = &self.statistics.baseline {
            return name;
        }
        let first = |names: &[&'static str], usual: &'static str| match names {
            [] => usual,
            names if names.contains(&usual) => usual,
            [first, ..] => first,
        };
        match self.study {
            StudyKind::A | StudyKind::Full | StudyKind::Methods => {
                let names: Vec<_> = self
                    .head_selection_strategies
                    .iter()
                    .map(|s| s.name())
                    .collect();
                first(&names, HeadStrategy::Sum.name())
            }
            StudyKind::B => {
                let names: Vec<_> = self
                    .query_selection_strategies
                    .iter()
                    .map(|s| s.name())
                    .collect();
                first(&names, QueryStrategy::LastToken.name())
            }
        }
    }

    /// Names of the methods compared beside strategies and controls: from the registry, with fixed
    /// heads, and from files of selections.
    pub(super) fn method_names(&self) -> Vec<String> {
        let fixed = self.fixed_heads.iter().map(FixedHeadsSetting::method_name);
        let files = self.selections.iter().map(|path| name_of(Path::new(path)));
        let settings = self.method_settings.iter().map(MethodSetting::method_name);
        self.methods
            .iter()
            .cloned()
            .chain(settings)
            .chain(fixed)
            .chain(files)
            .collect()
    }

    /// Place in the configuration of a method compared beside strategies and controls.
    pub(super) fn method_place(&self, name: &str) -> String {
        let at = self.method_names().iter().position(|other| other == name);
        let lists = [
            ("methods", self.methods.len()),
            ("method_settings", self.method_settings.len()),
            ("fixed_heads", self.fixed_heads.len()),
            ("selections", self.selections.len()),
        ];
        let Some(mut index) = at else {
            return "controls".to_owned();
        };
        for (list, len) in lists {
            if index < len {
                return format!("{list}[{index}]");
            }
            index -= len;
        }
        "methods".to_owned()
    }

    /// Setting for planning a method: an image of N tokens on `grid`, with or without a budget.
    pub(super) fn plan_setting(
        &self,
        shape: &ModelShape,
        num_image_tokens: usize,
        grid: Option<[usize; 2]>,
        budget: Option<&Budget>,
    ) -> PlanSetting {
        PlanSetting {
            shape: shape.decoder,
            num_image_tokens,
            grid,
            num_vision_layers: shape.num_vision_layers,
            has_class_token: shape.has_class_token,
            crops: match self.anyres {
                Some(AnyRes::Fixed2880) => ImageCrops::Whole {
                    num_crops: Tiling::FIXED_SQUARES,
                    tokens_per_crop: num_image_tokens / Tiling::FIXED_SQUARES,
                    budget: self.crop_budget,
                },
                Some(AnyRes::Unpad) | None => ImageCrops::One,
            },
            prune_layer: budget
                .and_then(|budget| budget.prune_layer)
                .unwrap_or(self.prune_layer.first()),
            budget: budget.map(|budget| budget.setting),
            schedule: budget.and_then(|budget| budget.schedule.clone()),
            query_strategy: self.all_heads_query(),
            normalization: self.normalization,
            allow_degenerate: self.allow_degenerate,
            seed: 0,
        }
    }

    /// The query strategy of the control `all_heads`: the fixed one of study A, FastV's own if
    /// query strategies vary.
    pub fn all_heads_query(&self) -> QueryStrategy {
        match (self.study, self.query_selection_strategies.as_slice()) {
            (StudyKind::A, [fixed]) => *fixed,
            _ => QueryStrategy::LastToken,
        }
    }
}

/// Prefix of the names of methods made from a file of selections.
const SELECTION: &str = "selection:";

/// Name of the method made from a file of selections: `selection:` and the file's name without
/// extension.
pub(super) fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(String::new, |stem| {
        stem.to_string_lossy().replace(['/', '+'], "_")
    });
    format!("{SELECTION}{stem}")
}

fn is_false(value: &bool) -> bool {
    !value
}

fn l1() -> Normalization {
    Normalization::L1
}

fn two() -> PruneLayers {
    PruneLayers::one(2)
}

fn sixteen() -> usize {
    16
}

/// The shares of image tokens that correspond to published layer averages of 192, 128 and 64; of
/// the shipped model's 144 tokens they keep R = 42, 25 and 8.
pub fn default_budgets() -> Vec<TokenBudget> {
    [0.2917, 0.1736, 0.0556]
        .map(TokenBudget::Retention)
        .to_vec()
}

fn embedded_splits() -> Vec<String> {
    fp_data::embedded::split_names().to_vec()
}

fn embedded() -> String {
    "embedded".to_owned()
}

fn cpu() -> String {
    "cpu".to_owned()
}
