//! An attribute among four options, in every rotation, as in MMBench.

use super::super::attributes::{Color, Shape};
use super::super::layout::Object;
use super::super::rng::SceneRng;
use super::attribute::{self, Asked};
use super::{Family, Question};

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

pub(super) fn ask(objects: &[Object], rng: &mut SceneRng) -> Option<[Question; 4]> {
    let (asked, index, phrase) = attribute::draw(objects, rng)?;
    let truth = asked.of(&objects[index]);
    let all: Vec<&str> = match asked {
        Asked::Color => Color::ALL.map(Color::word).to_vec(),
        Asked::Shape => Shape::ALL.map(Shape::word).to_vec(),
    };
    // Two wrong options that occur in the picture if possible, then any.
    let is_there = |word: &&str| objects.iter().any(|object| asked.of(object) == *word);
    let (there, absent): (Vec<&str>, Vec<&str>) = all
        .into_iter()
        .filter(|&word| word != truth)
        .partition(is_there);
    let mut options = rng.sample(&there, 2);
    let missing = 3 - options.len();
    options.extend(rng.sample(&absent, missing));
    options.extend(
        rng.sample(&there, there.len())
            .iter()
            .find(|word| !options.contains(word)),
    );
    options.truncate(3);
    options.push(truth);
    rng.shuffle(&mut options);
    let word = asked.word();
    Some(std::array::from_fn(|rotation| {
        options.rotate_left(usize::from(rotation > 0));
        let lines: Vec<String> = LETTERS
            .iter()
            .zip(&options)
            .map(|(letter, option)| format!("{letter}. {option}"))
            .collect();
        let place = options
            .iter()
            .position(|&option| option == truth)
            .unwrap_or(0);
        Question::new(Family::MultipleChoice, LETTERS[place], vec![index])
            .key("asked", word)
            .key("rotation", &rotation.to_string())
            .text(format!(
                "What {word} is the {phrase}?\n{}\nAnswer with the option's letter from the given choices directly.",
                lines.join("\n")
            ))
    }))
}
