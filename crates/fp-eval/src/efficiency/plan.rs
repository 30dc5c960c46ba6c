//! The plan of a measurement: schedules of tokens, and methods that score them.

use fp_data::hash::sha256_hex;
use fp_scoring::{
    BudgetError, DecoderShape, HeadCount, HeadStrategy, Normalization, QueryStrategy,
    SelectOptions, TokenBudget, TokenLayout,
};
use serde::{Deserialize, Serialize};

use super::error::EfficiencyError;
use super::named::{NamedMethod, SkippedMethod};
use super::predicted::{Counted, Predicted};
use super::settings::EfficiencySettings;

/// Shares of the image tokens kept after layer 2 at the published budgets of LLaVA-1.5 7B: 166, 98
/// and 30 of 576.
pub const PUBLISHED_RETENTIONS: [f64; 3] = [166.0 / 576.0, 98.0 / 576.0, 30.0 / 576.0];

/// Number of image tokens in each layer. Methods that keep equally many tokens share a schedule
/// and, except for scoring, its cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// `dense`, `R42`, or `drop_all`.
    pub label: String,
    /// Image tokens in the layers after K.
    pub kept: usize,
    /// Whether the pruning code runs; it doesn't for the dense model, but does for a budget that
    /// keeps every token.
    pub is_pruned: bool,
    /// Whether tokens are selected by attention.
    pub is_scored: bool,
    /// The budgets that resolve to this schedule.
    pub budgets: Vec<TokenBudget>,
    /// Predicted cost.
    pub predicted: Predicted,
}

/// A method that selects tokens; its cost is timed separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoringMethod {
    /// Scores the heads.
    pub head_strategy: HeadStrategy,
    /// Selects the query rows.
    pub query_strategy: QueryStrategy,
    /// h, the number of top-scoring heads to average.
    pub num_selected_heads: usize,
    /// Number of rows whose attention is read.
    pub query_rows: usize,
}

impl ScoringMethod {
    /// The method's label; `all_heads` is FastV.
    pub fn label(&self, num_heads: usize) -> String {
        if self.num_selected_heads == num_heads {
            format!("all_heads+{}", self.query_strategy)
        } else {
            format!("{}+{}", self.head_strategy, self.query_strategy)
        }
    }
}

/// What a measurement runs. It contains no measured values, so it is the same for every run of the
/// same request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The model's name as given.
    pub model: String,
    /// SHA-256 of the model's files, if a study knows it.
    pub model_sha256: Option<String>,
    /// SHA-256 of the study's configuration, if the measurement is for a study.
    pub config_sha256: Option<String>,
    /// Name of the image and the question.
    pub input: String,
    /// Layout of system, image and text.
    pub layout: TokenLayout,
    /// Sizes of the decoder.
    pub shape: DecoderShape,
    /// K, counted from 1.
    pub prune_layer: usize,
    /// How a head's row is normalised to a distribution.
    pub normalization: Normalization,
    /// Continue even if the query rows have no attention to the image.
    pub allow_degenerate: bool,
    /// The device to compute on.
    pub device: String,
    /// Number format of the computation.
    pub dtype: String,
    /// Bytes of one value of keys and values.
    pub bytes_per_value: usize,
    /// Compute threads.
    pub threads: usize,
    /// Numbers of tokens, rounds and batches.
    pub settings: EfficiencySettings,
    /// The schedules, the dense model's first.
    pub schedules: Vec<Schedule>,
    /// Methods that select tokens. The first one selects in the runs of the schedules.
    pub methods: Vec<ScoringMethod>,
    /// Methods that are measured separately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<NamedMethod>,
    /// Methods that can't be measured on this model or input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedMethod>,
}

/// The requested pruning.
#[derive(Debug, Clone)]
pub(super) struct Pruning<'a> {
    pub(super) budgets: &'a [TokenBudget],
    /// Whether to also run without image tokens after layer K.
    pub(super) drop_all: bool,
    /// Methods that select tokens; at least one.
    pub(super) methods: &'a [(HeadStrategy, QueryStrategy, HeadCount)],
}

impl Plan {
    /// Adds schedules and methods to an otherwise complete plan.
    ///
    /// # Errors
    /// A budget or number of heads that is impossible, K outside 1..L, a strategy without rows to
    /// read.
    pub(super) fn with(mut self, pruning: &Pruning<'_>) -> Result<Plan, EfficiencyError> {
        self.settings.check()?;
        let (layout, num_heads) = (self.layout, self.shape.num_heads);
        for (head_strategy, query_strategy, heads) in pruning.methods {
            let method = ScoringMethod {
                head_strategy: *head_strategy,
                query_strategy: *query_strategy,
                num_selected_heads: heads.resolve(num_heads)?,
                query_rows: query_strategy.rows_needed(&layout)?.len(),
            };
            if !self.methods.contains(&method) {
                self.methods.push(method);
            }
        }
        let Some(first) = self.methods.first() else {
            return Err(EfficiencyError::Setting {
                what: "the number of strategies",
                found: "0".to_owned(),
                expected: "at least 1".to_owned(),
            });
        };
        let query_rows = first.query_rows;
        self.schedules.push(self.schedule("dense", None, None)?);
        for budget in pruning.budgets {
            let kept = budget.kept(layout.num_image, self.shape.num_layers, self.prune_layer)?;
            let known = self.schedules.iter_mut();
            match known.into_iter().find(|s| s.is_scored && s.kept == kept) {
                Some(same) if same.budgets.contains(budget) => {}
                Some(same) => same.budgets.push(*budget),
                None => {
                    let mut schedule =
                        self.schedule(&format!("R{kept}"), Some(kept), Some(query_rows))?;
                    schedule.budgets.push(*budget);
                    self.schedules.push(schedule);
                }
            }
        }
        if pruning.drop_all {
            self.schedules
                .push(self.schedule("drop_all", Some(0), None)?);
        }
        Ok(self)
    }

    fn schedule(
        &self,
        label: &str,
        kept: Option<usize>,
        query_rows: Option<usize>,
    ) -> Result<Schedule, BudgetError> {
        let counted = self.counted();
        let tokens = kept.unwrap_or(self.layout.num_image);
        Ok(Schedule {
            label: label.to_owned(),
            kept: tokens,
            is_pruned: kept.is_some(),
            is_scored: query_rows.is_some(),
            budgets: Vec::new(),
            predicted: counted.predict(tokens, query_rows.unwrap_or(0))?,
        })
    }

    /// The quantities that determine a schedule's cost.
    pub(super) fn counted(&self) -> Counted<'_> {
        Counted {
            shape: &self.shape,
            layout: &self.layout,
            prune_layer: self.prune_layer,
            bytes_per_value: self.bytes_per_value,
        }
    }

    /// Options by which `method` selects `kept` tokens.
    pub(super) fn select_options(&self, method: &ScoringMethod, kept: usize) -> SelectOptions {
        SelectOptions {
            normalization: self.normalization,
            num_selected_heads: HeadCount::Count(method.num_selected_heads),
            kept,
            allow_degenerate: self.allow_degenerate,
        }
    }

    /// Index of the schedule to which a budget resolves.
    pub fn schedule_of(&self, budget: &TokenBudget) -> Option<usize> {
        let mut schedules = self.schedules.iter();
        schedules.position(|schedule| schedule.budgets.contains(budget))
    }

    /// SHA-256 of the plan: measurements with equal hashes measure the same.
    ///
    /// # Errors
    /// None for a valid plan.
    pub fn sha256(&self) -> Result<String, EfficiencyError> {
        Ok(sha256_hex(serde_json::to_string(self)?.as_bytes()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A plan of a small decoder without schedules or methods.
    pub(in crate::efficiency) fn bare() -> Plan {
        Plan {
            model: "random:tiny".to_owned(),
            model_sha256: None,
            config_sha256: None,
            input: "dummies".to_owned(),
            layout: TokenLayout {
                num_system: 5,
                num_image: 16,
                num_text: 4,
            },
            shape: DecoderShape {
                num_layers: 4,
                hidden_size: 32,
                intermediate_size: 48,
                num_heads: 4,
                num_kv_heads: 4,
                head_dim: 8,
            },
            prune_layer: 2,
            normalization: Normalization::L1,
            allow_degenerate: false,
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            bytes_per_value: 4,
            threads: 1,
            settings: EfficiencySettings::default(),
            schedules: Vec::new(),
            methods: Vec::new(),
            named: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn method(head: HeadStrategy) -> (HeadStrategy, QueryStrategy, HeadCount) {
        (head, QueryStrategy::LastToken, HeadCount::HALF)
    }

    #[test]
    fn equal_schedules_are_one() {
        let budgets = [
            TokenBudget::Kept(4),
            TokenBudget::Retention(0.25),
            TokenBudget::AverageVisualTokens(10.0),
            TokenBudget::Kept(8),
            TokenBudget::Kept(16),
            TokenBudget::Kept(4),
        ];
        let methods = [
            method(HeadStrategy::Variance),
            method(HeadStrategy::Sum),
            method(HeadStrategy::Variance),
        ];
        let plan = bare()
            .with(&Pruning {
                budgets: &budgets,
                drop_all: true,
                methods: &methods,
            })
            .unwrap();
        let labels: Vec<&str> = plan.schedules.iter().map(|s| s.label.as_str()).collect();
        // Four of 16 are a quarter, and 10 on average; keeping all 16 is scored, dense isn't.
        assert_eq!(labels, ["dense", "R4", "R8", "R16", "drop_all"]);
        assert_eq!(plan.schedules[1].budgets, budgets[..3]);
        assert_eq!(plan.schedule_of(&budgets[2]), Some(1));
        assert_eq!(plan.schedule_of(&TokenBudget::Kept(5)), None);
        assert_eq!(plan.methods.len(), 2);
        assert_eq!(plan.methods[0].query_rows, 1);
        let ways: Vec<(bool, bool)> = plan
            .schedules
            .iter()
            .map(|s| (s.is_pruned, s.is_scored))
            .collect();
        let scored = (true, true);
        assert_eq!(
            ways,
            [(false, false), scored, scored, scored, (true, false)]
        );
        assert_eq!(plan.schedules[0].predicted.prefill_speed_up, 1.0);
        assert!(plan.schedules[3].predicted.prefill_speed_up < 1.0);
    }

    #[test]
    fn what_cannot_be_met_is_an_error_before_any_work() {
        let with = |budget, methods: &[_]| {
            bare().with(&Pruning {
                budgets: &[budget],
                drop_all: false,
                methods,
            })
        };
        let methods = [method(HeadStrategy::Sum)];
        assert!(with(TokenBudget::Kept(17), &methods).is_err());
        assert!(with(TokenBudget::Kept(4), &[]).is_err());
        let nine = [(
            HeadStrategy::Sum,
            QueryStrategy::LastToken,
            HeadCount::Count(9),
        )];
        assert!(with(TokenBudget::Kept(4), &nine).is_err());
        let plan = Plan {
            prune_layer: 4,
            ..bare()
        };
        assert!(
            plan.with(&Pruning {
                budgets: &[TokenBudget::Kept(4)],
                drop_all: false,
                methods: &methods
            })
            .is_err()
        );
    }

    #[test]
    fn the_same_plan_has_the_same_hash() {
        let pruning = Pruning {
            budgets: &[TokenBudget::Retention(0.2917)],
            drop_all: false,
            methods: &[method(HeadStrategy::Sum)],
        };
        let hash = |plan: Plan| plan.with(&pruning).unwrap().sha256().unwrap();
        assert_eq!(hash(bare()), hash(bare()));
        let other = Plan {
            threads: 2,
            ..bare()
        };
        assert_ne!(hash(bare()), hash(other));
    }
}
