//! Statistics of sorted rows, computed for sixteen rows at a time.

use super::math::exp_nonpositive;
use super::sort::{Lanes, SORT_LANES};
use crate::isa::instantiate;
use crate::{HeadStatistics, Key, Normalization, StatisticsOptions};

instantiate! {
    /// Row `i` of `rows` becomes lane `i` of `columns`; lanes without a row hold zeros.
    pub(super) fn transpose<K: Key>(
        rows: &[K],
        num_image_tokens: usize,
        columns: &mut Vec<Lanes<K>>,
    ) = transpose_body
}

#[inline(always)]
fn transpose_body<K: Key>(rows: &[K], num_image_tokens: usize, columns: &mut Vec<Lanes<K>>) {
    columns.resize(num_image_tokens, [K::default(); SORT_LANES]);
    if rows.len() == SORT_LANES * num_image_tokens {
        for (position, column) in columns.iter_mut().enumerate() {
            for (lane, value) in column.iter_mut().enumerate() {
                *value = rows[lane * num_image_tokens + position];
            }
        }
    } else {
        columns.fill([K::default(); SORT_LANES]);
        for (lane, row) in rows.chunks_exact(num_image_tokens).enumerate() {
            for (column, &value) in columns.iter_mut().zip(row) {
                column[lane] = value;
            }
        }
    }
}

/// Elements of each row whose exponentials are computed together.
pub(super) const ORDER_BLOCK: usize = 32;

instantiate! {
    /// Top-k sums and Gini coefficients from sorted columns.
    pub(super) fn order_statistics<K: Key>(
        options: &StatisticsOptions,
        columns: &[Lanes<K>],
        terms: &mut [f64],
        statistics: &mut [HeadStatistics],
    ) = order_statistics_body
}

#[inline(always)]
fn order_statistics_body<K: Key>(
    options: &StatisticsOptions,
    columns: &[Lanes<K>],
    terms: &mut [f64],
    statistics: &mut [HeadStatistics],
) {
    let mut top = [0.0; SORT_LANES];
    for column in columns.iter().rev().take(options.top_k) {
        for lane in 0..SORT_LANES {
            top[lane] += column[lane].widen();
        }
    }
    // A softmax keeps the order, so the sorted row gives the sorted distribution.
    let mut max = [0.0; SORT_LANES];
    if let Some(last) = columns.last() {
        max = last.map(Key::widen);
    }
    let n = columns.len() as f64;
    let (mut weighted, mut mass) = ([0.0; SORT_LANES], [0.0; SORT_LANES]);
    let mut weight = 1.0 - n; // 2i − N − 1 for i = 1
    for block in columns.chunks(ORDER_BLOCK) {
        let terms = &mut terms[..block.len() * SORT_LANES];
        let (lanes, _) = terms.as_chunks_mut::<SORT_LANES>();
        match options.normalization {
            Normalization::L1 => {
                for (values, column) in lanes.iter_mut().zip(block) {
                    for lane in 0..SORT_LANES {
                        values[lane] = column[lane].widen();
                    }
                }
            }
            Normalization::Softmax => {
                for (values, column) in lanes.iter_mut().zip(block) {
                    for lane in 0..SORT_LANES {
                        values[lane] = column[lane].widen() - max[lane];
                    }
                }
                for value in lanes.as_flattened_mut() {
                    *value = exp_nonpositive(*value);
                }
            }
        }
        for values in lanes.iter() {
            for lane in 0..SORT_LANES {
                weighted[lane] += weight * values[lane];
                mass[lane] += values[lane];
            }
            weight += 2.0;
        }
    }
    for (lane, statistics) in statistics.iter_mut().enumerate() {
        statistics.top_k_sum = top[lane];
        statistics.gini = if mass[lane] > 0.0 {
            weighted[lane] / (n * mass[lane])
        } else {
            0.0
        };
    }
}
