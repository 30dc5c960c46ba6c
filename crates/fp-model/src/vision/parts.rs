//! Parts of the vision tower that features don't need.

use crate::config::VisionConfig;
use crate::error::{ModelError, Result};

/// Parts of the vision tower to load besides those that features need: layers after the feature
/// layer, and the norm after the last one. Checkpoints store them, but answering doesn't use them,
/// so they are loaded only to be read ([`crate::VisionRequest::parts`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VisionParts {
    /// Number of layers to load, from the first on; if smaller than features need, only those are
    /// loaded.
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
