//! ChartQA: relaxed accuracy (Masry et al., Findings of ACL 2022, section 5.1, after Methani et
//! al., WACV 2020). A number may differ from the right one by 5 %; other answers must be equal.
//!
//! The paper doesn't define what a number is. All evaluators follow pix2struct's function: whatever
//! Python's `float` parses, optionally followed by a percent sign, which divides it by 100. A right
//! answer of zero has no relative distance and is compared as text.

use super::python_text::{float, strip};

/// Largest relative distance at which a number is right.
const TOLERANCE: f64 = 0.05;

/// Category of questions written by people; the others are generated from summaries.
pub const HUMAN: &str = "human";
/// See [`HUMAN`].
pub const AUGMENTED: &str = "augmented";

/// Whether an unmodified answer is right: lmms-eval (`tasks/chartqa/utils.py`) and pix2struct.
/// White space around text counts, around a number it doesn't.
pub fn is_right(prediction: &str, answer: &str) -> bool {
    if let (Some(said), Some(right)) = (number(prediction), number(answer))
        && right != 0.0
    {
        return (said - right).abs() / right.abs() <= TOLERANCE;
    }
    prediction.to_lowercase() == answer.to_lowercase()
}

/// The same after trimming the answer: VLMEvalKit (`dataset/utils/vqa_eval.py`).
pub fn is_right_vlmevalkit(prediction: &str, answer: &str) -> bool {
    is_right(strip(prediction), answer)
}

/// Parses a number; one that ends in a percent sign is divided by 100.
fn number(text: &str) -> Option<f64> {
    if text.ends_with('%') {
        float(text.trim_end_matches('%')).map(|percent| percent / 100.0)
    } else {
        float(text)
    }
}

/// The category in a split's name: `human` for `human_test` and `human`, and so on; any other name
/// is returned unchanged.
pub fn split_name(name: &str) -> &str {
    let begins = |split: &str| {
        let rest = name.strip_prefix(split);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let known = [HUMAN, AUGMENTED].into_iter().find(|split| begins(split));
    known.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_a_twentieth() {
        for (said, right, expected) in [
            ("14", "14", true),
            // Exactly 5 %, then more.
            ("105", "100", true),
            ("95", "100", true),
            ("105.1", "100", false),
            ("94.9", "100", false),
            ("21", "20", true),
            // In binary, 2.1 - 2 is slightly more than 5 % of 2.
            ("2.1", "2", false),
            ("0.21", "0.2", true),
            ("-95", "-100", true),
            ("95", "-100", false),
            ("2012", "2014", true),
            ("1e3", "1000", true),
            (" 14\n", "14", true),
            ("1_000", "1000", true),
            ("٤٢", "42", true),
            // Whatever Python can't parse as a number is text.
            ("1,000", "1000", false),
            ("1,000", "1,000", true),
            ("$14", "14", false),
            ("14.", "14", true),
            ("inf", "14", false),
            ("nan", "nan", false),
        ] {
            assert_eq!(is_right(said, right), expected, "{said:?} for {right:?}");
        }
    }

    #[test]
    fn percent_signs_make_hundredths() {
        for (said, right, expected) in [
            ("5%", "0.05", true),
            ("0.05", "5%", true),
            ("5.2%", "5%", true),
            ("5.3%", "5%", false),
            ("5", "5%", false),
            ("5%", "5", false),
            ("5 %", "5%", true),
            ("5%%", "5%", true),
            // The sign is not at the end, so this is text.
            ("5% ", "5%", false),
            ("%", "%", true),
            ("%5", "5%", false),
        ] {
            assert_eq!(is_right(said, right), expected, "{said:?} for {right:?}");
        }
        assert!(is_right_vlmevalkit("5% ", "5%"));
    }

    #[test]
    fn zero_is_compared_as_text() {
        for (said, right, expected) in [
            ("0", "0", true),
            ("0.0", "0", false),
            ("0.001", "0", false),
            ("0%", "0%", true),
            ("0", "0%", false),
            ("0", "14", false),
        ] {
            assert_eq!(is_right(said, right), expected, "{said:?} for {right:?}");
        }
    }

    #[test]
    fn text_has_to_be_equal_but_for_case() {
        for (said, right, expected, stripped) in [
            ("Red", "red", true, true),
            ("red.", "red", false, false),
            (" Red\n", "red", false, true),
            ("Red", " red", false, false),
            ("ÄGYPTEN", "ägypten", true, true),
            ("Dark blue", "dark  blue", false, false),
            ("", "", true, true),
            ("[1, 2]", "[1, 2]", true, true),
        ] {
            assert_eq!(is_right(said, right), expected, "{said:?} for {right:?}");
            assert_eq!(is_right_vlmevalkit(said, right), stripped, "{said:?}");
        }
    }

    #[test]
    fn names_of_splits() {
        assert_eq!(split_name("human_test"), HUMAN);
        assert_eq!(split_name("augmented"), AUGMENTED);
        assert_eq!(split_name("humane"), "humane");
    }
}
