//! Statistics of attention rows.

/// How an attention row becomes a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Normalization {
    /// `p = a / Σ a`.
    L1,
    /// `p = softmax(a)`: a second softmax of values that already are softmax outputs.
    Softmax,
}

/// The statistics to compute for each row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StatisticsOptions {
    /// How `p` is made from the row.
    pub normalization: Normalization,
    /// How many of the largest values [`HeadStatistics::top_k_sum`] adds; for a shorter row it is
    /// the sum of all values.
    pub top_k: usize,
    /// [`HeadStatistics::p_count`] counts the `p` that exceed this.
    pub threshold: f64,
    /// Whether to compute the statistics that need a sorted row. Otherwise `top_k_sum` and `gini`
    /// are NaN.
    pub order_statistics: bool,
}

/// The statistics of one attention row `a` of length N and of its distribution
/// `p`, each in `f64`.
///
/// A row whose values sum to 0 has no distribution under [`Normalization::L1`]: all statistics of
/// `p`, and `gini`, are then 0, and [`HeadStatistics::sum`] identifies such a row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HeadStatistics {
    /// Σ a.
    pub sum: f64,
    /// Σ a / N.
    pub mean: f64,
    /// Unbiased variance of a, by two passes; 0 for N = 1.
    pub variance: f64,
    /// max a.
    pub max: f64,
    /// min a.
    pub min: f64,
    /// Sum of the k largest a.
    pub top_k_sum: f64,
    /// max p.
    pub p_max: f64,
    /// Σ p².
    pub p_squares: f64,
    /// −Σ p ln p, with 0 ln 0 = 0.
    pub p_entropy: f64,
    /// Number of p above the threshold.
    pub p_count: usize,
    /// Gini coefficient of p: Σ_i (2i − N − 1) p_(i) / (N Σ p), ascending, i from 1.
    pub gini: f64,
}
