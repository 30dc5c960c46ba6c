//! Parts of the vision tower that features don't need.

use crate::config::VisionConfig;
use crate::error::{ModelError, Result};

/// Parts of the vision tower to load beside those that the features take: layers after
/// the feature layer, and the norm after the last one. Checkpoints store them and
/// answering doesn't use them, so they are loaded for what is to be read of them
/// ([`crate::VisionRequest::parts`]), and not by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VisionParts {
    /// Layers to load from the first on; fewer than the features take means just those.
    pub num_layers: usize,
    /// Whether to load the norm after the last layer (`post_layernorm`).
    pub post_norm: bool,
}

impl VisionParts {
    pub(crate) fn check(&self, config: &VisionConfig) -> Result<()> {
        if self.num_layers > config.num_layers {
            return Err(ModelError::InputValue {
                what: "the number of vision layers to load",
                found: self.num_layers.to_string(),
                expected: format!("at most the tower's {}", config.num_layers),
            });
        }
        Ok(())
    }
}
