//! Types of answers: groups of questions by the kind of answer that they ask for.
//!
//! Where a dataset states the type (VQAv2's and VizWiz's `answer_type`), it is used; otherwise the
//! type follows from the most frequent answer of the annotators.

use crate::sample::ReportSample;

/// Name of the grouping.
pub const BY_ANSWER_TYPE: &str = "answer type";

/// The types, in order. `unanswerable` is VizWiz's.
pub(crate) const ANSWER_TYPES: [&str; 5] =
    ["yes/no", "number", "single letter", "unanswerable", "other"];

const NUMBER_WORDS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
];

/// Normalises an answer for comparison: lower case, without surrounding white space or full stops.
pub(crate) fn normalized(answer: &str) -> String {
    let trimmed = answer.trim().trim_end_matches(['.', '!', ',']).trim();
    trimmed.to_lowercase()
}

/// The most frequent answer of the annotators, normalised; of equally frequent ones the first.
/// `None` where there is no answer.
pub(crate) fn gold(record: &ReportSample) -> Option<String> {
    let answers: Vec<String> = record.answers.iter().map(|a| normalized(a)).collect();
    let count = |answer: &String| answers.iter().filter(|other| *other == answer).count();
    let mut best: Option<(&String, usize)> = None;
    for answer in &answers {
        let count = count(answer);
        if best.is_none_or(|(_, most)| count > most) {
            best = Some((answer, count));
        }
    }
    best.map(|(answer, _)| answer.clone())
}

/// Index in [`ANSWER_TYPES`]; `None` for a sample without any answer.
pub(crate) fn answer_type(record: &ReportSample) -> Option<usize> {
    let stated = record.keys.get("answer_type").unwrap_or(&record.family);
    let known = ANSWER_TYPES.iter().position(|name| name == stated);
    // "other" may contain anything, including letters and numbers, so the dataset's type takes
    // precedence.
    known.or_else(|| Some(type_of(&gold(record)?)))
}

fn type_of(answer: &str) -> usize {
    let is_letter = answer.len() == 1 && answer.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_number =
        answer.parse::<f64>().is_ok_and(f64::is_finite) || NUMBER_WORDS.contains(&answer);
    let name = match answer {
        "yes" | "no" => "yes/no",
        "unanswerable" | "unsuitable" | "unsuitable image" => "unanswerable",
        _ if is_letter => "single letter",
        _ if is_number => "number",
        _ => "other",
    };
    let position = ANSWER_TYPES.iter().position(|known| *known == name);
    position.unwrap_or(ANSWER_TYPES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_from_the_answer() {
        let name = |answer: &str| ANSWER_TYPES[type_of(&normalized(answer))];
        for (answer, expected) in [
            ("Yes.", "yes/no"),
            (" no", "yes/no"),
            ("3", "number"),
            ("Two", "number"),
            ("2.5", "number"),
            ("inf", "other"),
            ("B", "single letter"),
            ("unanswerable", "unanswerable"),
            ("red", "other"),
            ("", "other"),
        ] {
            assert_eq!(name(answer), expected, "{answer}");
        }
    }
}
