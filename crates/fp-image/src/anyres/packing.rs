//! Order in which the features of tiles become image tokens.

use std::ops::Range;

#[cfg(doc)]
use super::AnyRes;

/// The order of image tokens: all patches of the squeezed image, then the stitched feature map,
/// row by row across the tiles. Depending on [`AnyRes`], padding is removed and a newline
/// embedding ends each row, or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeaturePacking {
    pub(super) patches_per_side: usize,
    pub(super) tile_columns: usize,
    /// Rows of the stitched feature map that are kept.
    pub rows: Range<usize>,
    /// Columns of the stitched feature map that are kept.
    pub columns: Range<usize>,
    /// Whether a newline embedding ends each of these rows.
    pub has_newlines: bool,
    /// Rows and columns to which the kept part of the stitched feature map is reduced, by
    /// bilinear interpolation of the projector's output; `None` if it is not reduced.
    pub shrunk: Option<[usize; 2]>,
}

impl FeaturePacking {
    /// Number of image tokens, including newlines.
    #[must_use]
    pub fn num_image_tokens(&self) -> usize {
        let base = self.patches_per_side * self.patches_per_side;
        let [rows, columns] = self.stitched_size();
        base + rows * (columns + usize::from(self.has_newlines))
    }

    /// Rows and columns of the stitched feature map that become tokens.
    #[must_use]
    pub fn stitched_size(&self) -> [usize; 2] {
        self.shrunk.unwrap_or([self.rows.len(), self.columns.len()])
    }

    /// Source of each image token's embedding, as if nothing were reduced.
    pub fn sources(&self) -> impl Iterator<Item = TokenSource> + '_ {
        let side = self.patches_per_side;
        let base = (0..side * side).map(|patch| TokenSource::Patch { tile: 0, patch });
        let stitched = self.rows.clone().flat_map(move |row| {
            let patch = move |column: usize| TokenSource::Patch {
                tile: 1 + row / side * self.tile_columns + column / side,
                patch: row % side * side + column % side,
            };
            self.columns
                .clone()
                .map(patch)
                .chain(self.has_newlines.then_some(TokenSource::Newline))
        });
        base.chain(stitched)
    }

    /// For each square, the squeezed image first, the image tokens of its patches, patch by
    /// patch; `None` if some patches have no token, or if tokens aren't patches.
    #[must_use]
    pub fn tokens_of_squares(&self) -> Option<Vec<Vec<usize>>> {
        let per_square = self.patches_per_side * self.patches_per_side;
        if self.shrunk.is_some() {
            return None;
        }
        let num_squares = self.num_image_tokens() / per_square.max(1);
        let mut squares = vec![vec![None; per_square]; num_squares];
        for (token, source) in self.sources().enumerate() {
            let TokenSource::Patch { tile, patch } = source else {
                return None;
            };
            *squares.get_mut(tile)?.get_mut(patch)? = Some(token);
        }
        squares
            .into_iter()
            .map(|square| square.into_iter().collect())
            .collect()
    }

    /// The same as indices into the rows of `[tiles + 1, P · P, D]` features flattened to
    /// `[(tiles + 1) · P · P, D]`, with the newline embedding appended as a last row at
    /// `newline_row`. Any reduction is ignored.
    #[must_use]
    pub fn gather_indices(&self, newline_row: u32) -> Vec<u32> {
        let per_tile = self.patches_per_side * self.patches_per_side;
        self.sources()
            .map(|source| match source {
                TokenSource::Patch { tile, patch } => (tile * per_tile + patch) as u32,
                TokenSource::Newline => newline_row,
            })
            .collect()
    }
}

/// Source of the embedding of one image token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenSource {
    /// A patch of the vision tower's output.
    Patch {
        /// 0 for the squeezed whole image, then the tiles row by row.
        tile: usize,
        /// Row-major position within the tile.
        patch: usize,
    },
    /// The learned newline embedding that ends a feature row.
    Newline,
}

#[cfg(test)]
mod tests {
    use super::super::{GridPinpoints, Tiling};
    use crate::ImageSize;

    fn size(height: usize, width: usize) -> ImageSize {
        ImageSize { height, width }
    }

    #[test]
    fn every_kept_feature_is_named_once_and_newlines_end_the_rows() {
        let pinpoints = GridPinpoints::new(&[(4, 8)]).expect("valid");
        let tiling = Tiling::new(size(4, 8), &pinpoints, 4).expect("tiles");
        let packing = tiling.packing(2);
        assert_eq!(packing.num_image_tokens(), 4 + 2 * 5);
        // Tiles 1 and 2 side by side: rows run across both.
        assert_eq!(
            packing.gather_indices(99),
            [0, 1, 2, 3, 4, 5, 8, 9, 99, 6, 7, 10, 11, 99]
        );
        assert_eq!(packing.tokens_of_squares(), None);
    }

    #[test]
    fn large_feature_maps_are_made_smaller() {
        // Eight by eight patches in tiles of two by two: a limit of 9 crops is 36 patches, and
        // the square root of 64 / 36 is 4/3.
        let pinpoints = GridPinpoints::new(&[(16, 16)]).expect("valid");
        let packing = |most| {
            let pinpoints = pinpoints.clone().with_most_crops(most);
            let tiling = Tiling::new(size(9, 9), &pinpoints, 4).expect("tiles");
            tiling.packing(2)
        };
        let shrunk = packing(Some(9));
        assert_eq!(shrunk.shrunk, Some([6, 6]));
        assert_eq!(shrunk.num_image_tokens(), 4 + 6 * 7);
        assert_eq!(shrunk.tokens_of_squares(), None);
        // The square root of 64 / 56 is below 1.1.
        assert_eq!(packing(Some(14)).shrunk, None);
        assert_eq!(packing(None).num_image_tokens(), 4 + 8 * 9);
    }

    #[test]
    fn the_fixed_form_is_every_patch_and_nothing_else() {
        for (height, width) in [(4, 8), (100, 3), (7, 7)] {
            let packing = Tiling::fixed(size(height, width), 4)
                .expect("2 × 2")
                .packing(2);
            assert_eq!(packing.num_image_tokens(), 5 * 4);
            // Tiles 1 and 2 above 3 and 4: rows run across both, and no newline ends them.
            assert_eq!(
                packing.gather_indices(99),
                [
                    0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 10, 11, 12, 13, 16, 17, 14, 15, 18, 19
                ]
            );
            let squares = packing.tokens_of_squares().expect("whole squares");
            assert_eq!(squares[0], [0, 1, 2, 3]);
            assert_eq!(squares[1], [4, 5, 8, 9]);
            assert_eq!(squares[4], [14, 15, 18, 19]);
        }
    }
}
