//! Ways to keep tokens that no attention decides: what strategies are held to.

use fp_kernels::cpu::top_r;

use crate::hash::{GOLDEN_GAMMA, split_mix};
use crate::named::named_enum;
use crate::{BudgetError, KeptTokens, ScoringError};

named_enum! {
    /// What every study carries beside its strategies.
    pub enum Control as "control" {
        /// No pruning.
        Vanilla = "vanilla",
        /// FastV: the mean over every head.
        AllHeads = "all_heads",
        /// Seeded chance; a strategy that doesn't beat it says nothing.
        Random = "random",
        /// Evenly spaced tokens.
        UniformGrid = "uniform_grid",
        /// The tokens that ground-truth boxes cover.
        Oracle = "oracle",
    }
}

/// R of N tokens by chance: the same seed keeps the same tokens on every machine,
/// and fewer tokens under one seed are a subset of more.
///
/// # Errors
/// R outside 1..=N.
pub fn random_tokens(
    num_image_tokens: usize,
    kept: usize,
    seed: u64,
) -> Result<KeptTokens, ScoringError> {
    check_kept("random", num_image_tokens, kept)?;
    let mut order: Vec<(u64, usize)> = (0..num_image_tokens)
        .map(|token| (random(seed, token as u64), token))
        .collect();
    order.sort_unstable();
    let mut tokens: Vec<usize> = order[..kept].iter().map(|&(_, token)| token).collect();
    tokens.sort_unstable();
    Ok(KeptTokens::from_selection(tokens))
}

/// Output `index` of the SplitMix64 generator started at `seed`.
fn random(seed: u64, index: u64) -> u64 {
    split_mix(seed.wrapping_add((index + 1).wrapping_mul(GOLDEN_GAMMA)))
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

/// The R tokens that ground-truth boxes cover most: by covered area descending,
/// ties to the lower index. Where fewer than R are covered, the rest comes from
/// [`uniform_grid_tokens`], spread over those of its tokens that aren't taken.
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

fn check_kept(control: &str, num_image_tokens: usize, kept: usize) -> Result<(), BudgetError> {
    if kept == 0 || kept > num_image_tokens {
        return Err(BudgetError::Kept {
            budget: format!("{control} with kept = {kept}"),
            kept: kept as f64,
            num_image_tokens,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uniform_grid_by_hand() {
        assert_eq!(
            uniform_grid_tokens(10, 5).unwrap().as_slice(),
            [1, 3, 5, 7, 9]
        );
        assert_eq!(uniform_grid_tokens(9, 3).unwrap().as_slice(), [1, 4, 7]);
        assert_eq!(uniform_grid_tokens(7, 1).unwrap().as_slice(), [3]);
    }

    #[test]
    fn oracle_by_hand() {
        let area = [0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0];
        assert_eq!(oracle_tokens(&area, 1).unwrap().as_slice(), [3]);
        assert_eq!(oracle_tokens(&area, 2).unwrap().as_slice(), [1, 3]);
        // Covered 1, 3, 4; the grid for R = 5 is 0, 2, 4, 5, 7, of which 0, 2, 5, 7 are free.
        assert_eq!(oracle_tokens(&area, 5).unwrap().as_slice(), [1, 2, 3, 4, 7]);
        assert!(oracle_tokens(&[1.0, f64::NAN], 1).is_err());
    }

    #[test]
    fn random_is_the_same_everywhere() {
        assert_eq!(
            random_tokens(20, 5, 7).unwrap(),
            random_tokens(20, 5, 7).unwrap()
        );
        assert_ne!(
            random_tokens(576, 30, 7).unwrap(),
            random_tokens(576, 30, 8).unwrap()
        );
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
