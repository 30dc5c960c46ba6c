//! Which image tokens ground-truth boxes cover.

use fp_model::image::ImageAspect;

/// Share of each token's cell that the union of `boxes` covers, `[side · side]`,
/// row by row.
///
/// Under `Pad` the grid spans a square of the image's longer side with the image
/// in its middle, under `Crop` a square of its shorter side in the image's middle.
pub(crate) fn covered_area(
    boxes: &[[f64; 4]],
    [width, height]: [usize; 2],
    aspect: ImageAspect,
    side: usize,
) -> Vec<f64> {
    let square = match aspect {
        ImageAspect::Pad => width.max(height),
        ImageAspect::Crop => width.min(height),
    };
    // Where the image's corner lies in the square; floors of halves, as preprocessing has them.
    let offset = |length: usize| (square as i64 - length as i64).div_euclid(2) as f64;
    let (dx, dy) = (offset(width), offset(height));
    let cell = square as f64 / side as f64;
    let boxes: Vec<[f64; 4]> = boxes
        .iter()
        .map(|&[x0, y0, x1, y1]| {
            let (w, h) = (width as f64, height as f64);
            [
                x0.clamp(0.0, w) + dx,
                y0.clamp(0.0, h) + dy,
                x1.clamp(0.0, w) + dx,
                y1.clamp(0.0, h) + dy,
            ]
        })
        .collect();
    (0..side * side)
        .map(|token| {
            let (x, y) = ((token % side) as f64 * cell, (token / side) as f64 * cell);
            union_area(&boxes, [x, y, x + cell, y + cell]) / (cell * cell)
        })
        .collect()
}

/// Area of the union of boxes inside `window`.
fn union_area(boxes: &[[f64; 4]], window: [f64; 4]) -> f64 {
    let inside: Vec<[f64; 4]> = boxes
        .iter()
        .map(|b| {
            [
                b[0].max(window[0]),
                b[1].max(window[1]),
                b[2].min(window[2]),
                b[3].min(window[3]),
            ]
        })
        .filter(|b| b[0] < b[2] && b[1] < b[3])
        .collect();
    let mut edges: Vec<f64> = inside.iter().flat_map(|b| [b[0], b[2]]).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
        .windows(2)
        .map(|edge| {
            let mut spans: Vec<(f64, f64)> = inside
                .iter()
                .filter(|b| b[0] <= edge[0] && b[2] >= edge[1])
                .map(|b| (b[1], b[3]))
                .collect();
            spans.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (mut length, mut end) = (0.0, f64::NEG_INFINITY);
            for (from, to) in spans {
                length += (to - from.max(end)).max(0.0);
                end = end.max(to);
            }
            length * (edge[1] - edge[0])
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_moves_and_union_counts_once() {
        // A 4 × 2 image on a square of 4: one row of padding above and below.
        let area = covered_area(
            &[[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 2.0, 2.0]],
            [4, 2],
            ImageAspect::Pad,
            4,
        );
        let mut expected = [0.0; 16];
        (expected[4], expected[5], expected[9]) = (1.0, 1.0, 1.0);
        assert_eq!(area, expected);
        let half = covered_area(&[[0.5, 0.0, 1.0, 1.0]], [4, 2], ImageAspect::Pad, 4);
        assert_eq!(half[4], 0.5);
    }

    #[test]
    fn cropping_cuts_off() {
        let area = covered_area(&[[0.0, 0.0, 2.0, 2.0]], [4, 2], ImageAspect::Crop, 2);
        assert_eq!(area, [1.0, 0.0, 1.0, 0.0]);
    }
}
