//! What a configuration can't mean.

use super::{StudyConfig, StudyKind};
use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::path::PathBuf;

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that can't be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not the JSON object that it has to be.
    #[error("{} can't be used as a configuration", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: serde_json::Error,
    },
    /// A value that can't be meant.
    #[error("{field}: {found}; {expected}")]
    Value {
        /// The key.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
}

impl StudyConfig {
    /// Refuses what no model and no data could make sense of.
    ///
    /// # Errors
    /// The first value that can't be meant, by its key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (heads, queries) = (
            &self.head_selection_strategies,
            &self.query_selection_strategies,
        );
        list("head_selection_strategies", heads)?;
        list("query_selection_strategies", queries)?;
        match self.study {
            StudyKind::A if queries.len() != 1 => {
                return Err(wrong(
                    "query_selection_strategies",
                    format!("{} of them", queries.len()),
                    "study a varies heads and fixes one query strategy",
                ));
            }
            StudyKind::B if heads.len() != 1 => {
                return Err(wrong(
                    "head_selection_strategies",
                    format!("{} of them", heads.len()),
                    "study b varies query strategies and fixes one head strategy",
                ));
            }
            _ => {}
        }
        if self.prune_layer == 0 {
            return Err(wrong("prune_layer", "0", "layers are counted from 1"));
        }
        if self.budgets.is_empty() {
            return Err(wrong("budgets", "none", "at least one is needed"));
        }
        if self.num_selected_heads.is_empty() {
            return Err(wrong(
                "num_selected_heads",
                "none",
                "at least one is needed; all heads are the control all_heads",
            ));
        }
        let seeds = &self.controls.random_seeds;
        if seeds.iter().collect::<HashSet<_>>().len() < seeds.len() {
            let expected = "each seed once";
            return Err(wrong(
                "controls.random_seeds",
                format!("{seeds:?}"),
                expected,
            ));
        }
        list("datasets", &self.datasets)?;
        if self.max_new_tokens == 0 {
            return Err(wrong("max_new_tokens", "0", "at least 1"));
        }
        if self.limit == Some(0) {
            return Err(wrong("limit", "0", "at least 1, or left out"));
        }
        if let Some(error) = self.efficiency.and_then(|settings| settings.check().err()) {
            return Err(wrong("efficiency", error, "see configs/study.schema.json"));
        }
        self.check_statistics()
    }

    fn check_statistics(&self) -> Result<(), ConfigError> {
        let statistics = &self.statistics;
        if let Some(name) = &statistics.baseline {
            let varied: Vec<&str> = match self.study {
                StudyKind::B => self
                    .query_selection_strategies
                    .iter()
                    .map(|s| s.name())
                    .collect(),
                _ => self
                    .head_selection_strategies
                    .iter()
                    .map(|s| s.name())
                    .collect(),
            };
            if !varied.contains(&name.as_str()) {
                return Err(wrong(
                    "statistics.baseline",
                    format!("`{name}`"),
                    format!(
                        "one of the strategies that are varied: {}",
                        varied.join(", ")
                    ),
                ));
            }
        }
        let margin = statistics.equivalence_margin;
        if !(margin > 0.0 && margin <= 100.0) {
            let expected = "percentage points above 0, at most 100";
            return Err(wrong("statistics.equivalence_margin", margin, expected));
        }
        let confidence = statistics.confidence;
        if !(confidence > 0.5 && confidence < 1.0) {
            let expected = "between 0.5 and 1";
            return Err(wrong("statistics.confidence", confidence, expected));
        }
        if statistics.num_draws < 1000 {
            return Err(wrong(
                "statistics.num_draws",
                statistics.num_draws,
                "at least 1000",
            ));
        }
        Ok(())
    }
}

fn wrong(
    field: &'static str,
    found: impl std::fmt::Display,
    expected: impl Into<String>,
) -> ConfigError {
    ConfigError::Value {
        field,
        found: found.to_string(),
        expected: expected.into(),
    }
}

/// At least one entry, none of them twice.
fn list<T: Debug + Eq + Hash>(field: &'static str, entries: &[T]) -> Result<(), ConfigError> {
    if entries.is_empty() {
        return Err(wrong(field, "none", "at least one is needed"));
    }
    let mut seen = HashSet::new();
    match entries.iter().find(|entry| !seen.insert(*entry)) {
        Some(twice) => Err(wrong(field, format!("{twice:?} twice"), "each once")),
        None => Ok(()),
    }
}
