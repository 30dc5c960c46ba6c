//! The left operand of a product in the layout that the matrix kernel reads.

use std::ops::Range;

use half::bf16;
use rayon::prelude::*;

use super::super::interleave::interleave;
use super::super::level::Level;

/// A partition of the rows into blocks whose sizes differ by at most one.
pub(crate) struct Blocks {
    starts: Vec<usize>,
}

impl Blocks {
    pub(crate) fn new(num_rows: usize, block_rows: usize) -> Blocks {
        let count = num_rows.div_ceil(block_rows);
        Blocks {
            starts: (0..=count)
                .map(|block| block * num_rows / count.max(1))
                .collect(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn num_rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }
}

/// `x [T, steps]` in the kernel's layout: for each slice of `depth` steps and each block of rows,
/// `[steps][rows of the block]`.
pub(super) fn pack(
    level: Level,
    x: &[f32],
    num_steps: usize,
    depth: usize,
    blocks: &Blocks,
) -> Vec<f32> {
    let num_rows = blocks.num_rows();
    if num_rows == 1 {
        return x.to_vec();
    }
    let mut packed = Vec::with_capacity(x.len());
    let mut parts = Vec::new();
    let slots = &mut packed.spare_capacity_mut()[..x.len()];
    for (slice, mut rest) in slots.chunks_mut(depth * num_rows).enumerate() {
        let steps = slice * depth..((slice + 1) * depth).min(num_steps);
        for block in blocks.iter() {
            let (part, tail) = rest.split_at_mut(block.len() * steps.len());
            rest = tail;
            parts.push((steps.clone(), block, part));
        }
    }
    parts
        .into_par_iter()
        .with_min_len(4)
        .for_each(|(steps, block, part)| {
            let rows: Vec<&[f32]> = block
                .map(|row| &x[row * num_steps..][steps.clone()])
                .collect();
            interleave(level, &rows, part);
        });
    // SAFETY: the parts cover all slots, and each was filled.
    unsafe { packed.set_len(x.len()) };
    packed
}

/// Rows `[T, in]` rounded to `bf16`, two values per lane with the first in the lower half: `[T,
/// ⌈in / 2⌉]`.
pub(super) fn paired(x: &[f32], num_in: usize) -> Vec<f32> {
    by_pairs(x, num_in, 1, |first, second, out| {
        let (low, high) = (first.to_bits(), second.to_bits());
        out[0] = f32::from_bits(u32::from(low) | u32::from(high) << 16);
    })
}

/// The same numbers as `f32`, with the second of each pair first, the order in which pairs are
/// summed: `[T, in]`, padded to an even width.
pub(super) fn swapped(x: &[f32], num_in: usize) -> Vec<f32> {
    by_pairs(x, num_in, 2, |first, second, out| {
        out[0] = second.to_f32();
        out[1] = first.to_f32();
    })
}

/// Rows in which each pair becomes `width` lanes.
fn by_pairs(
    x: &[f32],
    num_in: usize,
    width: usize,
    write: impl Fn(bf16, bf16, &mut [f32]) + Sync,
) -> Vec<f32> {
    let num_rows = x.len() / num_in;
    let stride = num_in.div_ceil(2) * width;
    let mut out = vec![0.0; num_rows * stride];
    let rows = out.par_chunks_mut(stride).with_min_len(8);
    rows.zip(x.par_chunks(num_in)).for_each(|(out, x)| {
        for (out, pair) in out.chunks_exact_mut(width).zip(x.chunks(2)) {
            let second = pair.get(1).copied().unwrap_or(0.0);
            write(bf16::from_f32(pair[0]), bf16::from_f32(second), out);
        }
    });
    out
}
