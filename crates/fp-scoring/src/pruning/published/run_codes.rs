//! Codes of a run's tokens over several stages.

use super::{Extra, MethodChoice};

/// Codes of the image tokens of a run: from 0 on a patch, −1 a zero vector, −2 the class token,
/// from N on the (code − N)-th token that the run merged.
#[derive(Debug, Clone)]
pub struct RunCodes {
    codes: Vec<i64>,
    num_image_tokens: usize,
    num_merged: usize,
}

/// The result of a stage, in codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageCodes {
    /// The kept tokens, in their order.
    pub kept: Vec<i64>,
    /// The members of each merged token, if the method reports them.
    pub merged_from: Option<Vec<Vec<i64>>>,
    /// The tokens that the others were merged into, if the method reports them.
    pub merged_targets: Option<Vec<i64>>,
}

impl RunCodes {
    /// The class token, in the `kept` of a choice.
    pub const CLASS_TOKEN: i64 = -2;
    /// In the `kept` of a choice, a row that the stage merged, if such rows are mixed with
    /// others; its number is assigned here.
    pub const MERGED: i64 = -3;

    /// A run with all N image tokens.
    pub fn new(num_image_tokens: usize) -> RunCodes {
        RunCodes {
            codes: (0..num_image_tokens as i64).collect(),
            num_image_tokens,
            num_merged: 0,
        }
    }

    /// The result of the next stage with selection `choice`, which keeps `num_kept` tokens.
    pub fn after(&mut self, choice: &MethodChoice, num_kept: usize) -> StageCodes {
        let code = |token: i64| match usize::try_from(token) {
            Ok(token) => self.codes.get(token).copied().unwrap_or(token as i64),
            Err(_) => token,
        };
        let named = |name: &str| match choice.extra(name) {
            Some(Extra::Groups(groups)) => Some(
                groups
                    .iter()
                    .map(|group| group.iter().map(|&token| code(token as i64)).collect())
                    .collect(),
            ),
            _ => None,
        };
        let merged_from = named("merged_from").or_else(|| named("clusters"));
        let merged_targets = match choice.extra("targets") {
            Some(Extra::Tokens(targets)) => {
                Some(targets.iter().map(|&token| code(token as i64)).collect())
            }
            _ => None,
        };
        let mut kept: Vec<i64> = Vec::with_capacity(num_kept);
        if choice.has_class_token {
            kept.push(RunCodes::CLASS_TOKEN);
        }
        kept.extend(choice.kept.iter().map(|&token| code(token)));
        kept.resize(num_kept.max(kept.len()), RunCodes::MERGED);
        for code in kept.iter_mut().filter(|code| **code == RunCodes::MERGED) {
            *code = (self.num_image_tokens + self.num_merged) as i64;
            self.num_merged += 1;
        }
        self.codes.clone_from(&kept);
        StageCodes {
            kept,
            merged_from,
            merged_targets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenSelection;

    #[test]
    fn merged_tokens_are_counted_over_stages() {
        let mut codes = RunCodes::new(4);
        let selection = TokenSelection::new(vec![1, 3], 4).unwrap();
        let choice = MethodChoice::plain(&[1, 3], selection)
            .with("clusters", Extra::Groups(vec![vec![0, 2]]));
        let stage = codes.after(&choice, 3);
        assert_eq!(stage.kept, [1, 3, 4]);
        assert_eq!(stage.merged_from, Some(vec![vec![0, 2]]));
        // Of 1, 3 and the merged token, the last two are merged into another.
        let selection = TokenSelection::new(vec![0], 3).unwrap();
        let choice =
            MethodChoice::plain(&[0], selection).with("clusters", Extra::Groups(vec![vec![1, 2]]));
        let stage = codes.after(&choice, 2);
        assert_eq!(stage.kept, [1, 5]);
        assert_eq!(stage.merged_from, Some(vec![vec![3, 4]]));
    }
}
