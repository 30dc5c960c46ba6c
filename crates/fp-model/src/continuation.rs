//! From a prefix and a selection to the rows that the remaining layers run.

use candle_core::{Device, Tensor};
use fp_scoring::{Merge, PositionRule, TokenSelection};

use crate::error::{ModelError, Result};
use crate::hidden_rows::HiddenRows;
use crate::llama::SequenceCache;
use crate::model::LlavaModel;
use crate::ops::host_values;
use crate::positions::{Numbering, Position};
use crate::prefix::{Prefix, Segments, Standing};

/// The part of a prefix that continues.
pub(crate) struct Continuation {
    /// Hidden states of the rows to run.
    pub(crate) hidden: HiddenRows,
    /// Their positions.
    pub(crate) positions: Vec<Position>,
    /// Everything cached so far, shared.
    pub(crate) cache: SequenceCache,
    /// The kept tokens.
    pub(crate) standing: Standing,
    /// Positions of the tokens that follow.
    pub(crate) segments: Segments,
    /// Number of leading rows that aren't run, since the remaining layers have them cached.
    pub(crate) num_ahead: usize,
}

impl LlavaModel {
    /// What `selection` keeps of the prefix, with positions by `rule`. With `ends`, at least one
    /// row is run, so that there are logits.
    pub(crate) fn continuation(
        &self,
        prefix: &Prefix,
        selection: &TokenSelection,
        rule: PositionRule,
        ends: bool,
    ) -> Result<Continuation> {
        check_selection(prefix, selection)?;
        if rule == PositionRule::Renumber && prefix.standing.numbering != Numbering::Line {
            return Err(ModelError::InputValue {
                what: "the rule for positions",
                found: "renumber".to_owned(),
                expected: "keep: image tokens of this model have rows and columns as positions, \
                           so 0 to n - 1 can't be assigned"
                    .to_owned(),
            });
        }
        let standing = standing(prefix, selection, rule);
        let num_rows = standing.layout.sequence_len();
        let (mut num_ahead, mut cache) = (prefix.num_tokens_ahead()?, prefix.cache.share());
        if ends && num_ahead == num_rows {
            (num_ahead, cache) = (0, prefix.cache.share_up_to(prefix.depth));
        }
        let next_position = match rule {
            PositionRule::Keep => standing.next_position(),
            PositionRule::Renumber => num_rows,
        };
        Ok(Continuation {
            hidden: self.hidden_rows(prefix, selection, num_ahead)?,
            positions: standing.positions[num_ahead..].to_vec(),
            cache,
            segments: prefix.segments.then(prefix.depth, next_position),
            standing,
            num_ahead,
        })
    }

    /// Hidden states of the kept rows, without the first `num_ahead` rows of the system.
    fn hidden_rows(
        &self,
        prefix: &Prefix,
        selection: &TokenSelection,
        num_ahead: usize,
    ) -> Result<HiddenRows> {
        let layout = prefix.layout();
        let (system, text) = (num_ahead..layout.num_system, layout.text_range());
        let mut hidden = HiddenRows::default();
        let Some(merge) = selection.merge() else {
            let image = selection.places().iter();
            let image = image.map(|place| layout.num_system + place);
            hidden.push(&prefix.hidden, system.chain(image).chain(text));
            return Ok(hidden);
        };
        hidden.push(&prefix.hidden, system);
        if !selection.is_empty() {
            let merged = if merge.is_before_projector() {
                let rows = prefix.projector_rows.as_ref();
                let rows = rows.ok_or_else(no_projector_rows)?;
                self.project_features(&merged_rows(rows, merge)?)?.embeds
            } else {
                let (start, count) = (layout.num_system, layout.num_image);
                merged_rows(&prefix.hidden.narrow(0, start, count)?, merge)?
            };
            hidden.push(&merged, 0..selection.len());
        }
        hidden.push(&prefix.hidden, text);
        Ok(hidden)
    }
}

/// The tokens of `selection`, and their positions by `rule`.
fn standing(prefix: &Prefix, selection: &TokenSelection, rule: PositionRule) -> Standing {
    let before = &prefix.standing;
    let layout = fp_scoring::TokenLayout {
        num_image: selection.len(),
        ..before.layout
    };
    let places: Vec<usize> = selection
        .places()
        .iter()
        .map(|&token| before.places[token])
        .collect();
    let positions = match rule {
        PositionRule::Renumber => (0..layout.sequence_len()).map(Position::line).collect(),
        PositionRule::Keep => before
            .numbering
            .kept(&layout, &places, before.num_image_tokens),
    };
    Standing {
        layout,
        places,
        positions,
        num_image_tokens: before.num_image_tokens,
        numbering: before.numbering,
    }
}

fn no_projector_rows() -> ModelError {
    ModelError::InputValue {
        what: "a sum before the projector",
        found: "no rows that can enter the projector".to_owned(),
        expected: "a single square image, its features read with ModelConfig::vision_request"
            .to_owned(),
    }
}

fn check_selection(prefix: &Prefix, selection: &TokenSelection) -> Result<()> {
    let num_tokens = prefix.layout().num_image;
    let summed = selection.merge().map_or(&[][..], |merge| merge.rows());
    let mut tokens = summed.iter().flatten().map(|(token, _)| token);
    let is_before_projector = selection.merge().is_some_and(Merge::is_before_projector);
    let num_rows = match (is_before_projector, &prefix.projector_rows) {
        (true, Some(rows)) => rows.dim(0)?,
        (true, None) => return Err(no_projector_rows()),
        (false, _) => num_tokens,
    };
    let mut places = selection.places().iter();
    let outside = places
        .find(|place| **place >= num_tokens)
        .or_else(|| tokens.find(|token| **token >= num_rows));
    match outside {
        None => Ok(()),
        Some(token) => Err(ModelError::InputValue {
            what: "a kept token",
            found: token.to_string(),
            expected: format!("below this image's {num_tokens} tokens"),
        }),
    }
}

/// Weighted sums of rows `[n, D]`, accumulated in `f64` in the order of the weights. A sum of one
/// row with weight 1 is that row, bit for bit.
fn merged_rows(rows: &Tensor, merge: &Merge) -> Result<Tensor> {
    let (_, width) = rows.dims2()?;
    let values = host_values(rows)?;
    let mut merged = Vec::with_capacity(merge.rows().len() * width);
    for sum in merge.rows() {
        let mut total = vec![0.0_f64; width];
        for &(token, weight) in sum {
            let row = &values[token * width..(token + 1) * width];
            for (total, value) in total.iter_mut().zip(row) {
                *total += weight * f64::from(*value);
            }
        }
        merged.extend(total.into_iter().map(|value| value as f32));
    }
    let merged = Tensor::from_vec(merged, (merge.rows().len(), width), &Device::Cpu)?;
    Ok(merged.to_dtype(rows.dtype())?.to_device(rows.device())?)
}
