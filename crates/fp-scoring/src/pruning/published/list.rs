//! The published methods that there are.

use std::fmt::Debug;

use super::{
    MethodChoice, MethodInputs, MethodParams, PublishedCard, PublishedError, PublishedStage,
};
use crate::pruning::methods;
use crate::{Evidence, PlanSetting};

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

    /// Whether its stages find SparseVLM's raters by the embeddings of image and text.
    fn finds_raters(&self) -> bool {
        false
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

/// Every published method, in the order of listings.
pub fn published_methods() -> &'static [&'static dyn PublishedMethod] {
    &[
        &methods::FasterVlm,
        &methods::VisPruner,
        &methods::VisionZip,
        &methods::Scope,
        &methods::DivPrune,
        &methods::HiPrune,
        &methods::HoloV,
        &methods::CdPruner,
        &methods::PruMergePlus,
        &methods::VScan,
        &methods::PyramidDrop,
        &methods::SparseVlmRaters,
        &methods::SparseVlm,
        &methods::SparseVlmPlus,
        &methods::FitPrune,
        &methods::V2Drop,
        &methods::Dart,
    ]
}

/// The published method of a name.
///
/// # Errors
/// There is none.
pub fn published_method(name: &str) -> Result<&'static dyn PublishedMethod, PublishedError> {
    let methods = published_methods();
    let found = methods.iter().find(|method| method.card().name == name);
    found.copied().ok_or_else(|| PublishedError::UnknownMethod {
        name: name.to_owned(),
        known: methods.iter().map(|method| method.card().name).collect(),
    })
}
