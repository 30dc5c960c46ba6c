//! The R largest values, ties go to the lower index, indices ascending.
//!
//! **How.** Values are mapped to integers of the same order, in which the standard library's
//! `select_nth_unstable` finds the R-th largest; one sweep in index order then keeps all larger
//! values, and ties until R are kept. Sorting by value and index gives the same set, but takes N
//! log N comparisons for N values instead of a linear number, and the sweep returns ascending
//! indices without a second sort. Integer keys make −0 equal to 0 and the order total.
//!
//! **Cost.** O(N) time, also in the worst case, and memory for N keys.
//!
//! **Reference.** [`super::reference::top_r`], which sorts.

use crate::KernelError;

/// The boundary between kept and dropped values, and how clear it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// Smallest value kept.
    pub last_kept: f64,
    /// Largest value dropped.
    pub first_dropped: f64,
    /// Number of values equal to `last_kept`, kept or not.
    pub num_tied: usize,
    /// Number of those tied values that were kept.
    pub num_tied_kept: usize,
}

/// The outcome of [`top_r`].
#[derive(Debug, Clone, PartialEq)]
pub struct TopR {
    /// Indices of the values kept, ascending.
    pub kept: Vec<usize>,
    /// The boundary; `None` if everything is kept.
    pub cut: Option<Cut>,
}

/// The `count` largest of `values`; among equal values the lower index wins.
///
/// Exact: selection on order-preserving integer keys, then one sweep in index order. −∞ is an
/// ordinary smallest value; the caller ensures that no value is NaN.
///
/// # Errors
/// A count of 0 or above the number of values.
pub fn top_r(values: &[f64], count: usize) -> Result<TopR, KernelError> {
    if count == 0 || count > values.len() {
        return Err(KernelError::CountOutOfRange {
            op: "top_r",
            count,
            len: values.len(),
        });
    }
    if count == values.len() {
        return Ok(TopR {
            kept: (0..count).collect(),
            cut: None,
        });
    }
    let mut keys: Vec<u64> = values.iter().map(|&value| ordered_key(value)).collect();
    let (smaller, &mut threshold, larger) = keys.select_nth_unstable(values.len() - count);
    let num_larger = larger.iter().filter(|&&key| key > threshold).count();
    let num_tied_kept = count - num_larger;
    let num_tied_dropped = smaller.iter().filter(|&&key| key == threshold).count();
    let first_dropped = smaller.iter().copied().max().unwrap_or(threshold);

    let mut kept = Vec::with_capacity(count);
    let mut ties_left = num_tied_kept;
    for (index, &value) in values.iter().enumerate() {
        let key = ordered_key(value);
        if key > threshold {
            kept.push(index);
        } else if key == threshold && ties_left > 0 {
            ties_left -= 1;
            kept.push(index);
        }
    }
    Ok(TopR {
        kept,
        cut: Some(Cut {
            last_kept: value_of(threshold),
            first_dropped: value_of(first_dropped),
            num_tied: num_tied_kept + num_tied_dropped,
            num_tied_kept,
        }),
    })
}

/// Maps a float to an integer of the same order; −0 and 0 map to the same integer.
fn ordered_key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    let sign = 1 << 63;
    if bits & sign == 0 { bits | sign } else { !bits }
}

/// Inverse of [`ordered_key`].
fn value_of(key: u64) -> f64 {
    let sign = 1 << 63;
    f64::from_bits(if key & sign == 0 { !key } else { key & !sign })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], count: usize, kept: &[usize], tied: (usize, usize)) {
        let top = top_r(values, count).unwrap();
        assert_eq!(top.kept, kept);
        let cut = top.cut.unwrap();
        assert_eq!((cut.num_tied, cut.num_tied_kept), tied);
    }

    #[test]
    fn ties_go_to_the_lower_index() {
        check(&[1.0, 3.0, 2.0, 3.0], 2, &[1, 3], (2, 2));
        check(&[3.0, 3.0, 3.0], 2, &[0, 1], (3, 2));
        check(&[0.0, 5.0, 0.0, 0.0, 5.0], 3, &[0, 1, 4], (3, 1));
        check(&[-0.0, 0.0, -1.0], 1, &[0], (2, 1));
        check(
            &[f64::NEG_INFINITY, 1.0, f64::NEG_INFINITY],
            2,
            &[0, 1],
            (2, 1),
        );
    }

    #[test]
    fn the_cut_is_reported() {
        let cut = top_r(&[0.5, 0.25, -2.0], 1).unwrap().cut.unwrap();
        assert_eq!((cut.last_kept, cut.first_dropped), (0.5, 0.25));
        assert_eq!(top_r(&[1.0, 2.0], 2).unwrap().cut, None);
    }

    #[test]
    fn impossible_counts_are_errors() {
        for count in [0, 4] {
            assert!(matches!(
                top_r(&[1.0, 2.0, 3.0], count),
                Err(KernelError::CountOutOfRange { len: 3, .. })
            ));
        }
    }
}
