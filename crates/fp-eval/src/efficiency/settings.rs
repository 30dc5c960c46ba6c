//! How long, how often and how many at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest number of rounds, tokens or samples; more is taken as a typing error.
const MOST: usize = 100_000;

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {found}; expected a number between {least} and {most}")]
pub struct SettingOutOfRange {
    /// The setting.
    pub what: &'static str,
    /// What was given.
    pub found: usize,
    /// The smallest valid value.
    pub least: usize,
    /// The largest valid value.
    pub most: usize,
}

/// How efficiency is measured. The key `efficiency` of a study's configuration has these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EfficiencySettings {
    /// Tokens that every run decodes, end of sequence or not.
    #[schemars(range(min = 1))]
    pub new_tokens: usize,
    /// Rounds that are run first and not counted.
    pub warmup: usize,
    /// Rounds that are counted; every budget runs once in each.
    #[schemars(range(min = 1))]
    pub repeats: usize,
    /// Samples in a batch at most, tried as 1, 2, 4, … up to it.
    #[schemars(range(min = 1))]
    pub max_batch: usize,
}

impl Default for EfficiencySettings {
    fn default() -> EfficiencySettings {
        EfficiencySettings {
            new_tokens: 32,
            warmup: 2,
            repeats: 10,
            max_batch: 8,
        }
    }
}

impl EfficiencySettings {
    /// Refuses invalid numbers.
    ///
    /// # Errors
    /// The first number that is too small or too large.
    pub fn check(&self) -> Result<(), SettingOutOfRange> {
        for (what, value, least) in [
            ("the number of new tokens", self.new_tokens, 1),
            ("the number of warm-up rounds", self.warmup, 0),
            ("the number of repeats", self.repeats, 1),
            ("the largest batch", self.max_batch, 1),
        ] {
            if !(least..=MOST).contains(&value) {
                return Err(SettingOutOfRange {
                    what,
                    found: value,
                    least,
                    most: MOST,
                });
            }
        }
        Ok(())
    }

    /// Batch sizes above one: powers of two, and the requested maximum.
    pub(crate) fn batches(&self) -> Vec<usize> {
        let powers = std::iter::successors(Some(2_usize), |size| size.checked_mul(2));
        let mut sizes: Vec<usize> = powers.take_while(|&size| size < self.max_batch).collect();
        if self.max_batch > 1 {
            sizes.push(self.max_batch);
        }
        sizes
    }

    /// Number of rounds of each larger batch: fewer, because they take longer and vary less.
    pub(crate) fn batch_repeats(&self) -> usize {
        self.repeats.div_ceil(4).clamp(1, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(max_batch: usize) -> EfficiencySettings {
        EfficiencySettings {
            max_batch,
            ..EfficiencySettings::default()
        }
    }

    #[test]
    fn batches_double_up_to_the_largest() {
        assert!(with(1).batches().is_empty());
        assert_eq!(with(2).batches(), [2]);
        assert_eq!(with(8).batches(), [2, 4, 8]);
        assert_eq!(with(6).batches(), [2, 4, 6]);
    }

    #[test]
    fn senseless_numbers_are_named() {
        assert!(EfficiencySettings::default().check().is_ok());
        let error = with(0).check().unwrap_err().to_string();
        assert_eq!(
            error,
            "the largest batch is 0; expected a number between 1 and 100000"
        );
        let none = EfficiencySettings {
            repeats: 0,
            ..EfficiencySettings::default()
        };
        assert!(none.check().is_err());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let read = serde_json::from_str::<EfficiencySettings>;
        assert_eq!(read("{}").unwrap(), EfficiencySettings::default());
        assert_eq!(read(r#"{"repeats": 3}"#).unwrap().repeats, 3);
        assert!(read(r#"{"repeat": 3}"#).is_err());
    }
}
