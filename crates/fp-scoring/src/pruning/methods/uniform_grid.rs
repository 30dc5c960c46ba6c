//! Evenly spaced tokens.

use std::sync::Arc;

use super::check_kept;
use crate::{
    Evidence, KeptTokens, MethodCard, MethodRole, Plan, PlanError, PlanSetting, PruningMethod,
    ScoringError, SelectError, Selected, Selector, TokenSelection,
};

/// Evenly spaced tokens after layer K, whatever the image shows.
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
        let tokens = uniform_grid_tokens(evidence.num_tokens(), kept)?;
        Ok(TokenSelection::from(&tokens).into())
    }
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
    fn uniform_grid_by_hand() {
        assert_eq!(
            uniform_grid_tokens(10, 5).unwrap().as_slice(),
            [1, 3, 5, 7, 9]
        );
        assert_eq!(uniform_grid_tokens(9, 3).unwrap().as_slice(), [1, 4, 7]);
        assert_eq!(uniform_grid_tokens(7, 1).unwrap().as_slice(), [3]);
    }
}
