//! Position of one object relative to another: `Is the red star left or right of the blue ring?`

use super::super::layout::{Object, PATCH};
use super::super::rng::SceneRng;
use super::super::wording::worded;
use super::reference::{By, refer};
use super::{Family, Question};

/// Smallest distance in pixels, along the axis in question, of objects that are asked about.
const CLEAR: i32 = 2 * PATCH;

pub(super) fn ask(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    let by = [By::ColorShape, By::Shape, By::Color];
    let (one, one_reference) = refer(objects, rng, &by, |_| true)?;
    let (other, other_reference) = refer(objects, rng, &by, |_| true)?;
    let ((x0, y0), (x1, y1)) = (objects[one].centre(), objects[other].centre());
    let is_sideways = rng.chance(1, 2);
    let distance = if is_sideways { x1 - x0 } else { y1 - y0 };
    if one == other || distance.abs() < CLEAR {
        return None;
    }
    let (choice, answer) = match (is_sideways, distance > 0) {
        (true, true) => ("left or right of", "left"),
        (true, false) => ("left or right of", "right"),
        (false, true) => ("above or below", "above"),
        (false, false) => ("above or below", "below"),
    };
    let (one_phrase, other_phrase) = (one_reference.phrase(), other_reference.phrase());
    let short = format!("{one_phrase} {choice} the {other_phrase}?");
    let full = format!("is the {one_phrase} {choice} the {other_phrase}?");
    Some(
        Question::new(Family::Spatial, answer, vec![one, other])
            .key(
                "axis",
                if is_sideways {
                    "horizontal"
                } else {
                    "vertical"
                },
            )
            .text(worded(rng, &short, &full)),
    )
}
