//! Paired comparisons in declared families.

mod paired_tester;
mod reasons;

pub(crate) use paired_tester::{Pair, PairedTester};
pub use reasons::{Undecided, Untested, WhyUndecided, WhyUntested};

use fp_stats::{Discordant, IntervalKind, PermutationMethod};
use serde::{Deserialize, Serialize};

/// Chance to find a difference that the smallest detectable one is stated for.
pub const POWER: f64 = 0.8;

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// a is better: adjusted p below α and an interval above 0.
    Better,
    /// a is worse: adjusted p below α and an interval below 0.
    Worse,
    /// Not shown to differ, and shown to differ by less than the margin.
    Equivalent,
    /// Neither shown to differ nor shown not to.
    Undecided,
}

impl Outcome {
    /// As it stands in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::Equivalent => "equivalent",
            Outcome::Undecided => "undecided",
        }
    }

    /// What stands behind a figure that was compared.
    pub const fn mark(self) -> &'static str {
        match self {
            Outcome::Better => " ▲",
            Outcome::Worse => " ▼",
            Outcome::Equivalent => " ≈",
            Outcome::Undecided => "",
        }
    }
}

/// Whether a beats b, as far as a test can tell: the one rule that verdicts go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Beats {
    /// Shown: the outcome is [`Outcome::Better`].
    Yes,
    /// The data exclude that a is better by more than the margin.
    No,
    /// Not shown, and differences beyond the margin in favour of a are not excluded. However
    /// few the samples are and however much they agree, this is never a `No`.
    Undecided,
}

/// a against b on the samples that both have. Scores and differences are 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is tested.
    pub a: String,
    /// What it is tested against.
    pub b: String,
    /// Tests that are corrected together have the same family.
    pub family: String,
    /// Samples.
    pub n: usize,
    /// Images.
    pub num_images: usize,
    /// Images on which the scores of a and b differ: what the outcome rests on.
    pub num_disagreeing_images: usize,
    /// Mean of a.
    pub mean_a: f64,
    /// Mean of b.
    pub mean_b: f64,
    /// a − b.
    pub difference: f64,
    /// Clustered standard error of the difference.
    pub standard_error: f64,
    /// Interval of the difference.
    pub interval: [f64; 2],
    /// How the interval came about.
    pub interval_method: IntervalKind,
    /// How sure it is.
    pub confidence: f64,
    /// Two-sided p of the sign-flip test over images.
    pub p: f64,
    /// How `p` came about.
    pub method: PermutationMethod,
    /// `p` after Holm's correction over the family.
    pub p_holm: f64,
    /// Tests in the family.
    pub family_size: usize,
    /// Samples that only a (`b`) or only b (`c`) has right; of 0/1 scores alone.
    pub discordant: Option<Discordant>,
    /// McNemar's exact p, which takes samples as independent.
    pub mcnemar_p: Option<f64>,
    /// p of the two one-sided tests for a difference within the margin.
    pub equivalence_p: f64,
    /// The smallest difference that a test at α finds four times in five.
    pub min_detectable_difference: f64,
    /// Every sample has the same score under both.
    pub is_identical: bool,
    /// What it comes to.
    pub outcome: Outcome,
    /// Why it is undecided; none for any other outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<Undecided>,
}

impl Comparison {
    /// Whether a beats b; differences up to `margin`, 0 to 1, count as none.
    pub(crate) fn beats(&self, margin: f64) -> Beats {
        match self.outcome {
            Outcome::Better => Beats::Yes,
            Outcome::Worse | Outcome::Equivalent => Beats::No,
            // Worse but for Holm's correction, or by too little to be told from equivalent:
            // in either case nothing is left for a to win by.
            Outcome::Undecided if self.interval[1] <= margin => Beats::No,
            Outcome::Undecided => Beats::Undecided,
        }
    }
}

/// What was tested, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TestResults {
    /// The tests that were made, in the order asked for.
    pub comparisons: Vec<Comparison>,
    /// The pairs that could not be tested, in the order asked for.
    pub untested: Vec<Untested>,
}

impl TestResults {
    /// Adds what was judged elsewhere.
    pub(crate) fn extend(&mut self, other: TestResults) {
        self.comparisons.extend(other.comparisons);
        self.untested.extend(other.untested);
    }
}
