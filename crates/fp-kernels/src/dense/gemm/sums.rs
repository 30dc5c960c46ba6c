//! Where the sums of a block of rows over one panel are while they are computed.

use std::ops::Range;

use super::super::micro::{PANEL, SumRows, Sums, ZEROS};
use super::super::raw::OutputMatrix;
use super::Start;

/// What sums start with, for outputs `[rows, out]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartValues<'a> {
    pub(super) start: Start<'a>,
    pub(super) num_out: usize,
}

impl StartValues<'_> {
    /// Writes the start values of `row` from `col` on.
    pub(super) fn write(&self, row: usize, col: usize, sums: &mut [f32]) {
        let width = sums.len();
        let (bias, residual) = self.start.parts();
        match residual {
            Some(residual) => {
                sums.copy_from_slice(&residual[row * self.num_out + col..][..width]);
            }
            None => sums.fill(0.0),
        }
        if let Some(bias) = bias {
            for (sum, &bias) in sums.iter_mut().zip(&bias[col..]) {
                *sum += bias;
            }
        }
    }
}

/// A block of rows and a panel of columns, for one slice of steps.
///
/// The kernel reads and writes a complete panel's sums where they belong, in the output. The sums
/// of an incomplete panel pass through a buffer.
pub(super) struct SumsPosition<'a> {
    pub(super) start: StartValues<'a>,
    pub(super) output: &'a OutputMatrix,
    pub(super) rows: Range<usize>,
    pub(super) panel: usize,
    /// Whether no slice was summed before.
    pub(super) is_first: bool,
}

impl SumsPosition<'_> {
    /// Where the kernel finds and leaves the sums. The sums at `next` (row, panel) are prefetched
    /// meanwhile.
    pub(super) fn begin(&self, next: (usize, usize), buffer: &mut Sums) -> SumRows {
        let (num_out, col, width) = (self.start.num_out, self.panel * PANEL, self.width());
        let (bias, residual) = self.start.start.parts();
        let is_whole = width == PANEL;
        if !is_whole || (self.is_first && bias.is_some() && residual.is_some()) {
            for (sums, row) in buffer.iter_mut().zip(self.rows.clone()) {
                if self.is_first {
                    self.start.write(row, col, &mut sums[..width]);
                } else {
                    // SAFETY: tasks own disjoint panels, so disjoint columns; the slice before
                    // this one wrote these elements.
                    unsafe { self.output.read(row, col, &mut sums[..width]) };
                }
            }
        }
        let mut sums = SumRows::in_place(buffer);
        if is_whole {
            sums.to = self.output.rows(self.rows.clone(), col, PANEL);
            sums.to_stride = num_out;
            match (self.is_first, bias, residual) {
                (false, ..) => sums = sums.continued(),
                (true, None, None) => {
                    sums.from = ZEROS.as_ptr();
                    sums.from_stride = 0;
                }
                (true, Some(bias), None) => {
                    sums.from = bias[col..][..PANEL].as_ptr();
                    sums.from_stride = 0;
                }
                (true, None, Some(residual)) => {
                    let [first, last] = [self.rows.start, self.rows.end - 1];
                    let rows = &residual[first * num_out + col..last * num_out + col + PANEL];
                    sums.from = rows.as_ptr();
                    sums.from_stride = num_out;
                }
                (true, Some(_), Some(_)) => {}
            }
        }
        let next_from = match residual {
            Some(residual) if self.is_first => residual.as_ptr(),
            _ => self.output.data(),
        };
        sums.next = next_from.wrapping_add(next.0 * num_out + next.1 * PANEL);
        sums.next_stride = num_out;
        sums
    }

    /// Copies sums that were computed in the buffer to the output.
    pub(super) fn end(&self, buffer: &Sums) {
        let width = self.width();
        if width < PANEL {
            for (sums, row) in buffer.iter().zip(self.rows.clone()) {
                // SAFETY: tasks own disjoint panels, so disjoint columns.
                unsafe { self.output.write(row, self.panel * PANEL, &sums[..width]) };
            }
        }
    }

    /// Number of columns.
    fn width(&self) -> usize {
        PANEL.min(self.start.num_out - self.panel * PANEL)
    }
}
