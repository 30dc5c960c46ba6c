//! Answers to open questions: numbers are compared after rounding to two decimals; other texts are
//! right if the answer contains the gold answer.

use crate::metric::python_text::{float, is_decimal_digit, round_2, strip};

/// Parsed value of an answer or a part of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number, rounded to two decimals.
    Number(f64),
    /// A text in lower case. A single character becomes two values, with a space before and with
    /// one after it, so that it doesn't match inside words.
    Text(String),
}

/// Words that may precede the final part of an answer.
const INDICATORS: [&str; 8] = [
    "could be ",
    "so ",
    "is ",
    "thus ",
    "therefore ",
    "final ",
    "answer ",
    "result ",
];

/// Final parts without meaning.
const TRIVIAL: [&str; 7] = [":", ",", ".", "!", "?", ";", "'"];

/// Whether an answer contains one of the right ones.
pub fn is_right(prediction: &str, answers: &[impl AsRef<str>]) -> bool {
    let golds: Vec<Value> = answers
        .iter()
        .flat_map(|gold| normalize(gold.as_ref()))
        .collect();
    let holds = |said: &Value| {
        golds.iter().any(|gold| match (said, gold) {
            (Value::Number(said), Value::Number(gold)) => said == gold,
            (Value::Text(said), Value::Text(gold)) => said.contains(gold.as_str()),
            _ => false,
        })
    };
    parse(prediction).iter().any(holds)
}

/// Candidate values of an answer: the ends of its lines after words such as `is`, or the whole
/// answer if there are none, and every number in them.
pub fn parse(answer: &str) -> Vec<Value> {
    let ends = ends(answer);
    let numbers = ends.iter().flat_map(|end| numbers(end));
    let all = ends.iter().cloned().chain(numbers);
    all.flat_map(|text| normalize(&text)).collect()
}

/// The shortest final part of each line, in lower case.
fn ends(answer: &str) -> Vec<String> {
    let lower = strip(answer).trim_matches('.').to_lowercase();
    // The script also intends to split sentences at a full stop before a capital letter, but the
    // text is lower-case by then.
    let lines: Vec<&str> = lower.split('\n').collect();
    let mut found = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        // The last line may be an equation.
        let equation = (place + 1 == lines.len()).then_some("=");
        let ends = INDICATORS.into_iter().chain(equation);
        let ends = ends.filter_map(|indicator| Some(strip(line.rsplit_once(indicator)?.1)));
        let mut shortest: Option<&str> = None;
        for end in ends {
            let is_shorter =
                |known: &str| known.is_empty() || end.chars().count() < known.chars().count();
            if shortest.is_none_or(is_shorter) {
                shortest = Some(end);
            }
        }
        let end = shortest.filter(|end| !end.is_empty() && !TRIVIAL.contains(end));
        found.extend(end.map(str::to_owned));
    }
    if found.is_empty() {
        found.push(lower);
    }
    found
}

/// A number, or a text in lower case.
fn normalize(text: &str) -> Vec<Value> {
    let text = strip(text);
    if let Some(number) = float(&text.replace(',', "")) {
        return vec![Value::Number(round_2(number))];
    }
    let lower = text.to_lowercase();
    if lower.chars().count() == 1 {
        let sides = [format!(" {lower}"), format!("{lower} ")];
        return sides.map(Value::Text).to_vec();
    }
    vec![Value::Text(lower)]
}

/// Finds a number that begins at a position; returns the position after it.
type Reading = fn(&[char], usize) -> Option<usize>;

/// Every number in a text, by three patterns in turn: with thousands separators, in scientific
/// notation, and plain. A number that is part of a match of another pattern is found as well.
fn numbers(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let readings: [Reading; 3] = [with_commas, scientific, plain];
    let mut found = Vec::new();
    for end_of in readings {
        let mut at = 0;
        while at < chars.len() {
            match end_of(&chars, at) {
                Some(end) => {
                    found.push(chars[at..end].iter().collect());
                    at = end;
                }
                None => at += 1,
            }
        }
    }
    found
}

/// Position after the digits that begin at `at`.
fn digits(chars: &[char], at: usize) -> usize {
    let rest = chars.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|c| is_decimal_digit(**c)).count()
}

fn is(chars: &[char], at: usize, c: char) -> bool {
    chars.get(at) == Some(&c)
}

fn is_word(c: Option<&char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

/// Position after an optional minus sign.
fn after_sign(chars: &[char], at: usize) -> usize {
    at + usize::from(is(chars, at, '-'))
}

/// `1,234` and `-12,345,678`, not as part of a word or of a longer number.
fn with_commas(chars: &[char], at: usize) -> Option<usize> {
    let start = after_sign(chars, at);
    let is_inside_word = start
        .checked_sub(1)
        .is_some_and(|before| is_word(chars.get(before)));
    let head = digits(chars, start);
    if is_inside_word || !(1..=3).contains(&(head - start)) {
        return None;
    }
    let mut end = head;
    let mut whole = None;
    while is(chars, end, ',') && digits(chars, end + 1) >= end + 4 {
        end += 4;
        // If more digits or letters follow the three, a shorter number may end earlier.
        if !is_word(chars.get(end)) {
            whole = Some(end);
        }
    }
    whole
}

/// `1.5e-3`.
fn scientific(chars: &[char], at: usize) -> Option<usize> {
    let start = after_sign(chars, at);
    let mut end = digits(chars, start);
    if end == start {
        return None;
    }
    if is(chars, end, '.') {
        let fraction = digits(chars, end + 1);
        if fraction == end + 1 {
            return None;
        }
        end = fraction;
    }
    exponent(chars, end)
}

/// Position after an exponent.
fn exponent(chars: &[char], at: usize) -> Option<usize> {
    if !is(chars, at, 'e') && !is(chars, at, 'E') {
        return None;
    }
    let sign = usize::from(is(chars, at + 1, '+') || is(chars, at + 1, '-'));
    let start = at + 1 + sign;
    let end = digits(chars, start);
    (end > start).then_some(end)
}

/// `12`, `1.5` and `.5`, not followed by an exponent or a comma; whole numbers don't end inside a
/// word.
fn plain(chars: &[char], at: usize) -> Option<usize> {
    let start = after_sign(chars, at);
    let whole = digits(chars, start);
    let may_end = |end: &usize| exponent(chars, *end).is_none() && !is(chars, *end, ',');
    let fraction = is(chars, whole, '.').then(|| digits(chars, whole + 1));
    let with_fraction = fraction.filter(|end| *end > whole + 1).filter(may_end);
    let without = (whole > start && !is_word(chars.get(whole))).then_some(whole);
    with_fraction.or(without.filter(may_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts() {
        for (text, expected) in [
            ("12", &["12"][..]),
            ("-1.5 and .25", &["-1.5", ".25"]),
            // With separators, and then the part that the plain pattern finds.
            ("1,234", &["1,234", "234"]),
            ("-12,345,678.9", &["-12,345,678", "678.9"]),
            ("1,2345", &["2345"]),
            ("1234,567", &["567"]),
            ("1,234,5678", &["1,234", "5678"]),
            ("a1,234", &["234"]),
            ("1.5e-3", &["1.5e-3", "1", "-3"]),
            ("12.e5", &["12", "5"]),
            ("--5", &["-5"]),
            ("1-2", &["1", "-2"]),
            ("-1,000e5", &["000e5", "5"]),
            ("2e5x", &["2e5"]),
            ("3x", &[]),
            ("x3", &["3"]),
            ("12.", &["12"]),
            // A comma follows the fraction but not the whole number.
            ("12.5,3", &["12", "3"]),
            ("1.2.3", &["1.2", ".3"]),
            ("$6", &["6"]),
            ("5%", &["5"]),
            ("", &[]),
            ("٣٤", &["٣٤"]),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn ends_of_answers() {
        for (answer, expected) in [
            ("1.06", &["1.06"][..]),
            ("The answer is 1.06.", &["1.06"]),
            ("So it is 5, thus 6", &["6"]),
            // The shortest final part, one per line.
            ("It is red\nIt could be blue", &["red", "blue"]),
            // Equations count only in the last line.
            ("x = 5", &["5"]),
            ("x = 5\ny = 6", &["6"]),
            ("Final answer is ", &["is"]),
            // Final parts without meaning are dropped.
            ("The answer is :", &["the answer is :"]),
            ("no sentence", &["no sentence"]),
            ("", &[""]),
            // Sentences are not split.
            ("It is 5. But no", &["5. but no"]),
        ] {
            assert_eq!(ends(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn right_and_wrong() {
        for (answer, golds, expected) in [
            ("1.06", &["1.06"][..], true),
            ("The ratio is 1.06.", &["1.06"], true),
            ("1.064", &["1.06"], true),
            ("1.066", &["1.06"], false),
            ("1.06", &["1.060"], true),
            ("$1,234.50", &["1234.5"], false),
            ("1,234.5", &["1234.5"], true),
            ("about 1,234 units", &["1234"], true),
            ("12 or 13", &["13"], true),
            ("It is 5%", &["5"], true),
            // A number doesn't match inside a text, nor a text inside a number.
            ("15", &["5"], false),
            ("five", &["5"], false),
            // Texts need only be contained; a single character needs a space beside it.
            ("It is a Blue whale", &["blue whale"], true),
            ("bluish", &["blue"], false),
            ("point b here", &["B"], true),
            ("bob", &["B"], false),
            ("B", &["B"], true),
            // Any of several right answers.
            ("0.33", &["1/3", "0.33"], true),
            ("1/3", &["1/3", "0.33"], true),
            ("2/3", &["1/3", "0.33"], false),
            ("", &["5"], false),
            ("5", &[], false),
            ("6.02e23", &["602000000000000000000000"], true),
            ("naïve É", &["é"], true),
        ] {
            assert_eq!(
                is_right(answer, golds),
                expected,
                "{answer:?} for {golds:?}"
            );
        }
    }

    #[test]
    fn values() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(parse("x is 3 m"), [text("3 m"), Value::Number(3.0)]);
        assert_eq!(parse("X"), [text(" x"), text("x ")]);
        assert_eq!(parse("0.125"), [Value::Number(0.12), Value::Number(0.12)]);
    }
}
