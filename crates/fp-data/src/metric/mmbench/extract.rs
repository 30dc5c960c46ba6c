//! Extracts the option that an answer means, without a judge.

use crate::metric::python_text::{is_space, split, strip};

/// Refusals, which are never right.
const REFUSALS: [&str; 4] = [
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
];

/// Text that is logged where a remote model gave no answer.
const NO_ANSWER: &str = "Failed to obtain answer via API";

/// Phrases that announce an answer; the first occurrence of each counts.
const PHRASES: [&str; 27] = [
    "answer is",
    "the answer is",
    "my answer is",
    "correct answer is",
    "the correct answer is",
    "best answer is",
    "the best answer is",
    "choice is",
    "the choice is",
    "my choice is",
    "correct choice is",
    "the correct choice is",
    "correct option is",
    "the correct option is",
    "best option is",
    "the best option is",
    "i choose",
    "i select",
    "i pick",
    "옵션",
    "정답은",
    "답은",
    "답:",
    "答案是",
    "答案为",
    "选",
    "答えは",
];

/// The option letters of a question with their texts, in order.
pub type Options<'a> = [(char, &'a str)];

/// VLMEvalKit's exact matching, the default here. Returns a letter of the options, `Z` for a
/// refusal, or `None` if the answer names no option; neither of the latter is right.
///
/// 1. A refusal gives Z.
/// 2. With `.()[],:;!*#{}` as spaces: the only option letter that is a word, if it is one of the
///    last four words; with no letter, a word `Z`.
/// 3. The first `answer is X`, in any case, X of A–D.
/// 4. Unless the answer is longer than twice all option texts together: the only option whose text
///    it contains, in lower case.
pub fn vlmevalkit(answer: &str, options: &Options<'_>) -> Option<char> {
    vlmevalkit_by_letter(answer, options).or_else(|| vlmevalkit_by_text(answer, options))
}

/// The first three steps of [`vlmevalkit`].
pub fn vlmevalkit_by_letter(answer: &str, options: &Options<'_>) -> Option<char> {
    if answer.contains(NO_ANSWER) {
        return None;
    }
    if REFUSALS.iter().any(|refusal| answer.contains(refusal)) {
        return Some('Z');
    }
    let spaced: String = answer
        .chars()
        .map(|c| if ".()[],:;!*#{}".contains(c) { ' ' } else { c })
        .collect();
    let words: Vec<&str> = split(&spaced).collect();
    let place = |letter: char| words.iter().position(|word| is_letter(word, letter));
    let mut found = options
        .iter()
        .filter_map(|(letter, _)| Some((*letter, place(*letter)?)));
    match (found.next(), found.next()) {
        (Some((letter, place)), None) if place + 5 > words.len() => return Some(letter),
        (None, _) if place('Z').is_some() => return Some('Z'),
        _ => {}
    }
    let letter = stated_letter(answer)?;
    options
        .iter()
        .any(|(option, _)| *option == letter)
        .then_some(letter)
}

/// The fourth step of [`vlmevalkit`].
pub fn vlmevalkit_by_text(answer: &str, options: &Options<'_>) -> Option<char> {
    let lower = answer.to_lowercase();
    let longest: usize = options.iter().map(|(_, text)| text.chars().count()).sum();
    if lower.chars().count() > 2 * longest {
        return None;
    }
    only_contained(&lower, options)
}

/// X of the first `answer is X` in any case: with white space between, asterisks before X, and X
/// one of A–D even if it begins a word.
fn stated_letter(answer: &str) -> Option<char> {
    let chars: Vec<char> = answer.chars().collect();
    let word = |start: usize, word: &str| {
        let end = start + word.len();
        let matches = chars.get(start..end)?.iter().zip(word.chars());
        matches
            .into_iter()
            .all(|(c, w)| c.eq_ignore_ascii_case(&w))
            .then_some(end)
    };
    let skip = |start: usize, is_skipped: &dyn Fn(char) -> bool| {
        let skipped = chars[start..]
            .iter()
            .take_while(|c| is_skipped(**c))
            .count();
        start + skipped
    };
    (0..chars.len()).find_map(|start| {
        let after_answer = word(start, "answer")?;
        let is_at = skip(after_answer, &is_space);
        let after_is = word(is_at, "is").filter(|_| is_at > after_answer)?;
        let next = skip(after_is, &is_space);
        let letter = chars
            .get(skip(next, &|c| c == '*'))
            .filter(|_| next > after_is)?;
        let letter = letter.to_ascii_uppercase();
        ('A'..='D').contains(&letter).then_some(letter)
    })
}

/// lmms-eval's first step: the only letter A–E that is a word, whatever the options, unless one is
/// `A` among more than three words. Otherwise the letter in the first of several spellings, such as
/// `A.` or `(A)`, that occurs with one letter only. Otherwise the only option whose text the answer
/// contains.
pub fn lmms_eval(answer: &str, options: &Options<'_>) -> Option<char> {
    lmms_eval_by_letter(answer).or_else(|| only_contained(&answer.to_lowercase(), options))
}

fn lmms_eval_by_letter(answer: &str) -> Option<char> {
    const SPELLINGS: [(&str, &str); 12] = [
        ("", "."),
        ("", ","),
        ("", ":"),
        ("", ")"),
        ("", ")."),
        ("(", ")"),
        ("(", ")."),
        (":", ""),
        (":", ","),
        (":", "."),
        (":", ")"),
        (":", ")."),
    ];
    if answer.contains(NO_ANSWER) {
        return None;
    }
    let words: Vec<&str> = split(answer).collect();
    let only = |prefix: &str, suffix: &str| {
        let mut found = ('A'..='E').filter(|letter| {
            let spelled = format!("{prefix}{letter}{suffix}");
            words.iter().any(|word| *word == spelled)
        });
        found.next().filter(|_| found.next().is_none())
    };
    let may_be_an_article = words.contains(&"A") && words.len() > 3;
    only("", "").filter(|_| !may_be_an_article).or_else(|| {
        SPELLINGS
            .iter()
            .find_map(|(prefix, suffix)| only(prefix, suffix))
    })
}

/// lmms-eval's `static` mode where [`lmms_eval`] finds nothing: every spelling of an option's
/// letter is a candidate, the strongest spelling wins, and its last occurrence in the text counts.
///
/// From the strongest: the text starts or ends with the letter; it follows a phrase such as
/// `the answer is`; `(A)`, `A.`, `A:`, `A)`, `A` before a space; without any of these, the letter
/// anywhere.
pub fn lmms_eval_static(answer: &str, letters: &[char]) -> Option<char> {
    let mut trimmed = strip(answer);
    for mark in [',', '.', '!', '?', ';', ':', '\'', '"'] {
        trimmed = trimmed.trim_matches(mark);
    }
    let text: Vec<char> = format!(" {trimmed} ").chars().collect();
    let lower: Vec<char> = text
        .iter()
        .collect::<String>()
        .to_lowercase()
        .chars()
        .collect();
    let last = |pattern: &str| {
        let pattern: Vec<char> = pattern.chars().collect();
        text.windows(pattern.len())
            .rposition(|window| window == pattern)
    };
    let stripped: Vec<char> = strip(trimmed).chars().collect();
    let phrase_ends: Vec<usize> = PHRASES
        .iter()
        .filter_map(|phrase| {
            let phrase: Vec<char> = phrase.chars().collect();
            let start = lower
                .windows(phrase.len())
                .position(|window| window == phrase)?;
            Some(start + phrase.len())
        })
        .collect();
    let mut best: Option<((u8, usize), char)> = None;
    let mut consider = |rank: u8, place: Option<usize>, letter: char| {
        if let Some(place) = place
            && best.is_none_or(|(known, _)| (rank, place) > known)
        {
            best = Some(((rank, place), letter));
        }
    };
    for &letter in letters {
        let is_apart = |neighbour: Option<&char>| neighbour.is_none_or(|c| !c.is_alphabetic());
        let before_last = stripped
            .len()
            .checked_sub(2)
            .and_then(|index| stripped.get(index));
        let starts = stripped.first() == Some(&letter) && is_apart(stripped.get(1));
        let ends = stripped.last() == Some(&letter) && is_apart(before_last);
        consider(10, starts.then_some(0), letter);
        consider(9, ends.then_some(text.len()), letter);
        for &end in &phrase_ends {
            let after = text.iter().skip(end).position(|c| *c == letter);
            consider(7, after.map(|offset| end + offset), letter);
        }
        consider(6, last(&format!("({letter})")), letter);
        consider(5, last(&format!("{letter}.")), letter);
        consider(4, last(&format!("{letter}:")), letter);
        consider(3, last(&format!("{letter})")), letter);
        consider(2, last(&format!("{letter} ")), letter);
    }
    if best.is_none() {
        for &letter in letters {
            let place = text.iter().rposition(|c| *c == letter);
            if let Some(place) = place
                && best.is_none_or(|(known, _)| (0, place) > known)
            {
                best = Some(((0, place), letter));
            }
        }
    }
    best.map(|(_, letter)| letter)
}

fn is_letter(word: &str, letter: char) -> bool {
    let mut chars = word.chars();
    chars.next() == Some(letter) && chars.next().is_none()
}

fn only_contained(lower: &str, options: &Options<'_>) -> Option<char> {
    let mut contained = options
        .iter()
        .filter(|(_, text)| lower.contains(&text.to_lowercase()));
    let (letter, _) = contained.next()?;
    contained.next().is_none().then_some(*letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [(char, &str); 4] = [
        ('A', "a red kite"),
        ('B', "two owls"),
        ('C', "three Owls"),
        ('D', "nothing at all"),
    ];

    #[track_caller]
    fn check(answer: &str, vlm: Option<char>, lmms: Option<char>, fallback: Option<char>) {
        assert_eq!(vlmevalkit(answer, &OPTIONS), vlm, "VLMEvalKit: {answer:?}");
        assert_eq!(lmms_eval(answer, &OPTIONS), lmms, "lmms-eval: {answer:?}");
        let letters = OPTIONS.map(|(letter, _)| letter);
        assert_eq!(
            lmms_eval_static(answer, &letters),
            fallback,
            "static: {answer:?}"
        );
    }

    #[test]
    fn plain_answers() {
        check("B", Some('B'), Some('B'), Some('B'));
        check("(D)", Some('D'), Some('D'), Some('D'));
        check("{C}", Some('C'), None, Some('C'));
        check("C. three owls", Some('C'), Some('C'), Some('C'));
        check("Two owls!", Some('B'), Some('B'), None);
        check("", None, None, None);
        check("d", None, None, None);
    }

    #[test]
    fn sentences() {
        // The letter is not among the last four words, and the text is too long to be searched.
        let long = "B since in this picture one can count them and there are certainly two owls sitting up here";
        check(long, None, Some('B'), Some('B'));
        check("Not A but C", None, None, Some('C'));
        check(
            "Not A, the Answer  is **c**.",
            Some('C'),
            Some('A'),
            Some('A'),
        );
        // The first letter of a word is taken for an option.
        check("A or B? The answer is both", Some('B'), None, Some('A'));
        check("The answer is quite clear", None, None, None);
        check("I choose not A: D", None, Some('D'), Some('D'));
        check("It is A I would say", Some('A'), None, Some('A'));
        // C follows the earliest phrase last, but D follows the second.
        check(
            "The answer is D C? No, the correct answer is D.",
            Some('D'),
            Some('D'),
            Some('D'),
        );
    }

    #[test]
    fn refusals_and_missing_answers() {
        check("Cannot determine the answer", Some('Z'), None, Some('C'));
        check("It is Z", Some('Z'), None, None);
        check("Failed to obtain answer via API", None, None, Some('A'));
    }

    #[test]
    fn letters_that_are_no_options() {
        let two = [('A', "yes"), ('B', "no")];
        assert_eq!(vlmevalkit("C", &two), None);
        assert_eq!(lmms_eval("C", &two), Some('C'));
        assert_eq!(lmms_eval_static("C", &['A', 'B']), None);
        assert_eq!(vlmevalkit("A C: the answer is C", &two), None);
        // Contained once, but not alone.
        assert_eq!(vlmevalkit_by_text("yes, no", &two), None);
    }
}
