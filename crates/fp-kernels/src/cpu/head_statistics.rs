//! The statistics of every strategy for each attention row.
//!
//! A row is read from memory once. All passes work on a copy in the first-level cache: one for
//! the sum and the extremes, one for the moments and the entropy, and for the order statistics a
//! network that sorts sixteen rows at a time.

use rayon::prelude::*;

use super::order_statistics::{ORDER_BLOCK, order_statistics, transpose};
use super::row_statistics::row_statistics;
use super::sort::{Lanes, SORT_LANES, sort_lanes};
use crate::error::check_shape;
use crate::{Element, HeadStatistics, Isa, KernelError, Key, StatisticsOptions};

/// Statistics of each row of `rows`, `[num_rows, N]` row-major; for a batch
/// `num_rows` is B·H.
///
/// Rows are computed independently of each other and of the number of threads: the same row gives
/// the same bits at any index.
///
/// # Errors
/// A shape that `rows` does not fill, or a value that is NaN, infinite or negative; the error
/// names the first one.
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
        // Groups run in any order: search again, so that the error names the first invalid value.
        .map_err(|Invalid| first_invalid(rows, num_image_tokens))?;
    Ok(statistics)
}

/// Values per task below which another thread costs more than it gains: one sample of common size
/// stays on one thread, so that batches are split by samples.
pub(super) const TASK_LEN: usize = 1 << 15;

/// A row holds a value that no softmax produces.
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

/// Buffers of one worker, reused from group to group.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Normalization;

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
