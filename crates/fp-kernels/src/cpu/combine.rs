//! Combines query rows into one row per head.

use rayon::prelude::*;

use super::head_statistics::TASK_LEN;
use crate::error::check_shape;
use crate::{Element, KernelError, Key};

/// Σ w · a\[h, q, n\] over `picks` of (q, w): attention `[H, Q, N]` to `[H, N]`.
///
/// The sum runs in the order of `picks` in `f64` and is not rounded afterwards,
/// since scores under a second softmax differ by less than `f32` can tell.
///
/// # Errors
/// A shape that `attention` does not fill, or a row outside `0..Q`.
pub fn combine_rows<T: Element>(
    attention: &[T],
    num_heads: usize,
    num_rows: usize,
    num_image_tokens: usize,
    picks: &[(usize, f64)],
) -> Result<Vec<f64>, KernelError> {
    const OP: &str = "combine_rows";
    let shape = [num_heads, num_rows, num_image_tokens];
    check_shape(OP, "attention", &shape, attention.len())?;
    if let Some(&(index, _)) = picks.iter().find(|(row, _)| *row >= num_rows) {
        return Err(KernelError::IndexOutOfRange {
            op: OP,
            index,
            len: num_rows,
        });
    }
    let mut combined = vec![0.0; num_heads * num_image_tokens];
    attention
        .par_chunks(num_rows * num_image_tokens)
        .zip(combined.par_chunks_mut(num_image_tokens))
        .with_min_len(TASK_LEN.div_ceil(picks.len().max(1) * num_image_tokens))
        .for_each(|(head, combined)| {
            for &(row, weight) in picks {
                let row = &head[row * num_image_tokens..][..num_image_tokens];
                for (out, key) in combined.iter_mut().zip(T::to_keys(row).iter()) {
                    *out += weight * key.widen();
                }
            }
        });
    Ok(combined)
}

/// Σ_h Σ_n a\[h, q, n\]: how much each query row attends to the image, `[Q]`.
///
/// # Errors
/// A shape that `attention` does not fill.
pub fn row_totals<T: Element>(
    attention: &[T],
    num_heads: usize,
    num_rows: usize,
    num_image_tokens: usize,
) -> Result<Vec<f64>, KernelError> {
    let shape = [num_heads, num_rows, num_image_tokens];
    check_shape("row_totals", "attention", &shape, attention.len())?;
    let mut totals = vec![0.0; num_rows];
    for head in attention.chunks_exact(num_rows * num_image_tokens) {
        for (total, row) in totals.iter_mut().zip(head.chunks_exact(num_image_tokens)) {
            *total += T::to_keys(row).iter().map(|key| key.widen()).sum::<f64>();
        }
    }
    Ok(totals)
}
