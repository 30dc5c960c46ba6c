//! Renders objects as pixels.

use super::background;
use super::canvas::Canvas;
use super::layout::{IMAGE_SIDE, Object};
use super::mask::{FULL, GLYPH_HEIGHT, GLYPH_WIDTH, coverage, is_ink};
use super::rng::SceneRng;

/// Digits are nearly black.
const INK: [i32; 3] = [14, 14, 14];

/// Draws objects on a background unique to the image, `[IMAGE_SIDE, IMAGE_SIDE, 3]` bytes.
pub(super) fn render(objects: &[Object], rng: &mut SceneRng) -> Vec<u8> {
    let mut canvas = Canvas::new(IMAGE_SIDE);
    background::paint(&mut canvas, rng);
    for object in objects {
        draw(&mut canvas, object, rng);
    }
    background::grain(&mut canvas, rng);
    canvas.into_rgb()
}

fn draw(canvas: &mut Canvas, object: &Object, rng: &mut SceneRng) {
    let shade = rng.range(82, 106);
    let color = object
        .color
        .rgb()
        .map(|value| value * shade / 100 + rng.range(-11, 11));
    let mask = coverage(object.shape, object.side);
    for (index, &part) in mask.iter().enumerate() {
        let (dx, dy) = (index as i32 % object.side, index as i32 / object.side);
        canvas.blend(object.x + dx, object.y + dy, color, i32::from(part), FULL);
    }
    if let Some(digit) = object.digit {
        let (x, y) = object.glyph_corner();
        for dy in 0..GLYPH_HEIGHT {
            for dx in 0..GLYPH_WIDTH {
                if is_ink(digit, dx, dy) {
                    canvas.set(x + dx, y + dy, INK);
                }
            }
        }
    }
}
