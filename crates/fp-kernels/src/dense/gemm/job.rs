//! One task of a product: all rows, some panels of columns.

use std::cell::RefCell;
use std::ops::Range;

use super::super::halves::{HalfFormat, HalfMatrix};
use super::super::level::Level;
use super::super::micro::{MAX_BLOCK_ROWS, PANEL, Prefetch, SumRows, accumulate, accumulate_pairs};
use super::super::one_row::{self, OneRow};
use super::super::panels::Panels;
use super::super::raw::OutputMatrix;
use super::super::turn;
use super::sums::{StartValues, SumsPosition};
use super::{Blocks, Weights};

/// Steps that are summed before the sums are written back to memory. A panel's part of this
/// length takes 64 KiB and the rows' part 24 KiB, which fit the caches next to a core.
const DEPTH: usize = 512;

/// The same for a single block of rows, which passes each panel once: the widened part of the
/// panel stays in the first-level cache.
const DEPTH_OF_ONE_BLOCK: usize = 128;

/// Most pieces that a block's steps are split into; each reads and writes the sums once more.
const MOST_PIECES: usize = 8;

/// Position of a block within a task.
struct BlockPosition {
    panel: usize,
    /// The panel that this thread will take next.
    next: usize,
    /// The first step after the current slice.
    end: usize,
    block: usize,
}

/// Number of steps per slice for this many blocks of rows.
pub(super) fn depth(num_blocks: usize) -> usize {
    if num_blocks == 1 {
        DEPTH_OF_ONE_BLOCK
    } else {
        DEPTH
    }
}

/// Contents of a lane of rows and weights in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terms {
    /// One input, in `f32`.
    Single,
    /// Two inputs in `bf16`, multiplied by one instruction.
    Pairs,
    /// One input, in `f32`, with the two inputs of each pair swapped.
    Swapped,
}

impl Terms {
    /// Number of lanes of a row of `num_in` inputs.
    pub(crate) fn num_steps(self, num_in: usize) -> usize {
        match self {
            Terms::Single => num_in,
            Terms::Pairs => num_in.div_ceil(2),
            Terms::Swapped => num_in.div_ceil(2) * 2,
        }
    }
}

thread_local! {
    /// Transposed panels of two-byte weights, in the kernel's layout.
    static TURNED: RefCell<Panels> = RefCell::default();
}

/// Data that all tasks of one product share.
pub(super) struct Job<'a> {
    pub(super) level: Level,
    pub(super) terms: Terms,
    pub(super) blocks: &'a Blocks,
    pub(super) rows: &'a [f32],
    pub(super) weights: Weights<'a>,
    pub(super) num_steps: usize,
    pub(super) depth: usize,
    pub(super) start: StartValues<'a>,
}

impl Job<'_> {
    pub(super) fn run(&self, panels: Range<usize>, output: &OutputMatrix) {
        if self.blocks.count() > 1 {
            return self.run_panels(panels, output);
        }
        if let Weights::Half(matrix) = self.weights
            && self.blocks.num_rows() == 1
            && one_row::is_for(self.level)
        {
            return self.run_one_row(matrix, panels, output);
        }
        // A single block reads each panel once, from start to end.
        for panel in panels {
            self.run_panels(panel..panel + 1, output);
        }
    }

    /// Multiplies panels of weights as stored by the only row.
    fn run_one_row(&self, matrix: &HalfMatrix, panels: Range<usize>, output: &OutputMatrix) {
        let row = OneRow {
            level: self.level,
            terms: self.terms,
            format: matrix.format(),
            x: self.rows,
        };
        for panel in panels {
            let col = panel * PANEL;
            let width = PANEL.min(matrix.num_out() - col);
            let mut sums = [0.0; PANEL];
            self.start.write(0, col, &mut sums[..width]);
            let next = self.next_panel(matrix, panel, 0);
            row.accumulate(&matrix.panel_rows(panel), next, &mut sums);
            // SAFETY: tasks own disjoint panels, so disjoint columns.
            unsafe { output.write(0, col, &sums[..width]) };
        }
    }

    fn run_panels(&self, panels: Range<usize>, output: &OutputMatrix) {
        match self.weights {
            Weights::Packed(_) => {
                for steps in self.slices() {
                    self.run_slice(&panels, steps, &[], output);
                }
            }
            Weights::Half(matrix) => TURNED.with_borrow_mut(|turned| {
                let rows: Vec<turn::Rows<'_>> = panels
                    .clone()
                    .map(|panel| matrix.panel_rows(panel))
                    .collect();
                let needed = panels.len() * self.depth.min(self.num_steps);
                if turned.len() < needed {
                    *turned = Panels::zeros(needed);
                }
                for steps in self.slices() {
                    let turned = &mut turned[..panels.len() * steps.len()];
                    let outs = turned.chunks_mut(steps.len());
                    for ((panel, rows), out) in panels.clone().zip(&rows).zip(outs) {
                        let next = self.next_panel(matrix, panel, steps.start);
                        self.turn(rows, matrix.format(), steps.start, next, out);
                    }
                    self.run_slice(&panels, steps, turned, output);
                }
            }),
        }
    }

    fn slices(&self) -> impl Iterator<Item = Range<usize>> {
        let (num_steps, depth) = (self.num_steps, self.depth);
        let starts = (0..num_steps).step_by(depth);
        starts.map(move |start| start..(start + depth).min(num_steps))
    }

    /// Transposes the weights of a panel with these `rows` into `out`, starting at step `first`.
    fn turn(
        &self,
        rows: &turn::Rows<'_>,
        format: HalfFormat,
        first: usize,
        next: Prefetch,
        out: &mut [[f32; PANEL]],
    ) {
        match self.terms {
            Terms::Single => turn::widen(self.level, format, rows, first, next, out),
            #[cfg(target_arch = "x86_64")]
            Terms::Pairs => turn::pair_up(rows, first, next, out),
            #[cfg(not(target_arch = "x86_64"))]
            Terms::Pairs => unreachable!("no processor of this kind multiplies pairs"),
            Terms::Swapped => {
                // An incomplete last pair is filled up with zero.
                let count = out.len().min(rows[0].len() - first);
                out[count..].fill([0.0; PANEL]);
                turn::widen(self.level, format, rows, first, next, &mut out[..count]);
                out.chunks_exact_mut(2).for_each(<[_]>::reverse);
            }
        }
    }

    /// The data to prefetch while a panel is transposed from step `first` on. A single block of
    /// rows only waits for memory; for it this is the next panel, whose rows are contiguous: as
    /// many bytes as are transposed, in memory order. The processor's own prefetching can't
    /// follow the access across 32 rows that a panel needs. With more blocks [`Job::prefetch`]
    /// has already requested everything.
    fn next_panel(&self, matrix: &HalfMatrix, panel: usize, first: usize) -> Prefetch {
        let output = (panel + 1) * PANEL;
        if self.blocks.count() > 1 || output >= matrix.num_out() {
            return Prefetch::nothing();
        }
        let first = if self.terms == Terms::Pairs {
            2 * first
        } else {
            first
        };
        let start = matrix.stored_row(output).as_ptr();
        Prefetch::sequential(start.wrapping_add(first * PANEL))
    }

    /// Computes all blocks of rows over some steps of some panels, whose weights are in `turned`
    /// unless they are packed.
    fn run_slice(
        &self,
        panels: &Range<usize>,
        steps: Range<usize>,
        turned: &[[f32; PANEL]],
        output: &OutputMatrix,
    ) {
        let num_rows = self.blocks.num_rows();
        let mut rows = &self.rows[steps.start * num_rows..];
        let mut buffer = [[0.0; PANEL]; MAX_BLOCK_ROWS];
        for (index, block) in self.blocks.iter().enumerate() {
            let (a, rest) = rows.split_at(block.len() * steps.len());
            rows = rest;
            for panel in panels.clone() {
                let b = match self.weights {
                    Weights::Packed(matrix) => matrix.panel(panel, steps.clone()),
                    Weights::Half(_) => {
                        &turned[(panel - panels.start) * steps.len()..][..steps.len()]
                    }
                };
                let position = BlockPosition {
                    panel,
                    next: panel + panels.len(),
                    end: steps.end,
                    block: index,
                };
                let after = if panel + 1 < panels.end {
                    (block.start, panel + 1)
                } else {
                    (block.end, panels.start)
                };
                let place = SumsPosition {
                    start: self.start,
                    output,
                    rows: block.clone(),
                    panel,
                    is_first: steps.start == 0,
                };
                let mut sums = place.begin(after, &mut buffer);
                let pieces = self.pieces();
                for piece in 0..pieces {
                    let [from, to] = [piece, piece + 1].map(|at| at * steps.len() / pieces);
                    let a = &a[from * block.len()..to * block.len()];
                    let prefetch = self.prefetch(&position, piece, to - from);
                    // SAFETY: these sums are in the buffer, or in columns that this task owns.
                    unsafe { self.accumulate(block.len(), a, &b[from..to], prefetch, sums) };
                    sums = sums.continued();
                }
                place.end(&buffer);
            }
        }
    }

    /// Number of pieces that a block's steps are split into: for weights as stored, each piece
    /// prefetches another row.
    fn pieces(&self) -> usize {
        match self.weights {
            Weights::Half(_) if self.blocks.count() > 1 => {
                PANEL.div_ceil(self.blocks.count()).min(MOST_PIECES)
            }
            _ => 1,
        }
    }

    /// The data to prefetch during `steps` steps: a part of the weights that follow these.
    /// Without it the first block that reads them would wait for memory.
    fn prefetch(&self, place: &BlockPosition, piece: usize, steps: usize) -> Prefetch {
        let blocks = self.blocks.count();
        if blocks == 1 {
            return Prefetch::nothing();
        }
        let (panel, from) = if place.end < self.num_steps {
            (place.panel, place.end)
        } else {
            (place.next, 0)
        };
        if panel >= self.weights.num_panels() {
            return Prefetch::nothing();
        }
        let coming = from..(from + self.depth).min(self.num_steps);
        match self.weights {
            Weights::Packed(matrix) => {
                Prefetch::part_of(matrix.panel(panel, coming), place.block, blocks, steps)
            }
            Weights::Half(matrix) => {
                let row = place.block * self.pieces() + piece;
                let output = panel * PANEL + row;
                if row >= PANEL || output >= matrix.num_out() {
                    return Prefetch::nothing();
                }
                let width = if self.terms == Terms::Pairs { 2 } else { 1 };
                let row = matrix.stored_row(output);
                let values = width * coming.start..(width * coming.end).min(row.len());
                Prefetch::part_of(&row[values], 0, 1, steps)
            }
        }
    }

    /// # Safety
    /// As for [`accumulate`].
    unsafe fn accumulate(
        &self,
        count: usize,
        a: &[f32],
        b: &[[f32; PANEL]],
        prefetch: Prefetch,
        sums: SumRows,
    ) {
        // SAFETY: the caller guarantees the sums.
        unsafe {
            match self.terms {
                Terms::Single | Terms::Swapped => {
                    accumulate(self.level, count, a, b, prefetch, sums);
                }
                Terms::Pairs => accumulate_pairs(count, a, b, prefetch, sums),
            }
        }
    }
}
