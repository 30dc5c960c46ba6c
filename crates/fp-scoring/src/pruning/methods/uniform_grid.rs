//! Evenly spaced tokens.

use std::sync::Arc;

use super::check_kept;
use crate::{
    Evidence, KeptTokens, MethodCard, MethodRole, Plan, PlanError, PlanSetting, PruningMethod,
    ScoringError, SelectError, Selected, Selector, TokenSelection,
};

/// Evenly spaced tokens after layer K, independent of the image.
#[derive(Debug)]
pub struct UniformGrid;

impl PruningMethod for UniformGrid {
    fn name(&self) -> &'static str {
        "uniform_grid"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "evenly spaced tokens, whatever the image shows",
            source: "a grid in row-major order",
        }
    }

    fn role(&self) -> MethodRole {
        MethodRole::Control
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        setting.staged(Arc::new(Spread))
    }
}

#[derive(Debug)]
struct Spread;

impl Selector for Spread {
    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let first = evidence.num_class_tokens();
        let tokens = grid_tokens(evidence.num_tokens(), first, kept)?;
        Ok(TokenSelection::from(&tokens).into())
    }
}

/// R tokens, of which the first few are no cells of a grid: evenly spaced over the cells, or all
/// tokens if there are too few cells.
fn grid_tokens(
    num_tokens: usize,
    num_before: usize,
    kept: usize,
) -> Result<KeptTokens, ScoringError> {
    let num_cells = num_tokens.saturating_sub(num_before);
    if num_before == 0 || kept > num_cells {
        return uniform_grid_tokens(num_tokens, kept);
    }
    let cells = uniform_grid_tokens(num_cells, kept)?;
    let cells = cells.as_slice().iter().map(|cell| cell + num_before);
    Ok(KeptTokens::from_selection(cells.collect()))
}

/// R tokens evenly spaced over 0..N: token ⌊(2i + 1)·N / (2R)⌋ for i in 0..R.
///
/// # Errors
/// R outside 1..=N.
pub fn uniform_grid_tokens(
    num_image_tokens: usize,
    kept: usize,
) -> Result<KeptTokens, ScoringError> {
    check_kept("uniform_grid", num_image_tokens, kept)?;
    let tokens = (0..kept)
        .map(|i| (2 * i + 1) * num_image_tokens / (2 * kept))
        .collect();
    Ok(KeptTokens::from_selection(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_token_is_no_cell() {
        for (kept, expected) in [
            (1, vec![3]),
            (2, vec![2, 4]),
            (4, vec![1, 2, 3, 4]),
            // More than the number of cells: everything.
            (5, vec![0, 1, 2, 3, 4]),
        ] {
            let tokens = grid_tokens(5, 1, kept).unwrap();
            assert_eq!(tokens.as_slice(), expected, "{kept} of 5");
        }
        assert!(grid_tokens(5, 1, 6).is_err());
        assert!(grid_tokens(5, 1, 0).is_err());
        let same = uniform_grid_tokens(10, 5).unwrap();
        assert_eq!(grid_tokens(10, 0, 5).unwrap().as_slice(), same.as_slice());
    }

    #[test]
    fn uniform_grid_by_hand() {
        assert_eq!(
            uniform_grid_tokens(10, 5).unwrap().as_slice(),
            [1, 3, 5, 7, 9]
        );
        assert_eq!(uniform_grid_tokens(9, 3).unwrap().as_slice(), [1, 4, 7]);
        assert_eq!(uniform_grid_tokens(7, 1).unwrap().as_slice(), [3]);
    }
}
