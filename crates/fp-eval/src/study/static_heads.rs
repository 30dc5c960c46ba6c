//! The heads of static variants of head strategies, as a run's folder has them.
//!
//! They are ranked before the first answer, so that a resumed run and every shard answer by
//! the same heads.

use std::path::Path;

use fp_scoring::methods::FixedHeads;
use fp_scoring::{HeadStrategy, PlanError, QueryStrategy};
use serde::{Deserialize, Serialize};

use super::config::StudyConfig;
use super::error::StudyError;
use super::files::write_json;
use super::grid::{Cell, Grid};
use super::halves::Halves;
use super::method::Method;

/// The heads of a run's static variants.
pub const STATIC_HEADS_FILE: &str = "static_heads.json";

/// The heads of static variants, and the samples that they were ranked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticHeads {
    /// How the images were split.
    pub halves: Halves,
    /// Samples of the selection half.
    pub num_samples: usize,
    /// Those of them that could not be read or run.
    pub num_failed: usize,
    /// Why the first of these failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// One entry for each layer, query strategy, h and head strategy.
    pub rankings: Vec<StaticRanking>,
}

/// The heads of one static variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRanking {
    /// Scores the heads.
    pub head_strategy: HeadStrategy,
    /// Chooses the rows that they are scored on.
    pub query_strategy: QueryStrategy,
    /// h.
    pub num_selected_heads: usize,
    /// K.
    pub prune_layer: usize,
    /// The h heads with the highest means, ascending.
    pub heads: Vec<usize>,
    /// Mean score of each head, `[H]`.
    pub mean_scores: Vec<f64>,
    /// Samples that have scores.
    pub num_scored: usize,
}

impl StaticRanking {
    pub(super) fn is_of(&self, rule: &RankedRule) -> bool {
        let own = RankedRule {
            head_strategy: self.head_strategy,
            query_strategy: self.query_strategy,
            num_selected_heads: self.num_selected_heads,
            prune_layer: self.prune_layer,
        };
        own == *rule
    }
}

impl StaticHeads {
    /// The method of a rule's heads.
    pub(super) fn method(&self, name: &str, rule: &RankedRule) -> Result<FixedHeads, PlanError> {
        let found = self.rankings.iter().find(|ranking| ranking.is_of(rule));
        let found = found.ok_or_else(|| PlanError::Setting {
            method: name.to_owned(),
            reason: "its heads were not ranked".to_owned(),
        })?;
        FixedHeads::of_heads(name, &found.heads)
    }

    /// Reads what a run ranked; none where it ranked nothing yet.
    ///
    /// # Errors
    /// A file that can't be read or isn't of a run.
    pub fn read(folder: &Path) -> Result<Option<StaticHeads>, StudyError> {
        let path = folder.join(STATIC_HEADS_FILE);
        let text = match fp_scoring::read_file(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StudyError::io("read", path)(error)),
        };
        let heads = serde_json::from_slice(&text).map_err(StudyError::json(path))?;
        Ok(Some(heads))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), StudyError> {
        write_json(&folder.join(STATIC_HEADS_FILE), self)
    }
}

/// A rule that heads are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RankedRule {
    pub(crate) head_strategy: HeadStrategy,
    pub(crate) query_strategy: QueryStrategy,
    pub(crate) num_selected_heads: usize,
    pub(crate) prune_layer: usize,
}

impl RankedRule {
    /// The rule of a cell that is a static variant; none for other cells.
    pub(crate) fn of(cell: &Cell, config: &StudyConfig) -> Option<RankedRule> {
        let Method::Static {
            head_strategy,
            query_strategy,
            num_selected_heads,
        } = cell.method
        else {
            return None;
        };
        Some(RankedRule {
            head_strategy,
            query_strategy,
            num_selected_heads,
            prune_layer: cell.prune_layer.unwrap_or(config.prune_layer.first()),
        })
    }
}

/// The rules that a grid has static variants of, each once.
pub(super) fn rules(grid: &Grid, config: &StudyConfig) -> Vec<RankedRule> {
    let mut rules: Vec<RankedRule> = Vec::new();
    for cell in &grid.cells {
        if let Method::Static { .. } = cell.method
            && let Some(rule) = RankedRule::of(cell, config)
            && !rules.contains(&rule)
        {
            rules.push(rule);
        }
    }
    rules
}
