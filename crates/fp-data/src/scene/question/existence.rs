//! Whether something is there, as in POPE: `Is there a red star in the image?`
//!
//! Yes and no are equally likely. Absent objects are chosen in three ways of increasing difficulty:
//! any object (random), one whose shape is present (popular), one whose colour and shape are both
//! present, but on different objects (adversarial).

use super::super::attributes::{Color, Shape};
use super::super::layout::Object;
use super::super::rng::SceneRng;
use super::super::wording::{with_article, worded};
use super::{Family, Question};

pub(super) fn ask(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    if rng.chance(1, 2) {
        let object = &objects[rng.below(objects.len())];
        let evidence = (0..objects.len())
            .filter(|&index| {
                objects[index].color == object.color && objects[index].shape == object.shape
            })
            .collect();
        let question = Question::new(Family::Existence, "yes", evidence).key("negative", "none");
        return Some(worded_as(question, rng, object.color, object.shape));
    }
    let kind = rng.pick(&["random", "popular", "adversarial"]);
    for _ in 0..10 {
        let any = |rng: &mut SceneRng| objects[rng.below(objects.len())].clone();
        let (color, shape) = match kind {
            "random" => (rng.pick(&Color::ALL), rng.pick(&Shape::ALL)),
            "popular" => (rng.pick(&Color::ALL), any(rng).shape),
            _ => (any(rng).color, any(rng).shape),
        };
        let is_there = objects
            .iter()
            .any(|object| object.color == color && object.shape == shape);
        if !is_there {
            // A "no" depends on the whole picture, so there is no evidence.
            let question = Question::new(Family::Existence, "no", Vec::new()).key("negative", kind);
            return Some(worded_as(question, rng, color, shape));
        }
    }
    None
}

fn worded_as(question: Question, rng: &mut SceneRng, color: Color, shape: Shape) -> Question {
    let thing = with_article(&format!("{} {}", color.word(), shape.word()));
    let short = format!("is there {thing}?");
    let full = format!("is there {thing} in the image?");
    question.text(worded(rng, &short, &full))
}
