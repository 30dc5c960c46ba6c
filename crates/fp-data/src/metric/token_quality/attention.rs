//! Attention against gold boxes: whether the model attends to the evidence.

use super::coverage::CoverageGrid;
use crate::metric::MetricError;

/// Attention a over the image tokens, compared with the covered fractions u of their cells.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AttentionOverlap {
    /// Σ a u: the energy-based pointing game (Wang et al., Score-CAM, 2020). Attention is used as
    /// given; if it sums to 1, this is the attention mass on the evidence.
    pub mass: f64,
    /// Mass divided by Σ u / N, the mass under uniform attention: above 1 is better than uniform.
    pub ratio_to_uniform: f64,
    /// Whether the most attended token is covered at all: the pointing game (Zhang et al. 2016).
    /// Ties go to the lower index.
    pub pointing_hit: bool,
}

impl AttentionOverlap {
    /// Measures `attention`, `[N]`, against `grid`; `None` where no cell is covered.
    ///
    /// # Errors
    /// The number of values differs from that of tokens, or a value is negative or not finite.
    pub fn new(grid: &CoverageGrid, attention: &[f64]) -> Result<Option<Self>, MetricError> {
        check_attention(attention, grid.num_tokens())?;
        if !grid.has_evidence() {
            return Ok(None);
        }
        let covered = grid.covered();
        let mass: f64 = attention.iter().zip(covered).map(|(a, u)| a * u).sum();
        let uniform = covered.iter().sum::<f64>() / covered.len() as f64;
        let mut most_attended = 0;
        for (token, &value) in attention.iter().enumerate() {
            if value > attention[most_attended] {
                most_attended = token;
            }
        }
        Ok(Some(AttentionOverlap {
            mass,
            ratio_to_uniform: mass / uniform,
            pointing_hit: covered[most_attended] > 0.0,
        }))
    }

    /// Attention on the smallest rectangle of cells around the covered ones, relative to the mean
    /// over all positions of an equal rectangle on the grid: the ratio of "MLLMs know where to
    /// look" (arXiv 2502.17422). `None` where no cell is covered, the mean is 0, or tokens are on
    /// several grids.
    ///
    /// # Errors
    /// As [`AttentionOverlap::new`].
    pub fn ratio_to_same_size(
        grid: &CoverageGrid,
        attention: &[f64],
    ) -> Result<Option<f64>, MetricError> {
        check_attention(attention, grid.num_tokens())?;
        let Some([columns, rows]) = grid.one_grid() else {
            return Ok(None);
        };
        let covered = (0..grid.num_tokens()).filter(|&token| grid.covered()[token] > 0.0);
        let bounds = covered.fold(None, |bounds: Option<[usize; 4]>, token| {
            let (row, column) = (token / columns, token % columns);
            let [top, left, bottom, right] = bounds.unwrap_or([row, column, row, column]);
            Some([
                top.min(row),
                left.min(column),
                bottom.max(row),
                right.max(column),
            ])
        });
        let Some([top, left, bottom, right]) = bounds else {
            return Ok(None);
        };
        let (height, width) = (bottom - top + 1, right - left + 1);
        let sum_at = |top: usize, left: usize| -> f64 {
            let rows = attention.chunks_exact(columns).skip(top).take(height);
            rows.map(|row| row[left..left + width].iter().sum::<f64>())
                .sum()
        };
        let places = (rows - height + 1) * (columns - width + 1);
        let mut total = 0.0;
        for top in 0..=rows - height {
            for left in 0..=columns - width {
                total += sum_at(top, left);
            }
        }
        Ok((total > 0.0).then(|| sum_at(top, left) / (total / places as f64)))
    }
}

/// Fails unless there is one finite value of at least 0 per token.
pub(super) fn check_attention(attention: &[f64], num_tokens: usize) -> Result<(), MetricError> {
    if attention.len() != num_tokens {
        return Err(MetricError::LengthMismatch {
            what: "attention",
            expected: num_tokens,
            got: attention.len(),
        });
    }
    match attention
        .iter()
        .find(|value| !(0.0..=f64::MAX).contains(*value))
    {
        Some(&value) => Err(MetricError::OutOfRange {
            name: "attention",
            value,
            expected: "a finite number of at least 0",
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use fp_image::{ImageAspect, ImageSize, TokenGrid};

    use super::*;
    use crate::metric::token_quality::{Framing, TokenPlaces};

    fn grid(boxes: &[[f64; 4]]) -> CoverageGrid {
        let framing = Framing::new(2, 2, ImageAspect::Pad, 0).unwrap();
        CoverageGrid::new(boxes, &framing, 2).unwrap()
    }

    #[test]
    fn four_tokens_by_hand() {
        let grid = grid(&[[0.0, 0.0, 1.5, 1.0]]);
        let overlap = AttentionOverlap::new(&grid, &[0.4, 0.2, 0.4, 0.0])
            .unwrap()
            .unwrap();
        assert_eq!(overlap.mass, 0.5);
        assert_eq!(overlap.ratio_to_uniform, 0.5 / 0.375);
        // Tokens 0 and 2 tie: the lower one is covered.
        assert!(overlap.pointing_hit);
        // The upper row holds 0.6, the lower 0.4; the mean is 0.5.
        let ratio = AttentionOverlap::ratio_to_same_size(&grid, &[0.4, 0.2, 0.4, 0.0]).unwrap();
        assert!((ratio.unwrap() - 1.2).abs() < 1e-15);
    }

    #[test]
    fn a_wide_grid_by_hand() {
        // Three columns and two rows; the box covers one cell, at row 1 and column 2.
        let size = ImageSize {
            height: 2,
            width: 3,
        };
        let grids = [TokenGrid::over(size, [3, 2])];
        let boxes = [[2.0, 1.0, 3.0, 2.0]];
        let attention = [0.1, 0.1, 0.1, 0.1, 0.2, 0.4];
        let one = TokenPlaces::of_grids([3, 2], &grids).unwrap();
        let one = CoverageGrid::over(&boxes, &one).unwrap();
        let ratio = AttentionOverlap::ratio_to_same_size(&one, &attention).unwrap();
        assert!((ratio.unwrap() - 0.4 * 6.0).abs() < 1e-15);
        // Rectangles can't be compared across several grids.
        let both = TokenPlaces::of_grids([3, 2], &[grids[0], grids[0]]).unwrap();
        let both = CoverageGrid::over(&boxes, &both).unwrap();
        let attention = [attention, attention].concat();
        assert_eq!(
            AttentionOverlap::ratio_to_same_size(&both, &attention),
            Ok(None)
        );
        let overlap = AttentionOverlap::new(&both, &attention).unwrap().unwrap();
        assert_eq!(overlap.mass, 0.8);
    }

    #[test]
    fn without_evidence_there_is_nothing_to_measure() {
        let empty = grid(&[]);
        assert_eq!(AttentionOverlap::new(&empty, &[0.25; 4]), Ok(None));
        assert_eq!(
            AttentionOverlap::ratio_to_same_size(&empty, &[0.25; 4]),
            Ok(None)
        );
        let covered = grid(&[[0.0, 0.0, 1.0, 1.0]]);
        assert_eq!(
            AttentionOverlap::ratio_to_same_size(&covered, &[0.0; 4]),
            Ok(None)
        );
    }

    #[test]
    fn impossible_attention_is_an_error() {
        let grid = grid(&[]);
        assert!(AttentionOverlap::new(&grid, &[0.5; 3]).is_err());
        assert!(AttentionOverlap::new(&grid, &[0.5, -0.1, 0.3, 0.3]).is_err());
        assert!(AttentionOverlap::new(&grid, &[0.5, f64::NAN, 0.3, 0.3]).is_err());
    }
}
