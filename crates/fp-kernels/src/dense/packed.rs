//! Weight matrices in the layout that the matrix kernel reads.

use super::micro::PANEL;
use super::panels::Panels;

/// A weight matrix `[out, in]`, stored as panels of a few outputs.
///
/// Panel `p` is `[in][PANEL]`: for each input the weights of the panel's outputs side by side.
/// The last panel is padded with zeros, so the matrix takes the memory of its plain form and of
/// at most 31 more rows. Rows are packed as they are read from disk, and the plain form never
/// exists in memory.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    panels: Panels,
    num_out: usize,
    num_in: usize,
}

impl PackedMatrix {
    /// A matrix of zeros with `num_out` rows and `num_in` columns.
    ///
    /// # Panics
    /// If a dimension is zero.
    pub fn zeros(num_out: usize, num_in: usize) -> PackedMatrix {
        assert!(
            num_out > 0 && num_in > 0,
            "empty matrix [{num_out}, {num_in}]"
        );
        PackedMatrix {
            panels: Panels::zeros(num_out.div_ceil(PANEL) * num_in),
            num_out,
            num_in,
        }
    }

    /// Packs a plain row-major `[out, in]` matrix.
    ///
    /// # Panics
    /// If `weights` isn't `num_out · num_in` long or a dimension is zero.
    pub fn pack(weights: &[f32], num_out: usize, num_in: usize) -> PackedMatrix {
        let mut packed = PackedMatrix::zeros(num_out, num_in);
        packed.set_rows(0, weights);
        packed
    }

    /// Sets the rows from index `first` on; `rows` holds whole rows of `in` values.
    ///
    /// # Panics
    /// If `rows` doesn't consist of whole rows, or they extend past the last row.
    pub fn set_rows(&mut self, first: usize, rows: &[f32]) {
        let num_rows = rows.len() / self.num_in;
        assert_eq!(
            rows.len(),
            num_rows * self.num_in,
            "rows of {} values",
            self.num_in
        );
        assert!(
            first + num_rows <= self.num_out,
            "rows past {}",
            self.num_out
        );
        for (row, values) in (first..).zip(rows.chunks_exact(self.num_in)) {
            let (panel, lane) = (row / PANEL, row % PANEL);
            let start = panel * self.num_in;
            for (slot, &value) in self.panels[start..start + self.num_in]
                .iter_mut()
                .zip(values)
            {
                slot[lane] = value;
            }
        }
    }

    /// The values of row `row`, gathered.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Vec<f32> {
        assert!(row < self.num_out, "row {row} of {}", self.num_out);
        let (panel, lane) = (row / PANEL, row % PANEL);
        let start = panel * self.num_in;
        self.panels[start..start + self.num_in]
            .iter()
            .map(|slot| slot[lane])
            .collect()
    }

    /// Number of rows (outputs).
    pub fn num_out(&self) -> usize {
        self.num_out
    }

    /// Number of columns (inputs).
    pub fn num_in(&self) -> usize {
        self.num_in
    }

    /// Bytes of the matrix.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.panels)
    }

    pub(crate) fn num_panels(&self) -> usize {
        self.num_out.div_ceil(PANEL)
    }

    /// Inputs `inputs` of panel `panel`, `[inputs][PANEL]`.
    #[inline]
    pub(crate) fn panel(&self, panel: usize, inputs: std::ops::Range<usize>) -> &[[f32; PANEL]] {
        let start = panel * self.num_in;
        &self.panels[start + inputs.start..start + inputs.end]
    }
}
