//! Evidence of the vision tower for selectors, for one square or crop by crop.

use candle_core::Tensor;
use fp_scoring::{CropEvidence, Matrix, Needs, VisionNeed, VisionValues};

use crate::config::FeatureSelect;
use crate::error::Result;
use crate::model::{CropFeatures, ImageFeatures, LlavaModel};
use crate::ops::{concatenated, gather_ids};
use crate::vision::{VisionEvidence, VisionRead};

/// Values read from the vision tower, on the host, with the width of their rows.
pub(crate) type OfTower = (VisionNeed, Vec<f32>, usize);

pub(crate) fn vision_values(read: &[OfTower]) -> VisionValues<'_> {
    let mut vision = VisionValues::default();
    for (need, values, width) in read {
        if let Some(matrix) = Matrix::new(values, *width) {
            vision.insert(*need, matrix);
        }
    }
    vision
}

pub(crate) fn crop_evidence<'a>(tokens: &'a [usize], read: &'a [OfTower]) -> CropEvidence<'a> {
    CropEvidence {
        tokens,
        vision: vision_values(read),
    }
}

impl LlavaModel {
    /// The values that a selector needs, taken from the evidence `known`.
    pub(crate) fn read_of(&self, known: &VisionEvidence, needs: &Needs) -> Result<Vec<OfTower>> {
        let read = needs.vision.iter().map(|&need| {
            let from = self.config().vision.read_for(need)?;
            let width = known.get(from)?.dims().last().copied().unwrap_or(0);
            Ok((need, known.values(from)?, width))
        });
        read.collect()
    }

    /// The rows that can enter the projector, `[N, V]`, followed by the class token's row if it
    /// isn't a feature; `None` if `depth` isn't 0 or the rows weren't read.
    pub(crate) fn projector_rows(
        &self,
        features: &ImageFeatures,
        depth: usize,
    ) -> Result<Option<Tensor>> {
        if let Some(crops) = features.crops.as_ref().filter(|_| depth == 0) {
            return self.rows_of_crops(crops);
        }
        let Some(vision) = features.vision.as_ref().filter(|_| depth == 0) else {
            return Ok(None);
        };
        let Ok(rows) = vision.get(VisionRead::Features) else {
            return Ok(None);
        };
        match vision.get(self.config().class_state()) {
            Ok(state)
                if self.config().feature_select == FeatureSelect::Patches
                    && self.config().vision.num_class_tokens() > 0 =>
            {
                let class = state.narrow(0, 0, 1)?;
                Ok(Some(concatenated(&[rows, &class])?))
            }
            _ => Ok(Some(rows.clone())),
        }
    }

    /// The rows of crops that can enter the projector, in the order of their tokens, followed by
    /// the rows of the crops' class tokens.
    fn rows_of_crops(&self, crops: &CropFeatures) -> Result<Option<Tensor>> {
        let (mut rows, mut classes) = (Vec::new(), Vec::new());
        for vision in &crops.vision {
            let (Ok(features), Ok(state)) = (
                vision.get(VisionRead::Features),
                vision.get(self.config().class_state()),
            ) else {
                return Ok(None);
            };
            rows.push(features.clone());
            classes.push(state.narrow(0, 0, 1)?);
        }
        let mut at = vec![0_u32; crops.tokens.iter().map(Vec::len).sum()];
        for (row, &token) in crops.tokens.iter().flatten().enumerate() {
            if let Some(at) = at.get_mut(token) {
                *at = row as u32;
            }
        }
        let rows = concatenated(&rows)?;
        let mut all = vec![gather_ids(&rows, &at)?];
        all.extend(classes);
        Ok(Some(concatenated(&all)?))
    }
}
