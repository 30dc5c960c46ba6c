//! Normalisation of answers before evaluators compare them.
//!
//! The four variants differ in the first step, in what counts as a digit, and in which periods are
//! removed. Mistakes of the original are kept, since published numbers contain them: its guard
//! against periods after a digit never takes effect, and only the first 32 periods are removed.

use super::contractions::restored;
use crate::metric::python_text::{is_decimal_digit, lower_python_2, split, strip};

/// Characters that are removed or replaced by a space.
const PUNCTUATION: [char; 21] = [
    ';', '/', '[', ']', '"', '{', '}', '(', ')', '=', '+', '\\', '_', '-', '>', '<', '@', '`', ',',
    '?', '!',
];

/// Most periods that are removed: the original passes a flag in place of the count.
const MAX_REMOVED_PERIODS: usize = 32;

/// The evaluator whose normalisation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VqaNormalizer {
    /// The evaluation tool of VQA (GT-Vision-Lab), as Python 2 runs it.
    Official,
    /// The answer processor of M4C, which LLaVA uses for TextVQA, VizWiz and VQAv2 uploads.
    M4c,
    /// That of lmms-eval for VQAv2: M4C's without its first step.
    LmmsEval,
    /// That of VLMEvalKit.
    VlmEvalKit,
}

impl VqaNormalizer {
    /// All four variants.
    pub const ALL: [VqaNormalizer; 4] = [
        VqaNormalizer::Official,
        VqaNormalizer::M4c,
        VqaNormalizer::LmmsEval,
        VqaNormalizer::VlmEvalKit,
    ];

    /// The normalised answer.
    pub fn normalize(self, answer: &str) -> String {
        self.words(&self.punctuation(&self.prepare(answer)))
    }

    /// Replaces newlines and tabs by spaces and trims; before that, M4C lower-cases, removes commas
    /// and question marks, and separates possessives.
    pub fn prepare(self, answer: &str) -> String {
        let tokenized;
        let answer = if self == VqaNormalizer::M4c {
            let lower = answer.to_lowercase().replace([',', '?'], "");
            tokenized = lower.replace("'s", " 's");
            strip(&tokenized)
        } else {
            answer
        };
        strip(&answer.replace(['\n', '\t'], " ")).to_owned()
    }

    /// Removes punctuation and periods of a prepared answer.
    pub fn punctuation(self, prepared: &str) -> String {
        let has_digit_comma = self.has_digit_comma(prepared);
        let chars: Vec<char> = prepared.chars().collect();
        let is_beside_space = |mark: char| {
            chars
                .windows(2)
                .any(|pair| pair == [mark, ' '] || pair == [' ', mark])
        };
        let vanishing = PUNCTUATION.map(|mark| has_digit_comma || is_beside_space(mark));
        let mut cleaned = Vec::with_capacity(chars.len());
        for c in chars {
            match PUNCTUATION.iter().position(|mark| *mark == c) {
                Some(mark) if vanishing[mark] => {}
                Some(_) => cleaned.push(' '),
                None => cleaned.push(c),
            }
        }
        self.without_periods(&cleaned)
    }

    /// Replaces number words by digits, removes articles and restores contractions.
    fn words(self, text: &str) -> String {
        let lower = match self {
            VqaNormalizer::Official => lower_python_2(text),
            _ => text.to_lowercase(),
        };
        let words: Vec<&str> = split(&lower)
            .map(|word| digit_of(word).unwrap_or(word))
            .filter(|word| !matches!(*word, "a" | "an" | "the"))
            .map(|word| restored(word).unwrap_or(word))
            .collect();
        words.join(" ")
    }

    fn is_digit(self, c: char) -> bool {
        match self {
            VqaNormalizer::Official => c.is_ascii_digit(),
            _ => is_decimal_digit(c),
        }
    }

    /// Whether there is a comma between digits; M4C and lmms-eval also accept a run of commas.
    fn has_digit_comma(self, text: &str) -> bool {
        let takes_runs = matches!(self, VqaNormalizer::M4c | VqaNormalizer::LmmsEval);
        let mut commas_after_digit = None;
        for c in text.chars() {
            commas_after_digit = match (c, commas_after_digit) {
                (',', Some(commas)) => Some(commas + 1),
                (c, commas) if self.is_digit(c) => {
                    if commas == Some(1) || (takes_runs && commas > Some(1)) {
                        return true;
                    }
                    Some(0)
                }
                _ => None,
            };
        }
        false
    }

    fn without_periods(self, chars: &[char]) -> String {
        let mut removed = 0;
        let mut text = String::with_capacity(chars.len());
        for (i, &c) in chars.iter().enumerate() {
            let is_digit_at = |i: usize| chars.get(i).is_some_and(|&c| self.is_digit(c));
            let follows_digit = i > 0 && is_digit_at(i - 1);
            let goes = c == '.'
                && removed < MAX_REMOVED_PERIODS
                && !is_digit_at(i + 1)
                && !(self == VqaNormalizer::VlmEvalKit && follows_digit);
            if goes {
                removed += 1;
            } else {
                text.push(c);
            }
        }
        text
    }
}

fn digit_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "none" | "zero" => "0",
        "one" => "1",
        "two" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: official, M4C, lmms-eval, VLMEvalKit.
    #[track_caller]
    fn check(answer: &str, expected: [&str; 4]) {
        let got = VqaNormalizer::ALL.map(|normalizer| normalizer.normalize(answer));
        assert_eq!(got, expected, "{answer:?}");
    }

    #[track_caller]
    fn check_all(answer: &str, expected: &str) {
        check(answer, [expected; 4]);
    }

    #[test]
    fn words() {
        check_all("The Red Bus", "red bus");
        check_all("None of  an Ox", "0 of ox");
        check_all("TEN\tmen\n", "10 men");
        check_all("twelve", "twelve");
        check_all("\u{a0}They wont\u{3000}", "they won't");
        check_all("", "");
    }

    #[test]
    fn punctuation_becomes_a_space_or_vanishes() {
        check_all("black/white", "black white");
        // A character that is beside a space anywhere is removed everywhere.
        check_all("b/w or c/ d", "bw or c d");
        check_all("x - y", "x y");
        // A comma between digits removes every mark, unless commas were removed first.
        check(
            "4,500 sq-ft",
            ["4500 sqft", "4500 sq ft", "4500 sqft", "4500 sqft"],
        );
        check("7,,5", ["7 5", "75", "75", "7 5"]);
        check("up,down", ["up down", "updown", "up down", "up down"]);
        check_all("50% & $3: #1*", "50% & $3: #1*");
    }

    #[test]
    fn possessives_are_taken_apart_by_m4c() {
        check("Wendy's", ["wendy's", "wendy 's", "wendy's", "wendy's"]);
    }

    #[test]
    fn periods() {
        check_all("p.m.", "pm");
        check_all("2.75", "2.75");
        check("8.", ["8", "8", "8", "8."]);
        check("3.x", ["3x", "3x", "3x", "3.x"]);
        // The first 32 are removed, the last four stay.
        let dots = "b.".repeat(36);
        check_all(&dots, &("b".repeat(33) + ".b.b.b."));
    }

    #[test]
    fn what_a_digit_is() {
        // Between Arabic-Indic digits, which are no digits in Python 2.
        check("٢,٥", ["٢ ٥", "٢٥", "٢٥", "٢٥"]);
        check("x.٥", ["x٥", "x.٥", "x.٥", "x.٥"]);
        assert_eq!(VqaNormalizer::Official.normalize("İzmir"), "izmir");
        assert_eq!(VqaNormalizer::M4c.normalize("İzmir"), "i\u{307}zmir");
    }

    #[test]
    fn punctuation_alone_keeps_case_and_words() {
        assert_eq!(VqaNormalizer::Official.punctuation("The End!"), "The End ");
    }
}
