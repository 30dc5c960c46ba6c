//! ANLS, the average normalised Levenshtein similarity, of DocVQA and InfographicVQA
//! (Mathew et al., WACV 2021 and 2022; the measure is Biten et al.'s, ICCV 2019).
//!
//! An answer gets the similarity to its nearest gold answer: 1 minus the edit distance relative to
//! the longer of the two texts, and 0 where that is below one half. Case is ignored.

use super::python_text::split;

/// Similarities below this score 0.
const THRESHOLD: f64 = 0.5;

/// Variants, which differ between evaluators in details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnlsRule {
    /// The script of the Robust Reading Competition, and lmms-eval (`api/metrics.py`): the distance
    /// is between texts with single spaces, relative to the length of the original texts in upper
    /// case; a similarity of exactly one half counts.
    Official,
    /// The papers' formula: the original texts, ignoring case; a distance of half the length scores
    /// 0.
    Paper,
    /// VLMEvalKit (`dataset/utils/vqa_eval.py`): distance and length both use texts with single
    /// spaces; a similarity of exactly one half counts.
    VlmEvalKit,
}

impl AnlsRule {
    /// Similarity to the nearest of `answers`, from 0 to 1; 0 if there are none.
    pub fn score(self, prediction: &str, answers: &[impl AsRef<str>]) -> f64 {
        let distances = answers
            .iter()
            .map(|gold| self.distance(prediction, gold.as_ref()));
        let Some(nearest) = distances.min_by(f64::total_cmp) else {
            return 0.0;
        };
        let similarity = 1.0 - nearest;
        let is_near = match self {
            AnlsRule::Paper => nearest < THRESHOLD,
            AnlsRule::Official | AnlsRule::VlmEvalKit => similarity >= THRESHOLD,
        };
        if is_near { similarity } else { 0.0 }
    }

    /// Edit distance relative to a length.
    fn distance(self, prediction: &str, gold: &str) -> f64 {
        let form = |text: &str| match self {
            AnlsRule::Paper => chars(&text.to_lowercase()),
            AnlsRule::Official | AnlsRule::VlmEvalKit => chars(&with_single_spaces(text)),
        };
        let (said, right) = (form(prediction), form(gold));
        let length = match self {
            AnlsRule::Official => {
                let length = |text: &str| text.to_uppercase().chars().count();
                length(prediction).max(length(gold))
            }
            AnlsRule::Paper | AnlsRule::VlmEvalKit => said.len().max(right.len()),
        };
        if length == 0 {
            0.0
        } else {
            levenshtein(&said, &right) as f64 / length as f64
        }
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// In lower case, with single spaces for runs of white space, trimmed.
fn with_single_spaces(text: &str) -> String {
    let lower = text.to_lowercase();
    split(&lower).collect::<Vec<_>>().join(" ")
}

/// Edit distance: fewest characters to insert, delete or replace to turn one text into the other.
pub fn levenshtein(a: &[char], b: &[char]) -> usize {
    // Distances from the prefix of `a` so far to every prefix of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (place, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for (column, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Expected values, worked out by hand: official script, papers, VLMEvalKit.
    #[track_caller]
    fn check(said: &str, answers: &[&str], expected: [f64; 3]) {
        let rules = [AnlsRule::Official, AnlsRule::Paper, AnlsRule::VlmEvalKit];
        for (rule, expected) in rules.into_iter().zip(expected) {
            let found = rule.score(said, answers);
            assert!(
                (found - expected).abs() < 1e-12,
                "{rule:?}: {said:?} against {answers:?} is {found}, not {expected}"
            );
        }
    }

    #[test]
    fn equal_and_near() {
        check("1972", &["1972"], [1.0; 3]);
        check("ITC Limited", &["itc limited"], [1.0; 3]);
        // One of four letters differs; one of five does, and another is missing.
        check("1973", &["1972"], [0.75; 3]);
        check("tame", &["table"], [0.6; 3]);
        // The nearest of several answers counts.
        check("8 May", &["3 May", "8 May 1972", "8 May"], [1.0; 3]);
        check("8 Mai", &["3 May", "8 May"], [0.8; 3]);
    }

    #[test]
    fn ties_at_one_half() {
        // Two of four letters: one half, which the papers' formula excludes.
        check("abcd", &["abxy"], [0.5, 0.0, 0.5]);
        check("ab", &["abxy"], [0.5, 0.0, 0.5]);
        check("a", &["ab"], [0.5, 0.0, 0.5]);
        // Three of five letters are too many for all variants, two aren't.
        check("abcde", &["abxyz"], [0.0; 3]);
        check("abcde", &["abcyz"], [0.6; 3]);
    }

    #[test]
    fn nothing_said_and_nothing_to_say() {
        check("", &["1972"], [0.0; 3]);
        check("1972", &[""], [0.0; 3]);
        check("", &[""], [1.0; 3]);
        check("1972", &[], [0.0; 3]);
    }

    #[test]
    fn white_space() {
        // Single spaces: the distance is 0, whatever the length.
        check(" new\n york ", &["New York"], [1.0, 8.0 / 11.0, 1.0]);
        // Official: distance 2 of "a b" and "a cd", relative to the 8 original characters.
        check("a    b  ", &["a cd"], [1.0 - 2.0 / 8.0, 0.0, 0.5]);
        // Only the papers' formula distinguishes spaces from an empty text.
        check("   ", &[""], [1.0, 0.0, 1.0]);
    }

    #[test]
    fn letters_of_any_script() {
        check("Straße", &["STRASSE"], [1.0 - 2.0 / 7.0; 3]);
        // In upper case the first is two letters longer: 1 of 4 instead of 1 of 2.
        check("ßß", &["ßx"], [0.75, 0.0, 0.5]);
        check("東京都", &["東京"], [2.0 / 3.0; 3]);
        check("é", &["e\u{301}"], [0.0; 3]);
        check("ΣΑΣ", &["σας"], [1.0; 3]);
        check("10 €", &["10 $"], [0.75; 3]);
    }

    #[test]
    fn distances_by_hand() {
        let distance = |a: &str, b: &str| levenshtein(&chars(a), &chars(b));
        for (a, b, expected) in [
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    /// The definition, without a table.
    fn by_definition(a: &[char], b: &[char]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a @ ..], [y, b @ ..]) if x == y => by_definition(a, b),
            ([_, shorter_a @ ..], [_, shorter_b @ ..]) => {
                1 + by_definition(shorter_a, b)
                    .min(by_definition(a, shorter_b))
                    .min(by_definition(shorter_a, shorter_b))
            }
        }
    }

    proptest! {
        #[test]
        fn the_table_gives_the_definition(a in "[abé]{0,6}", b in "[abé]{0,6}") {
            let (a, b) = (chars(&a), chars(&b));
            prop_assert_eq!(levenshtein(&a, &b), by_definition(&a, &b));
        }
    }
}
