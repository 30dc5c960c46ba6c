//! What can be wrong with the numbers given to a statistic.

/// Every failure of a statistic, with what was found and what would be right.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// Nothing to compute from.
    #[error("{what} is empty, expected at least one value")]
    Empty {
        /// The input.
        what: &'static str,
    },
    /// Inputs that belong together have different lengths.
    #[error("{what} has {got} values, expected {expected}, one per sample")]
    LengthMismatch {
        /// The input that is too short or too long.
        what: &'static str,
        /// Length of the input before it.
        expected: usize,
        /// Its own length.
        got: usize,
    },
    /// NaN or infinity.
    #[error("{what}[{index}] is {value}, expected a finite number")]
    NotFinite {
        /// The input.
        what: &'static str,
        /// Where in it.
        index: usize,
        /// What was there.
        value: f64,
    },
    /// A setting outside the range in which it means something.
    #[error("{name} is {value}, expected {expected}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Spread over clusters can't be seen from fewer than two.
    #[error("{got} cluster(s), expected at least {needed}: spread between clusters is unknown")]
    TooFewClusters {
        /// Clusters in the data.
        got: usize,
        /// The smallest number that works.
        needed: usize,
    },
    /// The statistic has no value on the data itself.
    #[error("the statistic is undefined on the observed data (a rate with denominator 0?)")]
    UndefinedStatistic,
    /// The statistic has no value in most draws, so its spread carries no signal.
    #[error("the statistic is undefined in {undefined} of {draws} draws, expected at most half")]
    UndefinedDraws {
        /// Draws without a value.
        undefined: usize,
        /// All draws.
        draws: usize,
    },
}

/// Fails on the first NaN or infinity.
pub(crate) fn check_finite(what: &'static str, values: &[f64]) -> Result<(), StatsError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(StatsError::NotFinite {
            what,
            index,
            value: values[index],
        }),
        None => Ok(()),
    }
}

/// Fails unless `values` has one value per sample.
pub(crate) fn check_len(what: &'static str, got: usize, expected: usize) -> Result<(), StatsError> {
    if got != expected {
        return Err(StatsError::LengthMismatch {
            what,
            expected,
            got,
        });
    }
    Ok(())
}

/// Fails unless `value` is strictly between 0 and 1.
pub(crate) fn check_open_unit(name: &'static str, value: f64) -> Result<(), StatsError> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(StatsError::OutOfRange {
        name,
        value,
        expected: "a number between 0 and 1, both excluded",
    })
}

/// Fails unless `value` is a finite number of at least 0.
pub(crate) fn check_non_negative(name: &'static str, value: f64) -> Result<(), StatsError> {
    if (0.0..=f64::MAX).contains(&value) {
        return Ok(());
    }
    Err(StatsError::OutOfRange {
        name,
        value,
        expected: "a finite number of at least 0",
    })
}
