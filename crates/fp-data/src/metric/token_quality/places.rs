//! Positions of an image's tokens: on one grid or several, of any shape.

use fp_image::{ImageAspect, TokenGrid};

use super::framing::Framing;
use crate::metric::MetricError;

/// A grid of image tokens, row by row, and its position over the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlacedGrid {
    /// Number of columns.
    pub columns: usize,
    /// Number of rows.
    pub rows: usize,
    /// Whether each row ends with a token that is no cell.
    pub has_newlines: bool,
    /// The frame that the cells cover.
    pub framing: Framing,
}

impl PlacedGrid {
    /// Number of tokens, end-of-row tokens included.
    #[must_use]
    pub fn num_tokens(&self) -> usize {
        self.rows * (self.columns + usize::from(self.has_newlines))
    }

    /// Row and column of one of its tokens, counted from its first; `None` for an end-of-row token.
    #[must_use]
    pub fn cell(&self, token: usize) -> Option<[usize; 2]> {
        let of_row = self.columns + usize::from(self.has_newlines);
        let (row, column) = (token / of_row.max(1), token % of_row.max(1));
        (column < self.columns && row < self.rows).then_some([row, column])
    }

    /// Converts a box `[x0, y0, x1, y1]` from pixels to cells.
    #[must_use]
    pub fn to_cells(&self, corners: [f64; 4]) -> [f64; 4] {
        let cells = [self.columns, self.rows];
        [0, 1, 2, 3].map(|i| self.framing.to_grid(i % 2, corners[i], cells[i % 2]))
    }
}

/// The grids of an image's tokens, in the order of the tokens. The first covers the whole image.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenPlaces {
    grids: Vec<PlacedGrid>,
}

impl TokenPlaces {
    /// One square of `side` × `side` tokens, to which an image of `[width, height]` pixels was
    /// padded or cropped; `input_side` is that of [`Framing::new`].
    ///
    /// # Errors
    /// An image without pixels, or a grid without cells.
    pub fn square(
        [width, height]: [usize; 2],
        aspect: ImageAspect,
        input_side: usize,
        side: usize,
    ) -> Result<TokenPlaces, MetricError> {
        TokenPlaces::of_framing(&Framing::new(width, height, aspect, input_side)?, side)
    }

    /// One square of `side` × `side` tokens over the frame `framing`.
    ///
    /// # Errors
    /// A grid without cells.
    pub fn of_framing(framing: &Framing, side: usize) -> Result<TokenPlaces, MetricError> {
        TokenPlaces::new(vec![PlacedGrid {
            columns: side,
            rows: side,
            has_newlines: false,
            framing: *framing,
        }])
    }

    /// The given grids of an image of `[width, height]` pixels.
    ///
    /// # Errors
    /// No grid, one without cells or with an empty frame, or an image without pixels.
    pub fn of_grids(
        [width, height]: [usize; 2],
        grids: &[TokenGrid],
    ) -> Result<TokenPlaces, MetricError> {
        let placed = |grid: &TokenGrid| -> Result<PlacedGrid, MetricError> {
            Ok(PlacedGrid {
                columns: grid.columns,
                rows: grid.rows,
                has_newlines: grid.has_newlines,
                framing: Framing::of_area(width, height, grid.area)?,
            })
        };
        TokenPlaces::new(grids.iter().map(placed).collect::<Result<_, _>>()?)
    }

    fn new(grids: Vec<PlacedGrid>) -> Result<TokenPlaces, MetricError> {
        if grids.is_empty() {
            return Err(MetricError::Empty {
                what: "grids of image tokens",
            });
        }
        if grids.iter().any(|grid| grid.columns == 0 || grid.rows == 0) {
            return Err(MetricError::OutOfRange {
                name: "grid side",
                value: 0.0,
                expected: "at least 1",
            });
        }
        Ok(TokenPlaces { grids })
    }

    /// The grids, in the order of their tokens; at least one.
    #[must_use]
    pub fn grids(&self) -> &[PlacedGrid] {
        &self.grids
    }

    /// Columns and rows if every token is a cell of one grid.
    #[must_use]
    pub fn one_grid(&self) -> Option<[usize; 2]> {
        match self.grids.as_slice() {
            [grid] if !grid.has_newlines => Some([grid.columns, grid.rows]),
            _ => None,
        }
    }

    /// N, the number of tokens.
    #[must_use]
    pub fn num_tokens(&self) -> usize {
        self.grids.iter().map(PlacedGrid::num_tokens).sum()
    }

    /// For each of the N tokens its grid, and its row and column there; `None` for end-of-row
    /// tokens.
    pub fn cells(&self) -> impl Iterator<Item = (&PlacedGrid, Option<[usize; 2]>)> {
        self.grids
            .iter()
            .flat_map(|grid| (0..grid.num_tokens()).map(move |token| (grid, grid.cell(token))))
    }

    /// Fraction of each cell of a raster of `[columns, rows]` over the image that kept tokens
    /// cover, averaged over the grids: `[rows · columns]`, each 0 to 1. `kept` are indices below N.
    #[must_use]
    pub fn raster(&self, kept: &[usize], [columns, rows]: [usize; 2]) -> Vec<f64> {
        let mut is_kept = vec![false; self.num_tokens()];
        for &token in kept {
            if let Some(is_kept) = is_kept.get_mut(token) {
                *is_kept = true;
            }
        }
        let mut raster = vec![0.0; columns * rows];
        let mut first = 0;
        for grid in &self.grids {
            let of_grid = &is_kept[first..first + grid.num_tokens()];
            first += grid.num_tokens();
            let size = grid.framing.size;
            let across = shares(columns, grid.columns, |part| {
                grid.framing.to_grid(0, part * size[0], grid.columns)
            });
            let down = shares(rows, grid.rows, |part| {
                grid.framing.to_grid(1, part * size[1], grid.rows)
            });
            for (at, value) in raster.iter_mut().enumerate() {
                let (down, across) = (&down[at / columns], &across[at % columns]);
                for &(row, tall) in down {
                    let start = row * (grid.columns + usize::from(grid.has_newlines));
                    for &(column, wide) in across {
                        if of_grid[start + column] {
                            *value += tall * wide / self.grids.len() as f64;
                        }
                    }
                }
            }
        }
        raster
    }
}

/// For each of `parts` equal parts of an axis, the cells that it intersects and the fraction of the
/// part in each; `to_grid` converts a fraction of the axis to cells.
fn shares(parts: usize, cells: usize, to_grid: impl Fn(f64) -> f64) -> Vec<Vec<(usize, f64)>> {
    (0..parts)
        .map(|part| {
            let start = to_grid(part as f64 / parts as f64);
            let end = to_grid((part + 1) as f64 / parts as f64);
            let first = start.max(0.0).floor() as usize;
            let last = (end.max(0.0).ceil() as usize).min(cells);
            (first..last)
                .map(|cell| {
                    let inside = end.min((cell + 1) as f64) - start.max(cell as f64);
                    (cell, inside / (end - start))
                })
                .filter(|(_, share)| *share > 0.0)
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use fp_image::ImageSize;

    use super::*;

    fn wide() -> [TokenGrid; 2] {
        let size = ImageSize {
            height: 2,
            width: 4,
        };
        [
            TokenGrid::over(size, [2, 2]),
            TokenGrid {
                has_newlines: true,
                ..TokenGrid::over(size, [4, 2])
            },
        ]
    }

    #[test]
    fn tokens_of_several_grids_by_hand() {
        let places = TokenPlaces::of_grids([4, 2], &wide()).unwrap();
        assert_eq!((places.num_tokens(), places.one_grid()), (14, None));
        let cells: Vec<_> = places.cells().map(|(_, cell)| cell).collect();
        assert_eq!(cells[3], Some([1, 1]));
        assert_eq!(cells[7], Some([0, 3]));
        assert_eq!((cells[8], cells[9]), (None, Some([1, 0])));
        let one = TokenPlaces::of_grids([4, 2], &wide()[..1]).unwrap();
        assert_eq!(one.one_grid(), Some([2, 2]));
        assert_eq!(
            one.grids()[0].to_cells([1.0, 0.0, 3.0, 1.0]),
            [0.5, 0.0, 1.5, 1.0]
        );
    }

    #[test]
    fn rasters_by_hand() {
        let one = TokenPlaces::of_grids([4, 2], &wide()[..1]).unwrap();
        // Cells of two by two over a raster of four by one: the upper left cell is kept.
        assert_eq!(one.raster(&[0], [4, 1]), [0.5, 0.5, 0.0, 0.0]);
        let all = one.raster(&[0, 1, 2, 3], [3, 3]);
        assert!(
            all.iter().all(|share| (share - 1.0).abs() < 1e-12),
            "{all:?}"
        );
        let both = TokenPlaces::of_grids([4, 2], &wide()).unwrap();
        // The upper left cell of each grid: one half from the first, a quarter from the second.
        assert_eq!(both.raster(&[0, 4], [2, 2]), [0.75, 0.0, 0.0, 0.0]);
        // End-of-row tokens cover nothing.
        assert_eq!(both.raster(&[8, 13], [2, 2]), [0.0; 4]);
    }

    #[test]
    fn grids_without_cells_are_refused() {
        assert!(TokenPlaces::of_grids([4, 2], &[]).is_err());
        let [mut grid, _] = wide();
        grid.rows = 0;
        assert!(TokenPlaces::of_grids([4, 2], &[grid]).is_err());
        assert!(TokenPlaces::square([4, 2], ImageAspect::Pad, 0, 0).is_err());
    }
}
