//! Two yes/no questions on one fact, one of each answer, as in MME: `Is the star
//! red?`, `Is the star blue?`

use super::super::attributes::{Color, Shape};
use super::super::layout::Object;
use super::super::rng::SceneRng;
use super::super::wording::{with_article, worded};
use super::attribute::{self, Asked};
use super::{Family, Question};

pub(super) fn ask(objects: &[Object], rng: &mut SceneRng) -> Option<[Question; 2]> {
    let (asked, index, phrase) = attribute::draw(objects, rng)?;
    let truth = asked.of(&objects[index]);
    // Preferably a word for something else in the picture.
    let others: Vec<&str> = objects
        .iter()
        .map(|object| asked.of(object))
        .filter(|&word| word != truth)
        .collect();
    let wrong = match others.as_slice() {
        [] => {
            let all: Vec<&str> = match asked {
                Asked::Color => Color::ALL.map(Color::word).to_vec(),
                Asked::Shape => Shape::ALL.map(Shape::word).to_vec(),
            };
            let rest: Vec<&str> = all.into_iter().filter(|&word| word != truth).collect();
            rng.pick(&rest)
        }
        words => rng.pick(words),
    };
    let mut questions = [(truth, "yes"), (wrong, "no")].map(|(word, answer)| {
        let said = match asked {
            Asked::Color => word.to_owned(),
            Asked::Shape => with_article(word),
        };
        let short = format!("is the {phrase} {said}?");
        let full = format!("is the {phrase} in the image {said}, yes or no?");
        Question::new(Family::Paired, answer, vec![index])
            .key("asked", asked.word())
            .text(worded(rng, &short, &full))
    });
    if rng.chance(1, 2) {
        questions.reverse();
    }
    Some(questions)
}
