//! Naive versions of all operations: one thread, `f64`, the formula as written.
//!
//! The fast paths are tested against these functions. Nothing else calls them.

use crate::{HeadStatistics, Normalization, StatisticsOptions};

/// The distribution of one row; all zeros for a row without mass.
pub fn normalize_row(row: &[f64], normalization: Normalization) -> Vec<f64> {
    let weights: Vec<f64> = match normalization {
        Normalization::L1 => row.to_vec(),
        Normalization::Softmax => {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter().map(|a| (a - max).exp()).collect()
        }
    };
    let total: f64 = weights.iter().sum();
    weights
        .iter()
        .map(|weight| if total > 0.0 { weight / total } else { 0.0 })
        .collect()
}

/// [`super::head_statistics`] of one row.
pub fn head_statistics(row: &[f64], options: &StatisticsOptions) -> HeadStatistics {
    let n = row.len() as f64;
    let sum: f64 = row.iter().sum();
    let mean = sum / n;
    let deviations: f64 = row.iter().map(|a| (a - mean).powi(2)).sum();
    let variance = if row.len() > 1 {
        deviations / (n - 1.0)
    } else {
        0.0
    };
    let mut sorted = row.to_vec();
    sorted.sort_by(f64::total_cmp);
    let top_k_sum = sorted.iter().rev().take(options.top_k).sum();
    let p = normalize_row(row, options.normalization);
    let mut sorted_p = p.clone();
    sorted_p.sort_by(f64::total_cmp);
    let mass: f64 = p.iter().sum();
    let weighted: f64 = sorted_p
        .iter()
        .enumerate()
        .map(|(i, p)| (2.0 * (i as f64 + 1.0) - n - 1.0) * p)
        .sum();
    HeadStatistics {
        sum,
        mean,
        variance,
        max: row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        min: row.iter().copied().fold(f64::INFINITY, f64::min),
        top_k_sum: if options.order_statistics {
            top_k_sum
        } else {
            f64::NAN
        },
        p_max: p.iter().copied().fold(0.0, f64::max),
        p_squares: p.iter().map(|p| p * p).sum(),
        p_entropy: -p
            .iter()
            .map(|&p| if p > 0.0 { p * p.ln() } else { 0.0 })
            .sum::<f64>(),
        p_count: p.iter().filter(|&&p| p > options.threshold).count(),
        gini: match (options.order_statistics, mass > 0.0) {
            (false, _) => f64::NAN,
            (true, true) => weighted / (n * mass),
            (true, false) => 0.0,
        },
    }
}

/// [`super::combine_rows`].
pub fn combine_rows(
    attention: &[f64],
    num_heads: usize,
    num_rows: usize,
    num_image_tokens: usize,
    picks: &[(usize, f64)],
) -> Vec<f64> {
    let mut combined = vec![0.0; num_heads * num_image_tokens];
    for head in 0..num_heads {
        for &(row, weight) in picks {
            for token in 0..num_image_tokens {
                let index = (head * num_rows + row) * num_image_tokens + token;
                combined[head * num_image_tokens + token] += weight * attention[index];
            }
        }
    }
    combined
}

/// [`super::gram`].
pub fn gram(rows: &[f64], num_rows: usize) -> Vec<f64> {
    let len = rows.len() / num_rows;
    let row = |index: usize| &rows[index * len..][..len];
    (0..num_rows * num_rows)
        .map(|pair| {
            let (x, y) = (row(pair / num_rows), row(pair % num_rows));
            x.iter().zip(y).map(|(x, y)| x * y).sum()
        })
        .collect()
}

/// [`super::token_importance`].
pub fn token_importance(attention: &[f64], num_image_tokens: usize, heads: &[usize]) -> Vec<f64> {
    (0..num_image_tokens)
        .map(|token| {
            let column = heads
                .iter()
                .map(|head| attention[head * num_image_tokens + token]);
            column.sum::<f64>() / heads.len() as f64
        })
        .collect()
}

/// The indices that [`super::top_r`] keeps, by a stable descending sort.
pub fn top_r(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| {
        values[b]
            .partial_cmp(&values[a])
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    order.truncate(count);
    order.sort_unstable();
    order
}
