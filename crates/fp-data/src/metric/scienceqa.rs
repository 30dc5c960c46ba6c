//! ScienceQA: the letter of an option.

/// Letters that an answer may consist of.
const LETTERS: &str = "ABCDE";

/// LLaVA's parsing: the answer is a letter A–E; or starts with one, a full stop and a space; or
/// contains `The answer is X.` exactly once, where any character may replace the full stop. Case
/// matters and nothing is trimmed. `None` is what its script calls FAILED.
pub fn parse(answer: &str) -> Option<char> {
    let mut chars = answer.chars();
    if let Some(first) = chars.next().filter(|first| LETTERS.contains(*first))
        && (chars.as_str().is_empty() || chars.as_str().starts_with(". "))
    {
        return Some(first);
    }
    let mut found = None;
    let mut rest = answer;
    while let Some(start) = rest.find(STATEMENT) {
        let after = &rest[start + STATEMENT.len()..];
        let mut chars = after.chars();
        let letter = chars.next().filter(char::is_ascii_uppercase);
        let is_match = letter.is_some() && chars.next().is_some_and(|c| c != '\n');
        if is_match {
            if found.is_some() {
                return None;
            }
            found = letter;
            rest = chars.as_str();
        } else {
            rest = after;
        }
    }
    found
}

const STATEMENT: &str = "The answer is ";

/// lmms-eval's comparison with the gold letter, after trimming: equality ignoring case, or a
/// capital letter before a full stop.
pub fn is_right_lmms_eval(answer: &str, gold: &str) -> bool {
    let (answer, gold) = (
        super::python_text::strip(answer),
        super::python_text::strip(gold),
    );
    if answer.to_lowercase() == gold.to_lowercase() {
        return true;
    }
    let mut chars = answer.chars();
    let first = chars.next();
    chars.next() == Some('.')
        && first.is_some_and(|first| first.is_uppercase() && gold == first.to_string())
}

/// The prompt: `Context: ` and the hint if there is one, the question, and one line per choice.
/// LLaVA's question files already have this form.
pub fn question_text(hint: &str, question: &str, choices: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    if !hint.is_empty() {
        text = format!("Context: {hint}\n");
    }
    text.push_str(question);
    for (letter, choice) in ('A'..='Z').zip(choices) {
        text.push_str(&format!("\n{letter}. {}", choice.as_ref()));
    }
    text
}

/// The instruction after the choices.
pub const INSTRUCTION: &str = "Answer with the option's letter from the given choices directly.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llavas_reading() {
        for (answer, expected) in [
            ("C", Some('C')),
            ("F", None),
            ("c", None),
            (" C", None),
            ("C.", None),
            ("C. ", Some('C')),
            ("D. because", Some('D')),
            ("D.because", None),
            ("So: The answer is B!", Some('B')),
            ("The answer is Q.", Some('Q')),
            ("The answer is B", None),
            ("The answer is B\n", None),
            ("the answer is B.", None),
            ("The answer is A. No. The answer is B.", None),
            ("The answer is The answer is E.", Some('T')),
            // The first match includes the T, so the second statement has lost its beginning.
            ("The answer is AThe answer is B.", Some('A')),
            ("", None),
        ] {
            assert_eq!(parse(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn lmms_evals_comparison() {
        for (answer, gold, expected) in [
            ("b", "B", true),
            (" B\n", "B", true),
            ("B. two", "B", true),
            (" B. two", "B", true),
            ("b. two", "B", false),
            ("B) two", "B", false),
            ("The answer is B.", "B", false),
            ("", "B", false),
        ] {
            assert_eq!(is_right_lmms_eval(answer, gold), expected, "{answer:?}");
        }
    }

    #[test]
    fn messages() {
        assert_eq!(
            question_text("It rains.", "What now?", &["Umbrella", "Sun hat"]),
            "Context: It rains.\nWhat now?\nA. Umbrella\nB. Sun hat"
        );
        assert_eq!(question_text("", "What?", &["This"]), "What?\nA. This");
    }
}
