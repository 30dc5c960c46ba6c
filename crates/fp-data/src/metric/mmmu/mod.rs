//! MMMU (Yue et al., CVPR 2024): questions of 30 college subjects, choices and open ones. Answers
//! are read as by its own script (`eval/eval_utils.py` of MMMU-Benchmark/MMMU); see [`choice()`]
//! and [`open`].
//!
//! Where that script finds no option in an answer it draws one at random. Here such an answer is
//! wrong, so that accuracy is lower by what guessing would add: at most the share of such answers
//! divided by the number of options. lmms-eval draws too, so its results can't be reproduced
//! exactly.

mod choice;
pub mod open;

pub use choice::{Spelling, choice};

use super::mmbench;

/// The six disciplines with their subjects, as in the paper.
pub const DISCIPLINES: [(&str, &[&str]); 6] = [
    ("Art & Design", &["Art", "Art_Theory", "Design", "Music"]),
    (
        "Business",
        &["Accounting", "Economics", "Finance", "Manage", "Marketing"],
    ),
    (
        "Science",
        &["Biology", "Chemistry", "Geography", "Math", "Physics"],
    ),
    (
        "Health & Medicine",
        &[
            "Basic_Medical_Science",
            "Clinical_Medicine",
            "Diagnostics_and_Laboratory_Medicine",
            "Pharmacy",
            "Public_Health",
        ],
    ),
    (
        "Humanities & Social Science",
        &["History", "Literature", "Psychology", "Sociology"],
    ),
    (
        "Tech & Engineering",
        &[
            "Agriculture",
            "Architecture_and_Engineering",
            "Computer_Science",
            "Electronics",
            "Energy_and_Power",
            "Materials",
            "Mechanical_Engineering",
        ],
    ),
];

/// The discipline of a subject.
pub fn discipline(subject: &str) -> Option<&'static str> {
    let found = DISCIPLINES
        .iter()
        .find(|(_, subjects)| subjects.contains(&subject));
    found.map(|(name, _)| *name)
}

/// The subject in a question's id, such as `Art_Theory` of `validation_Art_Theory_12`.
pub fn subject(id: &str) -> Option<&str> {
    let (rest, number) = id.rsplit_once('_')?;
    let (_, subject) = rest.split_once('_')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !subject.is_empty()).then_some(subject)
}

/// Numbers of the images that a text refers to, as `<image 1>` and so on.
pub fn images(text: &str) -> Vec<usize> {
    let after = text.split("<image ").skip(1);
    let mut numbers: Vec<usize> = after
        .filter_map(|after| after.split_once('>')?.0.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The instruction at the end of a choice's prompt.
pub const CHOICE_INSTRUCTION: &str =
    "Answer with the option's letter from the given choices directly.";
/// The instruction at the end of an open question's prompt.
pub const OPEN_INSTRUCTION: &str = super::vqa::INSTRUCTION;

/// The prompt as lmms-eval builds it for LLaVA (`tasks/mmmu/utils.py`): the question, one line per
/// option, an empty line and the instruction. `<image 1>` stays in it as text.
pub fn question_text(question: &str, choices: &[impl AsRef<str>]) -> String {
    let mut text = question.to_owned();
    for (letter, choice) in ('A'..='Z').zip(choices) {
        text.push_str(&format!("\n{letter}. {}", choice.as_ref()));
    }
    let instruction = if choices.is_empty() {
        OPEN_INSTRUCTION
    } else {
        CHOICE_INSTRUCTION
    };
    format!("{text}\n\n{instruction}")
}

/// Whether an answer is right: the letter of an option if there are options, else one of `answers`
/// by [`open::is_right`].
pub fn is_right(
    prediction: &str,
    answers: &[impl AsRef<str>],
    options: &mmbench::Options<'_>,
    spelling: Spelling,
) -> bool {
    if options.is_empty() {
        return open::is_right(prediction, answers);
    }
    let letter = choice(prediction, options, spelling);
    letter.is_some_and(|letter| {
        answers
            .iter()
            .any(|gold| gold.as_ref().chars().eq([letter]))
    })
}

/// The answer as the server expects it: the letter of the option that it means, or the answer
/// itself where it means none or there are no options.
pub fn to_hand_in(prediction: &str, choices: &[impl AsRef<str>]) -> String {
    let options: Vec<(char, &str)> = ('A'..='Z').zip(choices.iter().map(AsRef::as_ref)).collect();
    let letter = choice(prediction, &options, Spelling::Official);
    letter.map_or_else(|| prediction.to_owned(), String::from)
}

/// [`is_right`] as VLMEvalKit computes it without a judge (`dataset/utils/multiple_choice.py`): as
/// for MMBench; an open question becomes a choice between the right answer and `Other Answers`.
pub fn is_right_vlmevalkit(
    prediction: &str,
    answers: &[impl AsRef<str>],
    options: &mmbench::Options<'_>,
) -> bool {
    if options.is_empty() {
        let is_first = |gold: &str| {
            let options = [('A', gold), ('B', "Other Answers")];
            mmbench::vlmevalkit(prediction, &options) == Some('A')
        };
        return answers.iter().any(|gold| is_first(gold.as_ref()));
    }
    let letter = mmbench::vlmevalkit(prediction, options);
    letter.is_some_and(|letter| {
        answers
            .iter()
            .any(|gold| gold.as_ref().chars().eq([letter]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_subjects() {
        let num: usize = DISCIPLINES.iter().map(|(_, subjects)| subjects.len()).sum();
        assert_eq!(num, 30);
        assert_eq!(discipline("Art_Theory"), Some("Art & Design"));
        assert_eq!(discipline("Cooking"), None);
        for (id, expected) in [
            ("validation_Accounting_1", Some("Accounting")),
            ("test_Art_Theory_12", Some("Art_Theory")),
            ("validation_Math_", None),
            ("validation_Math_x", None),
            ("Math_1", None),
            ("", None),
        ] {
            assert_eq!(subject(id), expected, "{id}");
        }
    }

    #[test]
    fn images_of_a_text() {
        assert_eq!(images("<image 1> What? A. <image 3> B. <image 1>"), [1, 3]);
        assert!(images("<image> <image x> <image 2").is_empty());
    }

    #[test]
    fn messages() {
        assert_eq!(
            question_text("<image 1> Which?", &["$6", "$7"]),
            format!("<image 1> Which?\nA. $6\nB. $7\n\n{CHOICE_INSTRUCTION}")
        );
        let none: [&str; 0] = [];
        assert_eq!(
            question_text("How many?", &none),
            format!("How many?\n\n{OPEN_INSTRUCTION}")
        );
    }

    #[test]
    fn what_is_handed_in() {
        let choices = ["$6", "$7"];
        assert_eq!(to_hand_in("(B) $7", &choices), "B");
        assert_eq!(to_hand_in("about $7", &choices), "about $7");
        let none: [&str; 0] = [];
        assert_eq!(to_hand_in("A", &none), "A");
    }

    #[test]
    fn open_questions_as_a_choice() {
        let right = |said: &str, gold: &str| is_right_vlmevalkit(said, &[gold], &[]);
        assert!(right("It is 1.06", "1.06") && right("A", "1.06") && right("Titan", "titan"));
        assert!(!right("1.07", "1.06") && !right("B", "1.06"));
        // Longer than twice the text of both options.
        let long = format!("1.06{}", " and so on".repeat(5));
        assert!(!right(&long, "1.06"));
    }
}
