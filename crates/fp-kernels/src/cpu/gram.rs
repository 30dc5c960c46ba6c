//! Inner products of rows.

use super::math::dot;
use crate::error::check_shape;
use crate::isa::instantiate;
use crate::{Isa, KernelError};

/// Inner products of each pair of rows of `rows` `[num_rows, N]`: `[num_rows, num_rows]`,
/// symmetric to the last bit.
///
/// # Errors
/// A shape that `rows` does not fill.
pub fn gram(
    rows: &[f64],
    num_rows: usize,
    num_image_tokens: usize,
) -> Result<Vec<f64>, KernelError> {
    check_shape("gram", "rows", &[num_rows, num_image_tokens], rows.len())?;
    let mut products = vec![0.0; num_rows * num_rows];
    fill_gram(Isa::best(), rows, num_rows, num_image_tokens, &mut products);
    Ok(products)
}

instantiate! {
    fn fill_gram(rows: &[f64], num_rows: usize, num_image_tokens: usize, products: &mut [f64]) = gram_body
}

#[inline(always)]
fn gram_body(rows: &[f64], num_rows: usize, num_image_tokens: usize, products: &mut [f64]) {
    for (i, x) in rows.chunks_exact(num_image_tokens).enumerate() {
        for (j, y) in rows.chunks_exact(num_image_tokens).enumerate().skip(i) {
            let product = dot(x, y);
            products[i * num_rows + j] = product;
            products[j * num_rows + i] = product;
        }
    }
}
