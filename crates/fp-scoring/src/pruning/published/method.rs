//! A published method, and its stages in a model.

use std::fmt::Debug;

use super::shared::KEEP;
use super::{MethodChoice, MethodInputs, MethodParams, PublishedCard, PublishedError, at_budget};
use crate::{CropBudget, Evidence, PlanSetting, Site, VisionNeed};

/// A published method, by name.
pub trait PublishedMethod: Debug + Send + Sync {
    /// What is said of it.
    fn card(&self) -> &'static PublishedCard;

    /// What it chooses of given tensors.
    ///
    /// # Errors
    /// Tensors that are missing or don't fit, parameters that don't fit them, and what the
    /// rule isn't defined for.
    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError>;

    /// Its stages in a model, for an image size and parameters of a whole model's run.
    ///
    /// # Errors
    /// Parameters that don't fit the model, or a method that a model can't run.
    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError>;

    /// Its settings for a share of the image tokens, larger ones for a larger share; layers
    /// and heads scaled to the model; by default the number of tokens to keep, where that
    /// is a setting. None where no setting says the number of tokens kept.
    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        let mut params = self.card().params.iter();
        let takes_keep = params.any(|param| *param == KEEP);
        takes_keep.then(|| at_budget::keep(share, setting))
    }

    /// Whether a budget sets it; otherwise it runs once, and as many tokens are kept as its
    /// rule finds.
    fn takes_budget(&self) -> bool {
        true
    }

    /// Whether it prunes a model's image tokens by itself.
    fn runs_in_models(&self) -> bool {
        true
    }

    /// Whether it looks at embeddings of a model beside the one that is pruned.
    fn needs_another_model(&self) -> bool {
        false
    }

    /// Whether its stages find SparseVLM's raters by the embeddings of image and text.
    fn finds_raters(&self) -> bool {
        false
    }

    /// Whether it takes the grid of image tokens as a whole: windows of it, or neighbours in
    /// it.
    fn takes_whole_grid(&self) -> bool {
        false
    }

    /// Whether it has no meaning in a vision tower without a class token.
    fn looks_at_class_token(&self) -> bool {
        false
    }

    /// What its number of tokens is meant for on the crops of LLaVA-NeXT, as its authors have
    /// it; none where that isn't known.
    fn authors_crop_budget(&self) -> Option<CropBudget> {
        None
    }

    /// The parameters of one selection, at a stage that has `params`, for a sample.
    ///
    /// # Errors
    /// Evidence that isn't there.
    fn stage_params(
        &self,
        params: &MethodParams,
        _evidence: &Evidence<'_>,
    ) -> Result<MethodParams, PublishedError> {
        Ok(params.clone())
    }
}

/// Where a tensor comes from in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Read of the vision tower, as it is.
    Vision(VisionNeed),
    /// Read of the vision tower, mean over its rows: a vector.
    VisionMean(VisionNeed),
    /// The projector's output, `[N, D]`.
    Embeds,
    /// Where CLIP puts the patches, `[N, C]`.
    ClipImage,
    /// Where CLIP puts each segment of the question, `[segments, C]`.
    ClipText,
    /// Hidden states of the image tokens at the stage, `[n, D]`.
    Hidden,
    /// Hidden states of the same tokens as they entered the layer before, `[n, D]`.
    PreviousHidden,
    /// Attention of the prompt's last token in the layer to come, `[H, 1, n]`.
    LastRowAhead,
    /// Attention of the text in the layer just run, `[H, T, n]`.
    TextRows,
    /// The largest attention among heads, of image and text to both in the layer just run;
    /// to the text it is left 0: `[1, n + T, n + T]`.
    LargestOverHeads,
    /// Hidden states of the whole sequence through the final norm, `[S, D]`.
    States,
    /// Keys of the layer just run, after rotary positions, heads side by side, `[S, H·d]`.
    Keys,
}

/// A stage of a published method.
#[derive(Debug, Clone)]
pub struct PublishedStage {
    /// Where.
    pub site: Site,
    /// The rule that chooses there.
    pub method: &'static dyn PublishedMethod,
    /// Its parameters there.
    pub params: MethodParams,
    /// How many tokens are kept at most.
    pub kept: usize,
    /// Where each tensor comes from.
    pub sources: Vec<(&'static str, Source)>,
}
