//! The quantised coefficients of one component.

/// Number of coefficients, DC included, that libjpeg-turbo estimates from neighbouring blocks if
/// the scans that refine them are missing.
pub(super) const NUM_SMOOTHED: usize = 10;

/// A component of the frame and its coefficients, filled scan by scan.
#[derive(Debug)]
pub(super) struct Component {
    /// Its identifier in the file.
    pub(super) id: u8,
    /// Blocks of the component in one interleaved unit, across and down.
    pub(super) sampling: [usize; 2],
    /// Index of its quantisation table.
    pub(super) table: usize,
    /// Ratio of the image's columns and rows to those of this component.
    pub(super) scale: [usize; 2],
    /// Width in samples that belong to the image.
    pub(super) width: usize,
    /// Rows of samples that belong to the image.
    pub(super) height: usize,
    /// Blocks stored per row: whole interleaved units.
    pub(super) blocks_per_row: usize,
    /// Rows of blocks stored.
    pub(super) block_rows: usize,
    /// 64 coefficients a block in zigzag order, blocks row by row.
    pub(super) coefficients: Vec<i16>,
    /// Its table at the start of the component's first scan.
    pub(super) quantization: Option<[u16; 64]>,
    /// For each of the first coefficients, the lowest bit that scans have sent; `None` if they
    /// have sent none of it.
    pub(super) sent: [Option<u32>; NUM_SMOOTHED],
    /// The last DC value, to which the next difference is added.
    pub(super) last_dc: i32,
}

impl Component {
    /// Blocks that belong to the image, across and down: the blocks in a scan of only this
    /// component.
    pub(super) fn own_blocks(&self) -> [usize; 2] {
        [self.width.div_ceil(8), self.height.div_ceil(8)]
    }

    /// The block in column `x` of row `y`.
    pub(super) fn block(&mut self, x: usize, y: usize) -> Option<&mut [i16]> {
        let at = 64 * (y * self.blocks_per_row + x);
        self.coefficients.get_mut(at..at + 64)
    }
}
