//! What a rule takes an answer for: yes or no, or the letter of an option.

use crate::dataset::export::choices_of;
use crate::metric::mmbench::{lmms_eval, lmms_eval_static, vlmevalkit};
use crate::metric::{AnswerRule, YesNo, mme, pope, scienceqa};
use crate::sample::Sample;

/// Yes or no, as the rule scores it; none for rules that read neither.
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

/// The letter of one of the question's options, as the rule scores it; none where no letter
/// can be told.
pub(super) fn letter(rule: AnswerRule, text: &str, sample: &Sample) -> Option<char> {
    let listed;
    let choices = if sample.choices.is_empty() {
        // Records of studies have the options in the prompt alone.
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

/// What an answer counts as, in a word: `yes`, `no` or a letter; none for answers that are
/// free text or can't be read.
pub(super) fn label(rule: AnswerRule, text: &str, sample: &Sample) -> Option<String> {
    match yes_no(rule, text) {
        Some(YesNo::Yes) => Some("yes".to_owned()),
        Some(YesNo::No) => Some("no".to_owned()),
        Some(YesNo::Other) => None,
        None if rule.is_choice() => letter(rule, text, sample).map(String::from),
        None => None,
    }
}
