//! The list of published methods.

use super::{PublishedError, PublishedMethod};
use crate::pruning::methods;

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

/// The published method with this name.
///
/// # Errors
/// An unknown name.
pub fn published_method(name: &str) -> Result<&'static dyn PublishedMethod, PublishedError> {
    let methods = published_methods();
    let found = methods.iter().find(|method| method.card().name == name);
    found.copied().ok_or_else(|| PublishedError::UnknownMethod {
        name: name.to_owned(),
        known: methods.iter().map(|method| method.card().name).collect(),
    })
}
