//! `y = x Wᵀ`, the product that nearly all of a transformer's time goes to.

use rayon::prelude::*;

use super::level::Level;
use super::micro::{MAX_BLOCK_ROWS, PANEL, accumulate};
use super::packed::PackedMatrix;
use super::raw::{Sheet, filled};

/// Inputs summed before the sums go back to memory: a panel's part of it is
/// 64 KiB and the rows' part 24 KiB, which the caches next to a core hold.
const DEPTH: usize = 512;

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

/// `y = start + x Wᵀ` with `x [num_rows, in]`, `W [out, in]`: `[num_rows, out]`.
///
/// # Panics
/// If `x` or `start` don't have these shapes.
pub fn linear(x: &[f32], num_rows: usize, weights: &PackedMatrix, start: Start<'_>) -> Vec<f32> {
    linear_on(Level::best(), x, num_rows, weights, start)
}

pub(crate) fn linear_on(
    level: Level,
    x: &[f32],
    num_rows: usize,
    weights: &PackedMatrix,
    start: Start<'_>,
) -> Vec<f32> {
    let (num_in, num_out) = (weights.num_in(), weights.num_out());
    assert_eq!(
        x.len(),
        num_rows * num_in,
        "x is not [{num_rows}, {num_in}]"
    );
    let (bias, residual) = match start {
        Start::Zero => (None, None),
        Start::Bias(bias) => (Some(bias), None),
        Start::Residual(residual) => (None, Some(residual)),
        Start::BiasAndResidual(bias, residual) => (Some(bias), Some(residual)),
    };
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
    if num_rows == 0 {
        return Vec::new();
    }

    let blocks = Blocks::new(num_rows, level.block_rows());
    let rows = pack_rows(x, num_in, &blocks);
    let num_panels = weights.num_panels();
    // A product of few rows ends soon: smaller tasks keep all threads at it.
    let group = if num_panels < GROUP * 2 * rayon::current_num_threads() {
        1
    } else {
        GROUP
    };
    let job = Job {
        level,
        blocks: &blocks,
        rows: &rows,
        weights,
        bias,
        residual,
    };
    // SAFETY: the tasks' panels cover all columns, their blocks all rows.
    unsafe {
        filled(num_rows, num_out, |sheet| {
            (0..num_panels.div_ceil(group))
                .into_par_iter()
                .for_each(|task| {
                    job.run(task * group..((task + 1) * group).min(num_panels), sheet);
                });
        })
    }
}

/// A split of the rows into blocks whose sizes differ by one at most.
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

    pub(crate) fn iter(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }
}

/// `x` in the kernel's order: per slice of [`DEPTH`] inputs and block of rows,
/// `[inputs][rows of the block]`.
fn pack_rows(x: &[f32], num_in: usize, blocks: &Blocks) -> Vec<f32> {
    let mut packed = vec![0.0; x.len()];
    let num_rows = x.len() / num_in;
    let mut parts = Vec::new();
    for (slice, mut rest) in packed.chunks_mut(DEPTH * num_rows).enumerate() {
        let inputs = slice * DEPTH..((slice + 1) * DEPTH).min(num_in);
        for block in blocks.iter() {
            let (part, tail) = rest.split_at_mut(block.len() * inputs.len());
            rest = tail;
            parts.push((inputs.clone(), block, part));
        }
    }
    parts
        .into_par_iter()
        .with_min_len(4)
        .for_each(|(inputs, block, part)| interleave(x, num_in, inputs, block, part));
    packed
}

/// Writes `x[rows][inputs]` as `[inputs][rows]`.
#[inline]
fn interleave(
    x: &[f32],
    stride: usize,
    inputs: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    out: &mut [f32],
) {
    let count = rows.len();
    for (lane, row) in rows.enumerate() {
        let values = &x[row * stride + inputs.start..row * stride + inputs.end];
        for (slot, &value) in out.chunks_exact_mut(count).zip(values) {
            slot[lane] = value;
        }
    }
}

/// What every task of one product shares.
struct Job<'a> {
    level: Level,
    blocks: &'a Blocks,
    rows: &'a [f32],
    weights: &'a PackedMatrix,
    bias: Option<&'a [f32]>,
    residual: Option<&'a [f32]>,
}

impl Job<'_> {
    fn run(&self, panels: std::ops::Range<usize>, sheet: &Sheet) {
        let (num_in, num_out) = (self.weights.num_in(), self.weights.num_out());
        let num_rows = self.blocks.starts.last().copied().unwrap_or(0);
        let mut sums = [[0.0; PANEL]; MAX_BLOCK_ROWS];
        for depth in (0..num_in).step_by(DEPTH) {
            let inputs = depth..(depth + DEPTH).min(num_in);
            let mut rows = &self.rows[depth * num_rows..];
            for block in self.blocks.iter() {
                let (a, rest) = rows.split_at(block.len() * inputs.len());
                rows = rest;
                for panel in panels.clone() {
                    let col = panel * PANEL;
                    let width = PANEL.min(num_out - col);
                    for (sums, row) in sums.iter_mut().zip(block.clone()) {
                        if depth > 0 {
                            // SAFETY: tasks own disjoint panels, so disjoint
                            // columns; the slice before this one wrote them.
                            unsafe { sheet.read(row, col, &mut sums[..width]) };
                        } else {
                            self.start(row, col, &mut sums[..width]);
                        }
                    }
                    let b = self.weights.panel(panel, inputs.clone());
                    accumulate(self.level, block.len(), a, b, &mut sums);
                    for (sums, row) in sums.iter().zip(block.clone()) {
                        // SAFETY: tasks own disjoint columns.
                        unsafe { sheet.write(row, col, &sums[..width]) };
                    }
                }
            }
        }
    }

    fn start(&self, row: usize, col: usize, sums: &mut [f32]) {
        let num_out = self.weights.num_out();
        let width = sums.len();
        match self.residual {
            Some(residual) => sums.copy_from_slice(&residual[row * num_out + col..][..width]),
            None => sums.fill(0.0),
        }
        if let Some(bias) = self.bias {
            for (sum, &bias) in sums.iter_mut().zip(&bias[col..]) {
                *sum += bias;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn check(num_rows: usize, num_in: usize, num_out: usize) {
        let x = values(num_rows * num_in, 1);
        let w = values(num_out * num_in, 2);
        let bias = values(num_out, 3);
        let residual = values(num_rows * num_out, 4);
        let packed = PackedMatrix::pack(&w, num_out, num_in);
        let start = Start::BiasAndResidual(&bias, &residual);
        let by_level: Vec<Vec<f32>> = Level::available()
            .into_iter()
            .map(|level| linear_on(level, &x, num_rows, &packed, start))
            .collect();
        for (index, y) in by_level.iter().enumerate() {
            for row in 0..num_rows {
                for out in 0..num_out {
                    let expected: f64 = f64::from(bias[out])
                        + f64::from(residual[row * num_out + out])
                        + (0..num_in)
                            .map(|k| {
                                f64::from(x[row * num_in + k]) * f64::from(w[out * num_in + k])
                            })
                            .sum::<f64>();
                    let got = f64::from(y[row * num_out + out]);
                    assert!(
                        (got - expected).abs() < 1e-4,
                        "level {index} [{row}, {out}]: {got} for {expected}"
                    );
                }
            }
        }
        // Levels with fused multiply-add agree to the bit.
        for pair in by_level[1..].windows(2) {
            assert_eq!(pair[0], pair[1]);
        }
        // A row doesn't depend on its company.
        if num_rows > 1 {
            let alone = linear(
                &x[..num_in],
                1,
                &packed,
                Start::BiasAndResidual(&bias, &residual[..num_out]),
            );
            assert_eq!(alone, by_level[by_level.len() - 1][..num_out]);
        }
    }

    #[test]
    fn equals_the_naive_product_at_every_edge() {
        for num_rows in [1, 2, 7, 12, 13, 29] {
            for (num_in, num_out) in [(1, 1), (3, 31), (17, 33), (515, 64), (1030, 40)] {
                check(num_rows, num_in, num_out);
            }
        }
    }

    #[test]
    fn rows_come_back_as_put_in() {
        let w = values(70 * 5, 9);
        let packed = PackedMatrix::pack(&w, 70, 5);
        for row in [0, 31, 32, 69] {
            assert_eq!(packed.row(row), w[row * 5..row * 5 + 5]);
        }
    }

    #[test]
    fn thread_count_changes_nothing() {
        let (x, w) = (values(40 * 700, 5), values(300 * 700, 6));
        let packed = PackedMatrix::pack(&w, 300, 700);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| linear(&x, 40, &packed, Start::Zero))
        };
        assert_eq!(run(1), run(7));
    }
}
