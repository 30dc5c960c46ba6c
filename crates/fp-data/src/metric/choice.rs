//! The option that an answer names, as the evaluators of AI2D, SEED-Bench and MMStar read it.
//! VLMEvalKit reads all of them as it reads MMBench: [`super::mmbench::vlmevalkit`].

use super::python_text::{is_space, strip};

/// AI2D as lmms-eval reads it (`tasks/ai2d/ai2d.yaml`): the capital letter of an answer that begins
/// with a capital letter and a full stop, or else the whole answer, must equal the right letter,
/// ignoring case and ASCII punctuation. White space beside it is not ignored.
///
/// AI2D itself (Kembhavi et al., ECCV 2016) lets models choose by score, without reading text.
pub fn is_right_ai2d(prediction: &str, answer: &str) -> bool {
    let said = match stated_letter(prediction) {
        Some(letter) => letter.to_string(),
        None => prediction.to_owned(),
    };
    let form = |text: &str| {
        let lower = text.to_lowercase();
        lower.replace(|c: char| c.is_ascii_punctuation(), "")
    };
    form(&said) == form(answer)
}

/// X of an answer that begins with `X.`, after optional white space.
fn stated_letter(prediction: &str) -> Option<char> {
    let mut chars = prediction.trim_start_matches(is_space).chars();
    let letter = chars.next().filter(char::is_ascii_uppercase)?;
    (chars.next() == Some('.')).then_some(letter)
}

/// SEED-Bench as lmms-eval reads it (`tasks/seedbench/utils.py`): after trimming, the first
/// character must be the right letter.
///
/// LLaVA's script (`scripts/convert_seed_for_submission.py`) requires exactly the letter.
/// SEED-Bench itself (Li et al., CVPR 2024) lets models choose by likelihood.
pub fn is_right_seedbench_lmms_eval(prediction: &str, answer: &str) -> bool {
    let first = strip(prediction).chars().next();
    first.is_some_and(|first| answer.chars().eq([first]))
}

/// MMStar as its own script and lmms-eval (`tasks/mmstar/utils.py`) read it, ignoring case and
/// surrounding white space: the right letter must be the first character, or the one after `(`,
/// `option ` or `the answer is ` at the beginning. A word that begins with the letter counts as the
/// letter.
pub fn is_right_mmstar(prediction: &str, answer: &str) -> bool {
    let form = |text: &str| strip(&text.to_lowercase()).replace('\n', " ");
    let (said, answer) = (form(prediction), form(answer));
    let is_at = |text: &str| {
        let first = text.chars().next();
        first.is_some_and(|first| answer.chars().eq([first]))
    };
    let after = ["", "(", "option ", "the answer is "].map(|start| said.strip_prefix(start));
    after.into_iter().flatten().any(is_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ai2d() {
        for (said, expected) in [
            ("B", true),
            ("b", true),
            ("B.", true),
            ("(B)", true),
            ("B. head", true),
            (" \nB.head", true),
            ("B)", true),
            ("B) head", false),
            ("b. head", false),
            ("B head", false),
            (" B", false),
            ("The answer is B.", false),
            ("A. not B", false),
            ("", false),
        ] {
            assert_eq!(is_right_ai2d(said, "B"), expected, "{said:?}");
        }
    }

    #[test]
    fn seed_bench() {
        for (said, expected) in [
            ("B", true),
            (" B\n", true),
            ("B.", true),
            ("B. two", true),
            ("Both", true),
            ("b", false),
            ("(B)", false),
            ("A", false),
            ("The answer is B", false),
            ("", false),
            ("  ", false),
            ("\u{a0}B", true),
        ] {
            let found = is_right_seedbench_lmms_eval(said, "B");
            assert_eq!(found, expected, "{said:?}");
        }
    }

    #[test]
    fn mmstar() {
        for (said, expected) in [
            ("B", true),
            ("b", true),
            (" B: two", true),
            ("(B) two", true),
            ("Option B", true),
            ("option\nB", true),
            ("The answer is B.", true),
            ("the answer is b", true),
            ("Both of them", true),
            ("( B)", false),
            ("Option  B", false),
            ("The answer is (B)", false),
            ("Answer: B", false),
            ("A", false),
            ("", false),
            ("(", false),
        ] {
            assert_eq!(is_right_mmstar(said, "B"), expected, "{said:?}");
        }
        assert!(is_right_mmstar("Answer: B", "A"));
    }
}
