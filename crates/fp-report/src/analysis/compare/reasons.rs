//! Reasons why a pair could not be tested, and why a test is undecided.

use fp_eval::format::{counted, p_value, points, signed_points};
use serde::{Deserialize, Serialize};

use super::Comparison;

/// A pair that could not be tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untested {
    /// Label of what was to be tested.
    pub a: String,
    /// Label of the reference.
    pub b: String,
    /// The family that the test would have belonged to, in which it isn't counted.
    pub family: String,
    /// The reason, for programs.
    #[serde(flatten)]
    pub reason: WhyUntested,
    /// The reason as a sentence.
    pub because: String,
}

impl Untested {
    pub(crate) fn new(a: &str, b: &str, family: &str, reason: WhyUntested) -> Untested {
        Untested {
            a: a.to_owned(),
            b: b.to_owned(),
            family: family.to_owned(),
            because: reason.sentence(a, b),
            reason,
        }
    }
}

/// Why no test was possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum WhyUntested {
    /// There are no samples to test on.
    NoSamples,
    /// No sample has a score of both.
    NoSharedSample {
        /// Number of samples with a score of a.
        num_a: usize,
        /// Number of samples with a score of b.
        num_b: usize,
    },
    /// All samples with a score of both show the same image, so the variance between images is
    /// unknown.
    OneImage {
        /// Number of samples with a score of both.
        num_shared: usize,
    },
}

impl WhyUntested {
    /// The reason as a plain sentence about `a` and `b`.
    pub fn sentence(self, a: &str, b: &str) -> String {
        match self {
            WhyUntested::NoSamples => {
                format!("There is no sample to compare {a} with {b} on.")
            }
            WhyUntested::NoSharedSample { num_a: 0, num_b: 0 } => {
                format!("Neither {a} nor {b} has a score on any sample.")
            }
            WhyUntested::NoSharedSample { num_a: 0, .. } => {
                format!("{a} has no score on any sample.")
            }
            WhyUntested::NoSharedSample { num_b: 0, .. } => {
                format!("{b} has no score on any sample.")
            }
            WhyUntested::NoSharedSample { num_a, num_b } => format!(
                "No sample has a score of both {a} ({}) and {b} ({}).",
                counted(num_a, "sample"),
                counted(num_b, "sample"),
            ),
            WhyUntested::OneImage { num_shared: 1 } => format!(
                "Only one sample has a score of both {a} and {b}; a test needs at least two \
                 images."
            ),
            WhyUntested::OneImage { num_shared } => format!(
                "All {num_shared} samples with a score of both {a} and {b} are on one image; a \
                 test needs at least two."
            ),
        }
    }
}

/// Why a test is undecided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecided {
    /// The reason, for programs.
    pub reason: WhyUndecided,
    /// The reason as a sentence.
    pub because: String,
}

impl Comparison {
    /// Whether only more samples could make the test decide.
    pub(crate) fn is_too_small(&self) -> bool {
        let reason = self.undecided.as_ref().map(|undecided| undecided.reason);
        use WhyUndecided::{IntervalWiderThanMargin, TooFewDisagreements};
        matches!(reason, Some(TooFewDisagreements | IntervalWiderThanMargin))
    }

    /// The reason as a clause.
    pub(crate) fn obstacle(&self) -> String {
        match self.undecided.as_ref().map(|undecided| undecided.reason) {
            Some(WhyUndecided::NotSignificant) => format!(
                "p after Holm's correction over {} is not small enough ({})",
                counted(self.family_size, "test"),
                p_value("p", self.p_holm),
            ),
            Some(WhyUndecided::IntervalHoldsZero) => format!(
                "the test shows a difference ({}), but its interval contains 0",
                p_value("Holm p", self.p_holm),
            ),
            _ => {
                let samples = format!(
                    "{} on {}",
                    counted(self.n, "question"),
                    counted(self.num_images, "image")
                );
                let least = self.min_detectable_difference;
                if least >= 1.0 {
                    format!("{samples} can't resolve any difference")
                } else {
                    format!(
                        "{samples} can't reliably resolve a difference below {} points",
                        points(least)
                    )
                }
            }
        }
    }
}

/// What prevented a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyUndecided {
    /// So few images differ that the test could not have reached α even if all of them favoured one
    /// side, and too few images agree to exclude a difference beyond the margin.
    TooFewDisagreements,
    /// The interval contains 0 and differences beyond the margin.
    IntervalWiderThanMargin,
    /// The interval excludes 0, but p after Holm's correction is not below α.
    NotSignificant,
    /// p after Holm's correction is below α, but the interval contains 0.
    IntervalHoldsZero,
}

impl WhyUndecided {
    /// The reason with the comparison's numbers, as a plain sentence.
    pub(crate) fn sentence(self, comparison: &Comparison, margin: f64) -> String {
        let (disagree, images) = (comparison.num_disagreeing_images, comparison.num_images);
        let [low, high] = comparison.interval.map(signed_points);
        let margin = points(margin);
        match self {
            WhyUndecided::TooFewDisagreements if disagree == 0 => format!(
                "The scores agree on all {images} images, which is too few to exclude a \
                 difference beyond {margin} points (interval {low} to {high})."
            ),
            WhyUndecided::TooFewDisagreements => format!(
                "The scores differ on only {disagree} of {images} images: too few to show a \
                 difference, and too few images to exclude one beyond {margin} points (interval \
                 {low} to {high})."
            ),
            WhyUndecided::IntervalWiderThanMargin => format!(
                "The interval ({low} to {high} points) contains 0 as well as differences \
                 beyond {margin} points."
            ),
            WhyUndecided::NotSignificant => format!(
                "The interval ({low} to {high} points) excludes 0, but p after Holm's \
                 correction over {} is not small enough ({}).",
                counted(comparison.family_size, "test"),
                p_value("p", comparison.p_holm),
            ),
            WhyUndecided::IntervalHoldsZero => format!(
                "The test shows a difference ({}), but the interval ({low} to {high} points) \
                 contains 0.",
                p_value("Holm p", comparison.p_holm),
            ),
        }
    }
}
