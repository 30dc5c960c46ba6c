//! Published methods and their stages in a model.

use std::fmt::Debug;

use super::shared::KEEP;
use super::{MethodChoice, MethodInputs, MethodParams, PublishedCard, PublishedError, at_budget};
use crate::{CropBudget, Evidence, PlanSetting, Site, VisionNeed};

/// A named published method.
pub trait PublishedMethod: Debug + Send + Sync {
    /// Its description.
    fn card(&self) -> &'static PublishedCard;

    /// Its selection for given tensors.
    ///
    /// # Errors
    /// Tensors that are missing or contradict each other, parameters that don't fit them, and
    /// inputs for which the rule is undefined.
    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError>;

    /// Its stages in a model, for an image size and the parameters of a whole model's run.
    ///
    /// # Errors
    /// Parameters that don't fit the model, or a method that the model can't run.
    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError>;

    /// Its settings for a fraction of the image tokens, which grow with the fraction and have
    /// layers and heads scaled to the model. The default is the number of tokens to keep, if
    /// there is such a setting. `None` if no setting determines the number of kept tokens.
    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        let mut params = self.card().params.iter();
        let takes_keep = params.any(|param| *param == KEEP);
        takes_keep.then(|| at_budget::keep(share, setting))
    }

    /// Whether it is set by a budget; otherwise it runs once, and its rule determines the number
    /// of kept tokens.
    fn takes_budget(&self) -> bool {
        true
    }

    /// Whether it prunes a model's image tokens on its own.
    fn runs_in_models(&self) -> bool {
        true
    }

    /// Whether it reads embeddings of another model than the pruned one.
    fn needs_another_model(&self) -> bool {
        false
    }

    /// Whether its stages find SparseVLM's raters from the embeddings of image and text.
    fn finds_raters(&self) -> bool {
        false
    }

    /// Whether it needs the complete grid of image tokens, for windows or neighbours.
    fn takes_whole_grid(&self) -> bool {
        false
    }

    /// Whether it is undefined for a vision tower without a class token.
    fn looks_at_class_token(&self) -> bool {
        false
    }

    /// What its number of tokens refers to on the crops of LLaVA-NeXT, according to its authors;
    /// `None` if unknown.
    fn authors_crop_budget(&self) -> Option<CropBudget> {
        None
    }

    /// The parameters of one selection for a sample, at a stage with parameters `params`.
    ///
    /// # Errors
    /// Missing evidence.
    fn stage_params(
        &self,
        params: &MethodParams,
        _evidence: &Evidence<'_>,
    ) -> Result<MethodParams, PublishedError> {
        Ok(params.clone())
    }
}

/// Where a model provides a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A value of the vision tower, unchanged.
    Vision(VisionNeed),
    /// A value of the vision tower, averaged over its rows: a vector.
    VisionMean(VisionNeed),
    /// The projector's output, `[N, D]`.
    Embeds,
    /// CLIP's embeddings of the patches, `[N, C]`.
    ClipImage,
    /// CLIP's embeddings of the segments of the question, `[segments, C]`.
    ClipText,
    /// Hidden states of the image tokens at the stage, `[n, D]`.
    Hidden,
    /// Hidden states of the same tokens when they entered the layer before, `[n, D]`.
    PreviousHidden,
    /// Attention of the prompt's last token in the next layer, `[H, 1, n]`.
    LastRowAhead,
    /// Attention of the text in the last layer run, `[H, T, n]`.
    TextRows,
    /// The largest attention among heads, from image and text to image tokens in the last layer
    /// run; the columns of the text stay 0: `[1, n + T, n + T]`.
    LargestOverHeads,
    /// Hidden states of the whole sequence after the final norm, `[S, D]`.
    States,
    /// Keys of the last layer run, after rotary embedding, heads side by side, `[S, H·d]`.
    Keys,
}

/// A stage of a published method.
#[derive(Debug, Clone)]
pub struct PublishedStage {
    /// Where tokens are dropped.
    pub site: Site,
    /// The rule that selects there.
    pub method: &'static dyn PublishedMethod,
    /// Its parameters there.
    pub params: MethodParams,
    /// The most tokens that are kept.
    pub kept: usize,
    /// The source of each tensor.
    pub sources: Vec<(&'static str, Source)>,
}
