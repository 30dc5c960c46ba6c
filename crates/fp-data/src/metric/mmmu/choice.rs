//! Extracts the option that an answer to a choice means.

use crate::metric::mmbench::Options;
use crate::metric::python_text::split;

/// Variants, which differ between evaluators in details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// MMMU's script: a letter that is a word of its own has a space on each side.
    Official,
    /// lmms-eval (`tasks/mmmu/utils.py`): a letter before a space is enough, even at the end of a
    /// word; if there is none, a letter before a full stop.
    LmmsEval,
}

/// Punctuation that is stripped from both ends of an answer.
const MARKS: [char; 7] = [',', '.', '!', '?', ';', ':', '\''];

/// Only answers with more words than this may name an option by its text.
const MOST_WORDS_WITHOUT_TEXT: usize = 5;

/// The option that an answer means; `None` if it names none.
///
/// After stripping punctuation: options whose letter is in brackets; if none, those whose letter
/// stands alone; if none, in an answer of more than five words, those whose text it contains in any
/// case. Of several, the last one in the text counts.
pub fn choice(answer: &str, options: &Options<'_>, spelling: Spelling) -> Option<char> {
    let mut bare = answer;
    for mark in MARKS {
        bare = bare.trim_matches(mark);
    }
    let text = format!(" {bare} ");
    let with = |pattern: &dyn Fn(char) -> String| -> Vec<char> {
        let letters = options.iter().map(|(letter, _)| *letter);
        let is_there = |letter: &char| text.contains(&pattern(*letter));
        letters.filter(is_there).collect()
    };
    let bracketed = |letter: char| format!("({letter})");
    let found = with(&bracketed);
    if !found.is_empty() {
        return last(&found, |letter| text.rfind(&bracketed(letter)));
    }
    let alone = |letter: char| format!(" {letter} ");
    let found = match spelling {
        Spelling::Official => with(&alone),
        Spelling::LmmsEval => {
            let before_space = with(&|letter| format!("{letter} "));
            if before_space.is_empty() {
                with(&|letter| format!("{letter}."))
            } else {
                before_space
            }
        }
    };
    if !found.is_empty() {
        return last(&found, |letter| text.rfind(&alone(letter)));
    }
    if split(&text).count() <= MOST_WORDS_WITHOUT_TEXT {
        return None;
    }
    let lower = text.to_lowercase();
    let named: Vec<(char, Option<usize>)> = options
        .iter()
        .map(|(letter, option)| (*letter, lower.rfind(&option.to_lowercase())))
        .filter(|(_, place)| place.is_some())
        .collect();
    let letters: Vec<char> = named.iter().map(|(letter, _)| *letter).collect();
    let place = |letter: char| named.iter().find(|(l, _)| *l == letter)?.1;
    last(&letters, place)
}

/// The letter with the last position; of letters without one, or with the same, the first.
fn last(letters: &[char], place: impl Fn(char) -> Option<usize>) -> Option<char> {
    let mut best: Option<(char, Option<usize>)> = None;
    for &letter in letters {
        let place = place(letter);
        if best.is_none_or(|(_, known)| place > known) {
            best = Some((letter, place));
        }
    }
    best.map(|(letter, _)| letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [(char, &str); 4] = [
        ('A', "a closed path"),
        ('B', "Two owls"),
        ('C', "two"),
        ('D', "$6"),
    ];

    #[track_caller]
    fn check(answer: &str, official: Option<char>, lmms_eval: Option<char>) {
        let found = choice(answer, &OPTIONS, Spelling::Official);
        assert_eq!(found, official, "MMMU: {answer:?}");
        let found = choice(answer, &OPTIONS, Spelling::LmmsEval);
        assert_eq!(found, lmms_eval, "lmms-eval: {answer:?}");
    }

    #[test]
    fn letters() {
        check("B", Some('B'), Some('B'));
        check("B.", Some('B'), Some('B'));
        check("'B'.", Some('B'), Some('B'));
        check("\"B\"", None, None);
        check("(B)", Some('B'), Some('B'));
        check("The answer is (C).", Some('C'), Some('C'));
        check("The answer is C", Some('C'), Some('C'));
        check("B. Two owls", None, Some('B'));
        check("b", None, None);
        check("E", None, None);
        check("", None, None);
    }

    #[test]
    fn several_letters() {
        // Brackets take precedence, then the last one counts.
        check("(A) or (B)", Some('B'), Some('B'));
        check("A is wrong, so (B)", Some('B'), Some('B'));
        check("Not A but C", Some('C'), Some('C'));
        check("(B), not (A), but (B)", Some('B'), Some('B'));
        // The matches share a space, and both are found.
        check("A B", Some('B'), Some('B'));
    }

    #[test]
    fn letters_in_words() {
        // The end of a word is enough for lmms-eval.
        check("In the USA it is so", None, Some('A'));
        check("USA or C", Some('C'), Some('C'));
        // Neither stands alone: the first one counts.
        check("TAB. AND. X", None, Some('B'));
        check("B. D.", Some('D'), Some('D'));
    }

    #[test]
    fn texts_of_options() {
        check("I think there are two owls here", Some('B'), Some('B'));
        // Answers of up to five words are not searched for texts.
        check("There are two owls here", None, None);
        check("One owl, or maybe it is two", Some('C'), Some('C'));
        check("It costs about $6 in all shops", Some('D'), Some('D'));
        // Of two texts the last one; of a text that contains the other, the later start.
        check("It costs $6 and has a closed path", Some('A'), Some('A'));
        check("There is nothing of that kind to see", None, None);
    }
}
