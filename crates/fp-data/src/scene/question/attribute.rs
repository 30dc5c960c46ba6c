//! One attribute of one object, as in GQA and VQAv2: `What color is the star?`

use super::super::layout::Object;
use super::super::rng::SceneRng;
use super::super::wording::worded;
use super::reference::{By, refer};
use super::{Family, Question};

/// The attribute that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Color,
    Shape,
}

impl Asked {
    pub(super) fn word(self) -> &'static str {
        match self {
            Asked::Color => "color",
            Asked::Shape => "shape",
        }
    }

    pub(super) fn of(self, object: &Object) -> &'static str {
        match self {
            Asked::Color => object.color.word(),
            Asked::Shape => object.shape.word(),
        }
    }

    /// Kinds of references that don't reveal the answer.
    fn references(self) -> &'static [By] {
        match self {
            Asked::Color => &[By::Shape, By::Shape, By::SizeShape, By::Digit],
            Asked::Shape => &[By::Color, By::Color, By::SizeColor, By::Digit],
        }
    }
}

/// The attribute asked for, the object's index, and the phrase that refers to it.
pub(super) fn draw(objects: &[Object], rng: &mut SceneRng) -> Option<(Asked, usize, String)> {
    let asked = rng.pick(&[Asked::Color, Asked::Shape]);
    let (index, reference) = refer(objects, rng, asked.references(), |_| true)?;
    let phrase = match reference.digit {
        Some(_) => format!("object with the {}", reference.phrase()),
        None => reference.phrase(),
    };
    Some((asked, index, phrase))
}

pub(super) fn ask(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    let (asked, index, phrase) = draw(objects, rng)?;
    let word = asked.word();
    let short = format!("{word} of the {phrase}?");
    let full = format!("what {word} is the {phrase}?");
    Some(
        Question::new(Family::Attribute, asked.of(&objects[index]), vec![index])
            .key("asked", word)
            .text(worded(rng, &short, &full)),
    )
}
