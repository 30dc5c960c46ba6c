//! Vision parts that take squares: a tower, a projector, and the end-of-row embedding of tiles.

use candle_core::Tensor;

use super::evidence::{VisionEvidence, check_finite};
use super::parts::VisionParts;
use super::request::VisionRequest;
use super::tower::VisionTower;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::families::Loaders;
use crate::projector::Projector;
use crate::weights::Names;

/// A tower of squares with its projector.
#[derive(Debug)]
pub(crate) struct SquareVision {
    pub(super) tower: VisionTower,
    projector: Projector,
    /// The end-of-row embedding of tiles, `[D]`.
    pub(super) newline: Option<Tensor>,
}

impl SquareVision {
    pub(crate) fn load(
        loaders: &Loaders<'_>,
        config: &ModelConfig,
        names: &Names,
        parts: &VisionParts,
    ) -> Result<SquareVision> {
        let width = config.text.hidden_size;
        Ok(SquareVision {
            tower: VisionTower::load(&loaders.tower, config, names, parts)?,
            projector: Projector::load(&loaders.main, config, names)?,
            newline: match config.grid_pinpoints {
                Some(_) => Some(loaders.main.tensor(names.newline, &[width])?),
                None => None,
            },
        })
    }

    /// Runs tower and projector: `[images · tokens, D]`, and each image's evidence.
    pub(super) fn encode(
        &self,
        pixel_values: &Tensor,
        request: &VisionRequest,
    ) -> Result<(Tensor, Vec<VisionEvidence>)> {
        let (features, evidence) = self.tower.forward(pixel_values, request)?;
        Ok((self.project(&features.flatten_to(1)?)?, evidence))
    }

    /// Projects `[n, V]` to `[n, D]`.
    pub(super) fn project(&self, features: &Tensor) -> Result<Tensor> {
        let embeds = self.projector.forward(features)?;
        check_finite(&embeds, "the image features")?;
        Ok(embeds)
    }
}
