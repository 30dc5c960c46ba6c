//! Order of patches: cell by cell, and window by window.

use std::ops::Range;

/// The order in which the tower processes an image's patches, and the windows that contain them.
///
/// A cell holds the `merge · merge` patches of one image token; patches are ordered cell by cell,
/// so that the merger joins neighbours. If layers have windows, cells are ordered window by window,
/// for all layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PatchOrder {
    /// Row and column of each patch.
    pub(super) places: Vec<[usize; 2]>,
    /// For each image token in row-major order, the index of its cell.
    pub(super) cells: Vec<usize>,
    /// Range of patches of each window.
    pub(super) windows: Vec<Range<usize>>,
}

impl PatchOrder {
    /// The order for `[columns, rows]` of cells; `window` is the number of cells along a window's
    /// side, `None` if no layer has windows.
    pub(super) fn new([columns, rows]: [usize; 2], merge: usize, window: Option<usize>) -> Self {
        let side = window.unwrap_or(rows.max(columns)).max(1);
        let (mut places, mut windows) = (Vec::new(), Vec::new());
        let mut cells = vec![0; columns * rows];
        let mut next = 0;
        let starts = |len: usize| (0..len).step_by(side);
        for top in starts(rows) {
            for left in starts(columns) {
                let first = places.len();
                for row in top..(top + side).min(rows) {
                    for column in left..(left + side).min(columns) {
                        cells[row * columns + column] = next;
                        next += 1;
                        let inside = (0..merge).flat_map(|y| (0..merge).map(move |x| [y, x]));
                        places.extend(inside.map(|[y, x]| [row * merge + y, column * merge + x]));
                    }
                }
                windows.push(first..places.len());
            }
        }
        PatchOrder {
            places,
            cells,
            windows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_windows_cells_come_row_by_row() {
        let order = PatchOrder::new([2, 1], 2, None);
        let expected = [
            [0, 0],
            [0, 1],
            [1, 0],
            [1, 1],
            [0, 2],
            [0, 3],
            [1, 2],
            [1, 3],
        ];
        assert_eq!(order.places, expected);
        assert_eq!(order.cells, [0, 1]);
        assert_eq!(order.windows.len(), 1);
        assert_eq!(order.windows[0], 0..8);
    }

    #[test]
    fn windows_at_the_edges_are_smaller() {
        // Three by three cells of one patch each, in windows of two by two.
        let order = PatchOrder::new([3, 3], 1, Some(2));
        assert_eq!(order.windows, [0..4, 4..6, 6..8, 8..9]);
        assert_eq!(order.cells, [0, 1, 4, 2, 3, 5, 6, 7, 8]);
        assert_eq!(order.places[4..6], [[0, 2], [1, 2]]);
    }
}
