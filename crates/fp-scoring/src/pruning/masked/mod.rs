//! Excludes image tokens that show only padding from the candidates of any rule.
//!
//! An image that isn't square is padded to a square, and up to all but one row of its patches
//! then show only the padding's colour. Most authors let their rules select among them; MMTok
//! excludes them (Ironieser/MMTok @ d1522cd), which is an advantage on such images that is
//! unrelated to its rule. [`PaddingMasked`] gives every rule the same advantage.
//!
//! The rule runs as if the masked tokens did not exist: it reads only the others, in their order,
//! as 0..m, with their attention columns, hidden states, rows of the vision tower and positions,
//! and selects min(kept, m) of them. Attention isn't normalised again: its softmax was taken over
//! all tokens. The selection is then translated to the indices of all tokens. A fraction that a
//! rule keeps refers to the m tokens if its authors take a fraction of the present tokens (DART,
//! V2Drop, FitPrune); DivPrune's number refers to the whole image.
//!
//! Only the first stage of a plan masks tokens; they are then dropped for the stages after it. If
//! no token is padding, the rule runs unchanged; if all are, it is not applicable.

mod back;
mod left;

use std::sync::Arc;

use super::{AttentionNeed, Candidates, Evidence, Needs, SelectError, Selected, Selector};
use crate::{ScoringError, TokenLayout};
use left::Left;

/// A rule that never selects padding tokens, as marked by [`Evidence::padding`].
#[derive(Debug, Clone)]
pub struct PaddingMasked(Arc<dyn Selector>);

impl PaddingMasked {
    /// `selector` with padding tokens excluded from its candidates.
    pub fn new(selector: Arc<dyn Selector>) -> PaddingMasked {
        PaddingMasked(selector)
    }
}

impl Selector for PaddingMasked {
    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn query_rows(&self, layout: &TokenLayout) -> Result<Vec<usize>, ScoringError> {
        let rows = self.0.query_rows(layout)?;
        let is_read_here = self.0.needs().attention == Some(AttentionNeed::Here);
        let in_image = |row: &usize| layout.image_range().contains(row);
        if is_read_here && rows.iter().any(in_image) {
            // Which of the image's rows it reads depends on the masked tokens.
            return Ok((layout.num_system..layout.sequence_len()).collect());
        }
        Ok(rows)
    }

    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let Some(padding) = evidence.padding().filter(|padding| padding.contains(&true)) else {
            return self.0.select(evidence, kept);
        };
        match self.0.candidates() {
            Candidates::Given => return self.0.select(evidence, kept),
            Candidates::WholeGrid { rule } => {
                let num_padded = padding.iter().filter(|is_padded| **is_padded).count();
                return Err(SelectError::NotApplicable {
                    reason: format!(
                        "{rule} takes the whole grid of image tokens; mask_padding excludes \
                         {num_padded} of {} that are padding",
                        padding.len()
                    ),
                });
            }
            Candidates::Any => {}
        }
        let left = Left::new(evidence, padding)?;
        let vision = left.vision_values();
        let restricted = left.evidence(evidence, vision.as_ref())?;
        let selected = self.0.select(&restricted, kept.min(left.num_tokens()))?;
        back::of_all(selected, left.tokens(), evidence.layout())
    }

    fn candidates(&self) -> Candidates {
        self.0.candidates()
    }

    fn without_padding(&self) -> Option<&dyn Selector> {
        Some(&*self.0)
    }
}
