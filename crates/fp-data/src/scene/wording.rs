//! The same question in short, in full and with extra text.
//!
//! Query strategies differ in where the relevant words are and how many others follow, so both
//! vary.

use super::rng::SceneRng;

/// Text before a question, which then begins with a lower-case letter.
const OPENINGS: [&str; 5] = [
    "Look at the picture with care and then tell me:",
    "There are some objects in this image, some of them small and some large. Now,",
    "I have a question about what you can see in this picture, so please tell me:",
    "Please look at all of the objects in the image one by one. Then tell me:",
    "Here is an image with a few objects on a noisy background. So",
];

/// Text after a question.
const CLOSINGS: [&str; 5] = [
    "Answer the question using a single word or phrase.",
    "Please look with care, and then answer with one word.",
    "One word is all that I need, so please keep the answer short.",
    "Take all the time that you need, and answer with one word only.",
    "Some other objects in the picture have nothing to do with it.",
];

/// Chooses between a short and a full form, and adds text around the full one.
pub(super) fn worded(rng: &mut SceneRng, short: &str, full: &str) -> String {
    match rng.below(25) {
        0..10 => capitalized(short),
        10..17 => capitalized(full),
        17..19 => format!("{} {full}", rng.pick(&OPENINGS)),
        19..22 => format!("{} {}", capitalized(full), rng.pick(&CLOSINGS)),
        _ => format!("{} {full} {}", rng.pick(&OPENINGS), rng.pick(&CLOSINGS)),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// `a red star`, `an orange star`.
pub(super) fn with_article(words: &str) -> String {
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {words}")
}
