//! `y = x Wᵀ`, the product that nearly all of a transformer's time goes to.
//!
//! **How.** Both sides are laid out in the order in which the register-blocked kernel of
//! `micro` reads them, the weights once when a model is loaded (panels of 32 outputs,
//! [`PackedMatrix`]), the rows once per product. A task takes some panels and all rows, `DEPTH`
//! steps of the sums at a time, so that a slice of a panel stays in the cache next to a core
//! while all blocks of rows pass it. This is the scheme of GotoBLAS and BLIS (Goto & van de
//! Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34, 2008; Van Zee &
//! van de Geijn, "BLIS", ACM TOMS 41, 2015).
//!
//! **Why not a library.** Libraries choose block shapes, and with them the order of a sum, by
//! the number of rows and threads. Here tasks split outputs only, never a sum: each output is
//! one chain of fused multiply-adds over the inputs from first to last, so that a row has the
//! same bits alone, in a batch and on any number of threads.
//!
//! **Cost.** `rows · in · out` multiply-adds. Weights are read from memory once per product,
//! which bounds products of a few rows (decoding) by memory and products of many (a prefill) by
//! arithmetic; packing the rows copies them once.
//!
//! **Reference.** `tests.rs`: naive sums in `f64` to a tolerance; instruction sets, and a row alone
//! and in company, to the bit.

mod job;
mod rows;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::halves::{HalfFormat, HalfMatrix};
use super::level::Level;
use super::packed::PackedMatrix;
use super::raw::filled;
use job::Job;
pub(super) use job::Terms;
pub(crate) use rows::Blocks;

/// Panels that one task takes, so that rows are read from the far cache once
/// per this many columns.
const GROUP: usize = 4;

/// What the sums start from.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Zero.
    Zero,
    /// A bias `[out]` for every row.
    Bias(&'a [f32]),
    /// A residual `[T, out]`.
    Residual(&'a [f32]),
    /// A bias `[out]` plus a residual `[T, out]`.
    BiasAndResidual(&'a [f32], &'a [f32]),
}

/// The right side of a product, `[out, in]`.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// In `f32`, in the kernel's order.
    Packed(&'a PackedMatrix),
    /// In two bytes a value, as stored.
    Half(&'a HalfMatrix),
}

impl<'a> From<&'a PackedMatrix> for Weights<'a> {
    fn from(matrix: &'a PackedMatrix) -> Self {
        Weights::Packed(matrix)
    }
}

impl<'a> From<&'a HalfMatrix> for Weights<'a> {
    fn from(matrix: &'a HalfMatrix) -> Self {
        Weights::Half(matrix)
    }
}

impl Weights<'_> {
    fn num_in(self) -> usize {
        match self {
            Weights::Packed(matrix) => matrix.num_in(),
            Weights::Half(matrix) => matrix.num_in(),
        }
    }

    fn num_out(self) -> usize {
        match self {
            Weights::Packed(matrix) => matrix.num_out(),
            Weights::Half(matrix) => matrix.num_out(),
        }
    }

    fn num_panels(self) -> usize {
        match self {
            Weights::Packed(matrix) => matrix.num_panels(),
            Weights::Half(matrix) => matrix.num_panels(),
        }
    }
}

/// `y = start + x Wᵀ` with `x [num_rows, in]`, `W [out, in]`: `[num_rows, out]`, every
/// product and sum in `f32`. Weights of two bytes are widened, so that the result has the
/// bits that it has with the same values in `f32`.
///
/// # Panics
/// If `x` or `start` don't have these shapes.
pub fn linear<'a>(
    x: &[f32],
    num_rows: usize,
    weights: impl Into<Weights<'a>>,
    start: Start<'_>,
) -> Vec<f32> {
    linear_on(Level::best(), x, num_rows, weights.into(), start)
}

/// As [`linear`], the rows of `x` rounded to `bf16` before they are multiplied: half of the
/// digits, and twice the speed on a processor with AVX512_BF16.
///
/// Pairs of terms are summed second before first, which is how that instruction does it. It
/// also takes numbers below 2⁻¹²⁶ for zero and may round between the two in its own way;
/// elsewhere both are fused multiply-adds. So results differ between the two in their last
/// bits, and [`super::rounding`] says which a machine has.
///
/// # Panics
/// As there, and for weights that are no `bf16`.
pub fn linear_bf16(x: &[f32], num_rows: usize, weights: &HalfMatrix, start: Start<'_>) -> Vec<f32> {
    let terms = if Level::has_pairs() {
        Terms::Pairs
    } else {
        Terms::Swapped
    };
    linear_bf16_on(Level::best(), terms, x, num_rows, weights, start)
}

pub(crate) fn linear_on(
    level: Level,
    x: &[f32],
    num_rows: usize,
    weights: Weights<'_>,
    start: Start<'_>,
) -> Vec<f32> {
    check(x, num_rows, weights, start);
    multiply(level, Terms::Single, x, num_rows, weights, start)
}

pub(crate) fn linear_bf16_on(
    level: Level,
    terms: Terms,
    x: &[f32],
    num_rows: usize,
    weights: &HalfMatrix,
    start: Start<'_>,
) -> Vec<f32> {
    assert_eq!(weights.format(), HalfFormat::Bf16, "weights are no bf16");
    check(x, num_rows, weights.into(), start);
    let x = match terms {
        Terms::Single => unreachable!("rows are rounded in pairs"),
        Terms::Pairs => rows::paired(x, weights.num_in()),
        Terms::Swapped => rows::swapped(x, weights.num_in()),
    };
    multiply(level, terms, &x, num_rows, weights.into(), start)
}

fn check(x: &[f32], num_rows: usize, weights: Weights<'_>, start: Start<'_>) {
    let (num_in, num_out) = (weights.num_in(), weights.num_out());
    assert_eq!(
        x.len(),
        num_rows * num_in,
        "x is not [{num_rows}, {num_in}]"
    );
    let (bias, residual) = parts(start);
    if let Some(bias) = bias {
        assert_eq!(bias.len(), num_out, "bias is not [{num_out}]");
    }
    if let Some(residual) = residual {
        assert_eq!(
            residual.len(),
            num_rows * num_out,
            "residual is not [{num_rows}, {num_out}]"
        );
    }
}

/// Bias and residual.
fn parts(start: Start<'_>) -> (Option<&[f32]>, Option<&[f32]>) {
    match start {
        Start::Zero => (None, None),
        Start::Bias(bias) => (Some(bias), None),
        Start::Residual(residual) => (None, Some(residual)),
        Start::BiasAndResidual(bias, residual) => (Some(bias), Some(residual)),
    }
}

/// The product of `x [num_rows, steps]`, whose lanes are what `terms` says.
fn multiply(
    level: Level,
    terms: Terms,
    x: &[f32],
    num_rows: usize,
    weights: Weights<'_>,
    start: Start<'_>,
) -> Vec<f32> {
    if num_rows == 0 {
        return Vec::new();
    }
    let (bias, residual) = parts(start);
    let blocks = Blocks::new(num_rows, level.block_rows());
    let num_steps = x.len() / num_rows;
    let depth = job::depth(blocks.count());
    let rows = rows::pack(x, num_steps, depth, &blocks);
    let num_panels = weights.num_panels();
    // A product of few rows ends soon: smaller tasks keep all threads at it.
    let group = if num_panels < GROUP * 2 * rayon::current_num_threads() {
        1
    } else {
        GROUP
    };
    let job = Job {
        level,
        terms,
        blocks: &blocks,
        rows: &rows,
        weights,
        num_steps,
        depth,
        bias,
        residual,
    };
    // SAFETY: the tasks' panels cover all columns, their blocks all rows.
    unsafe {
        filled(num_rows, weights.num_out(), |output| {
            (0..num_panels.div_ceil(group))
                .into_par_iter()
                .for_each(|task| {
                    job.run(task * group..((task + 1) * group).min(num_panels), output);
                });
        })
    }
}
