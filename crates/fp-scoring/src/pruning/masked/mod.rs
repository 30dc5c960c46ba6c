//! Any rule, with the image tokens that show nothing but padding left out of its choice.
//!
//! An image that isn't square is padded to one, and up to all but one row of its patches then
//! show the padding's colour alone. Most authors let their rules choose among them; MMTok
//! leaves them out (Ironieser/MMTok @ d1522cd), which is an advantage on such images that has
//! nothing to do with its rule. [`PaddingMasked`] gives every rule the same.
//!
//! The rule runs as if the masked tokens had never been there: it sees the others alone, in
//! their order, as 0..m, with their attention columns, hidden states, rows of the vision tower
//! and positions, and chooses min(kept, m) of them. Attention isn't normalised anew: its softmax
//! was taken over all tokens. What it chose is then said in the indices of all tokens. A share
//! that a rule keeps is a share of the m tokens, where its authors take a share of what is
//! there (DART, V2Drop, FitPrune); DivPrune's number is that of the whole image.
//!
//! Only the first stage of a plan leaves tokens out; those that it dropped are gone after it.
//! Where no token is padding the rule is run as it is, where all are it doesn't apply.

mod back;
mod left;

use std::sync::Arc;

use super::{AttentionNeed, Candidates, Evidence, Needs, SelectError, Selected, Selector};
use crate::{ScoringError, TokenLayout};
use left::Left;

/// A rule that doesn't choose tokens of padding, as [`Evidence::padding`] tells them.
#[derive(Debug, Clone)]
pub struct PaddingMasked(Arc<dyn Selector>);

impl PaddingMasked {
    /// `selector`, tokens of padding left out of what it chooses among.
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
            // Which rows of the image it reads depends on which are left.
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
