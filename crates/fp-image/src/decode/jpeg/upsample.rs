//! Upsampling of a colour plane to the size of the image.
//!
//! To double the samples of a line, each is interpolated with weights 3/4 and 1/4 from the two
//! nearest, and the rounding alternates to avoid a bias. Other factors, and planes of one or two
//! columns (which are too narrow for the horizontal filter), repeat their samples.

use super::Plane;

/// How a plane is upsampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Copy,
    Across,
    Down,
    Both,
    Repeat,
}

impl Method {
    fn of(plane: &Plane) -> Self {
        let is_wide = plane.width > 2;
        match plane.scale {
            [1, 1] => Self::Copy,
            [2, 1] if is_wide => Self::Across,
            [1, 2] => Self::Down,
            [2, 2] if is_wide => Self::Both,
            _ => Self::Repeat,
        }
    }
}

/// Writes row `y` of the image, at least `out.len()` samples of it, from `plane`.
pub(super) fn row(plane: &Plane, y: usize, out: &mut [u8], sums: &mut Vec<u16>) {
    let [across, down] = plane.scale;
    let own = plane.row(y / down);
    match Method::of(plane) {
        Method::Copy => out.iter_mut().zip(own).for_each(|(o, s)| *o = *s),
        Method::Repeat => {
            for (pair, &sample) in out.chunks_mut(across).zip(own) {
                pair.fill(sample);
            }
        }
        Method::Across => {
            sums.clear();
            sums.extend(own.iter().map(|&s| u16::from(s)));
            widen(sums, out, 2, [1, 2]);
        }
        Method::Down => {
            let bias = if y.is_multiple_of(2) { 1 } else { 2 };
            let other = plane.row(neighbour(y));
            for ((o, &near), &far) in out.iter_mut().zip(own).zip(other) {
                *o = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
            }
        }
        Method::Both => {
            let other = plane.row(neighbour(y));
            sums.clear();
            sums.extend(
                own.iter()
                    .zip(other)
                    .map(|(&near, &far)| 3 * u16::from(near) + u16::from(far)),
            );
            widen(sums, out, 4, [8, 7]);
        }
    }
}

/// The other row of the plane that is near image row `y`; the first row is its own neighbour, and
/// [`Plane::row`] handles the last.
fn neighbour(y: usize) -> usize {
    if y.is_multiple_of(2) {
        (y / 2).saturating_sub(1)
    } else {
        y / 2 + 1
    }
}

/// Doubles the columns of `line`, whose samples have `bits` − 2 fractional bits: each gives one
/// sample weighted to the left and one to the right, rounded with `bias`.
fn widen(line: &[u16], out: &mut [u8], bits: u32, bias: [u16; 2]) {
    let at = |i: usize| line.get(i).copied().unwrap_or_default();
    for (i, pair) in out.chunks_mut(2).enumerate() {
        let here = at(i);
        // At the ends the sample is its own neighbour.
        let left = if i == 0 { here } else { at(i - 1) };
        let right = if i + 1 < line.len() { at(i + 1) } else { here };
        for ((o, beside), bias) in pair.iter_mut().zip([left, right]).zip(bias) {
            *o = ((3 * here + beside + bias) >> bits) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, scale: [usize; 2], samples: &[u8]) -> Plane {
        Plane {
            samples: samples.to_vec(),
            stride: width,
            width,
            height,
            scale,
        }
    }

    fn rows(plane: &Plane, width: usize, height: usize) -> Vec<Vec<u8>> {
        (0..height)
            .map(|y| {
                let mut out = vec![0; width];
                row(plane, y, &mut out, &mut Vec::new());
                out
            })
            .collect()
    }

    #[test]
    fn columns_lean_towards_their_neighbours() {
        let plane = plane(3, 1, [2, 1], &[0, 100, 40]);
        assert_eq!(rows(&plane, 6, 1), [[0, 25, 75, 85, 55, 40]]);
    }

    #[test]
    fn rows_lean_towards_their_neighbours() {
        let plane = plane(1, 2, [1, 2], &[0, 100]);
        assert_eq!(rows(&plane, 1, 4), [[0], [25], [75], [100]]);
    }

    #[test]
    fn narrow_planes_and_other_factors_repeat() {
        let narrow = plane(2, 1, [2, 1], &[7, 9]);
        assert_eq!(rows(&narrow, 4, 1), [[7, 7, 9, 9]]);
        let quarter = plane(1, 1, [4, 1], &[7]);
        assert_eq!(rows(&quarter, 3, 1), [[7, 7, 7]]);
    }
}
