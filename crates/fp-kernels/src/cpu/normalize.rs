//! Normalizes attention rows to distributions, for the strategies that compare heads.

use rayon::prelude::*;

use super::head_statistics::TASK_LEN;
use super::math::{exp_nonpositive, sum};
use crate::error::check_shape;
use crate::isa::instantiate;
use crate::{Element, Isa, KernelError, Key, Normalization};

/// The distribution p of each row of `rows`, `[num_rows, N]` row-major, in `f64`.
///
/// A row without mass becomes all zeros under [`Normalization::L1`].
///
/// # Errors
/// A shape that `rows` does not fill. Values are not checked here:
/// [`super::head_statistics`] does that.
pub fn normalize_rows<T: Element>(
    rows: &[T],
    num_rows: usize,
    num_image_tokens: usize,
    normalization: Normalization,
) -> Result<Vec<f64>, KernelError> {
    check_shape(
        "normalize_rows",
        "attention",
        &[num_rows, num_image_tokens],
        rows.len(),
    )?;
    let mut distributions = vec![0.0; rows.len()];
    rows.par_chunks(num_image_tokens)
        .zip(distributions.par_chunks_mut(num_image_tokens))
        .with_min_len(TASK_LEN.div_ceil(num_image_tokens))
        .for_each(|(row, p)| normalize_row(Isa::best(), &T::to_keys(row), normalization, p));
    Ok(distributions)
}

instantiate! {
    fn normalize_row<K: Key>(row: &[K], normalization: Normalization, p: &mut [f64]) = normalize_body
}

#[inline(always)]
fn normalize_body<K: Key>(row: &[K], normalization: Normalization, p: &mut [f64]) {
    let mut max = 0.0;
    for (p, key) in p.iter_mut().zip(row) {
        *p = key.widen();
        max = if *p > max { *p } else { max };
    }
    if normalization == Normalization::Softmax {
        for p in p.iter_mut() {
            *p = exp_nonpositive(*p - max);
        }
    }
    let total = sum(p);
    if total > 0.0 {
        for p in p.iter_mut() {
            *p /= total;
        }
    }
}
