//! The digit on an object, as TextVQA asks for text in the image: `What number is on the star?`

use super::super::layout::Object;
use super::super::rng::SceneRng;
use super::super::wording::worded;
use super::reference::{By, refer};
use super::{Family, Question};

pub(super) fn ask(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    let by = [By::Color, By::Shape, By::ColorShape];
    let (index, reference) = refer(objects, rng, &by, |object| object.digit.is_some())?;
    let digit = objects[index].digit?;
    let phrase = reference.phrase();
    let short = format!("number on the {phrase}?");
    let full = format!("what number is on the {phrase}?");
    Some(
        Question::new(Family::Glyph, &digit.to_string(), vec![index])
            .text(worded(rng, &short, &full)),
    )
}
