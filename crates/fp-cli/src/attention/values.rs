//! Checks whether a softmax can produce values.

use std::fmt::Display;

use anyhow::{Context, Result, bail, ensure};

use crate::dump::{Dump, Tensor, Values};

/// A number type of attention values.
pub(crate) trait Value: Copy + Display + Into<f64> {}

impl Value for f32 {}
impl Value for f64 {}

/// Sum of a row in eight partial sums, so that it is as fast as reading.
pub(super) fn sum_of<T: Value>(row: &[T]) -> f64 {
    let (parts, rest) = row.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for part in parts {
        for (sum, &value) in sums.iter_mut().zip(part) {
            *sum += value.into();
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&value| value.into()).sum::<f64>()
}

/// Finds a value that no softmax produces.
pub(super) fn check_values<T: Value>(row: &[T]) -> Result<()> {
    let is_wrong = |value: T| !(0.0..=f64::MAX).contains(&value.into());
    // In blocks, since invalid values are rare.
    let mut stretches = row.chunks(64).enumerate();
    let found = stretches.find(|(_, stretch)| {
        let any = |any, &value: &T| any | is_wrong(value);
        stretch.iter().fold(false, any)
    });
    let column = found.and_then(|(at, stretch)| {
        let within = stretch.iter().position(|&value| is_wrong(value));
        within.map(|within| at * 64 + within)
    });
    match column {
        None => Ok(()),
        Some(column) => bail!(
            "attention at column {column} is {}; after a softmax it is finite and not negative",
            row[column]
        ),
    }
}

/// Reads one row per head of a sample, counted from 0, and refuses values that are impossible for a
/// head's attention to the image.
pub(crate) fn read_per_head(
    dump: &mut Dump,
    tensor: &Tensor,
    (num_heads, num_image): (usize, usize),
    sample: usize,
) -> Result<Values> {
    let len = num_heads * num_image;
    let values = dump.read(tensor, sample * len, len)?;
    match &values {
        Values::F64(values) => check_heads(values, num_image, tensor)?,
        Values::F32(values) => check_heads(values, num_image, tensor)?,
    }
    Ok(values)
}

/// Refuses values of `[H, N]` that are impossible for heads' attention to the image.
pub(crate) fn check_heads<T: Value>(values: &[T], num_image: usize, tensor: &Tensor) -> Result<()> {
    let tolerance = tensor.precision.row_sum_tolerance();
    for (head, row) in values.chunks_exact(num_image).enumerate() {
        let in_head = || format!("head {head} of tensor `{}`", tensor.name);
        check_values(row).with_context(in_head)?;
        let sum = sum_of(row);
        ensure!(
            sum <= 1.0 + tolerance,
            "{}: its row sums to {sum}; after a softmax the image's share of a row is at most 1. Is this attention before the softmax, or summed over rows or layers?",
            in_head()
        );
    }
    // In causal attention a row attends to itself and earlier positions: no values above the
    // diagonal.
    let is_causal = |(row, values): (usize, &[T])| {
        let (before, after) = values.split_at(row + 1);
        after.iter().all(|&value| value.into() == 0.0)
            && before.iter().any(|&value| value.into() > 0.0)
    };
    let num_heads = values.len() / num_image;
    ensure!(
        num_heads != num_image
            || num_image < 2
            || !values.chunks_exact(num_image).enumerate().all(is_causal),
        "tensor `{}` of shape {:?} is zero above its diagonal, as one head's causal attention over {num_image} tokens is, and would be read as [heads, image tokens]: reshape it to [1, {num_image}, {num_image}] and give the position of the image with --image-range",
        tensor.name,
        tensor.shape
    );
    Ok(())
}
