//! Look-ups of which the second depends on the first, as in GQA's relational questions:
//! `What number is on the object with the color of the star?`
//!
//! The anchor is identified by its words, the link is one of its attributes, and the target is the
//! only other object with that attribute.

use super::super::attributes::Size;
use super::super::layout::Object;
use super::super::rng::SceneRng;
use super::super::wording::worded;
use super::attribute::Asked;
use super::reference::{By, Reference, is_unique, refer};
use super::{Family, Question};

pub(super) fn ask(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    match rng.below(8) {
        0..5 => number_by_link(objects, rng),
        5..7 => attribute_by_number(objects, rng),
        _ => number_by_two_links(objects, rng),
    }
}

/// `What number is on the object with the color of the star?` Anchors carry no number, so that
/// there is only one candidate.
fn number_by_link(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    let link = rng.pick(&[Asked::Color, Asked::Shape]);
    let by: &[By] = match link {
        Asked::Color => &[By::Shape, By::Shape, By::SizeShape],
        Asked::Shape => &[By::Color, By::Color, By::SizeColor],
    };
    let (anchor, reference) = refer(objects, rng, by, |object| object.digit.is_none())?;
    let target = the_other(objects, anchor, link, |object| object.digit.is_some())?;
    let digit = objects[target].digit?;
    let (word, phrase) = (link.word(), reference.phrase());
    let short = format!("number with the {word} of the {phrase}?");
    let full = format!("what number is on the object with the {word} of the {phrase}?");
    let question =
        chain(&digit.to_string(), vec![anchor, target], "number").link(link.of(&objects[anchor]));
    Some(question.text(worded(rng, &short, &full)))
}

/// `What shape is the other object with the color of the number 5?`
fn attribute_by_number(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    let (anchor, reference) = refer(objects, rng, &[By::Digit], |object| object.digit.is_some())?;
    let (link, asked) = if rng.chance(1, 2) {
        (Asked::Color, Asked::Shape)
    } else {
        (Asked::Shape, Asked::Color)
    };
    let target = the_other(objects, anchor, link, |_| true)?;
    let (asked_word, link_word, phrase) = (asked.word(), link.word(), reference.phrase());
    let short = format!("{asked_word} with the {link_word} of the {phrase}?");
    let full =
        format!("what {asked_word} is the other object with the {link_word} of the {phrase}?");
    Some(
        chain(asked.of(&objects[target]), vec![anchor, target], asked_word)
            .link(link.of(&objects[anchor]))
            .text(worded(rng, &short, &full)),
    )
}

/// `What number is on the object with the shape of the small object with the color of the star?`
/// The anchor is large, so that `small` distinguishes the middle object from it.
fn number_by_two_links(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    let by = [By::Shape, By::SizeShape];
    let (anchor, reference) = refer(objects, rng, &by, |object| {
        object.digit.is_none() && object.size == Size::Large
    })?;
    let middle_reference = Reference {
        size: Some(Size::Small),
        color: Some(objects[anchor].color),
        ..Reference::default()
    };
    if !is_unique(objects, &middle_reference) {
        return None;
    }
    let middle = objects
        .iter()
        .position(|object| middle_reference.fits(object))?;
    let target = the_other(objects, middle, Asked::Shape, |object| {
        object.digit.is_some()
    })?;
    let digit = objects[target].digit?;
    let phrase = reference.phrase();
    let short =
        format!("number with the shape of the small object with the color of the {phrase}?");
    let full = format!(
        "what number is on the object with the shape of the small object with the color of the {phrase}?"
    );
    let evidence = vec![anchor, middle, target];
    let question = chain(&digit.to_string(), evidence, "number")
        .link(Asked::Shape.of(&objects[middle]))
        .key("hops", "3");
    Some(question.text(worded(rng, &short, &full)))
}

fn chain(answer: &str, evidence: Vec<usize>, asked: &str) -> Question {
    Question::new(Family::Chain, answer, evidence)
        .key("hops", "2")
        .key("asked", asked)
}

/// The only other object that shares the attribute `link` of `anchor` and is wanted.
fn the_other(
    objects: &[Object],
    anchor: usize,
    link: Asked,
    is_wanted: impl Fn(&Object) -> bool,
) -> Option<usize> {
    let shared = link.of(&objects[anchor]);
    let mut candidates = (0..objects.len()).filter(|&index| {
        index != anchor && link.of(&objects[index]) == shared && is_wanted(&objects[index])
    });
    let first = candidates.next()?;
    candidates.next().is_none().then_some(first)
}
