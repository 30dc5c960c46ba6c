//! Averages the selected heads to one importance per image token.

use crate::error::check_shape;
use crate::isa::instantiate;
use crate::{Element, Isa, KernelError, Key};

/// Mean of the rows `heads` of `attention` `[H, N]`: the importance `[N]`.
///
/// Summed in `f64` in the order of `heads`, which callers give ascending.
///
/// # Errors
/// A shape that `attention` does not fill, no head, or a head outside `0..H`.
pub fn token_importance<T: Element>(
    attention: &[T],
    num_heads: usize,
    num_image_tokens: usize,
    heads: &[usize],
) -> Result<Vec<f64>, KernelError> {
    const OP: &str = "token_importance";
    check_shape(
        OP,
        "attention",
        &[num_heads, num_image_tokens],
        attention.len(),
    )?;
    if heads.is_empty() {
        return Err(KernelError::CountOutOfRange {
            op: OP,
            count: 0,
            len: num_heads,
        });
    }
    let mut importance = vec![0.0; num_image_tokens];
    for &head in heads {
        if head >= num_heads {
            return Err(KernelError::IndexOutOfRange {
                op: OP,
                index: head,
                len: num_heads,
            });
        }
        let row = &attention[head * num_image_tokens..][..num_image_tokens];
        add_row(Isa::best(), &T::to_keys(row), &mut importance);
    }
    let count = heads.len() as f64;
    for value in &mut importance {
        *value /= count;
    }
    Ok(importance)
}

instantiate! {
    fn add_row<K: Key>(row: &[K], sums: &mut [f64]) = add_row_body
}

#[inline(always)]
fn add_row_body<K: Key>(row: &[K], sums: &mut [f64]) {
    for (sum, key) in sums.iter_mut().zip(row) {
        *sum += key.widen();
    }
}
