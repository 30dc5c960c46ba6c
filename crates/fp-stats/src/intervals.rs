//! Confidence intervals and their kinds.

/// How an interval was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalKind {
    /// Clustered score interval, which is valid even if few samples differ; see
    /// [`crate::ClusteredDifference`].
    ClusteredScore,
    /// Quantiles of cluster bootstrap draws.
    BootstrapPercentile,
    /// Such quantiles, corrected for bias and acceleration.
    BootstrapBca,
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence level, such as 0.95.
    pub confidence: f64,
}

impl Interval {
    /// Whether `value` lies within, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}
