//! Selection and placement of a scene's objects.

use super::attributes::{Color, Shape, Size};
use super::mask::{GLYPH_HEIGHT, GLYPH_WIDTH};
use super::rng::SceneRng;

/// Side of a picture, in pixels.
pub const IMAGE_SIDE: i32 = 168;
/// Side of a patch, in pixels; a ViT turns each patch into one visual token.
pub const PATCH: i32 = 14;
/// Pixels that stay free between the boxes of two objects.
const GAP: i32 = 5;

/// An object in a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its colour.
    pub color: Color,
    /// Its outline.
    pub shape: Shape,
    /// Its size.
    pub size: Size,
    /// The digit on it; only large objects carry one.
    pub digit: Option<u8>,
    /// Left edge of its box, in pixels.
    pub x: i32,
    /// Upper edge of its box, in pixels.
    pub y: i32,
    /// Side of its box, in pixels.
    pub side: i32,
}

impl Object {
    /// Its box `[x0, y0, x1, y1]` in pixels, half-open.
    pub fn bounds(&self) -> [i32; 4] {
        [self.x, self.y, self.x + self.side, self.y + self.side]
    }

    /// Its centre, (x, y) in pixels.
    pub fn centre(&self) -> (i32, i32) {
        (self.x + self.side / 2, self.y + self.side / 2)
    }

    /// Upper left corner of its digit.
    pub(super) fn glyph_corner(&self) -> (i32, i32) {
        let (x, y) = self.centre();
        // The visual centre of a triangle is lower than its box's, that of a heart higher.
        let lift = match self.shape {
            Shape::Triangle => 3,
            Shape::Heart => -2,
            _ => 0,
        };
        (x - GLYPH_WIDTH / 2, y - GLYPH_HEIGHT / 2 + lift)
    }

    fn is_clear_of(&self, other: &Object) -> bool {
        let [ax0, ay0, ax1, ay1] = self.bounds();
        let [bx0, by0, bx1, by1] = other.bounds();
        ax1 + GAP <= bx0 || bx1 + GAP <= ax0 || ay1 + GAP <= by0 || by1 + GAP <= ay0
    }
}

/// Places `count` objects, or fewer if there is no room left.
///
/// Colours and shapes come from a handful per scene, so that many objects share one: then a
/// reference to an object needs two words, and chains of questions have links.
pub(super) fn place_objects(rng: &mut SceneRng, count: usize) -> Vec<Object> {
    let num_colors = rng.range(3, 5) as usize;
    let num_shapes = rng.range(3, 5) as usize;
    let colors = rng.sample(&Color::ALL, num_colors);
    let shapes = rng.sample(&Shape::ALL, num_shapes);
    let mut objects: Vec<Object> = Vec::with_capacity(count);
    for _ in 0..count {
        let size = if rng.chance(11, 20) {
            Size::Large
        } else {
            Size::Small
        };
        let has_digit = size == Size::Large && rng.chance(3, 4);
        let mut object = Object {
            color: rng.pick(&colors),
            shape: rng.pick(&shapes),
            size,
            digit: has_digit.then(|| rng.below(10) as u8),
            x: 0,
            y: 0,
            side: rng.pick(&size.sides()),
        };
        for _ in 0..40 {
            object.x = place(rng, object.side);
            object.y = place(rng, object.side);
            if objects.iter().all(|other| object.is_clear_of(other)) {
                objects.push(object);
                break;
            }
        }
    }
    objects
}

/// A left or upper edge such that the object's centre is within three pixels of a patch's.
fn place(rng: &mut SceneRng, side: i32) -> i32 {
    let margin = (side / 2 + 3) / PATCH;
    let patches = IMAGE_SIDE / PATCH;
    let middle = rng.range(margin, patches - 1 - margin) * PATCH + PATCH / 2;
    (middle + rng.range(-3, 3) - side / 2).clamp(0, IMAGE_SIDE - side)
}
