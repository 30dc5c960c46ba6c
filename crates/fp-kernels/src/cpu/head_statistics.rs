//! The statistics of every strategy for each attention row.
//!
//! A row is read from memory once. What follows works on a copy in the
//! first-level cache: one sweep for the sum and the extremes, one for the
//! moments and the entropy, and for the order statistics a network that sorts
//! sixteen rows at a time.

use rayon::prelude::*;

use super::math::{exp_nonpositive, extremes, ln, sum, sum_of};
use super::sort::{Lanes, SORT_LANES, sort_lanes};
use crate::error::check_shape;
use crate::isa::instantiate;
use crate::{Element, HeadStatistics, Isa, KernelError, Key, Normalization, StatisticsOptions};

/// Statistics of each row of `rows`, `[num_rows, N]` row-major; for a batch
/// `num_rows` is B·H.
///
/// Rows are independent of each other and of the number of threads: the same
/// row gives the same bits wherever it stands.
///
/// # Errors
/// A shape that `rows` does not fill, or a value that is NaN, infinite or
/// negative; the first such value is named.
pub fn head_statistics<T: Element>(
    rows: &[T],
    num_rows: usize,
    num_image_tokens: usize,
    options: &StatisticsOptions,
) -> Result<Vec<HeadStatistics>, KernelError> {
    head_statistics_on(Isa::best(), rows, num_rows, num_image_tokens, options)
}

/// [`head_statistics`] on a chosen instruction set, for tests and benchmarks.
///
/// # Errors
/// As [`head_statistics`].
pub fn head_statistics_on<T: Element>(
    isa: Isa,
    rows: &[T],
    num_rows: usize,
    num_image_tokens: usize,
    options: &StatisticsOptions,
) -> Result<Vec<HeadStatistics>, KernelError> {
    check_shape(
        "head_statistics",
        "attention",
        &[num_rows, num_image_tokens],
        rows.len(),
    )?;
    let mut statistics = vec![HeadStatistics::default(); num_rows];
    let group_len = SORT_LANES * num_image_tokens;
    rows.par_chunks(group_len)
        .zip(statistics.par_chunks_mut(SORT_LANES))
        .with_min_len(TASK_LEN.div_ceil(group_len))
        .try_for_each_init(Scratch::default, |scratch, (rows, statistics)| {
            let keys = T::to_keys(rows);
            group_statistics(isa, &keys, num_image_tokens, options, scratch, statistics)
        })
        // Groups run in any order: look again, so that the first offender is named.
        .map_err(|Invalid| first_invalid(rows, num_image_tokens))?;
    Ok(statistics)
}

/// Values per task below which another thread costs more than it brings: one
/// sample of common size stays on one thread, so that batches divide by samples.
pub(super) const TASK_LEN: usize = 1 << 15;

/// A row holds a value that no softmax gives.
struct Invalid;

#[inline(always)]
fn is_valid(value: f64) -> bool {
    (0.0..=f64::MAX).contains(&value)
}

fn first_invalid<T: Element>(rows: &[T], num_image_tokens: usize) -> KernelError {
    let keys = T::to_keys(rows);
    let index = keys
        .iter()
        .position(|key| !is_valid(key.widen()))
        .unwrap_or(0);
    KernelError::InvalidAttention {
        row: index / num_image_tokens,
        position: index % num_image_tokens,
        value: keys[index].widen(),
    }
}

/// Buffers of one worker, kept from group to group.
struct Scratch<K> {
    row: Vec<f64>,
    terms: Vec<f64>,
    columns: Vec<Lanes<K>>,
}

impl<K> Default for Scratch<K> {
    fn default() -> Self {
        Scratch {
            row: Vec::new(),
            terms: Vec::new(),
            columns: Vec::new(),
        }
    }
}

/// Statistics of up to [`SORT_LANES`] rows.
fn group_statistics<K: Key>(
    isa: Isa,
    rows: &[K],
    num_image_tokens: usize,
    options: &StatisticsOptions,
    scratch: &mut Scratch<K>,
    statistics: &mut [HeadStatistics],
) -> Result<(), Invalid> {
    scratch.row.resize(num_image_tokens, 0.0);
    scratch
        .terms
        .resize(num_image_tokens.max(ORDER_BLOCK * SORT_LANES), 0.0);
    for (row, statistics) in rows
        .chunks_exact(num_image_tokens)
        .zip(statistics.iter_mut())
    {
        *statistics = row_statistics(isa, row, options, &mut scratch.row, &mut scratch.terms)
            .ok_or(Invalid)?;
    }
    if options.order_statistics {
        transpose(isa, rows, num_image_tokens, &mut scratch.columns);
        sort_lanes(isa, &mut scratch.columns);
        order_statistics(
            isa,
            options,
            &scratch.columns,
            &mut scratch.terms,
            statistics,
        );
    }
    Ok(())
}

instantiate! {
    /// Everything but the order statistics; none if the row holds an invalid value.
    fn row_statistics<K: Key>(
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
    // A comparison passes over NaN, but a sum doesn't.
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
/// Entropy is ln Z − Σ p (a − max a), which takes one logarithm a row and
/// keeps the small differences between nearly uniform rows.
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

instantiate! {
    /// Row `i` of `rows` becomes lane `i` of `columns`; lanes without a row hold zeros.
    fn transpose<K: Key>(
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

/// Elements of each row whose exponentials are taken together.
const ORDER_BLOCK: usize = 32;

instantiate! {
    /// Top-k sums and Gini coefficients from sorted columns.
    fn order_statistics<K: Key>(
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

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: StatisticsOptions = StatisticsOptions {
        normalization: Normalization::L1,
        top_k: 2,
        threshold: 0.2,
        order_statistics: true,
    };

    #[test]
    fn a_row_by_hand() {
        // a = [1, 0, 2, 1]: Σ 4, mean 1, deviations 0 + 1 + 1 + 0, p = [¼, 0, ½, ¼].
        let [row] = head_statistics(&[1.0_f32, 0.0, 2.0, 1.0], 1, 4, &OPTIONS).unwrap()[..] else {
            panic!("one row in, one out")
        };
        assert_eq!((row.sum, row.mean, row.max, row.min), (4.0, 1.0, 2.0, 0.0));
        assert_eq!(row.variance, 2.0 / 3.0);
        assert_eq!(row.top_k_sum, 3.0);
        assert_eq!((row.p_max, row.p_count), (0.5, 3));
        assert_eq!(row.p_squares, 0.0625 + 0.25 + 0.0625);
        assert!((row.p_entropy - 1.5 * 2.0_f64.ln()).abs() < 1e-15);
        // Sorted 0, 1, 1, 2 with weights −3, −1, 1, 3: 6 / (4 · 4).
        assert_eq!(row.gini, 0.375);
    }

    #[test]
    fn a_row_without_mass() {
        let row = head_statistics(&[0.0_f32; 5], 1, 5, &OPTIONS).unwrap()[0];
        assert_eq!(row, HeadStatistics::default());
    }

    #[test]
    fn the_first_invalid_value_is_named() {
        for (value, at) in [(f32::NAN, 5), (f32::INFINITY, 0), (-1e-9, 399)] {
            let mut rows = vec![0.5_f32; 400];
            rows[at] = value;
            rows[399] = f32::NAN;
            let error = head_statistics(&rows, 40, 10, &OPTIONS).unwrap_err();
            let KernelError::InvalidAttention { row, position, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(row * 10 + position, at);
        }
    }

    #[test]
    fn negative_zero_is_zero() {
        assert!(head_statistics(&[-0.0_f32, 1.0], 1, 2, &OPTIONS).is_ok());
    }

    #[test]
    fn shapes_are_checked() {
        assert!(matches!(
            head_statistics(&[0.0_f32; 5], 2, 3, &OPTIONS),
            Err(KernelError::ShapeMismatch {
                expected: 6,
                got: 5,
                ..
            })
        ));
        assert!(matches!(
            head_statistics::<f32>(&[], 0, 3, &OPTIONS),
            Err(KernelError::EmptyShape { .. })
        ));
    }
}
