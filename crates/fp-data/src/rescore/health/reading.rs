//! How a rule reads an answer: as yes or no, or as the letter of an option.

use crate::dataset::export::choices_of;
use crate::metric::mmbench::{lmms_eval, lmms_eval_static, vlmevalkit};
use crate::metric::{AnswerRule, YesNo, mme, pope, scienceqa};
use crate::sample::Sample;

/// Yes or no, as the rule reads it; `None` for rules that read neither.
pub(super) fn yes_no(rule: AnswerRule, text: &str) -> Option<YesNo> {
    Some(match rule {
        AnswerRule::Pope => pope::parse(text),
        AnswerRule::PopeLmmsEval => pope::parse_lmms_eval(text),
        AnswerRule::Mme => mme::parse(text),
        AnswerRule::MmeLmmsEval => mme::parse_lmms_eval(text),
        AnswerRule::PopeVlmevalkit | AnswerRule::MmeVlmevalkit => YesNo::by_whole_words(text),
        _ => return None,
    })
}

/// The letter of one of the question's options, as the rule reads it; `None` where no letter can be
/// inferred.
pub(super) fn letter(rule: AnswerRule, text: &str, sample: &Sample) -> Option<char> {
    let listed;
    let choices = if sample.choices.is_empty() {
        // Records of studies list the options only in the prompt.
        listed = choices_of(&sample.question);
        &listed
    } else {
        &sample.choices
    };
    let options: Vec<(char, &str)> = if choices.is_empty() {
        ('A'..='D').map(|letter| (letter, "")).collect()
    } else {
        ('A'..='Z')
            .zip(choices.iter().map(String::as_str))
            .collect()
    };
    let letters = || options.iter().map(|(letter, _)| *letter);
    let said = match rule {
        AnswerRule::Scienceqa => scienceqa::parse(text),
        AnswerRule::ScienceqaLmmsEval => {
            letters().find(|letter| scienceqa::is_right_lmms_eval(text, &letter.to_string()))
        }
        AnswerRule::Mmbench => vlmevalkit(text, &options),
        AnswerRule::MmbenchLmmsEval => lmms_eval(text, &options)
            .or_else(|| lmms_eval_static(text, &letters().collect::<Vec<char>>())),
        _ => None,
    };
    // Z is a refusal, and a letter beyond the options is no answer.
    said.filter(|said| letters().any(|letter| letter == *said))
}

/// The label that an answer counts as: `yes`, `no` or a letter; `None` for answers that are free
/// text or can't be read.
pub(super) fn label(rule: AnswerRule, text: &str, sample: &Sample) -> Option<String> {
    match yes_no(rule, text) {
        Some(YesNo::Yes) => Some("yes".to_owned()),
        Some(YesNo::No) => Some("no".to_owned()),
        Some(YesNo::Other) => None,
        None if rule.is_choice() => letter(rule, text, sample).map(String::from),
        None => None,
    }
}
