//! The cells of a study: strategy × budget × h, and the controls.

use super::config::{HeadSetting, StudyConfig};
use fp_model::ModelConfig;
use fp_scoring::{
    BudgetError, DecoderShape, HeadStrategy, QueryStrategy, TokenBudget, average_visual_tokens,
};
use serde::{Deserialize, Serialize};

/// What a grid depends on of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    /// Sizes of the decoder.
    pub decoder: DecoderShape,
    /// N, where every image has as many; none for any-resolution input.
    pub num_image_tokens: Option<usize>,
}

impl ModelShape {
    /// The shape that a configuration describes.
    pub fn new(config: &ModelConfig) -> ModelShape {
        ModelShape {
            decoder: config.text.decoder_shape(),
            num_image_tokens: match config.grid_pinpoints {
                Some(_) => None,
                None => Some(config.tokens_per_square()),
            },
        }
    }
}

/// One budget of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// As the configuration says it.
    pub setting: TokenBudget,
    /// Short and unique, such as `R42`; `B192` or `r0.25` where R depends on the image.
    pub label: String,
    /// R, where every image has as many tokens.
    pub kept: Option<usize>,
    /// B, where every image has as many tokens.
    pub average_visual_tokens: Option<f64>,
}

/// How a cell's image tokens are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Method {
    /// No pruning.
    Vanilla,
    /// The question without its image.
    NoImage,
    /// No image token after layer K.
    DropAll,
    /// By a head strategy and a query strategy: what is studied.
    Strategy {
        /// Scores the heads.
        head_strategy: HeadStrategy,
        /// Chooses the rows.
        query_strategy: QueryStrategy,
        /// h.
        num_selected_heads: usize,
    },
    /// FastV: the mean over every head.
    AllHeads {
        /// Chooses the rows.
        query_strategy: QueryStrategy,
    },
    /// Seeded chance.
    Random {
        /// The seed; each sample draws from its own stream under it.
        seed: u64,
    },
    /// Evenly spaced tokens.
    UniformGrid,
    /// The tokens that ground-truth boxes cover.
    Oracle,
}

impl Method {
    /// Where attention is read from; none for methods that don't read any.
    pub fn query_strategy(&self) -> Option<QueryStrategy> {
        match self {
            Method::Strategy { query_strategy, .. } | Method::AllHeads { query_strategy } => {
                Some(*query_strategy)
            }
            _ => None,
        }
    }

    /// Whether this is what a study asks about, and not what it is held to.
    pub fn is_studied(&self) -> bool {
        matches!(self, Method::Strategy { .. })
    }

    /// The name without budget and h, such as `variance+last_token` or `random/s1`.
    pub fn label(&self) -> String {
        match self {
            Method::Vanilla => "vanilla".to_owned(),
            Method::NoImage => "no_image".to_owned(),
            Method::DropAll => "drop_all".to_owned(),
            Method::Strategy {
                head_strategy,
                query_strategy,
                ..
            } => format!("{head_strategy}+{query_strategy}"),
            Method::AllHeads { query_strategy } => format!("all_heads+{query_strategy}"),
            Method::Random { seed } => format!("random/s{seed}"),
            Method::UniformGrid => "uniform_grid".to_owned(),
            Method::Oracle => "oracle".to_owned(),
        }
    }
}

/// One way to answer every sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Unique and stable, such as `variance+last_token/h4/R42`.
    pub id: String,
    /// How image tokens are chosen.
    #[serde(flatten)]
    pub method: Method,
    /// Index of the budget; none for cells that have none.
    pub budget: Option<usize>,
}

/// All cells of a study on a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// The budgets, in the order of the configuration.
    pub budgets: Vec<Budget>,
    /// The cells; controls without a budget first, then budget by budget.
    pub cells: Vec<Cell>,
}

/// A configuration that a model can't follow.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GridError {
    /// A budget or head count that can't be met.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// Every head selected, which makes all head strategies one.
    #[error(
        "num_selected_heads: {setting} selects all {num_heads} heads, and then every head strategy is the same method; leave it to the control all_heads"
    )]
    AllHeads {
        /// As configured.
        setting: String,
        /// H.
        num_heads: usize,
    },
    /// Two settings that come to the same.
    #[error("{what}: {first} and {second} both come to {value}; leave one out")]
    Same {
        /// The key.
        what: &'static str,
        /// One setting.
        first: String,
        /// The other.
        second: String,
        /// What they come to.
        value: String,
    },
}

impl Grid {
    /// The cells of `config` on a model of `shape`.
    ///
    /// # Errors
    /// A budget, layer or head count that the model can't follow, or two that come
    /// to the same.
    pub fn new(config: &StudyConfig, shape: &ModelShape) -> Result<Grid, GridError> {
        let budgets = budgets(config, shape)?;
        let head_counts = head_counts(&config.num_selected_heads, shape.decoder.num_heads)?;
        let controls = &config.controls;
        let mut cells = Vec::new();
        for (is_wanted, method) in [
            (controls.vanilla, Method::Vanilla),
            (controls.no_image, Method::NoImage),
            (controls.drop_all, Method::DropAll),
        ] {
            if is_wanted {
                cells.push(Cell {
                    id: method.label(),
                    method,
                    budget: None,
                });
            }
        }
        for (index, budget) in budgets.iter().enumerate() {
            let mut add = |method: Method, heads: Option<usize>| {
                let heads = heads.map_or(String::new(), |count| format!("/h{count}"));
                cells.push(Cell {
                    id: format!("{}{heads}/{}", method.label(), budget.label),
                    method,
                    budget: Some(index),
                });
            };
            for &head_strategy in &config.head_selection_strategies {
                for &query_strategy in &config.query_selection_strategies {
                    for &num_selected_heads in &head_counts {
                        let method = Method::Strategy {
                            head_strategy,
                            query_strategy,
                            num_selected_heads,
                        };
                        add(method, Some(num_selected_heads));
                    }
                }
            }
            if controls.all_heads {
                let query_strategy = config.all_heads_query();
                add(Method::AllHeads { query_strategy }, None);
            }
            for &seed in &controls.random_seeds {
                add(Method::Random { seed }, None);
            }
            if controls.uniform_grid {
                add(Method::UniformGrid, None);
            }
            if controls.oracle {
                add(Method::Oracle, None);
            }
        }
        Ok(Grid { budgets, cells })
    }

    /// The query strategies that some cell reads attention by, each once.
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

    /// Where a cell stands, by its id.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.cells.iter().position(|cell| cell.id == id)
    }
}

fn budgets(config: &StudyConfig, shape: &ModelShape) -> Result<Vec<Budget>, GridError> {
    let (num_layers, prune_layer) = (shape.decoder.num_layers, config.prune_layer);
    if prune_layer == 0 || prune_layer >= num_layers {
        return Err(GridError::Budget(BudgetError::PruneLayer {
            prune_layer,
            num_layers,
        }));
    }
    let mut budgets: Vec<Budget> = Vec::new();
    for &setting in &config.budgets {
        let kept = shape
            .num_image_tokens
            .map(|n| setting.kept(n, num_layers, prune_layer))
            .transpose()?;
        let label = match (kept, setting) {
            (Some(kept), _) | (None, TokenBudget::Kept(kept)) => format!("R{kept}"),
            (None, TokenBudget::AverageVisualTokens(average)) => format!("B{average}"),
            (None, TokenBudget::Retention(share)) => format!("r{share}"),
        };
        if let Some(same) = budgets.iter().find(|budget| budget.label == label) {
            return Err(GridError::Same {
                what: "budgets",
                first: same.setting.to_string(),
                second: setting.to_string(),
                value: label,
            });
        }
        budgets.push(Budget {
            setting,
            label,
            kept,
            average_visual_tokens: kept
                .zip(shape.num_image_tokens)
                .map(|(kept, n)| average_visual_tokens(kept as f64, n, num_layers, prune_layer)),
        });
    }
    Ok(budgets)
}

fn head_counts(settings: &[HeadSetting], num_heads: usize) -> Result<Vec<usize>, GridError> {
    let mut counts: Vec<usize> = Vec::new();
    for setting in settings {
        let count = setting.head_count().resolve(num_heads)?;
        if count == num_heads {
            return Err(GridError::AllHeads {
                setting: setting.to_string(),
                num_heads,
            });
        }
        if let Some(same) = counts.iter().position(|&other| other == count) {
            return Err(GridError::Same {
                what: "num_selected_heads",
                first: settings[same].to_string(),
                second: setting.to_string(),
                value: format!("h = {count}"),
            });
        }
        counts.push(count);
    }
    Ok(counts)
}
