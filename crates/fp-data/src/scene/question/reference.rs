//! References to one object among others.

use super::super::attributes::{Color, Shape, Size};
use super::super::layout::Object;
use super::super::rng::SceneRng;

/// Attributes that identify an object; `None` ones are not mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reference {
    pub(super) color: Option<Color>,
    pub(super) shape: Option<Shape>,
    pub(super) size: Option<Size>,
    pub(super) digit: Option<u8>,
}

/// Kinds of references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Color,
    Shape,
    ColorShape,
    SizeColor,
    SizeShape,
    Digit,
}

impl Reference {
    fn of(object: &Object, by: By) -> Option<Reference> {
        let none = Reference::default();
        let (color, shape, size) = (Some(object.color), Some(object.shape), Some(object.size));
        Some(match by {
            By::Color => Reference { color, ..none },
            By::Shape => Reference { shape, ..none },
            By::ColorShape => Reference {
                color,
                shape,
                ..none
            },
            By::SizeColor => Reference {
                size,
                color,
                ..none
            },
            By::SizeShape => Reference {
                size,
                shape,
                ..none
            },
            By::Digit => Reference {
                digit: Some(object.digit?),
                ..none
            },
        })
    }

    pub(super) fn fits(&self, object: &Object) -> bool {
        self.color.is_none_or(|color| color == object.color)
            && self.shape.is_none_or(|shape| shape == object.shape)
            && self.size.is_none_or(|size| size == object.size)
            && self.digit.is_none_or(|digit| object.digit == Some(digit))
    }

    /// `star`, `large red object`, `number 5`: the phrase after `the`.
    pub(super) fn phrase(&self) -> String {
        if let Some(digit) = self.digit {
            return format!("number {digit}");
        }
        let words = [
            self.size.map(Size::word),
            self.color.map(Color::word),
            Some(self.shape.map_or("object", Shape::word)),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// An object and a reference of one of the kinds `by` that fits only it; two words only where one
/// is insufficient. `None` if a few attempts find none.
pub(super) fn refer(
    objects: &[Object],
    rng: &mut SceneRng,
    by: &[By],
    is_wanted: impl Fn(&Object) -> bool,
) -> Option<(usize, Reference)> {
    let wanted: Vec<usize> = (0..objects.len())
        .filter(|&index| is_wanted(&objects[index]))
        .collect();
    if wanted.is_empty() {
        return None;
    }
    for _ in 0..12 {
        let index = rng.pick(&wanted);
        let kind = rng.pick(by);
        let Some(reference) = Reference::of(&objects[index], kind) else {
            continue;
        };
        if is_unique(objects, &reference) && !is_wordy(objects, &objects[index], kind) {
            return Some((index, reference));
        }
    }
    None
}

/// Whether a reference fits exactly one object.
pub(super) fn is_unique(objects: &[Object], reference: &Reference) -> bool {
    objects
        .iter()
        .filter(|object| reference.fits(object))
        .count()
        == 1
}

/// Whether one word is sufficient where two are used.
fn is_wordy(objects: &[Object], object: &Object, by: By) -> bool {
    let shorter: &[By] = match by {
        By::SizeColor => &[By::Color],
        By::SizeShape => &[By::Shape],
        By::ColorShape | By::Color | By::Shape | By::Digit => &[],
    };
    shorter.iter().any(|&by| {
        Reference::of(object, by).is_some_and(|reference| is_unique(objects, &reference))
    })
}
