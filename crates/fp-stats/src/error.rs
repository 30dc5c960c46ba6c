//! Errors in the inputs of statistics.

/// An invalid input of a statistic, with the value found and the values expected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// An empty input.
    #[error("{what} is empty, expected at least one value")]
    Empty {
        /// The input.
        what: &'static str,
    },
    /// Inputs of different lengths that must have the same length.
    #[error("{what} has {got} values, expected {expected}, one per sample")]
    LengthMismatch {
        /// The input that is too short or too long.
        what: &'static str,
        /// Length of the preceding input.
        expected: usize,
        /// Its own length.
        got: usize,
    },
    /// NaN or infinity.
    #[error("{what}[{index}] is {value}, expected a finite number")]
    NotFinite {
        /// The input.
        what: &'static str,
        /// Index in the input.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A setting outside its range.
    #[error("{name} is {value}, expected {expected}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Accepted values.
        expected: &'static str,
    },
    /// Fewer than two clusters, which don't show the spread over clusters.
    #[error("{got} cluster(s), expected at least {needed}: spread between clusters is unknown")]
    TooFewClusters {
        /// Clusters in the data.
        got: usize,
        /// The required number.
        needed: usize,
    },
    /// The statistic is undefined on the data itself.
    #[error("the statistic is undefined on the observed data (a rate with denominator 0?)")]
    UndefinedStatistic,
    /// The statistic is undefined in most draws, so its spread carries no signal.
    #[error("the statistic is undefined in {undefined} of {draws} draws, expected at most half")]
    UndefinedDraws {
        /// Number of draws in which it is undefined.
        undefined: usize,
        /// Number of all draws.
        draws: usize,
    },
}

/// Returns an error for the first NaN or infinity.
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

/// Returns an error unless `values` has one value per sample.
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

/// Returns an error unless `value` is strictly between 0 and 1.
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

/// Returns an error unless `value` is finite and at least 0.
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
