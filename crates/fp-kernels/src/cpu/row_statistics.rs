//! Statistics that need no sorted row: sums, extremes, moments, and those of the row's
//! distribution.

use super::math::{exp_nonpositive, extremes, ln, sum, sum_of};
use crate::isa::instantiate;
use crate::{HeadStatistics, Key, Normalization, StatisticsOptions};

instantiate! {
    /// All statistics but the order statistics; `None` if the row holds an invalid value.
    pub(super) fn row_statistics<K: Key>(
        keys: &[K],
        options: &StatisticsOptions,
        row: &mut [f64],
        terms: &mut [f64],
    ) -> Option<HeadStatistics> = row_statistics_body
}

#[inline(always)]
fn row_statistics_body<K: Key>(
    keys: &[K],
    options: &StatisticsOptions,
    row: &mut [f64],
    terms: &mut [f64],
) -> Option<HeadStatistics> {
    let terms = &mut terms[..row.len()];
    for (value, key) in row.iter_mut().zip(keys) {
        *value = key.widen();
    }
    let n = row.len() as f64;
    let total = sum(row);
    let (min, max) = extremes(row);
    // A comparison ignores NaN, but a sum propagates it.
    if total.is_nan() || min < 0.0 || max > f64::MAX {
        return None;
    }
    let mean = total / n;
    let deviations = sum_of(row, |a| (a - mean) * (a - mean));
    let variance = if row.len() > 1 {
        deviations / (n - 1.0)
    } else {
        0.0
    };
    let distribution = match options.normalization {
        Normalization::L1 => l1_distribution(row, terms, total, max, options.threshold),
        Normalization::Softmax => softmax_distribution(row, terms, max, options.threshold),
    };
    Some(HeadStatistics {
        sum: total,
        mean,
        variance,
        max,
        min,
        top_k_sum: f64::NAN,
        gini: f64::NAN,
        ..distribution
    })
}

/// The statistics of p = a / Σ a; overwrites `row` with p.
#[inline(always)]
fn l1_distribution(
    row: &mut [f64],
    terms: &mut [f64],
    total: f64,
    max: f64,
    threshold: f64,
) -> HeadStatistics {
    if total == 0.0 {
        return HeadStatistics::default();
    }
    for a in row.iter_mut() {
        *a /= total;
    }
    for (term, &p) in terms.iter_mut().zip(&*row) {
        *term = p * ln(p);
    }
    HeadStatistics {
        p_max: max / total,
        p_squares: sum_of(row, |p| p * p),
        p_entropy: -sum(terms),
        p_count: count_above(row, threshold),
        ..HeadStatistics::default()
    }
}

/// The statistics of p = exp(a − max a) / Z; overwrites `row` with p.
///
/// The entropy is ln Z − Σ p (a − max a), which takes one logarithm per row and preserves the
/// small differences between nearly uniform rows.
#[inline(always)]
fn softmax_distribution(
    row: &mut [f64],
    terms: &mut [f64],
    max: f64,
    threshold: f64,
) -> HeadStatistics {
    for (a, shifted) in row.iter_mut().zip(terms.iter_mut()) {
        *shifted = *a - max;
        *a = exp_nonpositive(*shifted);
    }
    let z = sum(row);
    for (p, shifted) in row.iter_mut().zip(terms.iter_mut()) {
        *p /= z;
        *shifted *= *p;
    }
    HeadStatistics {
        p_max: 1.0 / z,
        p_squares: sum_of(row, |p| p * p),
        p_entropy: z.ln() - sum(terms),
        p_count: count_above(row, threshold),
        ..HeadStatistics::default()
    }
}

#[inline(always)]
fn count_above(p: &[f64], threshold: f64) -> usize {
    sum_of(p, |p| if p > threshold { 1.0 } else { 0.0 }) as usize
}
