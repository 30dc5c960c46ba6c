//! Flags that replace what a study's configuration says.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use fp_eval::study::StudyConfig;
use fp_eval::study::config::{
    Controls, HeadSetting, HolmFamily, Precision, StudyKind, TokenDiversity,
};
use fp_model::image::ImageAspect;
use fp_model::prompt::PromptTemplate;
use fp_scoring::{HeadStrategy, Normalization, QueryStrategy, TokenBudget};

use crate::arguments::OneOrAll;

/// Samples and head counts of a quick look.
const QUICK_LIMIT: usize = 60;

/// Every setting of a configuration, to be replaced.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Replacing what the configuration says")]
pub(crate) struct Overrides {
    /// Head strategies, separated by commas; all are the nine of study A.
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
    /// K, counted from 1: tokens are dropped after this layer.
    #[arg(long, value_name = "K")]
    prune_layer: Option<usize>,
    /// Budgets as image tokens of an average layer, B, separated by commas.
    #[arg(long, value_name = "B,…", value_delimiter = ',', conflicts_with_all = ["keep", "retention"])]
    average_visual_tokens: Vec<f64>,
    /// Budgets as image tokens that stay, R, separated by commas.
    #[arg(
        long,
        value_name = "R,…",
        value_delimiter = ',',
        conflicts_with = "retention"
    )]
    keep: Vec<usize>,
    /// Budgets as shares of the image tokens that stay, separated by commas.
    #[arg(long, value_name = "SHARE,…", value_delimiter = ',')]
    retention: Vec<f64>,
    /// h, as counts such as 24,16,8 or shares such as 3/4,1/2.
    #[arg(long, value_name = "h,…", value_delimiter = ',')]
    num_selected_heads: Vec<HeadSetting>,
    /// Controls, separated by commas: vanilla, all_heads, random, uniform_grid, oracle,
    /// drop_all, no_image; or all, or none.
    #[arg(long, value_name = "C,…|all|none", value_delimiter = ',')]
    controls: Vec<String>,
    /// Seeds of the control random, separated by commas.
    #[arg(long, value_name = "SEED,…", value_delimiter = ',')]
    random_seeds: Vec<u64>,
    /// A checkpoint's folder, or embedded for the shipped model.
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
    /// Folder of the vision tower, for checkpoints of the original layout.
    #[arg(long, value_name = "DIR")]
    vision_tower: Option<String>,
    /// Folders of data sets, or embedded:select, embedded:confirm; several flags or commas.
    #[arg(long, value_name = "DIR,…", value_delimiter = ',')]
    dataset: Vec<String>,
    /// How a question becomes a prompt: vicuna_v1.
    #[arg(long, value_name = "T")]
    prompt_template: Option<PromptTemplate>,
    /// What happens to an image that isn't square.
    #[arg(long, value_name = "pad|crop")]
    aspect: Option<ImageAspect>,
    /// Where to compute: cpu, cuda or cuda:1.
    #[arg(long)]
    device: Option<String>,
    /// Precision: f32, f16 or bf16.
    #[arg(long, value_parser = parse_named::<Precision>)]
    dtype: Option<Precision>,
    /// Most tokens of an answer.
    #[arg(long, value_name = "T")]
    max_new_tokens: Option<usize>,
    /// Only this many samples of each data set, spread over its images: one question of
    /// each image first, then a second of each, chosen by --seed.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Go on where the chosen rows have no attention to the image at all.
    #[arg(long)]
    allow_degenerate: bool,
    /// What is measured of how different kept tokens are: none, cosine or full.
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
    /// How sure intervals are, such as 0.95.
    #[arg(long, value_name = "SHARE")]
    confidence: Option<f64>,
    /// Bootstrap draws and permutations.
    #[arg(long, value_name = "N")]
    num_draws: Option<usize>,
    /// A quick look: 60 samples of each data set, each on another image where there are as
    /// many, and half of the heads, unless said otherwise.
    #[arg(long)]
    pub(super) quick: bool,
}

impl Overrides {
    /// The configuration in `path` with these flags applied.
    pub(crate) fn read(&self, path: &Path) -> Result<StudyConfig> {
        let mut config = StudyConfig::read(path)?;
        self.apply(&mut config)?;
        config
            .check()
            .context("the configuration with what the flags replace")?;
        Ok(config)
    }

    fn apply(&self, config: &mut StudyConfig) -> Result<()> {
        self.apply_strategies(config);
        let budgets = [
            map(&self.average_visual_tokens, |&b| {
                TokenBudget::AverageVisualTokens(b)
            }),
            map(&self.keep, |&kept| TokenBudget::Kept(kept)),
            map(&self.retention, |&share| TokenBudget::Retention(share)),
        ]
        .concat();
        replace_list(&mut config.budgets, &budgets);
        replace_list(&mut config.num_selected_heads, &self.num_selected_heads);
        replace(&mut config.normalization, self.normalize);
        replace(&mut config.prune_layer, self.prune_layer);
        self.apply_controls(&mut config.controls)?;
        replace(&mut config.model, self.model.clone());
        replace_optional(&mut config.vision_tower, self.vision_tower.clone());
        replace_list(&mut config.datasets, &self.dataset);
        replace(&mut config.prompt_template, self.prompt_template);
        replace_optional(&mut config.image_aspect, self.aspect);
        replace(&mut config.device, self.device.clone());
        replace_optional(&mut config.dtype, self.dtype);
        replace(&mut config.max_new_tokens, self.max_new_tokens);
        config.allow_degenerate |= self.allow_degenerate;
        replace(&mut config.token_diversity, self.token_diversity);
        if self.quick {
            config.limit = Some(QUICK_LIMIT);
            if self.num_selected_heads.is_empty() {
                config.num_selected_heads = vec![HeadSetting::half()];
            }
        }
        replace_optional(&mut config.limit, self.limit);
        replace(&mut config.seed, self.seed);
        let statistics = &mut config.statistics;
        replace_optional(&mut statistics.baseline, self.baseline.clone());
        replace(&mut statistics.holm_family, self.holm_family);
        replace(&mut statistics.equivalence_margin, self.equivalence_margin);
        replace(&mut statistics.confidence, self.confidence);
        replace(&mut statistics.num_draws, self.num_draws);
        Ok(())
    }

    fn apply_strategies(&self, config: &mut StudyConfig) {
        let heads = named(&self.head_selection_strategy, HeadStrategy::STUDY);
        let queries = named(&self.query_selection_strategy, QueryStrategy::ALL);
        replace_list(&mut config.head_selection_strategies, &heads);
        replace_list(&mut config.query_selection_strategies, &queries);
        if let Some(head) = self.fixed_head_selection {
            config.head_selection_strategies = vec![head];
        }
        if let Some(query) = self.fixed_query_selection {
            config.query_selection_strategies = vec![query];
        }
        // A baseline of the file that the flags took out of the study is no baseline any more.
        let varied: Vec<&str> = match config.study {
            StudyKind::B => map(&config.query_selection_strategies, |s| s.name()),
            _ => map(&config.head_selection_strategies, |s| s.name()),
        };
        let baseline = &mut config.statistics.baseline;
        if baseline
            .as_deref()
            .is_some_and(|name| !varied.contains(&name))
        {
            *baseline = None;
        }
    }

    fn apply_controls(&self, controls: &mut Controls) -> Result<()> {
        if !self.controls.is_empty() {
            let seeds = match controls.random_seeds.is_empty() {
                true => Controls::default().random_seeds,
                false => controls.random_seeds.clone(),
            };
            *controls = Controls::none();
            for name in &self.controls {
                match name.as_str() {
                    "all" => {
                        *controls = Controls {
                            random_seeds: seeds.clone(),
                            ..Controls::default()
                        };
                    }
                    "none" => *controls = Controls::none(),
                    "vanilla" => controls.vanilla = true,
                    "all_heads" => controls.all_heads = true,
                    "random" => controls.random_seeds.clone_from(&seeds),
                    "uniform_grid" => controls.uniform_grid = true,
                    "oracle" => controls.oracle = true,
                    "drop_all" => controls.drop_all = true,
                    "no_image" => controls.no_image = true,
                    _ => anyhow::bail!(
                        "unknown control `{name}`; known are vanilla, all_heads, random, uniform_grid, oracle, drop_all, no_image, all, none"
                    ),
                }
            }
        }
        replace_list(&mut controls.random_seeds, &self.random_seeds);
        Ok(())
    }
}

/// The shipped configuration of a study, where none is named.
pub(crate) fn config_path(given: Option<&Path>) -> Result<PathBuf> {
    given
        .map(Path::to_owned)
        .context("a study is needed: --config FILE, such as configs/ablation_a_config.json")
}

fn named<T: Copy + PartialEq>(names: &[OneOrAll<T>], all: &[T]) -> Vec<T> {
    names.iter().flat_map(|name| name.list(all)).collect()
}

fn map<'a, T, U>(entries: &'a [T], convert: impl Fn(&'a T) -> U) -> Vec<U> {
    entries.iter().map(convert).collect()
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn replace_optional<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

fn replace_list<T: Clone>(place: &mut Vec<T>, values: &[T]) {
    if !values.is_empty() {
        *place = values.to_vec();
    }
}

/// A value by the name that configurations have for it.
fn parse_named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|error| error.to_string())
}
