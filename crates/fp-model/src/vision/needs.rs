//! From selectors' needs to what is read from the vision tower.

use fp_scoring::{Plan, Site, VisionNeed};

use super::request::{VisionRead, VisionRequest};
use crate::config::{FeatureSelect, ModelConfig, VisionConfig};
use crate::error::{ModelError, Result};

impl VisionConfig {
    /// The evidence to read for a need.
    ///
    /// # Errors
    /// A layer or state that the tower doesn't have.
    pub fn read_for(&self, need: VisionNeed) -> Result<VisionRead> {
        Ok(match need {
            VisionNeed::Features => VisionRead::Features,
            VisionNeed::HiddenState(state) => VisionRead::HiddenState(self.state_index(state)?),
            VisionNeed::ClassAttention(_) if self.num_class_tokens() == 0 => {
                return Err(ModelError::InputValue {
                    what: "what a method reads",
                    found: "the class token's attention".to_owned(),
                    expected: "other evidence: this vision tower has no class token".to_owned(),
                });
            }
            VisionNeed::ClassAttention(layer) => {
                VisionRead::ClassAttention(self.layer_index(layer)?)
            }
            VisionNeed::ReceivedAttention(layer) => {
                VisionRead::ReceivedAttention(self.layer_index(layer)?)
            }
            VisionNeed::Queries(layer) => VisionRead::Queries(self.layer_index(layer)?),
            VisionNeed::Keys(layer) => VisionRead::Keys(self.layer_index(layer)?),
            VisionNeed::MeanKeys(layer) => VisionRead::MeanKeys(self.layer_index(layer)?),
        })
    }
}

impl ModelConfig {
    /// The evidence of the vision tower that the stages of `plans` need: what their selectors read,
    /// and the rows of which sums before the projector are taken.
    ///
    /// # Errors
    /// A layer or state that the tower doesn't have.
    pub fn vision_request<'a>(
        &self,
        plans: impl IntoIterator<Item = &'a Plan>,
    ) -> Result<VisionRequest> {
        let mut request = VisionRequest::new();
        for stage in plans.into_iter().flat_map(|plan| &plan.stages) {
            let needs = stage.selector.needs();
            let looks_at_tower = !needs.vision.is_empty() || needs.clip;
            if self.dynamic.is_some() && (looks_at_tower || stage.site == Site::Vision) {
                return Err(ModelError::InputValue {
                    what: "what a method reads",
                    found: "the vision tower".to_owned(),
                    expected: format!(
                        "the decoder alone: {} patches of the tower of the family {} are \
                         merged into one image token",
                        self.dynamic
                            .as_ref()
                            .map_or(1, |vision| vision.merge_size.pow(2)),
                        self.family
                    ),
                });
            }
            for need in needs.vision {
                request.extend([self.vision.read_for(need)?]);
            }
            if needs.clip {
                request.extend([VisionRead::NormedFeatures]);
            }
            if stage.site == Site::Vision {
                request.extend(self.projector_rows());
            }
        }
        Ok(request)
    }

    /// The rows that can enter the projector: the features, and the class token's row if it isn't
    /// one of them.
    fn projector_rows(&self) -> Vec<VisionRead> {
        match (self.feature_select, self.vision.num_class_tokens()) {
            (FeatureSelect::Full, _) | (_, 0) => vec![VisionRead::Features],
            (FeatureSelect::Patches, _) => vec![VisionRead::Features, self.class_state()],
        }
    }

    /// The hidden state from which the features are taken.
    pub(crate) fn class_state(&self) -> VisionRead {
        VisionRead::HiddenState(self.num_vision_layers_used())
    }
}
