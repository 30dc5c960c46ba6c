//! Weight matrices in half precision, in the layout of a checkpoint file.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};

use super::micro::PANEL;
use crate::map::MappedFile;

/// A number format of two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfFormat {
    /// The upper half of an `f32`.
    Bf16,
    /// IEEE 754 half precision.
    F16,
}

/// One stored value, low byte first; a byte array, since its file offset may be odd.
pub(super) type Half = [u8; 2];

impl HalfFormat {
    /// The value as `f32`, exact.
    #[inline]
    pub(super) fn widen(self, value: Half) -> f32 {
        match self {
            HalfFormat::Bf16 => bf16::from_le_bytes(value).to_f32(),
            HalfFormat::F16 => f16::from_le_bytes(value).to_f32(),
        }
    }

    /// The nearest representable value; ties go to even.
    #[inline]
    fn round(self, value: f32) -> Half {
        match self {
            HalfFormat::Bf16 => bf16::from_f32(value).to_le_bytes(),
            HalfFormat::F16 => f16::from_f32(value).to_le_bytes(),
        }
    }

    /// The exponent bits, which are all set in a value that isn't finite.
    fn exponent(self) -> u16 {
        match self {
            HalfFormat::Bf16 => 0x7f80,
            HalfFormat::F16 => 0x7c00,
        }
    }
}

/// Consecutive rows of a matrix.
#[derive(Debug, Clone)]
struct Part {
    /// Rows of the matrix before this part.
    first: usize,
    num_rows: usize,
    store: Store,
}

#[derive(Debug, Clone)]
enum Store {
    Owned(Arc<Vec<Half>>),
    /// A byte range of a mapped file.
    Mapped(Arc<MappedFile>, Range<usize>),
}

impl Store {
    fn values(&self) -> &[Half] {
        match self {
            Store::Owned(values) => values,
            // The range was checked against the file when it was added.
            Store::Mapped(file, bytes) => file
                .bytes(bytes.clone())
                .map_or(&[], |bytes| bytes.as_chunks().0),
        }
    }
}

/// A weight matrix `[out, in]` of two-byte values, row after row as checkpoints store them.
///
/// It may consist of several stored tensors, one after the other. Tensors of a mapped file are
/// not copied: the only copy in memory is the system's page cache, which processes share. The
/// matrix kernel transposes and widens them as it reads, which is exact, so that products have
/// the same bits as with the values stored in `f32`.
#[derive(Debug, Clone)]
pub struct HalfMatrix {
    parts: Vec<Part>,
    format: HalfFormat,
    num_out: usize,
    num_in: usize,
}

/// The first value of a tensor that isn't finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NotFinite {
    /// Its index in the tensor.
    pub index: usize,
    /// Its value.
    pub value: f32,
}

impl HalfMatrix {
    /// An empty matrix of `num_in` columns.
    ///
    /// # Panics
    /// If `num_in` is zero.
    pub fn new(format: HalfFormat, num_in: usize) -> HalfMatrix {
        assert!(num_in > 0, "a matrix without columns");
        HalfMatrix {
            parts: Vec::new(),
            format,
            num_out: 0,
            num_in,
        }
    }

    /// Adds the rows in the range `bytes` of a mapped file, without copying or reading them.
    ///
    /// # Panics
    /// If the range exceeds the file or does not consist of whole rows.
    pub fn push_mapped(&mut self, file: Arc<MappedFile>, bytes: Range<usize>) {
        let width = self.num_in * size_of::<Half>();
        assert!(
            !bytes.is_empty() && bytes.len().is_multiple_of(width),
            "{} bytes are no rows of {width}",
            bytes.len()
        );
        assert!(file.bytes(bytes.clone()).is_some(), "past the file's end");
        self.push(bytes.len() / width, Store::Mapped(file, bytes));
    }

    /// Adds rows that `fill` produces, in parallel, in pieces of whole rows, rounded to the
    /// matrix's format. `fill` gets the index of the first value of a piece, and the piece.
    ///
    /// # Panics
    /// If `num_rows` is zero.
    pub fn push_rounded(&mut self, num_rows: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
        use rayon::prelude::*;
        const PIECE: usize = 1 << 16;
        assert!(num_rows > 0, "no rows");
        let mut values = vec![[0_u8; 2]; num_rows * self.num_in];
        let piece = (PIECE / self.num_in).max(1) * self.num_in;
        let pieces = values.par_chunks_mut(piece).enumerate();
        pieces.for_each_init(
            || vec![0.0_f32; piece],
            |wide, (index, out)| {
                let wide = &mut wide[..out.len()];
                fill(index * piece, wide);
                self.format.round_all(wide, out);
            },
        );
        self.push(num_rows, Store::Owned(Arc::new(values)));
    }

    /// Adds rows of values, rounded to the matrix's format.
    ///
    /// # Panics
    /// If `rows` doesn't consist of whole rows.
    pub fn push_rows(&mut self, rows: &[f32]) {
        let num_rows = rows.len() / self.num_in;
        assert_eq!(rows.len(), num_rows * self.num_in, "no whole rows");
        self.push_rounded(num_rows, |first, out| {
            out.copy_from_slice(&rows[first..first + out.len()]);
        });
    }

    fn push(&mut self, num_rows: usize, store: Store) {
        self.parts.push(Part {
            first: self.num_out,
            num_rows,
            store,
        });
        self.num_out += num_rows;
    }

    /// Number of rows (outputs).
    pub fn num_out(&self) -> usize {
        self.num_out
    }

    /// Number of columns (inputs).
    pub fn num_in(&self) -> usize {
        self.num_in
    }

    /// Number format of the values.
    pub fn format(&self) -> HalfFormat {
        self.format
    }

    /// Bytes of the matrix, in its own memory and in mapped files.
    pub fn bytes(&self) -> usize {
        self.num_out * self.num_in * size_of::<Half>()
    }

    /// Bytes of the matrix in mapped files.
    pub fn mapped_bytes(&self) -> usize {
        let mapped = self.parts.iter().map(|part| match &part.store {
            Store::Mapped(_, bytes) => bytes.len(),
            Store::Owned(_) => 0,
        });
        mapped.sum()
    }

    /// Searches the rows that were added last for values that aren't finite, which reads all of
    /// them.
    ///
    /// # Errors
    /// The first such value, with its index among the values of those rows.
    pub fn check_finite(&self) -> Result<(), NotFinite> {
        use rayon::prelude::*;
        const PIECE: usize = 1 << 18;
        let exponent = self.format.exponent();
        let Some(part) = self.parts.last() else {
            return Ok(());
        };
        let values = part.store.values();
        let is_damaged = |values: &[Half]| {
            // The largest exponent of a piece shows whether it is damaged, without a branch per
            // value.
            let exponents = values.iter().map(|v| u16::from_le_bytes(*v) & exponent);
            exponents.fold(0, u16::max) == exponent
        };
        let first = values.par_chunks(PIECE).position_first(is_damaged);
        let Some(piece) = first else {
            return Ok(());
        };
        let mut values = values.iter().enumerate().skip(piece * PIECE);
        let found = values.find(|(_, v)| u16::from_le_bytes(**v) & exponent == exponent);
        found.map_or(Ok(()), |(index, &value)| {
            Err(NotFinite {
                index,
                value: self.format.widen(value),
            })
        })
    }

    /// The values of row `row`, widened.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let values = self.stored_row(row).iter();
        values.map(|&value| self.format.widen(value)).collect()
    }

    /// The part that contains row `row`.
    fn part_of(&self, row: usize) -> &Part {
        assert!(row < self.num_out, "row {row} of {}", self.num_out);
        let after = self.parts.partition_point(|part| part.first <= row);
        let part = &self.parts[after - 1];
        debug_assert!(row - part.first < part.num_rows);
        part
    }

    /// The values of row `row` in their storage format.
    pub(super) fn stored_row(&self, row: usize) -> &[Half] {
        let part = self.part_of(row);
        &part.store.values()[(row - part.first) * self.num_in..][..self.num_in]
    }

    pub(super) fn num_panels(&self) -> usize {
        self.num_out.div_ceil(PANEL)
    }

    /// The rows of panel `panel`; beyond the last row, the last row is repeated.
    pub(super) fn panel_rows(&self, panel: usize) -> [&[Half]; PANEL] {
        let (first, last) = (panel * PANEL, self.num_out - 1);
        let part = self.part_of(first);
        if first + PANEL <= part.first + part.num_rows {
            // Like nearly all panels, it belongs to one stored tensor, which is looked up once.
            let values = &part.store.values()[(first - part.first) * self.num_in..];
            return std::array::from_fn(|lane| &values[lane * self.num_in..][..self.num_in]);
        }
        std::array::from_fn(|lane| self.stored_row((first + lane).min(last)))
    }
}

impl HalfFormat {
    fn round_all(self, values: &[f32], out: &mut [Half]) {
        for (out, &value) in out.iter_mut().zip(values) {
            *out = self.round(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_several_parts_come_back_as_put_in() {
        for format in [HalfFormat::Bf16, HalfFormat::F16] {
            let mut matrix = HalfMatrix::new(format, 3);
            let file = tempfile::NamedTempFile::new().unwrap();
            // An odd file offset, and two rows from there.
            let stored: Vec<u8> = std::iter::once(9)
                .chain((0..6).flat_map(|i| format.round(i as f32 - 2.5)))
                .collect();
            std::fs::write(file.path(), &stored).unwrap();
            matrix.push_rows(&[1.0, 0.1, -7.0]);
            matrix.push_mapped(
                Arc::new(MappedFile::open(file.path()).unwrap()),
                1..stored.len(),
            );
            matrix.push_rounded(2, |first, out| {
                for (index, out) in out.iter_mut().enumerate() {
                    *out = (first + index) as f32;
                }
            });
            assert_eq!((matrix.num_out(), matrix.num_in()), (5, 3));
            assert_eq!((matrix.bytes(), matrix.mapped_bytes()), (30, 12));
            let tenth = format.widen(format.round(0.1));
            assert!((tenth - 0.1).abs() < 1e-3 && tenth != 0.1);
            assert_eq!(matrix.row(0), [1.0, tenth, -7.0]);
            assert_eq!(matrix.row(1), [-2.5, -1.5, -0.5]);
            assert_eq!(matrix.row(2), [0.5, 1.5, 2.5]);
            assert_eq!(matrix.row(4), [3.0, 4.0, 5.0]);
        }
    }

    #[test]
    fn what_is_not_finite_is_found() {
        for (format, most) in [(HalfFormat::Bf16, 3e38), (HalfFormat::F16, 65504.0)] {
            let mut matrix = HalfMatrix::new(format, 7);
            matrix.push_rows(&vec![most; 700_000]);
            assert_eq!(matrix.check_finite(), Ok(()));
            for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let mut values = vec![-most; 700_000];
                values[600_001] = value;
                values[600_009] = value;
                matrix.push_rows(&values);
                let found = matrix.check_finite().unwrap_err();
                assert_eq!(found.index, 600_001);
                assert!(!found.value.is_finite());
            }
        }
    }
}
