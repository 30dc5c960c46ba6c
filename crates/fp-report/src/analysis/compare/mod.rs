//! Paired comparisons in declared families.

mod paired_tester;
mod reasons;

pub(crate) use paired_tester::{Pair, PairedTester};
pub use reasons::{Undecided, Untested, WhyUndecided, WhyUntested};

use fp_stats::{Discordant, IntervalKind, PermutationMethod};
use serde::{Deserialize, Serialize};

/// Power at which the smallest detectable difference is stated.
pub const POWER: f64 = 0.8;

/// Outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// a is better: adjusted p below α and an interval above 0.
    Better,
    /// a is worse: adjusted p below α and an interval below 0.
    Worse,
    /// Not shown to differ, and shown to differ by less than the margin.
    Equivalent,
    /// Neither shown to differ nor shown to be equivalent.
    Undecided,
}

impl Outcome {
    /// The outcome's name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::Equivalent => "equivalent",
            Outcome::Undecided => "undecided",
        }
    }

    /// The mark after a figure that was compared.
    pub const fn mark(self) -> &'static str {
        match self {
            Outcome::Better => " ▲",
            Outcome::Worse => " ▼",
            Outcome::Equivalent => " ≈",
            Outcome::Undecided => "",
        }
    }
}

/// Whether a beats b, as far as a test can show: the only rule that verdicts use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Beats {
    /// Shown: the outcome is [`Outcome::Better`].
    Yes,
    /// The data exclude that a is better by more than the margin.
    No,
    /// Not shown, and differences beyond the margin in favour of a are not excluded. Few samples
    /// never give `No`, however well they agree.
    Undecided,
}

/// Comparison of a with b on the samples that both have. Scores and differences are 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Label of what is tested.
    pub a: String,
    /// Label of the reference.
    pub b: String,
    /// Tests with the same family are corrected together.
    pub family: String,
    /// Number of samples.
    pub n: usize,
    /// Number of images.
    pub num_images: usize,
    /// Number of images on which the scores of a and b differ; the outcome rests on these.
    pub num_disagreeing_images: usize,
    /// Mean of a.
    pub mean_a: f64,
    /// Mean of b.
    pub mean_b: f64,
    /// a − b.
    pub difference: f64,
    /// Clustered standard error of the difference.
    pub standard_error: f64,
    /// Confidence interval of the difference.
    pub interval: [f64; 2],
    /// Method of the interval.
    pub interval_method: IntervalKind,
    /// Confidence level of the interval.
    pub confidence: f64,
    /// Two-sided p of the sign-flip test over images.
    pub p: f64,
    /// Method of `p`.
    pub method: PermutationMethod,
    /// `p` after Holm's correction over the family.
    pub p_holm: f64,
    /// Number of tests in the family.
    pub family_size: usize,
    /// Samples that only a (`b`) or only b (`c`) has right; only for 0/1 scores.
    pub discordant: Option<Discordant>,
    /// McNemar's exact p, which assumes independent samples.
    pub mcnemar_p: Option<f64>,
    /// p of the two one-sided tests (TOST) for a difference within the margin.
    pub equivalence_p: f64,
    /// The smallest difference that a test at α detects with a power of 80 %.
    pub min_detectable_difference: f64,
    /// Whether every sample has the same score under both.
    pub is_identical: bool,
    /// The outcome.
    pub outcome: Outcome,
    /// Why it is undecided; `None` for any other outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<Undecided>,
}

impl Comparison {
    /// Whether a beats b; differences up to `margin`, 0 to 1, count as none.
    pub(crate) fn beats(&self, margin: f64) -> Beats {
        match self.outcome {
            Outcome::Better => Beats::Yes,
            Outcome::Worse | Outcome::Equivalent => Beats::No,
            // Worse except for Holm's correction, or nearly equivalent: in either case a can't be
            // better by more than the margin.
            Outcome::Undecided if self.interval[1] <= margin => Beats::No,
            Outcome::Undecided => Beats::Undecided,
        }
    }
}

/// Tests, and pairs that could not be tested.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TestResults {
    /// The tests, in the order requested.
    pub comparisons: Vec<Comparison>,
    /// The pairs that could not be tested, in the order requested.
    pub untested: Vec<Untested>,
}

impl TestResults {
    /// Adds the results of other tests.
    pub(crate) fn extend(&mut self, other: TestResults) {
        self.comparisons.extend(other.comparisons);
        self.untested.extend(other.untested);
    }
}
