//! Translates a selection among the unmasked tokens to the indices of all tokens.

use std::sync::Arc;

use crate::pruning::{Extra, MethodChoice, SelectError, Selected, TokenSelection};
use crate::{KeptTokens, Selection, TokenLayout};

/// Translates `selected`, made among the tokens `left`, to a selection of all tokens that enter
/// the stage with `layout`.
pub(super) fn of_all(
    selected: Selected,
    left: &[usize],
    layout: &TokenLayout,
) -> Result<Selected, SelectError> {
    let back = Back { left, layout };
    Ok(Selected {
        selection: back.selection(&selected.selection)?,
        audit: selected.audit.map(|audit| back.audit(audit)),
        choice: match selected.choice {
            Some(choice) => Some(Arc::new(back.choice(&choice)?)),
            None => None,
        },
    })
}

struct Back<'a> {
    left: &'a [usize],
    /// Layout of the whole sequence.
    layout: &'a TokenLayout,
}

impl Back<'_> {
    /// Index of a token among all. The index after the last unmasked token, which is the class
    /// token's row, becomes the index after the last of all.
    fn token(&self, token: usize) -> usize {
        let behind = || self.layout.num_image + (token - self.left.len());
        self.left.get(token).copied().unwrap_or_else(behind)
    }

    fn tokens(&self, tokens: &[usize]) -> Vec<usize> {
        tokens.iter().map(|&token| self.token(token)).collect()
    }

    /// Index of a position in the whole sequence.
    fn row(&self, row: usize) -> usize {
        match row.checked_sub(self.layout.num_system) {
            None => row,
            Some(token) => self.layout.num_system + self.token(token),
        }
    }

    fn selection(&self, selection: &TokenSelection) -> Result<TokenSelection, SelectError> {
        let places = self.tokens(selection.places());
        let num_tokens = self.layout.num_image;
        let Some(merge) = selection.merge() else {
            return TokenSelection::new(places, num_tokens);
        };
        let sum = |sum: &Vec<(usize, f64)>| -> Vec<(usize, f64)> {
            let terms = sum.iter();
            terms
                .map(|&(token, weight)| (self.token(token), weight))
                .collect()
        };
        let rows = places.into_iter().zip(merge.rows().iter().map(sum));
        if merge.is_before_projector() {
            TokenSelection::merged_before_projector(rows.collect(), num_tokens)
        } else {
            TokenSelection::merged(rows.collect(), num_tokens)
        }
    }

    /// The importance of a masked token is 0.
    fn audit(&self, mut audit: Selection) -> Selection {
        let mut importance = vec![0.0; self.layout.num_image];
        for (value, &token) in audit.token_importance.iter().zip(self.left) {
            importance[token] = *value;
        }
        audit.token_importance = importance;
        let kept = self.tokens(audit.kept_tokens.as_slice());
        audit.kept_tokens = KeptTokens::from_selection(kept);
        audit.audit.kept_tokens_hash = format!("{:016x}", audit.kept_tokens.hash64());
        if let Some(query) = &mut audit.audit.query {
            query.rows = query.rows.iter().map(|&row| self.row(row)).collect();
        }
        audit
    }

    fn choice(&self, choice: &MethodChoice) -> Result<MethodChoice, SelectError> {
        let code = |code: &i64| match usize::try_from(*code) {
            Ok(token) => self.token(token) as i64,
            Err(_) => *code,
        };
        let extra = |(name, extra): &(&'static str, Extra)| {
            let extra = match extra {
                Extra::Tokens(tokens) => Extra::Tokens(self.tokens(tokens)),
                Extra::Groups(groups) => {
                    Extra::Groups(groups.iter().map(|group| self.tokens(group)).collect())
                }
                Extra::Positions(rows) => {
                    Extra::Positions(rows.iter().map(|&row| self.row(row)).collect())
                }
                Extra::Count(_) | Extra::Number(_) | Extra::Numbers(_) | Extra::Indices(_) => {
                    extra.clone()
                }
            };
            (*name, extra)
        };
        Ok(MethodChoice {
            kept: choice.kept.iter().map(code).collect(),
            picked: choice.picked.as_ref().map(|picked| self.tokens(picked)),
            extras: choice.extras.iter().map(extra).collect(),
            selection: match &choice.selection {
                Some(selection) => Some(self.selection(selection)?),
                None => None,
            },
            ..choice.clone()
        })
    }
}
