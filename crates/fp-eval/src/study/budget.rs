//! A budget resolved for a model.

use fp_scoring::{ScheduleStages, TokenBudget};
use serde::{Deserialize, Serialize};

/// One budget of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The budget as configured.
    pub setting: TokenBudget,
    /// Short and unique, such as `R42`; `B192` or `r0.25` if R depends on the image.
    pub label: String,
    /// R, if all images have the same number of tokens.
    pub kept: Option<usize>,
    /// B, if all images have the same number of tokens.
    pub average_visual_tokens: Option<f64>,
    /// K, if the study has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_layer: Option<usize>,
    /// The schedule, if the budget is one; `setting` is then its layer average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleStages>,
}
