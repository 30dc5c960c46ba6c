//! What several published methods take alike.

use super::{
    Dense, InputCard, MethodInputs, ParamCard, ParamDefault, ParamKind, ParamScope, PublishedError,
};

/// The class token's attention.
pub(crate) const CLS_ATTENTION: InputCard = InputCard {
    name: "cls_attention",
    shape: "[H, N]",
    summary: "attention of the class token to the patches in the tower's last layer but one, after softmax",
};

/// The tower's features.
pub(crate) const HIDDEN: InputCard = InputCard {
    name: "hidden",
    shape: "[N+1, D]",
    summary: "penultimate features of the tower, the class token's first",
};

/// The projector's output.
pub(crate) const PROJECTED: InputCard = InputCard {
    name: "projected",
    shape: "[N, P]",
    summary: "the projector's output",
};

/// Attention of the text to the image in a decoder layer.
pub(crate) const ROWS: InputCard = InputCard {
    name: "rows",
    shape: "[H, T, N]",
    summary: "attention of the text after the image to the image tokens in a decoder layer, after softmax",
};

/// How many tokens go on.
pub(crate) const KEEP: ParamCard = ParamCard {
    name: "keep",
    kind: ParamKind::Count,
    default: ParamDefault::Required,
    scope: ParamScope::Both,
    summary: "T, how many tokens go on",
};

/// The decoder layers that have run before each stage.
pub(crate) const fn layers(default: ParamDefault) -> ParamCard {
    ParamCard {
        name: "layers",
        kind: ParamKind::Counts,
        default,
        scope: ParamScope::Model,
        summary: "the decoder layers that have run before each stage, counted",
    }
}

/// Where the image begins.
pub(crate) const VISUAL_START: ParamCard = ParamCard {
    name: "visual_start",
    kind: ParamKind::Count,
    default: ParamDefault::Required,
    scope: ParamScope::Selection,
    summary: "position of the first image token in the sequence",
};

/// The text tokens that rate.
pub(crate) const RATERS: ParamCard = ParamCard {
    name: "raters",
    kind: ParamKind::Counts,
    default: ParamDefault::Required,
    scope: ParamScope::Selection,
    summary: "the text tokens after the image that rate, as sparsevlm_raters finds them",
};

/// The features of the patches alone, for N patches.
pub(crate) fn patch_features(
    inputs: &MethodInputs,
    num_tokens: usize,
) -> Result<Dense, PublishedError> {
    let hidden = inputs.matrix("hidden")?;
    let why = "the class token's row and one per patch of `cls_attention`";
    MethodInputs::check_rows("hidden", hidden.num_rows(), num_tokens + 1, why)?;
    Ok(hidden.slice(1, num_tokens))
}
