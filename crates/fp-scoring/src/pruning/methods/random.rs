//! Seeded random selection.

use std::sync::Arc;

use super::check_kept;
use crate::hash::{GOLDEN_GAMMA, fnv1a, split_mix};
use crate::{
    Evidence, KeptTokens, MethodCard, MethodRole, Plan, PlanError, PlanSetting, PruningMethod,
    ScoringError, SelectError, Selected, Selector, TokenSelection,
};

/// Tokens kept at random after layer K, by seed: a rule that isn't better is useless.
#[derive(Debug)]
pub struct Random;

impl PruningMethod for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "tokens kept at random, by seed; a strategy that doesn't beat it carries no signal",
            source: "seeded chance, SplitMix64",
        }
    }

    fn role(&self) -> MethodRole {
        MethodRole::Control
    }

    fn takes_seed(&self) -> bool {
        true
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        setting.staged(Arc::new(Chance { seed: setting.seed }))
    }
}

#[derive(Debug)]
struct Chance {
    seed: u64,
}

impl Selector for Chance {
    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let seed = stream_of(self.seed, evidence.sample_id());
        let tokens = random_tokens(evidence.num_tokens(), kept, seed)?;
        Ok(TokenSelection::from(&tokens).into())
    }
}

/// A seed for one sample under a study's seed: random selection must not keep the same tokens in
/// every image.
fn stream_of(seed: u64, sample_id: &str) -> u64 {
    fnv1a(sample_id.bytes()) ^ seed.wrapping_mul(GOLDEN_GAMMA)
}

/// R of N tokens at random: the same seed keeps the same tokens on every machine, and a smaller R
/// under the same seed keeps a subset.
///
/// # Errors
/// R outside 1..=N.
pub fn random_tokens(
    num_image_tokens: usize,
    kept: usize,
    seed: u64,
) -> Result<KeptTokens, ScoringError> {
    check_kept("random", num_image_tokens, kept)?;
    let state = |token: usize| seed.wrapping_add((token as u64 + 1).wrapping_mul(GOLDEN_GAMMA));
    let mut order: Vec<(u64, usize)> = (0..num_image_tokens)
        .map(|token| (split_mix(state(token)), token))
        .collect();
    order.sort_unstable();
    let mut tokens: Vec<usize> = order[..kept].iter().map(|&(_, token)| token).collect();
    tokens.sort_unstable();
    Ok(KeptTokens::from_selection(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
