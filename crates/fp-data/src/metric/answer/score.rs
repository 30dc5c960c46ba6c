//! Scoring by each rule, and checks of which answers a rule can score.

use super::AnswerRule;
use crate::metric::anls::AnlsRule;
use crate::metric::error::MetricError;
use crate::metric::mmmu::Spelling;
use crate::metric::vqa::VqaRule;
use crate::metric::yes_no::YesNo;
use crate::metric::{chartqa, choice, gqa, mmbench, mme, mmmu, ocrbench, pope, refcoco, scienceqa};

impl AnswerRule {
    /// Score of `prediction`, from 0 to 1. `answers` are the human answers; where a rule has one
    /// right answer, any of them is accepted. Without answers the score is 0.
    pub fn score(self, prediction: &str, answers: &[impl AsRef<str>]) -> f64 {
        self.score_among::<_, &str>(prediction, answers, &[])
    }

    /// As [`AnswerRule::score`], with the texts of the options A, B, …: MMBench's rules search the
    /// answer for them, and without them accept any letter A–D.
    pub fn score_among<A: AsRef<str>, C: AsRef<str>>(
        self,
        prediction: &str,
        answers: &[A],
        choices: &[C],
    ) -> f64 {
        let is_right = match self {
            AnswerRule::VqaOfficial => return VqaRule::OfficialAfterM4c.score(prediction, answers),
            AnswerRule::VqaOfficialRaw => return VqaRule::Official.score(prediction, answers),
            AnswerRule::VqaM4c => return VqaRule::M4c.score(prediction, answers),
            AnswerRule::VqaLmmsEval => return VqaRule::LmmsEval.score(prediction, answers),
            AnswerRule::VqaVlmevalkit => return VqaRule::VlmEvalKit.score(prediction, answers),
            AnswerRule::VizwizApi => return VqaRule::VizWizApi.score(prediction, answers),
            AnswerRule::Exact => {
                let form = exact_form(prediction);
                any(answers, |gold| exact_form(gold) == form)
            }
            AnswerRule::Gqa => {
                let form = gqa::prediction(prediction);
                any(answers, |gold| gold == form)
            }
            AnswerRule::GqaLmmsEval => {
                let form = gqa::prediction_lmms_eval(prediction);
                any(answers, |gold| gqa::prediction_lmms_eval(gold) == form)
            }
            AnswerRule::GqaVlmevalkit => {
                let form = gqa::prediction_vlmevalkit(prediction);
                any(answers, |gold| gqa::prediction_vlmevalkit(gold) == form)
            }
            AnswerRule::Pope => any_label(answers, pope::parse(prediction)),
            AnswerRule::PopeLmmsEval => any_label(answers, pope::parse_lmms_eval(prediction)),
            AnswerRule::PopeVlmevalkit | AnswerRule::MmeVlmevalkit => {
                any_label(answers, YesNo::by_whole_words(prediction))
            }
            AnswerRule::Mme => any_label(answers, mme::parse(prediction)),
            AnswerRule::MmeLmmsEval => any_label(answers, mme::parse_lmms_eval(prediction)),
            AnswerRule::Scienceqa => {
                let letter = scienceqa::parse(prediction);
                letter.is_some_and(|letter| any(answers, |gold| gold == letter.to_string()))
            }
            AnswerRule::ScienceqaLmmsEval => any(answers, |gold| {
                scienceqa::is_right_lmms_eval(prediction, gold)
            }),
            AnswerRule::Mmbench => {
                any_letter(answers, mmbench::vlmevalkit(prediction, &options(choices)))
            }
            AnswerRule::MmbenchLmmsEval => {
                let options = options(choices);
                let letters: Vec<char> = options.iter().map(|(letter, _)| *letter).collect();
                let letter = mmbench::lmms_eval(prediction, &options)
                    .or_else(|| mmbench::lmms_eval_static(prediction, &letters));
                any_letter(answers, letter)
            }
            AnswerRule::Refcoco => any(answers, |gold| refcoco::is_right(prediction, gold)),
            AnswerRule::Anls => return AnlsRule::Official.score(prediction, answers),
            AnswerRule::AnlsPaper => return AnlsRule::Paper.score(prediction, answers),
            AnswerRule::AnlsVlmevalkit => return AnlsRule::VlmEvalKit.score(prediction, answers),
            AnswerRule::Chartqa => any(answers, |gold| chartqa::is_right(prediction, gold)),
            AnswerRule::ChartqaVlmevalkit => any(answers, |gold| {
                chartqa::is_right_vlmevalkit(prediction, gold)
            }),
            AnswerRule::Ocrbench | AnswerRule::OcrbenchLmmsEval => {
                any(answers, |gold| ocrbench::is_right(prediction, gold))
            }
            AnswerRule::Ai2d => any(answers, |gold| choice::is_right_ai2d(prediction, gold)),
            AnswerRule::Seedbench => any(answers, |gold| prediction == gold),
            AnswerRule::SeedbenchLmmsEval => any(answers, |gold| {
                choice::is_right_seedbench_lmms_eval(prediction, gold)
            }),
            AnswerRule::Mmstar => any(answers, |gold| choice::is_right_mmstar(prediction, gold)),
            AnswerRule::ChoiceVlmevalkit => {
                any_letter(answers, mmbench::vlmevalkit(prediction, &options(choices)))
            }
            AnswerRule::Mmmu => {
                mmmu::is_right(prediction, answers, &lettered(choices), Spelling::Official)
            }
            AnswerRule::MmmuLmmsEval => {
                mmmu::is_right(prediction, answers, &lettered(choices), Spelling::LmmsEval)
            }
            AnswerRule::MmmuVlmevalkit => {
                mmmu::is_right_vlmevalkit(prediction, answers, &lettered(choices))
            }
        };
        f64::from(u8::from(is_right))
    }

    /// Checks that a rule can score a question's answers.
    ///
    /// # Errors
    /// No answers; fewer than two for rules of human agreement; labels other than yes and no for
    /// yes/no rules; a letter that no choice has; a text without a box where a box is expected; an
    /// empty text where containing it is sufficient.
    pub fn check_answers<A: AsRef<str>, C: AsRef<str>>(
        self,
        answers: &[A],
        choices: &[C],
    ) -> Result<(), MetricError> {
        let (needed, min) = if self.is_vqa() {
            ("at least 2", 2)
        } else {
            ("at least 1", 1)
        };
        if answers.len() < min {
            return Err(MetricError::AnswerCount {
                rule: self.name(),
                needed,
                got: answers.len(),
            });
        }
        let labels = answers.iter().map(AsRef::as_ref);
        let bad_label = |label: &&str| YesNo::from_label(label).is_none();
        match labels.clone().find(bad_label) {
            Some(label) if self.is_yes_no() => {
                return Err(MetricError::Label {
                    what: "an answer of a yes-or-no question",
                    got: label.to_owned(),
                    expected: "yes or no",
                });
            }
            _ => {}
        }
        let has_no_box = |label: &&str| refcoco::parse(label).is_none();
        match labels.clone().find(has_no_box) {
            Some(label) if self == AnswerRule::Refcoco => {
                return Err(MetricError::Label {
                    what: "the box that an expression describes",
                    got: label.to_owned(),
                    expected: "[x0, y0, x1, y1]",
                });
            }
            _ => {}
        }
        let contains = matches!(self, AnswerRule::Ocrbench | AnswerRule::OcrbenchLmmsEval);
        if contains && labels.clone().any(|label| label.trim().is_empty()) {
            return Err(MetricError::Label {
                what: "a text that answers have to contain",
                got: String::new(),
                expected: "one that isn't empty, since every answer contains that",
            });
        }
        if self.has_open_questions() && choices.is_empty() {
            return Ok(());
        }
        let letters = options(choices);
        let is_option = |label: &&str| letters.iter().any(|(letter, _)| is_letter(label, *letter));
        match labels.clone().find(|label| !is_option(label)) {
            Some(label) if self.is_choice() => Err(MetricError::Label {
                what: "an answer of a choice",
                got: label.to_owned(),
                expected: "the letter of one of its choices, A for the first",
            }),
            _ => Ok(()),
        }
    }
}

/// The normalised answer that [`AnswerRule::Exact`] compares.
pub fn exact_form(answer: &str) -> String {
    answer
        .trim()
        .to_lowercase()
        .trim_end_matches('.')
        .trim_end()
        .to_owned()
}

fn any(answers: &[impl AsRef<str>], is_right: impl Fn(&str) -> bool) -> bool {
    answers.iter().any(|gold| is_right(gold.as_ref()))
}

/// Letters and texts of the choices; A to D if there are none.
fn options(choices: &[impl AsRef<str>]) -> Vec<(char, &str)> {
    if choices.is_empty() {
        ('A'..='D').map(|letter| (letter, "")).collect()
    } else {
        lettered(choices)
    }
}

/// Choices with their letters, A first.
fn lettered(choices: &[impl AsRef<str>]) -> Vec<(char, &str)> {
    ('A'..='Z').zip(choices.iter().map(AsRef::as_ref)).collect()
}

fn is_letter(label: &str, letter: char) -> bool {
    let mut chars = label.chars();
    chars.next() == Some(letter) && chars.next().is_none()
}

fn any_letter(answers: &[impl AsRef<str>], said: Option<char>) -> bool {
    said.is_some_and(|letter| any(answers, |gold| is_letter(gold, letter)))
}

fn any_label(answers: &[impl AsRef<str>], said: YesNo) -> bool {
    any(answers, |gold| YesNo::from_label(gold) == Some(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: AnswerRule, prediction: &str, answers: &[&str], expected: f64) {
        assert_eq!(
            rule.score(prediction, answers),
            expected,
            "{rule}: {prediction:?}"
        );
    }

    #[test]
    fn exact_ignores_case_dots_and_space() {
        check(AnswerRule::Exact, " Red..\n", &["red"], 1.0);
        check(AnswerRule::Exact, "red", &["blue", "RED."], 1.0);
        check(AnswerRule::Exact, "3.5", &["35"], 0.0);
        check(AnswerRule::Exact, "", &[], 0.0);
    }

    #[test]
    fn each_rule_reads_in_its_own_way() {
        check(AnswerRule::Gqa, "Yes.", &["yes"], 1.0);
        check(AnswerRule::Gqa, "Yes. ", &["yes"], 0.0);
        check(AnswerRule::GqaLmmsEval, "t-shirt", &["tshirt"], 1.0);
        check(AnswerRule::GqaVlmevalkit, " Yes ", &["yes"], 1.0);
        check(AnswerRule::Pope, "NO", &["no"], 0.0);
        check(AnswerRule::PopeLmmsEval, "NO", &["no"], 1.0);
        check(AnswerRule::PopeVlmevalkit, "Surely no.", &["no"], 1.0);
        check(AnswerRule::Mme, "Know", &["No"], 1.0);
        check(AnswerRule::MmeLmmsEval, "n.", &["No"], 1.0);
        check(AnswerRule::MmeVlmevalkit, "Know", &["No"], 0.0);
        check(
            AnswerRule::Refcoco,
            "[0, 0, 0.6, 1]",
            &["[0, 0, 1, 1]"],
            1.0,
        );
        check(AnswerRule::Scienceqa, "B. two", &["B"], 1.0);
        check(AnswerRule::Scienceqa, "b", &["B"], 0.0);
        check(AnswerRule::ScienceqaLmmsEval, "b", &["B"], 1.0);
        check(AnswerRule::VqaM4c, "Two", &["2", "2", "2", "2", "3"], 1.0);
        check(
            AnswerRule::VqaOfficialRaw,
            "Two",
            &["two", "two", "two", "two"],
            0.0,
        );
        check(
            AnswerRule::VqaOfficial,
            "Cat.",
            &["cat", "cat", "cat", "cat"],
            1.0,
        );
        check(
            AnswerRule::VqaLmmsEval,
            "The cat",
            &["cat", "cat", "cat", "cat"],
            1.0,
        );
        check(AnswerRule::VqaVlmevalkit, "5.", &["5", "5", "5", "5"], 0.0);
        check(
            AnswerRule::VizwizApi,
            "The cat",
            &["a cat", "a cat", "a cat", "a cat"],
            0.0,
        );
    }

    #[test]
    fn choices_are_found_by_letter_or_text() {
        let score = |rule: AnswerRule, said: &str| {
            rule.score_among(said, &["B"], &["a red kite", "two owls"])
        };
        for said in ["B", "B. two owls", "Two owls!", "The answer is B"] {
            assert_eq!(score(AnswerRule::Mmbench, said), 1.0, "{said}");
        }
        assert_eq!(score(AnswerRule::MmbenchLmmsEval, "(B)"), 1.0);
        assert_eq!(score(AnswerRule::Mmbench, "C"), 0.0);
        check(AnswerRule::Mmbench, "two owls", &["B"], 0.0);
        check(AnswerRule::Mmbench, "(B)", &["B"], 1.0);
    }

    #[test]
    fn rules_of_reading_benchmarks() {
        check(AnswerRule::Anls, "abcd", &["xyzw", "abxy"], 0.5);
        check(AnswerRule::AnlsPaper, "abcd", &["abxy"], 0.0);
        check(AnswerRule::AnlsVlmevalkit, "a    b", &["a cd"], 0.5);
        check(AnswerRule::Chartqa, "5.2%", &["0.05"], 1.0);
        check(AnswerRule::Chartqa, " red", &["red"], 0.0);
        check(AnswerRule::ChartqaVlmevalkit, " red", &["red"], 1.0);
        check(AnswerRule::Ocrbench, "It says EXIT", &["no", "exit"], 1.0);
        check(AnswerRule::Ai2d, "B. head", &["B"], 1.0);
        check(AnswerRule::Seedbench, "B.", &["B"], 0.0);
        check(AnswerRule::SeedbenchLmmsEval, "B.", &["B"], 1.0);
        check(AnswerRule::Mmstar, "option b", &["B"], 1.0);
        check(AnswerRule::Mmmu, "It is 5.001", &["5"], 1.0);
        let score = |rule: AnswerRule, said: &str| {
            rule.score_among(said, &["B"], &["a red kite", "two owls"])
        };
        assert_eq!(score(AnswerRule::ChoiceVlmevalkit, "Two owls!"), 1.0);
        assert_eq!(score(AnswerRule::Mmmu, "B. two owls"), 0.0);
        assert_eq!(score(AnswerRule::MmmuLmmsEval, "B. two owls"), 1.0);
        assert_eq!(score(AnswerRule::MmmuVlmevalkit, "two owls"), 1.0);
    }

    #[test]
    fn open_questions_need_no_letter() {
        let none: [&str; 0] = [];
        assert!(AnswerRule::Mmmu.check_answers(&["1.06"], &none).is_ok());
        assert!(
            AnswerRule::Mmmu
                .check_answers(&["1.06"], &["a", "b"])
                .is_err()
        );
        assert!(
            AnswerRule::Ocrbench
                .check_answers(&["a", " "], &none)
                .is_err()
        );
    }

    #[test]
    fn answers_that_a_rule_cannot_score_are_errors() {
        let none: [&str; 0] = [];
        let choices = ["red", "blue"];
        for rule in AnswerRule::ALL {
            let is_wrong = |answers: &[&str]| rule.check_answers(answers, &choices).is_err();
            assert!(is_wrong(&none), "{rule}");
            if rule == AnswerRule::Refcoco {
                assert!(is_wrong(&["yes"]) && !is_wrong(&["[0, 0, 0.5, 1]"]));
                continue;
            }
            assert_eq!(is_wrong(&["yes", "no"]), rule.is_choice(), "{rule}");
            assert_eq!(is_wrong(&["B", "A"]), rule.is_yes_no(), "{rule}");
            assert_eq!(is_wrong(&["C", "A"]), rule.is_choice() || rule.is_yes_no());
            if !rule.is_choice() {
                assert_eq!(is_wrong(&["yes"]), rule.is_vqa(), "{rule}");
            }
        }
    }
}
