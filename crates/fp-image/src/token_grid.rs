//! Grids of image tokens, and the part of an image that each covers.

use serde::{Deserialize, Serialize};

use super::anyres::Tiling;
use super::{ImageSize, Resolution};

/// One grid of image tokens over an image, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenGrid {
    /// Number of cells in a row.
    pub columns: usize,
    /// Number of rows of cells.
    pub rows: usize,
    /// The area that the cells cover, `[x0, y0, x1, y1]` in pixels of the image; it extends
    /// beyond the image if cells show padding.
    pub area: [f64; 4],
    /// Whether a token that isn't a cell ends each row.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_newlines: bool,
}

impl TokenGrid {
    /// A grid of `[columns, rows]` cells over the whole of an image, regardless of stretching.
    #[must_use]
    pub fn over(size: ImageSize, [columns, rows]: [usize; 2]) -> TokenGrid {
        TokenGrid {
            columns,
            rows,
            area: [0.0, 0.0, size.width as f64, size.height as f64],
            has_newlines: false,
        }
    }

    /// Number of tokens, including those that end rows.
    #[must_use]
    pub fn num_tokens(&self) -> usize {
        self.rows.saturating_mul(self.tokens_per_row())
    }

    /// Number of tokens of a row, including one that ends it.
    #[must_use]
    pub fn tokens_per_row(&self) -> usize {
        self.columns.saturating_add(usize::from(self.has_newlines))
    }
}

impl Tiling {
    /// The grids of the image's tokens in their order, for a tower of `patches_per_side` ×
    /// `patches_per_side` patches per tile: the squeezed whole image, then the kept part of the
    /// stitched tiles. Patches are assumed to divide a tile evenly; if they don't fill it (27 ×
    /// 14 of 384 pixels), cells are off by up to that remainder.
    #[must_use]
    pub fn token_grids(&self, patches_per_side: usize) -> [TokenGrid; 2] {
        let packing = self.packing(patches_per_side);
        let base = TokenGrid::over(self.image, [patches_per_side; 2]);
        let [rows, columns] = packing.stitched_size();
        let patch = self.tile_side as f64 / patches_per_side.max(1) as f64;
        let Resolution { height, width } = self.resolution;
        let enlarged = self.enlarged();
        let ends = |cells: &std::ops::Range<usize>, all: usize, used: usize, image: usize| {
            let before = (all - used) / 2;
            let pixels = image as f64 / used.max(1) as f64;
            [cells.start, cells.end].map(|cell| (cell as f64 * patch - before as f64) * pixels)
        };
        let [x0, x1] = ends(&packing.columns, width, enlarged.width, self.image.width);
        let [y0, y1] = ends(&packing.rows, height, enlarged.height, self.image.height);
        let stitched = TokenGrid {
            columns,
            rows,
            area: [x0, y0, x1, y1],
            has_newlines: packing.has_newlines,
        };
        [base, stitched]
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GridPinpoints;

    fn size(width: usize, height: usize) -> ImageSize {
        ImageSize { height, width }
    }

    #[test]
    fn tiles_lie_over_the_enlarged_image() {
        // 6 × 2 pixels become 12 × 4 of 12 × 12 in tiles of 4, two patches per side: of six rows
        // of patches, those of pixels 4 to 8 belong to the image, 2 and 3.
        let pinpoints = GridPinpoints::new(&[(12, 12)]).expect("valid");
        let tiling = Tiling::new(size(6, 2), &pinpoints, 4).expect("tiles");
        let [base, stitched] = tiling.token_grids(2);
        assert_eq!(base, TokenGrid::over(size(6, 2), [2, 2]));
        let expected = TokenGrid {
            columns: 6,
            rows: 2,
            area: [0.0, 0.0, 6.0, 2.0],
            has_newlines: true,
        };
        assert_eq!(stitched, expected);
        let packing = tiling.packing(2);
        let tokens = base.num_tokens() + stitched.num_tokens();
        assert_eq!(tokens, packing.num_image_tokens());
    }

    #[test]
    fn padding_that_stays_lies_beyond_the_image() {
        // The fixed form: 8 × 4 pixels in the middle of 8 × 8.
        let tiling = Tiling::fixed(size(8, 4), 4).expect("two by two");
        let [_, stitched] = tiling.token_grids(2);
        assert_eq!(stitched.area, [0.0, -2.0, 8.0, 6.0]);
        assert_eq!((stitched.num_tokens(), stitched.has_newlines), (16, false));
    }

    #[test]
    fn what_is_made_smaller_covers_the_same() {
        let pinpoints = GridPinpoints::new(&[(16, 16)]).expect("valid");
        let grids = |most| {
            let pinpoints = pinpoints.clone().with_most_crops(most);
            let tiling = Tiling::new(size(9, 9), &pinpoints, 4).expect("tiles");
            tiling.token_grids(2)[1]
        };
        let (large, small) = (grids(None), grids(Some(9)));
        assert_eq!((large.columns, small.columns), (8, 6));
        assert_eq!(large.area, small.area);
    }
}
