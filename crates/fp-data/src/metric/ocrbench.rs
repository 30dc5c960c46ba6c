//! OCRBench (Liu et al., Science China Information Sciences 2024; arXiv 2305.07895): 1000 questions
//! in ten categories. An answer is right if it contains a gold answer; the score is the number of
//! right answers.

use super::python_text::strip;

/// The ten categories in the order of the official table, with their numbers of questions.
pub const CATEGORIES: [(&str, usize); 10] = [
    ("Regular Text Recognition", 50),
    ("Irregular Text Recognition", 50),
    ("Artistic Text Recognition", 50),
    ("Handwriting Recognition", 50),
    ("Digit String Recognition", 50),
    ("Non-Semantic Text Recognition", 50),
    ("Scene Text-centric VQA", 200),
    ("Doc-oriented VQA", 200),
    ("Key Information Extraction", 200),
    (EXPRESSIONS, 100),
];

/// Number of the first [`CATEGORIES`] that the table sums up as text recognition.
pub const NUM_RECOGNITION: usize = 6;

/// Handwritten formulas, all of which come from HME100k; they are compared differently.
pub const EXPRESSIONS: &str = "Handwritten Mathematical Expression Recognition";

/// Whether an answer contains the gold answer, ignoring case and with line breaks as spaces: all
/// categories but the formulas (`example.py` of MultimodalOCR).
pub fn is_right(prediction: &str, answer: &str) -> bool {
    let form = |text: &str| strip(&text.to_lowercase()).replace('\n', " ");
    form(prediction).contains(&form(answer))
}

/// Whether an answer contains the gold formula, both without spaces and line breaks; case matters.
pub fn is_right_expression(prediction: &str, answer: &str) -> bool {
    let form = |text: &str| strip(text).replace(['\n', ' '], "");
    form(prediction).contains(&form(answer))
}

/// The same as lmms-eval computes it (`tasks/ocrbench/utils.py`): it lower-cases the answer but not
/// the gold formula, so no formula with a capital letter is ever right.
pub fn is_right_expression_lmms_eval(prediction: &str, answer: &str) -> bool {
    is_right_expression(&prediction.to_lowercase(), answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_contain_the_gold_one() {
        for (said, gold, expected) in [
            ("CENTRE", "centre", true),
            ("The word is \"Centre\".", "CENTRE", true),
            ("cent re", "centre", false),
            ("center", "centre", false),
            ("centres", "centre", true),
            ("", "centre", false),
            // Any number that contains it.
            ("2019", "19", true),
            ("£3.50", "3.50", true),
            // Line breaks.
            ("10 Main St\nLondon", "10 Main St London", true),
            ("10 Main St London", "10 Main St\nLondon", true),
            ("10 Main St\n\nLondon", "10 Main St\nLondon", false),
            ("10 Main St\r\nLondon", "10 Main St London", false),
            ("\nLondon \n", " london\t", true),
            // Other scripts.
            ("答案是东京。", "东京", true),
            ("ÉCOLE", "école", true),
            ("ECOLE", "école", false),
        ] {
            assert_eq!(is_right(said, gold), expected, "{said:?} for {gold:?}");
        }
    }

    #[test]
    fn formulas_are_compared_without_spaces() {
        for (said, gold, expected, lmms_eval) in [
            ("x^{2}+1", "x ^ { 2 } + 1", true, true),
            ("x ^ { 2 }\n+ 1", "x ^ { 2 } + 1", true, true),
            ("$x^{2}+1$", "x ^ { 2 } + 1", true, true),
            ("X^{2}+1", "x ^ { 2 } + 1", false, true),
            ("A = \\pi r ^ { 2 }", "A=\\pi r^{2}", true, false),
            ("a = \\pi r ^ { 2 }", "A=\\pi r^{2}", false, false),
            ("x\t+ 1", "x + 1", false, false),
            ("x + 2", "x + 1", false, false),
            ("12 x + 1", "2x+1", true, true),
            ("", "x", false, false),
            ("\\frac {1}\n{2}", "\\frac { 1 } { 2 }", true, true),
            ("\n x+1 \n", "x+1", true, true),
        ] {
            assert_eq!(is_right_expression(said, gold), expected, "{said:?}");
            let found = is_right_expression_lmms_eval(said, gold);
            assert_eq!(found, lmms_eval, "{said:?}");
        }
    }

    #[test]
    fn a_thousand_questions() {
        let count = |categories: &[(&str, usize)]| categories.iter().map(|(_, n)| n).sum::<usize>();
        assert_eq!(count(&CATEGORIES), 1000);
        assert_eq!(count(&CATEGORIES[..NUM_RECOGNITION]), 300);
    }
}
