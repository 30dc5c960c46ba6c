//! Spatial distribution of the kept tokens on the grid. Distances are in cells.

use fp_scoring::KeptTokens;

use super::coverage::CoverageGrid;
use super::overlap::membership;
use crate::metric::MetricError;

/// Blocks per row and column for [`Spatial::block_coverage`].
const BLOCKS: usize = 4;

/// Spread of the kept tokens over the image.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spatial {
    /// Mean row and column.
    pub centroid: [f64; 2],
    /// Root mean square distance to the centroid.
    pub rms_radius: f64,
    /// Mean distance over pairs; `None` for a single token.
    pub mean_pairwise: Option<f64>,
    /// Mean distance to the nearest other kept token; `None` for a single token.
    pub mean_nearest: Option<f64>,
    /// Fraction of the grid's 4 × 4 blocks with a kept token.
    pub block_coverage: f64,
    /// Fraction of rows with a kept token.
    pub rows_covered: f64,
    /// Fraction of columns with a kept token.
    pub columns_covered: f64,
    /// Largest distance from any cell to the nearest kept token.
    pub fill_distance: f64,
}

impl Spatial {
    /// Measures `kept` on a grid of `[columns, rows]` of tokens.
    ///
    /// # Errors
    /// No kept token, or one outside the grid.
    pub fn new(kept: &KeptTokens, [columns, rows]: [usize; 2]) -> Result<Self, MetricError> {
        membership(kept, columns * rows)?;
        let tokens = kept.as_slice();
        let places: Vec<[f64; 2]> = tokens
            .iter()
            .map(|&token| [(token / columns) as f64, (token % columns) as f64])
            .collect();
        let k = places.len() as f64;
        let mean = |axis: usize| places.iter().map(|place| place[axis]).sum::<f64>() / k;
        let centroid = [mean(0), mean(1)];
        let squares: f64 = places
            .iter()
            .map(|place| distance(*place, centroid).powi(2))
            .sum();
        let (pairwise, nearest, fill_distance) = between_cells(tokens, columns, rows);
        let has_pairs = places.len() > 1;
        let share_hit = |parts: usize, part_of: &dyn Fn(usize) -> usize| {
            let mut hit = vec![false; parts];
            tokens.iter().for_each(|&token| hit[part_of(token)] = true);
            hit.iter().filter(|hit| **hit).count() as f64 / parts as f64
        };
        // A grid with fewer cells than blocks has one block per cell.
        let (across, down) = (BLOCKS.min(columns), BLOCKS.min(rows));
        Ok(Spatial {
            centroid,
            rms_radius: (squares / k).sqrt(),
            mean_pairwise: has_pairs.then(|| pairwise / (0.5 * k * (k - 1.0))),
            mean_nearest: has_pairs.then(|| nearest / k),
            block_coverage: share_hit(across * down, &|token| {
                let (row, column) = (token / columns, token % columns);
                row * down / rows * across + column * across / columns
            }),
            rows_covered: share_hit(rows, &|token| token / columns),
            columns_covered: share_hit(columns, &|token| token % columns),
            fill_distance,
        })
    }
}

/// Sum of the distances over pairs of `tokens`, sum of the distances to the nearest other token,
/// and the largest distance from any cell to the nearest token.
///
/// A report calls this a hundred times per sample. Coordinates are whole numbers, so the nearest
/// token is found by integer squares, without roots or branches, and the few distances that occur
/// come from a table.
fn between_cells(tokens: &[usize], columns: usize, rows: usize) -> (f64, f64, f64) {
    let table: Vec<f64> = (0..rows * columns)
        .map(|cell| ((cell / columns) as f64).hypot((cell % columns) as f64))
        .collect();
    let place = |cell: usize| ((cell / columns) as i32, (cell % columns) as i32);
    let (of_row, of_column): (Vec<i32>, Vec<i32>) = tokens.iter().map(|&t| place(t)).unzip();
    let mut pairwise = 0.0;
    for (i, &token) in tokens.iter().enumerate() {
        let (row, column) = place(token);
        for (r, c) in of_row[..i].iter().zip(&of_column[..i]) {
            let down = row.abs_diff(*r) as usize;
            pairwise += table[down * columns + column.abs_diff(*c) as usize];
        }
    }
    let nearest = |cell: usize, from: usize, to: usize| {
        let (row, column) = place(cell);
        let squares = (of_row[from..to].iter().zip(&of_column[from..to]))
            .map(|(r, c)| (row - r) * (row - r) + (column - c) * (column - c));
        squares.fold(i32::MAX, i32::min)
    };
    let k = tokens.len();
    let root = |square: i32| f64::from(square).sqrt();
    let to_others = (tokens.iter().enumerate())
        .map(|(i, &token)| root(nearest(token, 0, i).min(nearest(token, i + 1, k))));
    let to_any = (0..rows * columns).map(|cell| nearest(cell, 0, k)).max();
    (pairwise, to_others.sum(), root(to_any.unwrap_or(0)))
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Share of the kept tokens whose cell lies entirely in the padding.
///
/// # Errors
/// No kept token, or one outside the grid.
pub fn padding_waste(grid: &CoverageGrid, kept: &KeptTokens) -> Result<f64, MetricError> {
    membership(kept, grid.num_tokens())?;
    let wasted = kept
        .as_slice()
        .iter()
        .filter(|&&token| grid.is_padding()[token]);
    Ok(wasted.count() as f64 / kept.len() as f64)
}

/// `[rows]`, share of the kept tokens in each row of a grid of `[columns, rows]`, from the top:
/// pruning early in the decoder keeps mostly the bottom (FEATHER, arXiv 2412.13180).
///
/// # Errors
/// No kept token, or one outside the grid.
pub fn row_profile(
    kept: &KeptTokens,
    [columns, rows]: [usize; 2],
) -> Result<Vec<f64>, MetricError> {
    membership(kept, columns * rows)?;
    let mut profile = vec![0.0; rows];
    for &token in kept.as_slice() {
        profile[token / columns] += 1.0;
    }
    let k = kept.len() as f64;
    profile.iter_mut().for_each(|share| *share /= k);
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use fp_image::ImageAspect;

    use super::*;
    use crate::metric::token_quality::Framing;

    fn kept(tokens: &[usize], num_tokens: usize) -> KeptTokens {
        KeptTokens::new(tokens.to_vec(), num_tokens).unwrap()
    }

    #[test]
    fn three_tokens_by_hand() {
        // (0, 0), (0, 4), (3, 0) on 8 × 8: sides 4, 3 and 5.
        let measures = Spatial::new(&kept(&[0, 4, 24], 64), [8, 8]).unwrap();
        assert_eq!(measures.centroid, [1.0, 4.0 / 3.0]);
        assert_eq!(measures.mean_pairwise, Some(4.0));
        assert_eq!(measures.mean_nearest, Some(10.0 / 3.0));
        // Squared distances to the centroid sum to (9 + 16 + 25)/3.
        assert!((measures.rms_radius - (50.0_f64 / 9.0).sqrt()).abs() < 1e-14);
        // Blocks of 2 × 2: three different ones.
        assert_eq!(measures.block_coverage, 3.0 / 16.0);
        assert_eq!(
            (measures.rows_covered, measures.columns_covered),
            (0.25, 0.25)
        );
        // From the far corner (7, 7) to (0, 4) or (3, 0).
        assert_eq!(measures.fill_distance, 58.0_f64.sqrt());
    }

    #[test]
    fn a_wide_grid_by_hand() {
        // (0, 0) and (1, 4) of five columns and two rows.
        let measures = Spatial::new(&kept(&[0, 9], 10), [5, 2]).unwrap();
        assert_eq!(measures.centroid, [0.5, 2.0]);
        assert_eq!(measures.mean_pairwise, Some(17.0_f64.sqrt()));
        assert_eq!(
            (measures.rows_covered, measures.columns_covered),
            (1.0, 0.4)
        );
        // Four blocks across and two down.
        assert_eq!(measures.block_coverage, 0.25);
        assert_eq!(measures.fill_distance, 2.0);
        let profile = row_profile(&kept(&[0, 1, 9], 10), [5, 2]).unwrap();
        assert_eq!(profile, [2.0 / 3.0, 1.0 / 3.0]);
    }

    #[test]
    fn distances_between_cells_equal_those_between_points() {
        for (side, step) in [(1, 1), (5, 3), (12, 7), (12, 2), (27, 11)] {
            let tokens: Vec<usize> = (0..side * side).step_by(step).collect();
            let point = |cell: usize| [(cell / side) as f64, (cell % side) as f64];
            let to_nearest = |cell: usize, leave_out: Option<usize>| {
                (tokens.iter().filter(|&&token| Some(token) != leave_out))
                    .map(|&token| distance(point(cell), point(token)))
                    .fold(f64::INFINITY, f64::min)
            };
            let mut pairwise = 0.0;
            for (i, &a) in tokens.iter().enumerate() {
                let before = tokens[..i].iter().map(|&b| distance(point(a), point(b)));
                pairwise = before.fold(pairwise, |sum, apart| sum + apart);
            }
            let fill = (0..side * side)
                .map(|cell| to_nearest(cell, None))
                .fold(0.0, f64::max);
            let found = between_cells(&tokens, side, side);
            assert_eq!((found.0, found.2), (pairwise, fill));
            if tokens.len() > 1 {
                let nearest: f64 = tokens.iter().map(|&t| to_nearest(t, Some(t))).sum();
                assert_eq!(found.1, nearest);
            }
        }
    }

    #[test]
    fn a_single_token_has_no_pairs() {
        let measures = Spatial::new(&kept(&[4], 9), [3, 3]).unwrap();
        assert_eq!(
            (measures.mean_pairwise, measures.mean_nearest),
            (None, None)
        );
        assert_eq!(
            (measures.rms_radius, measures.fill_distance),
            (0.0, 2.0_f64.sqrt())
        );
        assert_eq!(measures.block_coverage, 1.0 / 9.0);
    }

    #[test]
    fn padding_and_rows_by_hand() {
        // 4 × 2: rows 0 and 3 of 4 are padding.
        let framing = Framing::new(4, 2, ImageAspect::Pad, 0).unwrap();
        let grid = CoverageGrid::new(&[], &framing, 4).unwrap();
        let tokens = kept(&[0, 5, 6, 15], 16);
        assert_eq!(padding_waste(&grid, &tokens), Ok(0.5));
        assert_eq!(
            row_profile(&tokens, [4, 4]).unwrap(),
            [0.25, 0.5, 0.0, 0.25]
        );
        assert!(row_profile(&tokens, [3, 4]).is_err());
        assert!(Spatial::new(&tokens, [3, 4]).is_err());
    }
}
