//! Labels of patches: the targets of the vision tower's training.

use super::attributes::{Color, Shape, Size};
use super::layout::{IMAGE_SIDE, Object, PATCH};
use super::mask::{FULL, GLYPH_HEIGHT, GLYPH_WIDTH, coverage};

/// Values per patch: shape, colour, size and digit, each counted from 1 in the order of `ALL`, with
/// 0 for none.
pub(super) const LABELS: usize = 4;

/// A patch shows an object if it contains at least this share of the object's area, in percent.
const SHOWS_OBJECT: i32 = 25;
/// A patch shows a digit if it contains at least this share of the digit's field, in percent.
const SHOWS_DIGIT: i32 = 40;

/// Labels `[patches, LABELS]`, patches row by row. The patch at an object's centre always shows it.
pub(super) fn patch_labels(objects: &[Object]) -> Vec<u8> {
    let patches = IMAGE_SIDE / PATCH;
    let mut labels = vec![0; (patches * patches) as usize * LABELS];
    for object in objects {
        let mut covered = vec![0; (patches * patches) as usize];
        for (index, &part) in coverage(object.shape, object.side).iter().enumerate() {
            let (dx, dy) = (index as i32 % object.side, index as i32 / object.side);
            covered[patch_at(object.x + dx, object.y + dy)] += i32::from(part);
        }
        let (x, y) = object.centre();
        covered[patch_at(x, y)] = FULL * PATCH * PATCH;
        let mut ink = vec![0; covered.len()];
        if object.digit.is_some() {
            let (x, y) = object.glyph_corner();
            for dy in 0..GLYPH_HEIGHT {
                for dx in 0..GLYPH_WIDTH {
                    ink[patch_at(x + dx, y + dy)] += 1;
                }
            }
        }
        for (patch, (&area, &ink)) in covered.iter().zip(&ink).enumerate() {
            let label = &mut labels[patch * LABELS..(patch + 1) * LABELS];
            if area * 100 >= SHOWS_OBJECT * FULL * PATCH * PATCH {
                label[0] = place_in(&Shape::ALL, &object.shape);
                label[1] = place_in(&Color::ALL, &object.color);
                label[2] = place_in(&Size::ALL, &object.size);
                if let Some(digit) = object.digit
                    && ink * 100 >= SHOWS_DIGIT * GLYPH_WIDTH * GLYPH_HEIGHT
                {
                    label[3] = digit + 1;
                }
            }
        }
    }
    labels
}

fn patch_at(x: i32, y: i32) -> usize {
    ((y / PATCH) * (IMAGE_SIDE / PATCH) + x / PATCH) as usize
}

fn place_in<T: PartialEq>(all: &[T], value: &T) -> u8 {
    all.iter()
        .position(|other| other == value)
        .map_or(0, |index| index as u8 + 1)
}
