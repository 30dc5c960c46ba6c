//! How many there are: `How many red objects are there?`

use super::super::attributes::{Color, Shape};
use super::super::layout::Object;
use super::super::rng::SceneRng;
use super::super::wording::worded;
use super::{Family, Question};

pub(super) fn ask(objects: &[Object], rng: &mut SceneRng) -> Option<Question> {
    let any = rng.below(objects.len());
    let is_there = rng.chance(3, 4);
    let (word, evidence): (String, Vec<usize>) = if rng.chance(1, 2) {
        let shape = if is_there {
            objects[any].shape
        } else {
            rng.pick(&Shape::ALL)
        };
        let fits = |&index: &usize| objects[index].shape == shape;
        let plural = match shape {
            Shape::Cross => "crosses".to_owned(),
            _ => format!("{}s", shape.word()),
        };
        (plural, (0..objects.len()).filter(fits).collect())
    } else {
        let color = if is_there {
            objects[any].color
        } else {
            rng.pick(&Color::ALL)
        };
        let fits = |&index: &usize| objects[index].color == color;
        let plural = format!("{} objects", color.word());
        (plural, (0..objects.len()).filter(fits).collect())
    };
    let short = format!("how many {word}?");
    let full = format!("how many {word} are there in the image?");
    let answer = evidence.len().to_string();
    Some(Question::new(Family::Counting, &answer, evidence).text(worded(rng, &short, &full)))
}
