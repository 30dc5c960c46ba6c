//! The heads of static variants of head strategies, as stored in a run's folder.
//!
//! They are ranked before the first answer, so that a resumed run and all shards use the same
//! heads.

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

/// Name of the file with the heads of a run's static variants.
pub const STATIC_HEADS_FILE: &str = "static_heads.json";

/// The heads of static variants, and the samples on which they were ranked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticHeads {
    /// How the images were divided into halves.
    pub halves: Halves,
    /// Number of samples of the selection half.
    pub num_samples: usize,
    /// How many of those could not be read or run.
    pub num_failed: usize,
    /// The error of the first sample that failed.
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
    /// Selects the query rows on which they are scored.
    pub query_strategy: QueryStrategy,
    /// h, the number of top-scoring heads to average.
    pub num_selected_heads: usize,
    /// K, the layer.
    pub prune_layer: usize,
    /// The h heads with the highest means, ascending.
    pub heads: Vec<usize>,
    /// Mean score of each head, `[H]`.
    pub mean_scores: Vec<f64>,
    /// Number of samples with scores.
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
    /// The method with the heads of a rule.
    pub(super) fn method(&self, name: &str, rule: &RankedRule) -> Result<FixedHeads, PlanError> {
        let found = self.rankings.iter().find(|ranking| ranking.is_of(rule));
        let found = found.ok_or_else(|| PlanError::Setting {
            method: name.to_owned(),
            reason: "its heads were not ranked".to_owned(),
        })?;
        FixedHeads::of_heads(name, &found.heads)
    }

    /// Reads a run's ranked heads; `None` if they haven't been ranked yet.
    ///
    /// # Errors
    /// A file that can't be read or has invalid content.
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

/// A rule by which heads are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RankedRule {
    pub(crate) head_strategy: HeadStrategy,
    pub(crate) query_strategy: QueryStrategy,
    pub(crate) num_selected_heads: usize,
    pub(crate) prune_layer: usize,
}

impl RankedRule {
    /// The rule of a cell that is a static variant; `None` for other cells.
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

/// The rules for which a grid has static variants, each once.
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
