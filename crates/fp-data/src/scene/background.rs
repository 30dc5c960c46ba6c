//! Backgrounds: cloudy, noisy, full of strokes, and never in an object's colour.

use super::canvas::Canvas;
use super::rng::SceneRng;

/// Paints a background that is unique to the image.
pub(super) fn paint(canvas: &mut Canvas, rng: &mut SceneRng) {
    let side = canvas.side();
    let grey = rng.range(75, 165);
    let base = [0; 3].map(|_: i32| grey + rng.range(-16, 16));
    let clouds = [0; 3].map(|_: i32| Lattice::new(rng, rng_cells(side, 34)));
    let cloud_height = rng.range(12, 34);
    let ripples = Lattice::new(rng, rng_cells(side, 7));
    let ripple_height = rng.range(6, 22);
    for y in 0..side {
        for x in 0..side {
            let ripple = ripples.at(x, y, side) * ripple_height / Lattice::ONE;
            let mut color = base;
            for (value, cloud) in color.iter_mut().zip(&clouds) {
                *value += cloud.at(x, y, side) * cloud_height / Lattice::ONE + ripple;
            }
            canvas.set(x, y, color);
        }
    }
    for _ in 0..rng.range(4, 13) {
        stroke(canvas, rng);
    }
    for _ in 0..rng.range(2, 6) {
        speck(canvas, rng);
    }
}

/// Adds grain to everything, objects included, in blocks of two pixels, since finer grain would
/// only make files larger.
pub(super) fn grain(canvas: &mut Canvas, rng: &mut SceneRng) {
    let height = rng.range(2, 6);
    let side = canvas.side();
    for y in (0..side).step_by(2) {
        for x in (0..side).step_by(2) {
            let noise = rng.range(-height, height);
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                canvas.change(x + dx, y + dy, |value| value + noise);
            }
        }
    }
}

fn muted(rng: &mut SceneRng) -> [i32; 3] {
    let grey = rng.range(45, 205);
    [0; 3].map(|_: i32| grey + rng.range(-14, 14))
}

/// Draws a straight line, one to three pixels wide.
fn stroke(canvas: &mut Canvas, rng: &mut SceneRng) {
    let side = canvas.side();
    let color = muted(rng);
    let width = rng.range(1, 3);
    let (x0, y0) = (rng.range(0, side - 1), rng.range(0, side - 1));
    let (dx, dy) = (rng.range(-40, 40), rng.range(-40, 40));
    let steps = dx.abs().max(dy.abs()).max(1);
    for step in 0..=steps {
        let (x, y) = (x0 + dx * step / steps, y0 + dy * step / steps);
        canvas.fill(x, y, width, width, color);
    }
}

/// Draws a small grey block, as a distractor.
fn speck(canvas: &mut Canvas, rng: &mut SceneRng) {
    let side = canvas.side();
    let (width, height) = (rng.range(3, 9), rng.range(3, 9));
    let (x, y) = (rng.range(0, side - width), rng.range(0, side - height));
    let color = muted(rng);
    canvas.fill(x, y, width, height, color);
}

/// Number of lattice cells per side whose nodes are about `pixels` apart.
fn rng_cells(side: i32, pixels: i32) -> i32 {
    (side / pixels).max(1)
}

/// Random values at the nodes of a grid, with smooth interpolation.
struct Lattice {
    cells: i32,
    knots: Vec<i32>,
}

impl Lattice {
    /// Values run from −[`Lattice::ONE`] to [`Lattice::ONE`].
    const ONE: i32 = 1 << 10;

    fn new(rng: &mut SceneRng, cells: i32) -> Lattice {
        let count = (cells + 1) * (cells + 1);
        Lattice {
            cells,
            knots: (0..count)
                .map(|_| rng.range(-Self::ONE, Self::ONE))
                .collect(),
        }
    }

    fn at(&self, x: i32, y: i32, side: i32) -> i32 {
        let (column, along) = self.place(x, side);
        let (row, down) = self.place(y, side);
        let knot = |row: i32, column: i32| self.knots[(row * (self.cells + 1) + column) as usize];
        let blend = |a: i32, b: i32, t: i32| a + (b - a) * t / Self::ONE;
        blend(
            blend(knot(row, column), knot(row, column + 1), along),
            blend(knot(row + 1, column), knot(row + 1, column + 1), along),
            down,
        )
    }

    /// The cell of a coordinate, and the position inside it, eased at both ends.
    fn place(&self, coordinate: i32, side: i32) -> (i32, i32) {
        let scaled = coordinate * self.cells * Self::ONE / side;
        let (cell, t) = (scaled / Self::ONE, i64::from(scaled % Self::ONE));
        let one = i64::from(Self::ONE);
        (cell, (t * t * (3 * one - 2 * t) / (one * one)) as i32)
    }
}
