//! Fraction of each token's cell that the gold boxes cover.

use super::framing::Framing;
use super::places::TokenPlaces;
use crate::metric::MetricError;

/// Smaller fractions of a cell are rounding errors rather than coverage.
const MIN_SHARE: f64 = 1e-12;

/// Coverage of every image token's cell by the union of gold boxes. An end-of-row token has no
/// cell: it has no coverage and isn't padding.
#[derive(Debug, Clone, PartialEq)]
pub struct CoverageGrid {
    /// Columns and rows of the first grid, which covers the whole image.
    first: [usize; 2],
    /// Whether all tokens are cells of this grid.
    is_one: bool,
    covered: Vec<f64>,
    padding: Vec<bool>,
    gold_share: f64,
}

impl CoverageGrid {
    /// Coverage by `boxes`, each `[x0, y0, x1, y1]` in pixels of the image, on a grid of
    /// `grid_side` × `grid_side` tokens over the frame `framing`. Boxes are first clipped to the
    /// image; overlaps count once.
    ///
    /// # Errors
    /// A grid without cells; a box with NaN, infinity, or its end before its start.
    pub fn new(
        boxes: &[[f64; 4]],
        framing: &Framing,
        grid_side: usize,
    ) -> Result<Self, MetricError> {
        CoverageGrid::over(boxes, &TokenPlaces::of_framing(framing, grid_side)?)
    }

    /// As [`CoverageGrid::new`], on the grids of an image's tokens. Where there are several grids,
    /// each token counts by the fraction of its own cell.
    ///
    /// # Errors
    /// A box with NaN, infinity, or its end before its start.
    pub fn over(boxes: &[[f64; 4]], places: &TokenPlaces) -> Result<Self, MetricError> {
        let size = places.grids()[0].framing.size;
        let boxes: Vec<[f64; 4]> = boxes
            .iter()
            .map(|corners| clip(*corners, size))
            .collect::<Result<_, _>>()?;
        let image = [0.0, 0.0, size[0], size[1]];
        let share = |boxes: &[[f64; 4]], [row, column]: [usize; 2]| {
            let (x, y) = (column as f64, row as f64);
            let inside = boxes.iter().map(|b| {
                [
                    (b[0] - x).max(0.0),
                    (b[1] - y).max(0.0),
                    (b[2] - x).min(1.0),
                    (b[3] - y).min(1.0),
                ]
            });
            let share = union_area(&inside.filter(has_area).collect::<Vec<_>>());
            if share < MIN_SHARE { 0.0 } else { share }
        };
        let (mut covered, mut padding) = (Vec::new(), Vec::new());
        for grid in places.grids() {
            let on_grid: Vec<[f64; 4]> = boxes.iter().map(|b| grid.to_cells(*b)).collect();
            let image = [grid.to_cells(image)];
            for token in 0..grid.num_tokens() {
                let cell = grid.cell(token);
                covered.push(cell.map_or(0.0, |cell| share(&on_grid, cell)));
                padding.push(cell.is_some_and(|cell| share(&image, cell) == 0.0));
            }
        }
        let whole = union_area(&boxes.iter().copied().filter(has_area).collect::<Vec<_>>());
        let first = &places.grids()[0];
        Ok(CoverageGrid {
            first: [first.columns, first.rows],
            is_one: places.one_grid().is_some(),
            gold_share: whole / (size[0] * size[1]),
            covered,
            padding,
        })
    }

    /// Columns and rows of the first grid, which covers the whole image: its tokens come first, row
    /// by row.
    pub fn first_grid(&self) -> [usize; 2] {
        self.first
    }

    /// Columns and rows if every token is a cell of one grid.
    pub fn one_grid(&self) -> Option<[usize; 2]> {
        self.is_one.then_some(self.first)
    }

    /// N, the number of tokens.
    pub fn num_tokens(&self) -> usize {
        self.covered.len()
    }

    /// `[N]`, fraction of each token's cell that gold boxes cover, 0 to 1. Cells of a grid have
    /// equal areas, so this is also the covered area in cells, by which the oracle control ranks
    /// tokens.
    pub fn covered(&self) -> &[f64] {
        &self.covered
    }

    /// `[N]`, whether a cell lies entirely in the padding.
    pub fn is_padding(&self) -> &[bool] {
        &self.padding
    }

    /// Whether any cell is covered.
    pub fn has_evidence(&self) -> bool {
        self.covered.iter().any(|&share| share > 0.0)
    }

    /// Area of the boxes' union as a fraction of the image.
    pub fn gold_share(&self) -> f64 {
        self.gold_share
    }

    /// The stratum of the boxes' area.
    pub fn stratum(&self) -> AreaStratum {
        AreaStratum::of(self.gold_share)
    }
}

/// Size of the evidence as a fraction of the image, in the strata of "MLLMs know where to look"
/// (arXiv 2502.17422).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum AreaStratum {
    /// Below 0.5 %.
    Small,
    /// From 0.5 % to below 5 %.
    Medium,
    /// 5 % and more.
    Large,
}

impl AreaStratum {
    /// The stratum of a fraction from 0 to 1.
    pub fn of(share: f64) -> Self {
        if share < 0.005 {
            AreaStratum::Small
        } else if share < 0.05 {
            AreaStratum::Medium
        } else {
            AreaStratum::Large
        }
    }
}

fn clip(corners: [f64; 4], size: [f64; 2]) -> Result<[f64; 4], MetricError> {
    let [x0, y0, x1, y1] = corners;
    if let Some(&value) = corners.iter().find(|value| !value.is_finite()) {
        return Err(MetricError::OutOfRange {
            name: "coordinate of a box",
            value,
            expected: "a finite number",
        });
    }
    if x1 < x0 || y1 < y0 {
        return Err(MetricError::OutOfRange {
            name: "extent of a box",
            value: (x1 - x0).min(y1 - y0),
            expected: "at least 0: boxes are [x0, y0, x1, y1]",
        });
    }
    let clip = |value: f64, axis: usize| value.clamp(0.0, size[axis]);
    Ok([clip(x0, 0), clip(y0, 1), clip(x1, 0), clip(y1, 1)])
}

fn has_area(corners: &[f64; 4]) -> bool {
    corners[2] > corners[0] && corners[3] > corners[1]
}

/// Area of a union of boxes: vertical strips between all x where a box starts or ends, and in each
/// the merged intervals of y.
fn union_area(boxes: &[[f64; 4]]) -> f64 {
    if let [single] = boxes {
        return (single[2] - single[0]) * (single[3] - single[1]);
    }
    let mut edges: Vec<f64> = boxes.iter().flat_map(|b| [b[0], b[2]]).collect();
    edges.sort_unstable_by(f64::total_cmp);
    let mut area = 0.0;
    for strip in edges.windows(2) {
        let (left, right) = (strip[0], strip[1]);
        if right <= left {
            continue;
        }
        let mut intervals: Vec<(f64, f64)> = boxes
            .iter()
            .filter(|b| b[0] <= left && right <= b[2])
            .map(|b| (b[1], b[3]))
            .collect();
        intervals.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (mut height, mut reached) = (0.0, f64::NEG_INFINITY);
        for (top, bottom) in intervals {
            height += (bottom - top.max(reached)).max(0.0);
            reached = reached.max(bottom);
        }
        area += (right - left) * height;
    }
    area
}

#[cfg(test)]
mod tests {
    use fp_image::{ImageAspect, ImageSize, TokenGrid};
    use proptest::prelude::*;

    use super::*;

    fn grid(boxes: &[[f64; 4]], size: [usize; 2], side: usize) -> CoverageGrid {
        let framing = Framing::new(size[0], size[1], ImageAspect::Pad, 0).unwrap();
        CoverageGrid::new(boxes, &framing, side).unwrap()
    }

    #[test]
    fn a_padded_image_by_hand() {
        // 4 × 2 on a 4 × 4 square: the image occupies rows 1 and 2 of a grid of side 4.
        let grid = grid(&[[0.5, 0.0, 2.0, 0.5]], [4, 2], 4);
        let mut expected = vec![0.0; 16];
        expected[4..6].copy_from_slice(&[0.25, 0.5]);
        assert_eq!(grid.covered(), expected);
        let is_padding: Vec<bool> = (0..16).map(|t| !(4..12).contains(&t)).collect();
        assert_eq!(grid.is_padding(), is_padding);
        assert_eq!(grid.gold_share(), 0.75 / 8.0);
        assert_eq!(grid.stratum(), AreaStratum::Large);
    }

    #[test]
    fn overlapping_boxes_count_once_and_boxes_outside_not_at_all() {
        // Two overlapping boxes cover 7/16 of the only cell; the third is outside.
        let boxes = [
            [0.0, 0.0, 1.0, 1.0],
            [0.5, 0.5, 1.5, 1.5],
            [9.0, 9.0, 12.0, 12.0],
        ];
        let grid = grid(&boxes, [2, 2], 1);
        assert_eq!(grid.covered(), [1.75 / 4.0]);
        assert!(grid.has_evidence());
    }

    #[test]
    fn cropping_cuts_evidence_away() {
        // 8 × 4 cropped to its middle 4 × 4: half of the box is left of it.
        let framing = Framing::new(8, 4, ImageAspect::Crop, 4).unwrap();
        let grid = CoverageGrid::new(&[[0.0, 0.0, 4.0, 4.0]], &framing, 2).unwrap();
        assert_eq!(grid.covered(), [1.0, 0.0, 1.0, 0.0]);
        assert!(!grid.is_padding().contains(&true));
    }

    #[test]
    fn no_boxes_cover_nothing() {
        let empty = grid(&[], [3, 3], 3);
        assert!(!empty.has_evidence());
        assert_eq!(empty.gold_share(), 0.0);
        assert_eq!(empty.stratum(), AreaStratum::Small);
        assert_eq!(AreaStratum::of(0.005), AreaStratum::Medium);
    }

    #[test]
    fn impossible_boxes_are_errors() {
        let framing = Framing::new(4, 4, ImageAspect::Pad, 0).unwrap();
        for bad in [[2.0, 0.0, 1.0, 1.0], [0.0, f64::NAN, 1.0, 1.0]] {
            assert!(CoverageGrid::new(&[bad], &framing, 2).is_err());
        }
        assert!(CoverageGrid::new(&[], &framing, 0).is_err());
    }

    #[test]
    fn grids_of_any_shape_by_hand() {
        // 6 × 2 pixels on 3 × 1 cells, then on 6 × 2 with end-of-row tokens: the box covers the
        // left half of the middle cell, and column 2 of both rows.
        let size = ImageSize {
            height: 2,
            width: 6,
        };
        let fine = TokenGrid {
            has_newlines: true,
            ..TokenGrid::over(size, [6, 2])
        };
        let boxes = [[2.0, 0.0, 3.0, 2.0]];
        let coarse = TokenPlaces::of_grids([6, 2], &[TokenGrid::over(size, [3, 1])]).unwrap();
        let grid = CoverageGrid::over(&boxes, &coarse).unwrap();
        assert_eq!(grid.covered(), [0.0, 0.5, 0.0]);
        assert_eq!((grid.one_grid(), grid.first_grid()), (Some([3, 1]), [3, 1]));
        assert_eq!(grid.gold_share(), 1.0 / 6.0);
        let both = [TokenGrid::over(size, [3, 1]), fine];
        let both = TokenPlaces::of_grids([6, 2], &both).unwrap();
        let grid = CoverageGrid::over(&boxes, &both).unwrap();
        let mut expected = vec![0.0; 3 + 14];
        (expected[1], expected[5], expected[12]) = (0.5, 1.0, 1.0);
        assert_eq!(grid.covered(), expected);
        assert_eq!((grid.one_grid(), grid.num_tokens()), (None, 17));
        assert!(!grid.is_padding().contains(&true));
        // Two rows of the grid are below the image.
        let below = TokenGrid {
            rows: 4,
            area: [0.0, 0.0, 6.0, 4.0],
            ..TokenGrid::over(size, [3, 4])
        };
        let below = TokenPlaces::of_grids([6, 2], &[below]).unwrap();
        let padding = CoverageGrid::over(&boxes, &below).unwrap();
        let expected: Vec<bool> = (0..12).map(|token| token >= 6).collect();
        assert_eq!(padding.is_padding(), expected);
    }

    proptest! {
        #[test]
        fn union_by_counting_pixels(
            corners in proptest::collection::vec((0_u8..12, 0_u8..12, 0_u8..12, 0_u8..12), 0..6),
        ) {
            let boxes: Vec<[f64; 4]> = corners
                .iter()
                .map(|&(a, b, c, d)| [a.min(c), b.min(d), a.max(c), b.max(d)].map(f64::from))
                .collect();
            let framing = Framing::new(12, 12, ImageAspect::Pad, 0).unwrap();
            let grid = CoverageGrid::new(&boxes, &framing, 12).unwrap();
            for token in 0..144 {
                let (x, y) = ((token % 12) as f64 + 0.5, (token / 12) as f64 + 0.5);
                let is_in = |b: &[f64; 4]| b[0] < x && x < b[2] && b[1] < y && y < b[3];
                let expected = f64::from(u8::from(boxes.iter().any(is_in)));
                prop_assert_eq!(grid.covered()[token], expected);
            }
        }
    }
}
