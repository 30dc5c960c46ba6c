//! Shapes as coverage masks in integer arithmetic, so that no machine-dependent rounding affects a
//! pixel.

use super::attributes::Shape;

/// Samples per pixel and axis.
const SAMPLES: i32 = 4;
/// Coverage of a pixel that is entirely inside.
pub(super) const FULL: i32 = SAMPLES * SAMPLES;

/// Coverage `[side, side]` of a shape, 0 to [`FULL`] per pixel.
pub(super) fn coverage(shape: Shape, side: i32) -> Vec<u8> {
    let radius = side * SAMPLES;
    let mut mask = vec![0; (side * side) as usize];
    for y in 0..side * SAMPLES {
        for x in 0..side * SAMPLES {
            // Twice the offset from the centre, so that samples are between grid lines; then in
            // thousandths of half the side.
            let u = (2 * x + 1 - radius) * 1000 / radius;
            let v = (2 * y + 1 - radius) * 1000 / radius;
            if contains(shape, u, v) {
                mask[((y / SAMPLES) * side + x / SAMPLES) as usize] += 1;
            }
        }
    }
    mask
}

/// Whether (u, v), each from −1000 to 1000 with v downwards, is inside the shape.
fn contains(shape: Shape, u: i32, v: i32) -> bool {
    let square = u * u + v * v;
    match shape {
        Shape::Circle => square <= 1000 * 1000,
        Shape::Square => u.abs() <= 880 && v.abs() <= 880,
        Shape::Triangle => 2 * u.abs() <= v + 1000 && v <= 900,
        Shape::Diamond => u.abs() + v.abs() <= 1000,
        Shape::Cross => u.abs() <= 330 || v.abs() <= 330,
        Shape::Ring => (580 * 580..=1000 * 1000).contains(&square),
        Shape::Star => in_polygon(&STAR, u, v),
        Shape::Heart => {
            let lobe = (u.abs() - 480) * (u.abs() - 480) + (v + 430) * (v + 430);
            lobe <= 520 * 520 || (v >= -430 && u.abs() * 1430 <= 1000 * (1000 - v))
        }
    }
}

/// Vertices of a five-pointed star, with points at 1000 and notches at 450 from the centre.
const STAR: [(i32, i32); 10] = [
    (0, -1000),
    (265, -364),
    (951, -309),
    (428, 139),
    (588, 809),
    (0, 450),
    (-588, 809),
    (-428, 139),
    (-951, -309),
    (-265, -364),
];

/// Even-odd rule: whether a ray to the right crosses the polygon's edges an odd number of times.
fn in_polygon(corners: &[(i32, i32)], u: i32, v: i32) -> bool {
    let mut is_inside = false;
    for (index, &(x0, y0)) in corners.iter().enumerate() {
        let (x1, y1) = corners[(index + 1) % corners.len()];
        if (y0 > v) != (y1 > v) {
            // u < x0 + (v − y0)(x1 − x0)/(y1 − y0), without the division.
            let left = (u - x0) * (y1 - y0);
            let right = (v - y0) * (x1 - x0);
            if (left < right) == (y1 > y0) {
                is_inside = !is_inside;
            }
        }
    }
    is_inside
}

/// Digits, seven rows of five pixels each.
const DIGITS: [[&str; 7]; 10] = [
    [
        ".###.", "#...#", "#...#", "#...#", "#...#", "#...#", ".###.",
    ],
    [
        "..#..", ".##..", "#.#..", "..#..", "..#..", "..#..", "#####",
    ],
    [
        ".###.", "#...#", "....#", "..##.", ".#...", "#....", "#####",
    ],
    [
        "####.", "....#", "....#", ".###.", "....#", "....#", "####.",
    ],
    [
        "#..#.", "#..#.", "#..#.", "#####", "...#.", "...#.", "...#.",
    ],
    [
        "#####", "#....", "#....", "####.", "....#", "....#", "####.",
    ],
    [
        ".###.", "#....", "#....", "####.", "#...#", "#...#", ".###.",
    ],
    [
        "#####", "....#", "...#.", "...#.", "..#..", "..#..", "..#..",
    ],
    [
        ".###.", "#...#", "#...#", ".###.", "#...#", "#...#", ".###.",
    ],
    [
        ".###.", "#...#", "#...#", ".####", "....#", "....#", ".###.",
    ],
];

/// Width of a digit in pixels; strokes are two pixels wide.
pub(super) const GLYPH_WIDTH: i32 = 10;
/// Height of a digit in pixels.
pub(super) const GLYPH_HEIGHT: i32 = 14;

/// Whether pixel (x, y) of a digit's field is ink.
pub(super) fn is_ink(digit: u8, x: i32, y: i32) -> bool {
    let rows = &DIGITS[usize::from(digit)];
    rows[(y / 2) as usize].as_bytes()[(x / 2) as usize] == b'#'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_mirror_symmetric_and_all_different() {
        for side in [17, 18, 28, 30] {
            let masks = Shape::ALL.map(|shape| coverage(shape, side));
            for (shape, mask) in Shape::ALL.iter().zip(&masks) {
                let row = side as usize;
                for y in 0..row {
                    for x in 0..row {
                        let (left, right) = (mask[y * row + x], mask[y * row + row - 1 - x]);
                        assert!(left.abs_diff(right) <= 2, "{shape:?} at {x}, {y} of {side}");
                    }
                }
            }
            for (index, mask) in masks.iter().enumerate() {
                assert!(masks[..index].iter().all(|other| other != mask));
            }
        }
    }

    #[test]
    fn areas_are_what_geometry_says() {
        let area = |shape| {
            let sum: u32 = coverage(shape, 100)
                .iter()
                .map(|&value| u32::from(value))
                .sum();
            f64::from(sum) / f64::from(FULL) / 1e4
        };
        assert!((area(Shape::Circle) - std::f64::consts::PI / 4.0).abs() < 2e-3);
        assert!((area(Shape::Square) - 0.88 * 0.88).abs() < 2e-2);
        assert!((area(Shape::Diamond) - 0.5).abs() < 2e-2);
        assert!(
            (area(Shape::Ring) - std::f64::consts::PI / 4.0 * (1.0 - 0.58 * 0.58)).abs() < 5e-3
        );
    }
}
