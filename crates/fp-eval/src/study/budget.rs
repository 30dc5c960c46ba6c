//! A budget as it comes to on a model.

use fp_scoring::{ScheduleStages, TokenBudget};
use serde::{Deserialize, Serialize};

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
    /// K, where the study has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_layer: Option<usize>,
    /// The schedule that it is, where it is one; `setting` is then its layer average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleStages>,
}
