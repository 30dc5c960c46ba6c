//! Code that several published methods share.

use super::{
    Dense, InputCard, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind, ParamScope,
    PublishedError,
};
use crate::{PlanSetting, SelectError};

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

/// Number of kept tokens.
pub(crate) const KEEP: ParamCard = ParamCard {
    name: "keep",
    kind: ParamKind::Count,
    default: ParamDefault::Required,
    scope: ParamScope::Both,
    summary: "T, the number of tokens kept",
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

/// Position of the first image token.
pub(crate) const VISUAL_START: ParamCard = ParamCard {
    name: "visual_start",
    kind: ParamKind::Count,
    default: ParamDefault::Required,
    scope: ParamScope::Selection,
    summary: "position of the first image token in the sequence",
};

/// The text tokens that rate image tokens.
pub(crate) const RATERS: ParamCard = ParamCard {
    name: "raters",
    kind: ParamKind::Counts,
    default: ParamDefault::Required,
    scope: ParamScope::Selection,
    summary: "the text tokens after the image that rate, as sparsevlm_raters finds them",
};

/// The vision layer whose attention belongs to the features: for LLaVA's CLIP the last but one,
/// whose output the features are; for a tower without a class token, the SigLIP of
/// LLaVA-OneVision, the last one.
pub(crate) fn feature_layer(setting: &PlanSetting) -> i64 {
    if setting.has_class_token { -2 } else { -1 }
}

/// The features of only the patches, for N patches.
pub(crate) fn patch_features(
    inputs: &MethodInputs,
    num_tokens: usize,
) -> Result<Dense, PublishedError> {
    let hidden = inputs.matrix("hidden")?;
    let why = "the class token's row and one per patch of `cls_attention`";
    inputs.check_rows("hidden", hidden.num_rows(), num_tokens + 1, why)?;
    Ok(hidden.slice(1, num_tokens))
}

/// The side of a square grid of `num_tokens` tokens.
pub(crate) fn square_side(method: &str, num_tokens: usize) -> Result<usize, SelectError> {
    let side = num_tokens.isqrt();
    if side * side == num_tokens {
        return Ok(side);
    }
    Err(SelectError::NotApplicable {
        reason: format!("{method}: {num_tokens} image tokens don't form a square grid"),
    })
}

/// The given raters, each a row of the text.
pub(crate) fn raters(params: &MethodParams, num_rows: usize) -> Result<&[usize], PublishedError> {
    let raters = params.counts("raters")?;
    let found = raters.iter().enumerate();
    for (index, rater) in found {
        if *rater >= num_rows || raters[..index].contains(rater) {
            let expected = format!("each once, and below {num_rows}, the rows of `rows`");
            return Err(params.refuse("raters", &rater, expected));
        }
    }
    Ok(raters)
}

/// Formats numbers as a list.
pub(crate) fn listed(numbers: &[usize]) -> String {
    let texts: Vec<String> = numbers.iter().map(usize::to_string).collect();
    texts.join(",")
}

/// min(keep, n − 1), since SparseVLM drops at least one token.
pub(crate) fn keep_below(
    params: &MethodParams,
    num_tokens: usize,
) -> Result<usize, PublishedError> {
    let keep = params.count("keep")?;
    if keep == 0 || num_tokens < 2 {
        let expected = format!("1 or more, of 2 tokens or more; there are {num_tokens}");
        return Err(params.refuse("keep", &keep, expected));
    }
    Ok(keep.min(num_tokens - 1))
}

/// The number of image tokens in a sequence of `len`, with the image at `start` and at least
/// `num_text` tokens after it: the given number, or the largest square that fits.
pub(crate) fn visual_tokens(
    params: &MethodParams,
    len: usize,
    start: usize,
    num_text: usize,
) -> Result<usize, PublishedError> {
    // There must be some text in any case.
    let most = len.saturating_sub(start).saturating_sub(1);
    if params.get("visual_tokens").is_some() {
        return params.count_up_to("visual_tokens", most, "places from the image's first on");
    }
    let room = (most + 1).saturating_sub(num_text.max(1));
    if room == 0 {
        let last = len.saturating_sub(num_text.max(1) + 1);
        let expected = format!(
            "at most {last}: the sequence is {len} long, {} of text behind the image included",
            num_text.max(1)
        );
        return Err(params.refuse("visual_start", &start, expected));
    }
    Ok(room.isqrt().pow(2))
}
