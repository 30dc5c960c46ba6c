//! Flags that override a study's configuration.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use fp_eval::study::StudyConfig;
use fp_eval::study::config::{
    ConfigError, ConfigFile, Controls, CpuPrecision, Diagnostics, HeadSetting, HolmFamily, Model,
    Precision, PruneLayers, StudyKind, TokenDiversity, surroundings,
};
use fp_image::{AnyRes, ImageAspect};
use fp_model::prompt::PromptTemplate;
use fp_scoring::{
    CropBudget, HeadStrategy, MethodRegistry, Normalization, QueryStrategy, ScheduleStages,
    TokenBudget,
};

use crate::arguments::{OneOrAll, parse_average, parse_kept, parse_share};

/// Number of samples in a quick run.
const QUICK_LIMIT: usize = 60;

/// Every setting of a configuration, to be replaced.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Configuration overrides")]
pub(crate) struct Overrides {
    /// Head strategies, separated by commas; all stands for the nine of study A.
    #[arg(long, value_name = "S,…|all", value_delimiter = ',')]
    pub(super) head_selection_strategy: Vec<OneOrAll<HeadStrategy>>,
    /// Query strategies, separated by commas, or all.
    #[arg(long, value_name = "Q,…|all", value_delimiter = ',')]
    pub(super) query_selection_strategy: Vec<OneOrAll<QueryStrategy>>,
    /// The one head strategy of study b.
    #[arg(long, value_name = "S", conflicts_with = "head_selection_strategy")]
    pub(super) fixed_head_selection: Option<HeadStrategy>,
    /// The one query strategy of study a.
    #[arg(long, value_name = "Q", conflicts_with = "query_selection_strategy")]
    pub(super) fixed_query_selection: Option<QueryStrategy>,
    /// How a head's row becomes a distribution: l1 or softmax.
    #[arg(long, value_name = "l1|softmax")]
    normalize: Option<Normalization>,
    /// K, counted from 1: tokens are dropped after this layer. With several, separated
    /// by commas, everything runs at each.
    #[arg(long, value_name = "K,…", value_delimiter = ',')]
    prune_layer: Vec<usize>,
    /// Budgets as layer averages of visual tokens, B, separated by commas.
    #[arg(long, value_name = "B,…", value_delimiter = ',',
        value_parser = parse_average, conflicts_with_all = ["keep", "retention"])]
    average_visual_tokens: Vec<f64>,
    /// Budgets as image tokens kept, R, separated by commas.
    #[arg(
        long,
        value_name = "R,…",
        value_delimiter = ',',
        value_parser = parse_kept,
        conflicts_with = "retention"
    )]
    keep: Vec<usize>,
    /// Budgets as shares of image tokens kept, R/N, separated by commas.
    #[arg(long, value_name = "SHARE,…", value_delimiter = ',', value_parser = parse_share)]
    retention: Vec<f64>,
    /// A schedule as an additional budget, such as 3:309,7:204,16:113: 309 image tokens
    /// are kept after layer 3, and so forth. May be repeated.
    #[arg(long, value_name = "K:N,…")]
    schedule: Vec<ScheduleStages>,
    /// h, as counts such as 24,16,8 or shares such as 3/4,1/2.
    #[arg(long, value_name = "h,…", value_delimiter = ',')]
    num_selected_heads: Vec<HeadSetting>,
    /// Controls, separated by commas: vanilla, all_heads, random, uniform_grid, oracle,
    /// drop_all, no_image, pool, downsample; or all, or none.
    #[arg(long, value_name = "C,…|all|none", value_delimiter = ',')]
    controls: Vec<String>,
    /// Additional methods to compare, separated by commas, as `finepruner strategies`
    /// lists them.
    #[arg(long, value_name = "M,…", value_delimiter = ',')]
    methods: Vec<String>,
    /// Also compare each head strategy's static variant: the heads with the highest mean
    /// score on the selection half, the same for every sample.
    #[arg(long)]
    static_heads: bool,
    /// Selections made by other programs, to compare as a method: JSON lines with id,
    /// site and kept. May be repeated.
    #[arg(long, value_name = "FILE")]
    selection: Vec<String>,
    /// Seeds of the control random, separated by commas.
    #[arg(long, value_name = "SEED,…", value_delimiter = ',')]
    random_seeds: Vec<u64>,
    /// Folder of a checkpoint, or embedded for the shipped model.
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
    /// Folder of the vision tower, for checkpoints of the original layout.
    #[arg(long, value_name = "DIR")]
    vision_tower: Option<String>,
    /// Folder of the CLIP model that the vision tower was taken from, for methods that compare
    /// image and question by its embeddings: cdpruner.
    #[arg(long, value_name = "DIR")]
    clip: Option<String>,
    /// Folders of datasets, or embedded:select, embedded:confirm; several flags or commas.
    #[arg(long, value_name = "DIR,…", value_delimiter = ',')]
    dataset: Vec<String>,
    /// How a question becomes a prompt: vicuna_v1, llava_onevision or qwen2_vl [default: as the
    /// model's family was trained].
    #[arg(long, value_name = "T")]
    prompt_template: Option<PromptTemplate>,
    /// What to do with an image that isn't square.
    #[arg(long, value_name = "pad|crop")]
    aspect: Option<ImageAspect>,
    /// How an any-resolution checkpoint cuts images: its own form, or 2 x 2 tiles and the whole
    /// image, with every patch a token and no newlines.
    #[arg(long, value_name = "unpad|fixed-2880")]
    anyres: Option<AnyRes>,
    /// What the numbers of published methods apply to on the crops of fixed-2880: each crop
    /// separately, or all crops as one set.
    #[arg(long, value_name = "per-crop|whole")]
    crop_budget: Option<CropBudget>,
    /// Exclude image tokens whose patch shows only padding from the candidates of a method's
    /// first stage. Off by default, as in the authors' code of every method here.
    #[arg(long)]
    mask_padding: bool,
    /// Where to compute: cpu, cuda or cuda:N.
    #[arg(long)]
    device: Option<String>,
    /// Precision: f32, f16 or bf16.
    #[arg(long, value_parser = parse_named::<Precision>)]
    dtype: Option<Precision>,
    /// On the CPU, what rows are rounded to before they are multiplied: f32, or bf16 with
    /// --dtype bf16.
    #[arg(long, value_name = "f32|bf16", value_parser = parse_named::<CpuPrecision>)]
    activations: Option<CpuPrecision>,
    /// On the CPU, what the KV cache keeps: f32 or bf16.
    #[arg(long, value_name = "f32|bf16", value_parser = parse_named::<CpuPrecision>)]
    kv_cache: Option<CpuPrecision>,
    /// Maximum number of tokens per answer.
    #[arg(long, value_name = "T")]
    max_new_tokens: Option<usize>,
    /// Only this many samples of each dataset, spread over its images: one question of
    /// each image first, then a second of each, chosen by --seed.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Also ask the datasets' questions without an image: unpruned, once for all cells, and
    /// reported separately. Otherwise they are skipped and counted.
    #[arg(long)]
    text_only: bool,
    /// Continue even if the query rows have no attention to the image.
    #[arg(long)]
    allow_degenerate: bool,
    /// How the diversity of kept tokens is measured: none, cosine or full.
    #[arg(long, value_name = "none|cosine|full", value_parser = parse_named::<TokenDiversity>)]
    token_diversity: Option<TokenDiversity>,
    /// Seed of the statistics, and of the samples that --limit chooses.
    #[arg(long)]
    seed: Option<u64>,
    /// The strategy that the others are tested against.
    #[arg(long, value_name = "STRATEGY")]
    baseline: Option<String>,
    /// Which tests are corrected together: budget, budget_and_heads or study.
    #[arg(long, value_name = "FAMILY", value_parser = parse_named::<HolmFamily>)]
    holm_family: Option<HolmFamily>,
    /// Differences up to this many percentage points count as none.
    #[arg(long, value_name = "POINTS")]
    equivalence_margin: Option<f64>,
    /// Confidence level of intervals, such as 0.95.
    #[arg(long, value_name = "SHARE")]
    confidence: Option<f64>,
    /// Bootstrap draws and permutations.
    #[arg(long, value_name = "N")]
    num_draws: Option<usize>,
    /// A quick run: 60 samples of each dataset, on different images where there are enough,
    /// and half of the heads, unless other flags say otherwise.
    #[arg(long)]
    pub(super) quick: bool,
}

/// Keys that flags replaced, with the flags.
type Replaced = Vec<(&'static str, &'static str)>;

impl Overrides {
    /// The configuration in `path` with these flags applied, its values checked.
    ///
    /// All problems of the file and of the flags are reported at once.
    pub(crate) fn read(&self, path: &Path) -> Result<StudyConfig> {
        Ok(self.look_at(read_config(path)?).finish()?)
    }

    /// As [`Overrides::read`], for a file that was read already and a study that starts now: the
    /// device, the model and the datasets must exist and fit.
    pub(crate) fn to_run(&self, file: ConfigFile) -> Result<StudyConfig> {
        let mut file = self.look_at(file);
        if let Some(config) = &file.config {
            let model = if file.is_known("model") {
                Model::Named
            } else {
                Model::Unknown
            };
            let found = surroundings(config, model, true, &MethodRegistry::standard());
            file.add(found);
        }
        Ok(file.finish()?)
    }

    fn look_at(&self, mut file: ConfigFile) -> ConfigFile {
        if let Some(mut config) = file.config.take() {
            let mut found = Diagnostics::default();
            for (key, flag) in self.apply(&mut config, &mut found) {
                file.replace(key, flag);
            }
            found.merge(config.problems());
            file.config = Some(config);
            file.add(found);
        }
        file
    }

    /// Applies the flags to `config`; returns the keys that they replaced.
    fn apply(&self, config: &mut StudyConfig, found: &mut Diagnostics) -> Replaced {
        let mut replaced = Replaced::new();
        self.apply_budgets(config, &mut replaced);
        let mut note = |is_given: bool, key: &'static str, flag: &'static str| {
            if is_given {
                replaced.push((key, flag));
            }
        };
        let given = replace_list(&mut config.num_selected_heads, &self.num_selected_heads);
        note(given, "num_selected_heads", "--num-selected-heads");
        replace(&mut config.normalization, self.normalize);
        let layers = PruneLayers::new(self.prune_layer.clone());
        let given = replace(&mut config.prune_layer, layers);
        note(given, "prune_layer", "--prune-layer");
        note(
            self.apply_controls(&mut config.controls, found),
            "controls.random_seeds",
            "--random-seeds",
        );
        let given = replace_list(&mut config.schedules, &self.schedule);
        note(given, "schedules", "--schedule");
        let given = replace_list(&mut config.selections, &self.selection);
        note(given, "selections", "--selection");
        let given = replace_list(&mut config.methods, &self.methods);
        note(given, "methods", "--methods");
        let given = replace(&mut config.model, self.model.clone());
        note(given, "model", "--model");
        replace_optional(&mut config.vision_tower, self.vision_tower.clone());
        let given = replace_optional(&mut config.clip, self.clip.clone());
        note(given, "clip", "--clip");
        let given = replace_list(&mut config.datasets, &self.dataset);
        note(given, "datasets", "--dataset");
        replace_optional(&mut config.prompt_template, self.prompt_template);
        replace_optional(&mut config.image_aspect, self.aspect);
        let given = replace(&mut config.device, self.device.clone());
        note(given, "device", "--device");
        replace_optional(&mut config.dtype, self.dtype);
        let given = replace_optional(&mut config.activations, self.activations);
        note(given, "activations", "--activations");
        let given = replace_optional(&mut config.kv_cache, self.kv_cache);
        note(given, "kv_cache", "--kv-cache");
        let given = replace(&mut config.max_new_tokens, self.max_new_tokens);
        note(given, "max_new_tokens", "--max-new-tokens");
        config.static_heads |= self.static_heads;
        config.allow_degenerate |= self.allow_degenerate;
        config.text_only |= self.text_only;
        let given = replace_optional(&mut config.anyres, self.anyres);
        note(given, "anyres", "--anyres");
        let given = replace_optional(&mut config.crop_budget, self.crop_budget);
        note(given, "crop_budget", "--crop-budget");
        note(self.mask_padding, "mask_padding", "--mask-padding");
        config.mask_padding |= self.mask_padding;
        replace(&mut config.token_diversity, self.token_diversity);
        if self.quick {
            config.limit = Some(QUICK_LIMIT);
            if self.num_selected_heads.is_empty() {
                config.num_selected_heads = vec![HeadSetting::half()];
            }
        }
        let given = replace_optional(&mut config.limit, self.limit);
        note(given, "limit", "--limit");
        replace(&mut config.seed, self.seed);
        // After the other flags, since the possible baselines depend on the strategies.
        self.apply_strategies(config, &mut replaced);
        self.apply_statistics(config, &mut replaced);
        replaced
    }

    fn apply_budgets(&self, config: &mut StudyConfig, replaced: &mut Replaced) {
        let budgets = [
            map(&self.average_visual_tokens, |&b| {
                TokenBudget::AverageVisualTokens(b)
            }),
            map(&self.keep, |&kept| TokenBudget::Kept(kept)),
            map(&self.retention, |&share| TokenBudget::Retention(share)),
        ]
        .concat();
        let flag = match (self.keep.is_empty(), self.retention.is_empty()) {
            (false, _) => "--keep",
            (_, false) => "--retention",
            _ => "--average-visual-tokens",
        };
        if replace_list(&mut config.budgets, &budgets) {
            replaced.push(("budgets", flag));
        }
    }

    fn apply_statistics(&self, config: &mut StudyConfig, replaced: &mut Replaced) {
        let statistics = &mut config.statistics;
        replace(&mut statistics.holm_family, self.holm_family);
        let margin = &mut statistics.equivalence_margin;
        for (is_given, key, flag) in [
            (
                replace_optional(&mut statistics.baseline, self.baseline.clone()),
                "statistics.baseline",
                "--baseline",
            ),
            (
                replace(margin, self.equivalence_margin),
                "statistics.equivalence_margin",
                "--equivalence-margin",
            ),
            (
                replace(&mut statistics.confidence, self.confidence),
                "statistics.confidence",
                "--confidence",
            ),
            (
                replace(&mut statistics.num_draws, self.num_draws),
                "statistics.num_draws",
                "--num-draws",
            ),
        ] {
            if is_given {
                replaced.push((key, flag));
            }
        }
    }

    fn apply_strategies(&self, config: &mut StudyConfig, replaced: &mut Replaced) {
        let before = varied(config);
        let heads = named(&self.head_selection_strategy, HeadStrategy::STUDY);
        let queries = named(&self.query_selection_strategy, QueryStrategy::ALL);
        const HEADS: &str = "head_selection_strategies";
        const QUERIES: &str = "query_selection_strategies";
        if replace_list(&mut config.head_selection_strategies, &heads) {
            replaced.push((HEADS, "--head-selection-strategy"));
        }
        if replace_list(&mut config.query_selection_strategies, &queries) {
            replaced.push((QUERIES, "--query-selection-strategy"));
        }
        if let Some(head) = self.fixed_head_selection {
            config.head_selection_strategies = vec![head];
            replaced.push((HEADS, "--fixed-head-selection"));
        }
        if let Some(query) = self.fixed_query_selection {
            config.query_selection_strategies = vec![query];
            replaced.push((QUERIES, "--fixed-query-selection"));
        }
        // If the flags removed the file's baseline from the study, it is dropped; one that never
        // was in the study is an error.
        let now = varied(config);
        let baseline = &mut config.statistics.baseline;
        let is_gone = |name: &str| before.contains(&name) && !now.contains(&name);
        if baseline.as_deref().is_some_and(is_gone) {
            *baseline = None;
        }
    }

    /// Whether the seeds were replaced; an unknown control is added to `found`.
    fn apply_controls(&self, controls: &mut Controls, found: &mut Diagnostics) -> bool {
        if !self.controls.is_empty() {
            let seeds = std::mem::take(&mut controls.random_seeds);
            *controls = Controls::none();
            for name in &self.controls {
                match name.as_str() {
                    "all" => *controls = Controls::all(),
                    "none" => *controls = Controls::none(),
                    name => {
                        if let Err(message) = controls.set(name, true) {
                            found.add("--controls", format!("{message}; or all, or none"));
                        }
                    }
                }
            }
            if !seeds.is_empty() && controls.has("random") {
                controls.random_seeds = seeds;
            }
        }
        replace_list(&mut controls.random_seeds, &self.random_seeds)
    }
}

/// The shipped configuration of a study, unless one is named.
pub(crate) fn config_path(given: Option<&Path>) -> Result<PathBuf> {
    given
        .map(Path::to_owned)
        .context("a study is needed: --config FILE, such as configs/ablation_a_config.json")
}

/// Reads a configuration's file.
pub(crate) fn read_config(path: &Path) -> Result<ConfigFile> {
    ConfigFile::read(path).map_err(|error| match error {
        ConfigError::Io { ref source, .. } if source.kind() == ErrorKind::NotFound => anyhow!(
            "{}; a file with {{\"study\": \"a\"}} is a whole configuration",
            fp_scoring::error_text(&error)
        ),
        other => other.into(),
    })
}

fn named<T: Copy + PartialEq>(names: &[OneOrAll<T>], all: &[T]) -> Vec<T> {
    names.iter().flat_map(|name| name.list(all)).collect()
}

fn map<'a, T, U>(entries: &'a [T], convert: impl Fn(&'a T) -> U) -> Vec<U> {
    entries.iter().map(convert).collect()
}

/// Names of the strategies that a study varies.
fn varied(config: &StudyConfig) -> Vec<&'static str> {
    match config.study {
        StudyKind::B => map(&config.query_selection_strategies, |s| s.name()),
        _ => map(&config.head_selection_strategies, |s| s.name()),
    }
}

/// Whether there was a value to assign.
fn replace<T>(place: &mut T, value: Option<T>) -> bool {
    let is_given = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    is_given
}

fn replace_optional<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let is_given = value.is_some();
    if is_given {
        *place = value;
    }
    is_given
}

fn replace_list<T: Clone>(place: &mut Vec<T>, values: &[T]) -> bool {
    if !values.is_empty() {
        *place = values.to_vec();
    }
    !values.is_empty()
}

/// Parses a value by its name in configurations.
fn parse_named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|error| error.to_string())
}
