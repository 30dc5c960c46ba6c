//! Kept tokens against gold boxes.

use fp_scoring::KeptTokens;

use super::coverage::CoverageGrid;
use crate::metric::MetricError;

/// Overlap of the kept set K with the covered cells; u is the covered fraction of a cell.
///
/// A random set of k tokens has an expected area recall of k/N, hence a lift of 1. Lift is the
/// value to compare across budgets.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Overlap {
    /// Σ over K of u / Σ u: the fraction of the gold area that kept tokens still represent.
    pub area_recall: f64,
    /// Σ over K of u / k.
    pub area_precision: f64,
    /// Σ min(u, 1 if kept) / Σ max(u, 1 if kept).
    pub soft_iou: f64,
    /// Area recall over k/N.
    pub lift: f64,
    /// Against the cells with any coverage.
    pub any: TokenOverlap,
    /// Against the cells that are at least half covered; `None` where there are no such cells,
    /// which differs from 0.
    pub half: Option<TokenOverlap>,
}

/// Kept tokens against a set G of gold tokens.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TokenOverlap {
    /// |K ∩ G| / |G|.
    pub recall: f64,
    /// |K ∩ G| / |K|.
    pub precision: f64,
    /// |K ∩ G| / |K ∪ G|.
    pub iou: f64,
    /// Whether K ∩ G is not empty.
    pub hit: bool,
}

impl Overlap {
    /// Measures `kept` against `grid`; `None` where no cell is covered.
    ///
    /// # Errors
    /// A kept token outside the grid, or no kept token.
    pub fn new(grid: &CoverageGrid, kept: &KeptTokens) -> Result<Option<Self>, MetricError> {
        let is_kept = membership(kept, grid.num_tokens())?;
        if !grid.has_evidence() {
            return Ok(None);
        }
        let (mut covered, mut covered_kept, mut union) = (0.0, 0.0, 0.0);
        for (&share, &is_kept) in grid.covered().iter().zip(&is_kept) {
            covered += share;
            covered_kept += if is_kept { share } else { 0.0 };
            union += if is_kept { 1.0 } else { share };
        }
        let (k, n) = (kept.len() as f64, grid.num_tokens() as f64);
        let against = |is_gold: &dyn Fn(f64) -> bool| {
            let gold = grid.covered().iter().map(|&share| is_gold(share));
            TokenOverlap::new(gold, &is_kept, kept.len())
        };
        Ok(against(&|share| share > 0.0).map(|any| Overlap {
            area_recall: covered_kept / covered,
            area_precision: covered_kept / k,
            soft_iou: covered_kept / union,
            lift: covered_kept / covered / (k / n),
            any,
            half: against(&|share| share >= 0.5),
        }))
    }
}

impl TokenOverlap {
    fn new(gold: impl Iterator<Item = bool>, is_kept: &[bool], num_kept: usize) -> Option<Self> {
        let (mut num_gold, mut both) = (0, 0);
        for (is_gold, &is_kept) in gold.zip(is_kept) {
            num_gold += usize::from(is_gold);
            both += usize::from(is_gold && is_kept);
        }
        let share = |of: usize| both as f64 / of as f64;
        (num_gold > 0).then(|| TokenOverlap {
            recall: share(num_gold),
            precision: share(num_kept),
            iou: share(num_gold + num_kept - both),
            hit: both > 0,
        })
    }
}

/// `[N]`, whether each token is kept.
pub(super) fn membership(kept: &KeptTokens, num_tokens: usize) -> Result<Vec<bool>, MetricError> {
    if kept.is_empty() {
        return Err(MetricError::Empty {
            what: "kept tokens",
        });
    }
    let mut is_kept = vec![false; num_tokens];
    for &token in kept.as_slice() {
        match is_kept.get_mut(token) {
            Some(is_kept) => *is_kept = true,
            None => {
                return Err(MetricError::OutOfRange {
                    name: "kept token",
                    value: token as f64,
                    expected: "an index below the number of tokens",
                });
            }
        }
    }
    Ok(is_kept)
}

#[cfg(test)]
mod tests {
    use fp_image::ImageAspect;
    use proptest::prelude::*;

    use super::*;
    use crate::metric::token_quality::Framing;

    fn grid(boxes: &[[f64; 4]]) -> CoverageGrid {
        let framing = Framing::new(3, 3, ImageAspect::Pad, 0).unwrap();
        CoverageGrid::new(boxes, &framing, 3).unwrap()
    }

    fn kept(tokens: &[usize]) -> KeptTokens {
        KeptTokens::new(tokens.to_vec(), 9).unwrap()
    }

    #[test]
    fn nine_tokens_by_hand() {
        // Row 0: u = 1, ¼, 0; row 1: ½, ⅛, 0.
        let grid = grid(&[[0.0, 0.0, 1.25, 1.5]]);
        let overlap = Overlap::new(&grid, &kept(&[0, 4, 8])).unwrap().unwrap();
        let covered = 1.25 * 1.5;
        assert_eq!(overlap.area_recall, 1.125 / covered);
        assert_eq!(overlap.area_precision, 0.375);
        assert_eq!(overlap.soft_iou, 1.125 / 3.75);
        assert!((overlap.lift - 1.125 / covered * 3.0).abs() < 1e-15);
        assert_eq!(
            (overlap.any.recall, overlap.any.precision),
            (0.5, 2.0 / 3.0)
        );
        assert_eq!(overlap.any.iou, 2.0 / 5.0);
        let half = overlap.half.unwrap();
        assert_eq!(
            (half.recall, half.precision, half.iou),
            (0.5, 1.0 / 3.0, 0.25)
        );
        let missed = Overlap::new(&grid, &kept(&[8])).unwrap().unwrap();
        assert!(!missed.any.hit && missed.area_recall == 0.0);
    }

    #[test]
    fn small_boxes_have_no_half_covered_cell_and_none_no_overlap() {
        let small = Overlap::new(&grid(&[[0.0, 0.0, 0.5, 0.5]]), &kept(&[0]))
            .unwrap()
            .unwrap();
        assert_eq!(small.half, None);
        assert_eq!(small.area_recall, 1.0);
        assert_eq!(Overlap::new(&grid(&[]), &kept(&[0])), Ok(None));
    }

    #[test]
    fn tokens_outside_the_grid_are_errors() {
        let outside = KeptTokens::new(vec![9], 10).unwrap();
        assert!(Overlap::new(&grid(&[]), &outside).is_err());
    }

    proptest! {
        #[test]
        fn keeping_everything_loses_nothing(x in 0.0_f64..2.0, y in 0.0_f64..2.0) {
            let grid = grid(&[[x, y, x + 0.9, y + 0.7]]);
            let overlap = Overlap::new(&grid, &KeptTokens::all(9)).unwrap().unwrap();
            prop_assert!((overlap.area_recall - 1.0).abs() < 1e-12);
            prop_assert!((overlap.lift - 1.0).abs() < 1e-12);
            prop_assert_eq!(overlap.any.recall, 1.0);
        }
    }
}
