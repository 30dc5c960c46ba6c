//! What is measured: schedules of tokens, and what scores them.

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

/// Shares of the image tokens that the published budgets of LLaVA-1.5 7B keep after
/// layer 2: 166, 98 and 30 of 576.
pub const PUBLISHED_RETENTIONS: [f64; 3] = [166.0 / 576.0, 98.0 / 576.0, 30.0 / 576.0];

/// How many image tokens each layer works on. Whatever keeps equally many tokens has the
/// same schedule and, scoring apart, the same cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// `dense`, `R42`, or `drop_all`.
    pub label: String,
    /// Image tokens in the layers after K.
    pub kept: usize,
    /// Whether it goes the way of pruning; the dense model doesn't, even where a budget
    /// keeps every token.
    pub is_pruned: bool,
    /// Whether attention chooses the tokens.
    pub is_scored: bool,
    /// The budgets that come to it.
    pub budgets: Vec<TokenBudget>,
    /// What counting predicts.
    pub predicted: Predicted,
}

/// Something that chooses tokens; what it costs is timed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoringMethod {
    /// Scores the heads.
    pub head_strategy: HeadStrategy,
    /// Chooses the rows.
    pub query_strategy: QueryStrategy,
    /// h.
    pub num_selected_heads: usize,
    /// Rows whose attention is read.
    pub query_rows: usize,
}

impl ScoringMethod {
    /// The method's name; `all_heads` is FastV.
    pub fn label(&self, num_heads: usize) -> String {
        if self.num_selected_heads == num_heads {
            format!("all_heads+{}", self.query_strategy)
        } else {
            format!("{}+{}", self.head_strategy, self.query_strategy)
        }
    }
}

/// Everything that a measurement is of. Nothing in it is measured: it is the same for
/// every run of the same request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The model as it was named.
    pub model: String,
    /// SHA-256 of its files, where a study knows it.
    pub model_sha256: Option<String>,
    /// SHA-256 of the study's configuration, where it is for one.
    pub config_sha256: Option<String>,
    /// The image and the question.
    pub input: String,
    /// Where system, image and text stand.
    pub layout: TokenLayout,
    /// Sizes of the decoder.
    pub shape: DecoderShape,
    /// K, counted from 1.
    pub prune_layer: usize,
    /// How a head's row becomes a distribution.
    pub normalization: Normalization,
    /// Continue even if the query rows have no attention to the image.
    pub allow_degenerate: bool,
    /// Where it computes.
    pub device: String,
    /// Number format that it computes in.
    pub dtype: String,
    /// Bytes of one value of keys and values.
    pub bytes_per_value: usize,
    /// Compute threads.
    pub threads: usize,
    /// How long, how often, how many at once.
    pub settings: EfficiencySettings,
    /// What is run, the dense model first.
    pub schedules: Vec<Schedule>,
    /// What chooses tokens. The first one does so in the runs of the schedules.
    pub methods: Vec<ScoringMethod>,
    /// Methods that are measured by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<NamedMethod>,
    /// Methods that can't be measured on this model or input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedMethod>,
}

/// What pruning is asked for.
#[derive(Debug, Clone)]
pub(super) struct Pruning<'a> {
    pub(super) budgets: &'a [TokenBudget],
    /// Whether to run without any image token after layer K, too.
    pub(super) drop_all: bool,
    /// What chooses tokens; at least one.
    pub(super) methods: &'a [(HeadStrategy, QueryStrategy, HeadCount)],
}

impl Plan {
    /// Adds schedules and methods to a plan that has everything else.
    ///
    /// # Errors
    /// A budget or head count that can't be met, K outside 1..L, a strategy that finds no
    /// rows to read.
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

    /// What the cost of a schedule follows from.
    pub(super) fn counted(&self) -> Counted<'_> {
        Counted {
            shape: &self.shape,
            layout: &self.layout,
            prune_layer: self.prune_layer,
            bytes_per_value: self.bytes_per_value,
        }
    }

    /// How `method` selects `kept` tokens.
    pub(super) fn select_options(&self, method: &ScoringMethod, kept: usize) -> SelectOptions {
        SelectOptions {
            normalization: self.normalization,
            num_selected_heads: HeadCount::Count(method.num_selected_heads),
            kept,
            allow_degenerate: self.allow_degenerate,
        }
    }

    /// The schedule that a budget came to.
    pub fn schedule_of(&self, budget: &TokenBudget) -> Option<usize> {
        let mut schedules = self.schedules.iter();
        schedules.position(|schedule| schedule.budgets.contains(budget))
    }

    /// SHA-256 of the plan: two measurements of equal ones are of the same.
    ///
    /// # Errors
    /// None that a plan gives rise to.
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
        // Four of 16 are a quarter, and 10 on average; all 16 kept are scored, dense isn't.
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
