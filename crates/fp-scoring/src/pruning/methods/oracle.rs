//! The tokens that ground-truth boxes cover.

use std::sync::Arc;

use fp_kernels::cpu::top_r;

use super::{check_kept, uniform_grid_tokens};
use crate::{
    Evidence, KeptTokens, MethodCard, MethodRole, Needs, Plan, PlanError, PlanSetting,
    PruningMethod, ScoringError, SelectError, Selected, Selector, TokenSelection,
};

/// The tokens that ground-truth boxes cover most, after layer K.
#[derive(Debug)]
pub struct Oracle;

impl PruningMethod for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "tokens that ground-truth boxes cover most, the rest from uniform_grid",
            source: "ground truth: an upper bound for what knows where to look",
        }
    }

    fn role(&self) -> MethodRole {
        MethodRole::Control
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        setting.staged(Arc::new(Covered))
    }
}

#[derive(Debug)]
struct Covered;

impl Selector for Covered {
    fn needs(&self) -> Needs {
        Needs {
            covered_area: true,
            ..Needs::default()
        }
    }

    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let whole = evidence.covered_area()?;
        let area: Vec<f64> = evidence
            .places()
            .iter()
            .map(|&place| whole.get(place).copied().unwrap_or(0.0))
            .collect();
        Ok(TokenSelection::from(&oracle_tokens(&area, kept)?).into())
    }
}

/// The R tokens that ground-truth boxes cover most: by covered area descending, ties to the lower
/// index. If fewer than R are covered, the rest comes from [`uniform_grid_tokens`], spread over
/// those of its tokens that aren't selected yet.
///
/// `covered_area` is `[N]`, 0 for a token that no box touches.
///
/// # Errors
/// R outside 1..=N, or an area that is negative or not finite.
pub fn oracle_tokens(covered_area: &[f64], kept: usize) -> Result<KeptTokens, ScoringError> {
    check_kept("oracle", covered_area.len(), kept)?;
    if let Some(token) = covered_area
        .iter()
        .position(|area| !(0.0..=f64::MAX).contains(area))
    {
        let value = covered_area[token];
        return Err(ScoringError::InvalidArea { token, value });
    }
    let num_covered = covered_area.iter().filter(|&&area| area > 0.0).count();
    if num_covered >= kept {
        return Ok(KeptTokens::from_selection(top_r(covered_area, kept)?.kept));
    }
    let mut tokens: Vec<usize> = (0..covered_area.len())
        .filter(|&token| covered_area[token] > 0.0)
        .collect();
    let grid = uniform_grid_tokens(covered_area.len(), kept)?;
    let free: Vec<usize> = grid
        .as_slice()
        .iter()
        .copied()
        .filter(|&token| covered_area[token] == 0.0)
        .collect();
    // `free` holds at least R − num_covered tokens, since at most num_covered were taken.
    let spread = uniform_grid_tokens(free.len(), kept - num_covered)?;
    tokens.extend(spread.as_slice().iter().map(|&index| free[index]));
    tokens.sort_unstable();
    Ok(KeptTokens::from_selection(tokens))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random_tokens;

    #[test]
    fn oracle_by_hand() {
        let area = [0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0];
        assert_eq!(oracle_tokens(&area, 1).unwrap().as_slice(), [3]);
        assert_eq!(oracle_tokens(&area, 2).unwrap().as_slice(), [1, 3]);
        // Covered 1, 3, 4; the grid for R = 5 is 0, 2, 4, 5, 7, of which 0, 2, 5, 7 are free.
        assert_eq!(oracle_tokens(&area, 5).unwrap().as_slice(), [1, 2, 3, 4, 7]);
        assert!(oracle_tokens(&[1.0, f64::NAN], 1).is_err());
    }

    proptest! {
        #[test]
        fn controls_keep_exactly_r(n in 1usize..700, share in 0.0f64..1.0, seed: u64, covered in prop::collection::vec(0.0f64..1.0, 700), density in 0.0f64..1.0) {
            let kept = ((n as f64 * share) as usize).clamp(1, n);
            let area: Vec<f64> = covered[..n].iter().map(|&c| if c < density { c } else { 0.0 }).collect();
            for tokens in [
                random_tokens(n, kept, seed).unwrap(),
                uniform_grid_tokens(n, kept).unwrap(),
                oracle_tokens(&area, kept).unwrap(),
            ] {
                prop_assert_eq!(tokens.len(), kept);
                prop_assert!(KeptTokens::new(tokens.as_slice().to_vec(), n).is_ok());
            }
            prop_assert!(random_tokens(n, n + 1, seed).is_err());
        }
    }
}
