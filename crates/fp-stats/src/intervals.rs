//! Confidence intervals, and how they come about.

/// How an interval came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalKind {
    /// Clustered score interval, which holds where few samples differ; see
    /// [`crate::ClusteredDifference`].
    ClusteredScore,
    /// Quantiles of cluster bootstrap draws.
    BootstrapPercentile,
    /// The same, corrected for bias and acceleration.
    BootstrapBca,
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How sure, such as 0.95.
    pub confidence: f64,
}

impl Interval {
    /// Whether `value` lies within, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}
