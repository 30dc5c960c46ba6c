//! Heads that a configuration fixes, each list a method.

use std::path::{Path, PathBuf};

use fp_scoring::PlanError;
use fp_scoring::methods::FixedHeads;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Prefix of the names of methods with fixed heads.
const PREFIX: &str = "fixed_heads:";

/// Heads that are fixed beforehand: exactly one of `heads`, `weights` and `file`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedHeadsSetting {
    /// What the method is called: fixed_heads:NAME.
    pub name: String,
    /// Heads of layer K, counted from 0, that all weigh the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub heads: Option<Vec<usize>>,
    /// A weight for every head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), inner(range(min = 0)))]
    pub weights: Option<Vec<f64>>,
    /// A JSON file with heads or weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// An invalid setting of fixed heads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FixedHeadsError {
    /// A file can't be read.
    #[error("fixed_heads `{name}`: can't read {}", path.display())]
    Read {
        /// The setting.
        name: String,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file isn't JSON with `heads` or `weights`.
    #[error("fixed_heads `{name}`: {} isn't a JSON object with `heads` or `weights`", path.display())]
    Json {
        /// The setting.
        name: String,
        /// The file.
        path: PathBuf,
        /// The error in its content.
        source: serde_json::Error,
    },
    /// Not exactly one of `heads`, `weights` and `file` is given.
    #[error("fixed_heads `{name}`: expected exactly one of: heads, weights, file")]
    Which {
        /// The setting.
        name: String,
    },
    /// Invalid heads or weights.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Content of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfFile {
    heads: Option<Vec<usize>>,
    weights: Option<Vec<f64>>,
}

impl FixedHeadsSetting {
    /// Name of the method.
    pub fn method_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The method; reads the file if one is named.
    ///
    /// # Errors
    /// A file that can't be read, none or several of the three keys, impossible heads.
    pub fn method(&self) -> Result<FixedHeads, FixedHeadsError> {
        let name = self.method_name();
        let which = || FixedHeadsError::Which {
            name: self.name.clone(),
        };
        match (&self.heads, &self.weights, &self.file) {
            (Some(heads), None, None) => Ok(FixedHeads::of_heads(&name, heads)?),
            (None, Some(weights), None) => Ok(FixedHeads::of_weights(&name, weights)?),
            (None, None, Some(path)) => match self.read(path)? {
                OfFile {
                    heads: Some(heads),
                    weights: None,
                } => Ok(FixedHeads::of_heads(&name, &heads)?),
                OfFile {
                    heads: None,
                    weights: Some(weights),
                } => Ok(FixedHeads::of_weights(&name, &weights)?),
                OfFile { .. } => Err(which()),
            },
            _ => Err(which()),
        }
    }

    fn read(&self, path: &Path) -> Result<OfFile, FixedHeadsError> {
        let text = fp_scoring::read_text_file(path).map_err(|source| FixedHeadsError::Read {
            name: self.name.clone(),
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|source| FixedHeadsError::Json {
            name: self.name.clone(),
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use fp_scoring::{PruningMethod, error_text};

    use super::*;

    fn setting(text: &str) -> Result<FixedHeads, FixedHeadsError> {
        let setting: FixedHeadsSetting = serde_json::from_str(text).unwrap();
        setting.method()
    }

    #[test]
    fn heads_weights_and_files() {
        let hawk = setting(r#"{"name": "hawk", "heads": [1, 3]}"#).unwrap();
        assert_eq!(hawk.name(), "fixed_heads:hawk");
        assert!(setting(r#"{"name": "w", "weights": [0.5, 0, 1]}"#).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads.json");
        let of_file = || {
            let setting = FixedHeadsSetting {
                name: "f".to_owned(),
                file: Some(path.clone()),
                ..FixedHeadsSetting::default()
            };
            setting.method().map_err(|error| error_text(&error))
        };
        assert!(of_file().unwrap_err().contains("can't read"));
        std::fs::write(&path, r#"{"weights": [0, 1]}"#).unwrap();
        assert!(of_file().is_ok());
        std::fs::write(&path, r#"{"weight": [0, 1]}"#).unwrap();
        assert!(of_file().unwrap_err().contains("unknown field"));
        for wrong in [
            r#"{"name": "n"}"#,
            r#"{"name": "n", "heads": [1], "weights": [1]}"#,
            r#"{"name": "n", "heads": []}"#,
        ] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }
}
