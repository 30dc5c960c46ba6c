//! `y = x Wᵀ`, the product that takes nearly all of a transformer's time.
//!
//! **How.** Both sides are laid out in the order in which the register-blocked kernel of `micro`
//! reads them: the weights once, when a model is loaded (panels of 32 outputs, [`PackedMatrix`]),
//! the rows once per product. A task takes some panels and all rows, `DEPTH` steps of the sums at
//! a time, so that a slice of a panel stays in the cache next to a core while all blocks of rows
//! pass over it. This is the scheme of GotoBLAS and BLIS (Goto & van de Geijn, "Anatomy of
//! high-performance matrix multiplication", ACM TOMS 34, 2008; Van Zee & van de Geijn, "BLIS",
//! ACM TOMS 41, 2015).
//!
//! **Why not a library.** Libraries choose block shapes, and with them the order of summation, by
//! the number of rows and threads. Here tasks only split outputs, never a sum: each output is one
//! chain of fused multiply-adds over the inputs from first to last, so that a row has the same
//! bits alone, in a batch and on any number of threads.
//!
//! **Cost.** `rows · in · out` multiply-adds. Weights are read from memory once per product, so
//! products of few rows (decoding) are bound by memory and products of many rows (a prefill) by
//! arithmetic; packing copies the rows once.
//!
//! **Reference.** `tests.rs` compares with naive sums in `f64` to a tolerance. Instruction sets
//! agree bit for bit, and so does a row computed alone or with others.

mod job;
mod rows;
mod sums;
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
use sums::StartValues;

/// Panels that one task takes, so that rows are read from the outer cache levels once per this
/// many panels' columns.
const GROUP: usize = 4;

/// Initial value of the sums.
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

impl<'a> Start<'a> {
    /// Bias and residual, if there are any.
    fn parts(self) -> (Option<&'a [f32]>, Option<&'a [f32]>) {
        match self {
            Start::Zero => (None, None),
            Start::Bias(bias) => (Some(bias), None),
            Start::Residual(residual) => (None, Some(residual)),
            Start::BiasAndResidual(bias, residual) => (Some(bias), Some(residual)),
        }
    }
}

/// The right operand of a product, `[out, in]`.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// `f32` values in the kernel's layout.
    Packed(&'a PackedMatrix),
    /// Values of two bytes, as stored.
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

/// `y = start + x Wᵀ` with `x [num_rows, in]`, `W [out, in]`: `[num_rows, out]`, every product
/// and sum in `f32`. Two-byte weights are widened, so that the result has the same bits as with
/// the same values in `f32`.
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

/// As [`linear`], with the rows of `x` rounded to `bf16` before they are multiplied: half of the
/// digits, and twice the speed on a processor with AVX512_BF16.
///
/// Of each pair of terms the second is added first, as that instruction does. The instruction
/// also treats numbers below 2⁻¹²⁶ as zero and may round between the two additions in its own
/// way; on other processors both are fused multiply-adds. Results of the two therefore differ in
/// their last bits, and [`super::rounding`] says which of them a machine gives.
///
/// # Panics
/// As in [`linear`], and for weights that are not `bf16`.
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
    let (bias, residual) = start.parts();
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

/// The product of `x [num_rows, steps]`, whose lanes hold the given `terms`.
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
    let blocks = Blocks::new(num_rows, level.block_rows());
    let num_steps = x.len() / num_rows;
    let depth = job::depth(blocks.count());
    let rows = rows::pack(level, x, num_steps, depth, &blocks);
    let num_panels = weights.num_panels();
    // A product of few rows is short: smaller tasks keep all threads busy.
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
        start: StartValues {
            start,
            num_out: weights.num_out(),
        },
    };
    // SAFETY: the panels of the tasks cover all columns, and their blocks cover all rows.
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
